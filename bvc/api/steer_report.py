"""From steered answers to the result: scores, effects beside random directions, damage and examples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bvc.api.steer_records import Damage, SteeredStrength, SteerOptions, SteerResult
from bvc.behaviors.rate import rate_interval
from bvc.behaviors.records import Behavior, Tools
from bvc.behaviors.score import score
from bvc.errors import NotComparable
from bvc.records import Generation, Outputs, Probe

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bvc.capture.steering import SteeredRun
    from bvc.compare.steering import Effect

OTHER_ANSWER = "another answer than unsteered"
"""What is scored where no behavior is named."""
_FEW_PROBES = 8
"""Probes below which the result says that they are few."""


class Judge:
    """Scores answers: by a behavior, or by whether they are the unsteered ones."""

    def __init__(self, behavior: Behavior | None, tools: Tools) -> None:
        self.behavior = behavior
        self.name = OTHER_ANSWER if behavior is None else behavior.name
        self._known: dict[tuple[str, str], float] = {}
        self._tools = tools

    def __call__(self, probe: Probe, answers: Outputs, unsteered: Outputs) -> list[float]:
        """The scores of an outputs record, greedy first; NaN for an answer that cannot be scored."""
        pairs = zip(_answers(answers), _answers(unsteered), strict=True)
        if self.behavior is None:
            return [float(a.text != b.text) for a, b in pairs]
        return [self._scored(self.behavior, probe, a) for a, _ in pairs]

    def _scored(self, behavior: Behavior, probe: Probe, answer: Generation) -> float:
        key = probe.id, answer.text
        if key not in self._known:
            value = score(behavior, probe, answer.text, answer.tokens, self._tools).value
            self._known[key] = math.nan if value is None else value
        return self._known[key]


def _answers(outputs: Outputs) -> tuple[Generation, ...]:
    return (outputs.greedy, *outputs.draws)


class Report:
    """Turns a run into a result."""

    def __init__(
        self,
        judge: Judge,
        what: SteerOptions,
        strengths: Sequence[float],
        probes: Sequence[Probe],
        run: SteeredRun,
    ) -> None:
        """Raises NotComparable where no probe can be scored."""
        import numpy as np

        self._judge, self._what = judge, what
        self._strengths, self._run = strengths, run
        conditions = [run.unsteered, *run.steered]
        scores = np.array(
            [
                [judge(p, now.outputs, old.outputs) for p, now, old in zip(probes, row, run.unsteered, strict=True)]
                for row in conditions
            ]
        )  # [conditions, probes, answers]
        self._kept = np.flatnonzero(~np.isnan(scores).any((0, 2)))
        if not len(self._kept):
            raise NotComparable(f"no answer can be scored by {judge.name}", hint="see `bvc behavior test`")
        self._probes = [probes[i] for i in self._kept.tolist()]
        self._left_out = len(probes) - len(self._kept)
        self._scores = scores[:, self._kept]
        self._repeats = np.array([[p.repetition for p in row] for row in conditions])[:, self._kept]
        self._likely = np.array([[p.likely for p in row] for row in conditions])[:, self._kept]
        self._own = np.array([[p.own for p in row] for row in conditions])[:, self._kept]

    def result(self, *, norms: Sequence[float], notes: tuple[str, ...], **known: Any) -> SteerResult:
        """The record, with what is `known` beside the scores."""
        from bvc.compare.paired import BAND

        effects = self._effects()
        places = self._places()
        probe, way = self._example(places)
        rows = [
            SteeredStrength(
                strength=strength,
                norm=norms[i],
                rate=float(self._scores[places[i][0]].mean()),
                ci=rate_interval(self._scores[places[i][0]].mean(1).tolist(), self._clusters)[1],
                damage=self._damage(places[i]),
                example=_answers(self._outputs(places[i][0])[probe])[way].text,
                effect=effects.get(strength),
            )
            for i, strength in enumerate(self._strengths)
        ]
        few = f"only {len(self._probes)} probes were scored: effects that are not large stay undecided"
        return SteerResult(
            score=self._judge.name,
            positions=self._what.positions,
            directions=self._what.directions,
            seed=self._what.seed or 0,
            band=BAND,
            probes=tuple(self._probes),
            left_out=self._left_out,
            strengths=tuple(rows),
            example=(self._probes[probe], way),
            answers=tuple(tuple(self._outputs(at[0])) for at in places),
            notes=notes + ((few,) if len(self._probes) < _FEW_PROBES else ()),
            **known,
        )

    @property
    def _clusters(self) -> list[str]:
        return [probe.cluster or probe.id for probe in self._probes]

    def _places(self) -> list[tuple[int, ...]]:
        """For each strength the condition of the direction, then those of the random ones."""
        each, found, first = 1 + self._what.directions, [], 1
        for strength in self._strengths:
            found.append(tuple(range(first, first + each)) if strength else (0,))
            first += each if strength else 0
        return found

    def _effects(self) -> dict[float, Effect]:
        from bvc.compare.steering import Pushed, broken_answers, steering_effects

        own = self._repeats[0], self._likely[0]
        broken = broken_answers(self._repeats, self._likely, own, self._run.salad)
        moving = [(s, at) for s, at in zip(self._strengths, self._places(), strict=True) if s]
        pushed = [
            Pushed(self._scores[at[0]], self._scores[list(at[1:])], broken[at[0]], broken[list(at[1:])])
            for _, at in moving
        ]
        found = steering_effects(self._scores[0], pushed, self._clusters)
        return {strength: effect for (strength, _), effect in zip(moving, found, strict=True)}

    def _damage(self, at: tuple[int, ...]) -> Damage:
        rest = list(at[1:]) or [at[0]]
        return Damage(
            own=_mean(self._own[at[0]]),
            random_own=_mean(self._own[rest]),
            repetition=float(self._repeats[at[0]].mean()),
            random_repetition=float(self._repeats[rest].mean()),
        )

    def _example(self, places: Sequence[tuple[int, ...]]) -> tuple[int, int]:
        """The probe and the answer that moved most, over all strengths."""
        import numpy as np

        moved = np.abs(self._scores[[at[0] for at in places]] - self._scores[0]).sum(0)
        probe, way = np.unravel_index(int(moved.argmax()), moved.shape)
        return int(probe), int(way)

    def _outputs(self, condition: int) -> list[Outputs]:
        row = self._run.unsteered if condition == 0 else self._run.steered[condition - 1]
        return [row[i].outputs for i in self._kept.tolist()]


def _mean(values: npt.NDArray[np.float64]) -> float | None:
    """The mean of the numbers among `values`; None without any."""
    known = [value for value in values.ravel().tolist() if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else None
