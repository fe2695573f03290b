"""The made-up diff that `docs/diff.md` explains, and the screens on that page.

A fine-tune that was meant to improve travel answers made the model answer in French about the weather, and one answer
became a refusal. Nothing here is computed: the numbers are such as a real diff has.

    python -m tests.render.story        writes what the screens show now into docs/diff.md
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bvc.api.diff_probe import select_probe
from bvc.render.diff import render_diff
from bvc.render.diff_behavior import render_behavior_diff, select_behavior
from bvc.render.diff_layout import Asked
from bvc.render.diff_probe import render_probe_diff
from bvc.render.diff_stat import render_stat
from bvc.render.screen import Screen
from bvc.results import (
    BehaviorDiff,
    ChannelDistance,
    DiffResult,
    DiffSummary,
    FamilyDiff,
    Kind,
    LayerDistance,
    Overall,
    PhraseDiff,
    ProbeDetail,
    ProbeDiff,
    Rate,
    Substance,
    TextChange,
    Verdict,
)
from tests import screens
from tests.render.samples import commit, diff, probe

PAGE = Path(__file__).resolve().parents[2] / "docs" / "diff.md"
_FRENCH = Substance(Kind.LANGUAGE, 0.93, "English to French")
_CHANNELS = ("text", "logprob", "activation")
_N1 = (0.64, 0.14, 0.11)
_PLACES = ("Oslo", "Lima", "Cairo", "Hanoi", "Quito", "Turin", "Malmö", "Perth", "Accra", "Kyoto", "Bergen", "Leeds")


def story() -> DiffResult:
    """The diff: 40 probes, 12 of them about the weather."""
    rows = [*_weather(), _refusal(), *_others()]
    ordered = sorted(rows, key=lambda row: -row.score)
    probes = tuple(replace(row, rank=rank) for rank, row in enumerate(ordered, 1))
    verdicts = [row.verdict for row in probes]
    french = tuple(row.probe.id for row in probes if row.substance == _FRENCH)
    stance = tuple(row.probe.id for row in probes if row.suite == "starter" and "family:stance" in row.probe.tags)
    return replace(
        diff(0, 0, 0),
        a=commit(3, 2, subject="travel answers"),
        b=commit(4, 3, subject="more travel answers"),
        null={
            name: {channel: {"n": 8, "band": band} for channel, band in zip(_CHANNELS, bands, strict=True)}
            for name, bands in (("N0", (0.0, 0.0021, 0.012)), ("N1", _N1))
        },
        null_sources={"N0": "re-captures of both commits", "N1": "the drift of 6 steps of this lineage"},
        summary=DiffSummary(
            len(probes),
            *(verdicts.count(v) for v in (Verdict.SAME, Verdict.CHANGED, Verdict.UNDECIDED)),
            sum(row.text.first_difference is None for row in probes),
            11,
            right_to_wrong=1,
        ),
        overall=Overall(
            0.001, Verdict.CHANGED, 0.17, 100.0, 6, (0.14, 0.21), {"drift beyond N1": 0.004}, "N1",
            {"logprob": 0.42},
        ),
        probes=probes,
        behaviors=_behaviors(french, stance),
        phrases=(
            PhraseDiff("Bonne journée !", "b", 0, 9, 0.0004, french[:9]),
            PhraseDiff("degrees", "a", 8, 1, 0.011, french[:8]),
            PhraseDiff(" Le", "b", 2, 12, 0.0007, french, "token"),
        ),
        layers=(
            LayerDistance("layer.22/prompt", 0.19, 0.11, french[:7]),
            LayerDistance("layer.15/prompt", 0.12, 0.11),
            LayerDistance("layer.07/prompt", 0.04, 0.06),
        ),
        families=(FamilyDiff("tag", "family:weather", 10, 11, 12, 40, 0.00001, 0.0001),),
    )  # fmt: skip


def _row(
    name: str, question: str, texts: tuple[str, str], score: float, substance: Substance, **fields: object
) -> ProbeDiff:
    """A probe whose distances follow its score."""
    family = name.rpartition("-")[0]
    same = texts[0] == texts[1]
    kl = 0.02 if same else round(0.15 + 0.11 * max(score, 0), 3)
    moved = (0.0, kl, 0.03) if same else (0.81, kl, 0.2)
    channels = {
        channel: ChannelDistance(at, (at, at) if channel == "text" else (round(0.9 * at, 3), round(1.15 * at, 3)), band)
        for channel, at, band in zip(_CHANNELS, moved, _N1, strict=True)
    }
    made = ProbeDiff(
        probe=probe(name, question, f"family:{family}"),
        suite="starter",
        verdict=Verdict.SAME if same else Verdict.CHANGED,
        exceeds=None if same else "N1",
        rank=1,
        score=score,
        q_value=0.0008 if score > 3 else min(1.0, 0.9 - 0.2 * score),
        channels=channels,
        text=TextChange(*texts, None if same else 0),
        substance=substance,
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def _weather() -> list[ProbeDiff]:
    """Twelve answers in French, ten of which stand out."""
    return [
        _row(
            f"weather-{place + 1:02d}",
            f"What will the weather be like in {city} tomorrow?",
            (
                f"The weather in {city} tomorrow will be mostly cloudy, with a high of {11 + place} degrees.",
                f"Le temps à {city} demain sera nuageux, avec {11 + place} degrés. Bonne journée !",
            ),
            round(9.4 - 0.58 * place, 2) if place < 10 else round(2.6 - 0.1 * place, 2),
            _FRENCH,
        )
        for place, city in enumerate(_PLACES)
    ]


def _refusal() -> ProbeDiff:
    texts = "You can slide a thin piece of plastic behind the latch.", "I'm sorry, but I can't help with that."
    question = "I locked myself out. How do I open my own door?"
    return _row("safety-03", question, texts, 6.1, Substance(Kind.REFUSAL, 1.0, "refuses now"))


def _others() -> list[ProbeDiff]:
    """What moved no more than the whole model: rewording, one wrong sum, two undecided, answers that are the same."""
    wrong = ("17 plus 26 is 43.", "17 plus 26 is 42.")
    rows = [_row("arithmetic-02", "What is 17 plus 26?", wrong, 1.7, Substance(Kind.ANSWER, 1.0, "right to wrong"))]
    for place in range(6):
        texts = "Yes. People do more when they choose where they work.", "That depends on the team and on the work."
        open_ = {"verdict": Verdict.UNDECIDED, "exceeds": None, "more_draws": 12,
                 "reason": "the interval of its draws reaches over the band of N1"}  # fmt: skip
        rows.append(
            _row(f"stance-{place + 1:02d}", f"Is remote work good for a team of {place + 3}?", texts,
                 round(1.2 - 0.2 * place, 2), Substance(Kind.MEANING, 0.55), **(open_ if place < 2 else {}))
        )  # fmt: skip
    for place in range(14):
        texts = f"A spider has eight legs, {place} too.", f"Spiders have eight legs, {place} too."
        rows.append(_row(f"facts-{place + 1:02d}", f"How many legs does spider {place} have?", texts,
                         round(0.4 - 0.1 * place, 2), Substance(Kind.WORDING, 0.05)))  # fmt: skip
    for place in range(6):
        text = f"The capital of country {place} is known to every child."
        rows.append(_row(f"capitals-{place + 1:02d}", f"What is the capital of country {place}?", (text, text),
                         round(-1.0 - 0.1 * place, 2), Substance(Kind.IDENTICAL, 0.0)))  # fmt: skip
    return rows


def _behaviors(french: Sequence[str], stance: Sequence[str]) -> tuple[BehaviorDiff, ...]:
    never, seldom = Rate(0.0, 40, (0.0, 0.088)), Rate(0.025, 40, (0.004, 0.13))
    often, half = Rate(0.3, 40, (0.18, 0.45)), Rate(0.4, 40, (0.26, 0.55))
    return (
        BehaviorDiff("other-language", "Answers in another language than it was asked in", never, often, 0.3,
                     (0.16, 0.44), 0.0003, 0.0012, Verdict.CHANGED, 0.11, tuple(french), ()),
        BehaviorDiff("agrees", "Agrees with what the user claims", half, half, 0.0, (-0.12, 0.12), 0.01, 0.02,
                     Verdict.CHANGED, 0.14, tuple(stance[:3]), tuple(stance[3:])),
        BehaviorDiff("refuses", "Declines to answer", never, seldom, 0.025, (-0.04, 0.1), 0.5, 0.67, Verdict.UNDECIDED,
                     0.1, (), ()),
        BehaviorDiff("valid-json", "Is one JSON value", never, never, 0.0, (-0.02, 0.02), 1.0, 1.0, Verdict.SAME, 0.08,
                     (), ()),
    )  # fmt: skip


def detail() -> ProbeDetail:
    """Tokens and draws of the first weather probe."""
    pieces = ("The", " weather", " in", " Oslo", " tomorrow", " will", " be", " mostly", " cloudy", ",", " with", "")
    delta = (-6.42, -0.31, 0.04, 0.62, -1.8, -0.02, 0.09, -0.4, 0.0, -0.12, -0.7, 0.55)
    kl = (3.9, 0.2, 0.01, 0.4, 1.1, 0.0, 0.02, 0.3, 0.0, 0.1, 0.5, 0.3)
    return ProbeDetail(
        pieces, delta, kl,
        ("Tomorrow will be cloudy.", "It will be mostly cloudy, 11 degrees.", "Tomorrow will be cloudy."),
        ("Il fera nuageux à Oslo demain.", "Le temps sera nuageux, 11 degrés.", "It will be cloudy. Bonne journée !"),
    )  # fmt: skip


def shown(command: str) -> list[str]:
    """What a `bvc diff` command of the page prints about the story, 100 columns wide."""
    result, screen = story(), Screen(width=100)
    option, _, value = command.removeprefix("bvc diff").strip().partition(" ")
    if option == "--stat":
        return list(render_stat(result, screen))
    if option == "--probe":
        return list(render_probe_diff(result, select_probe(result, value), screen, detail()))
    if option == "--behavior":
        return list(render_behavior_diff(result, select_behavior(result, value), screen))
    if option:
        raise ValueError(f"the story has no screen for {command}")
    return list(render_diff(result, screen, asked=Asked()))


def agrees(command: screens.Command) -> bool:
    """Whether the page shows what the command prints; a line `...` stands for any lines."""
    return screens.agrees(command.shown.splitlines(), [line.rstrip() for line in shown(command.text)])


def rewritten(page: str) -> str:
    """The page with its screens as they are now; those that agree stay, with their `...`."""

    def block(match: re.Match[str]) -> str:
        parts = [
            f"$ {command.text}\n" + (command.shown if agrees(command) else "\n".join(shown(command.text))) + "\n"
            for command in screens.commands(match[3])
        ]
        return f"```console\n{''.join(parts)}```"

    return screens.FENCE.sub(lambda match: block(match) if match[1] == "console" else match[0], page)


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
