"""The judge that scores answers: a behavior of `behaviors.toml`, or a scorer written on the command line.

Loads neither numpy nor torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from bvc.api.behavior_scores import Scorekeeper, probe_records
from bvc.api.behaviors import scorable_behavior
from bvc.api.bisect_evidence import Shown, pack, tally, unpack
from bvc.api.bisect_settings import BisectSettings
from bvc.api.blame_lineage import Report, recorded_of
from bvc.api.latent_scores import check_latents
from bvc.api.score_history import Row, score_rows
from bvc.api.search_changes import changes_among
from bvc.behaviors.parse import parse_behaviors
from bvc.behaviors.records import Behavior, Tools
from bvc.behaviors.score import selected
from bvc.errors import BadInput, UsageError
from bvc.records import CommitInfo
from bvc.repository.repository import Repository
from bvc.store.index import score_key

_EXPRESSION = "expression"


def behavior_of(repository: Repository, settings: BisectSettings) -> Behavior:
    """The behavior that the settings name or write out. Raises UsageError and BadInput, also for one that asks for a
    latent that is not there."""
    if settings.behavior is not None:
        return scorable_behavior(repository, settings.behavior)
    behavior = parse_expression(settings.expr or "")
    check_latents(repository, behavior)
    return behavior


def parse_expression(text: str) -> Behavior:
    """A scorer as in `behaviors.toml`, its keys on one line: `contains = "salt water", on = "tag:topic:gardening"`.

    Raises UsageError saying what is wrong with it.
    """
    inner = text.strip().removeprefix("{").removesuffix("}").strip()
    table = f"behavior = {{ {_EXPRESSION} = {{ {inner} }} }}\n"
    try:
        (behavior,) = parse_behaviors(table.encode(), "--expr")
    except BadInput as error:
        wrong = error.message.removeprefix("--expr:1: ").removeprefix("--expr: ")
        wrong = wrong.replace(f"behavior {_EXPRESSION}", "it")
        raise UsageError(
            f"--expr {wrong}", hint=error.hint or """write TOML, such as 'contains = "salt", on = "tag:weather"'"""
        ) from None
    except ValueError:
        raise UsageError("--expr holds more than one scorer", hint="combine them with all or any") from None
    return behavior


@dataclass
class BehaviorJudge:
    """Judges by a behavior; which probes it speaks of is decided by the new end's labels and tags."""

    repository: Repository
    behavior: Behavior
    new_end: str
    tools: Tools = field(default_factory=Tools)
    _waiting: list[tuple[bytes, bytes]] = field(default_factory=list)

    @cached_property
    def _keeper(self) -> Scorekeeper:
        return Scorekeeper(self.repository, self.tools)

    @property
    def takes_draws(self) -> bool:
        """Whether further sampled answers say more: they have no features."""
        return not self.behavior.latents

    @property
    def features(self) -> bool:
        """Whether the behavior asks for a latent, so that captures must have features."""
        return bool(self.behavior.latents)

    def lacks(self, commit: str) -> str | None:
        """Why a captured commit has not the features that the behavior asks for."""
        view = self.repository.snapshot(commit)
        return self._keeper.latents.why_not(view, self.behavior) if _captured(view.info) else None

    def can_add(self) -> bool:
        """Whether a capture that is made now records the features that are asked for."""
        return self._keeper.latents.captured_by_commits(self.behavior)

    @cached_property
    def _records(self) -> Mapping[str, tuple[str, str]]:
        """(suite, record) of the probes that are judged. Raises UsageError where there is none."""
        view = self.repository.snapshot(self.new_end)
        chosen = {
            probe: (suite, oid)
            for probe, (suite, oid) in probe_records(view).items()
            if selected(self.behavior, suite, self._keeper.probe(view, oid))
        }
        if not chosen:
            raise UsageError(
                f"commit {self.new_end[:10]} has no probe that this speaks of", hint="see `on`, and `bvc suite show`"
            )
        return chosen

    @cached_property
    def _units(self) -> Mapping[str, int]:
        """The number of the independent unit that each probe belongs to: its cluster, else the probe."""
        view = self.repository.snapshot(self.new_end)
        numbers: dict[str, int] = {}
        names = ((p, self._keeper.probe(view, oid).cluster or p) for p, (_, oid) in sorted(self._records.items()))
        return {p: numbers.setdefault(name, len(numbers)) for p, name in names}

    def probes(self) -> Sequence[str]:
        """The ids of the probes that are judged."""
        return list(self._records)

    def shown(self, commit: str) -> Shown | None:
        """The scores of a commit's answers, summed up; None where none of the probes is captured."""
        view = self.repository.snapshot(commit)
        if not _captured(view.info):
            return None
        (known,) = self._recall([view.tree])
        if known is not None:
            return unpack(known)
        found = self._tally(self._keeper.scores(view, self.behavior, self._records))
        self._keep(view.tree, found)
        return found

    def shown_of(self, commits: Sequence[str], report: Report) -> Mapping[str, Shown | None]:
        """`shown` of many commits, parents before their children: where one follows another, only the answers that
        changed are looked at."""
        attached = self.repository.attached
        views = [self.repository.view(self.repository.info(commit), attached) for commit in commits]
        trees = {view.info.id: view.tree for view in views if _captured(view.info)}
        rows = self._recall(trees.values())
        if None not in rows:
            known = {commit: unpack(row) for commit, row in zip(trees, rows, strict=True) if row is not None}
        else:
            known = dict(self._read(commits, trees, report))
        return dict.fromkeys(commits) | known

    def _read(
        self, commits: Sequence[str], trees: Mapping[str, str], report: Report
    ) -> Iterator[tuple[str, Shown | None]]:
        history = changes_among(self.repository, tuple(reversed(commits)), report)
        recorded = recorded_of(self.repository, self.new_end, history)
        found: tuple[Row, Shown | None] | None = None
        for view, row in score_rows(recorded, self._keeper, self.behavior, report, self._records):
            if found is None or found[0] is not row:
                found = row, self._tally(row)
            if view.info.id in trees:
                self._keep(trees[view.info.id], found[1])
                yield view.info.id, found[1]

    def _tally(self, row: Row) -> Shown | None:
        units, scores = self._units, ((p, row[p]) for p in self._records if p in row)
        return tally(((units[p], (one.greedy, *one.draws)) for p, one in scores), 1 + max(units.values()))

    @cached_property
    def _origin(self) -> str:
        """Names everything that the sums depend on but the answers."""
        records = [text for probe in sorted(self._records) for text in (probe, *self._records[probe])]
        return score_key("bisect/2", self._keeper.digest(self.behavior), *records).hex()

    def _recall(self, trees: Iterable[str]) -> list[bytes | None]:
        """What is remembered of some snapshots, by their trees."""
        keys = [score_key(self._origin, tree) for tree in trees]
        known = self._keeper.remembers(self.behavior)
        return self.repository.store.index.environment.get_many(keys) if known else [None] * len(keys)

    def _keep(self, tree: str, found: Shown | None) -> None:
        if self._keeper.remembers(self.behavior) and not self._keeper.passing:
            self._waiting.append((score_key(self._origin, tree), pack(found)))

    def flush(self) -> None:
        """Keeps what was scored for the next time."""
        self._keeper.flush()
        waiting, self._waiting = self._waiting, []
        self.repository.store.index.environment.remember(waiting)


def _captured(info: CommitInfo) -> bool:
    return info.snapshot is not None and info.snapshot.capability is not None
