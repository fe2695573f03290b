"""The judge that scores answers: a behavior of `behaviors.toml`, or a scorer written on the command line.

Loads neither numpy nor torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from bvc.api.behavior_scores import Scorekeeper, probe_records
from bvc.api.behaviors import find_behavior
from bvc.api.bisect_evidence import Row, Shown, pack, tally, unpack
from bvc.api.bisect_settings import BisectSettings
from bvc.behaviors.parse import parse_behaviors
from bvc.behaviors.records import Behavior, Tools
from bvc.behaviors.score import selected
from bvc.errors import BadInput, UsageError
from bvc.repository.repository import Repository
from bvc.repository.snapshot_view import SnapshotView
from bvc.store.index import score_key

_EXPRESSION = "expression"


def behavior_of(repository: Repository, settings: BisectSettings) -> Behavior:
    """The behavior that the settings name or write out. Raises UsageError and BadInput."""
    if settings.behavior is not None:
        return find_behavior(repository, settings.behavior)
    return parse_expression(settings.expr or "")


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
    takes_draws: bool = True
    _rows: dict[tuple[str, str], Row] = field(default_factory=dict)
    _answers: _Answers = field(default_factory=lambda: _Answers())
    _waiting: list[tuple[bytes, bytes]] = field(default_factory=list)

    @cached_property
    def _keeper(self) -> Scorekeeper:
        return Scorekeeper(self.repository, self.tools)

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
        if view.info.snapshot is None or view.snapshot.capability is None:
            return None
        environment, key = self.repository.store.index.environment, score_key(self._origin, view.tree)
        row = environment.get(key) if self._keeper.remembers(self.behavior) else None
        if row is None:
            found = self._sum(view)
            if self._keeper.remembers(self.behavior) and not self._keeper.passing:
                self._waiting.append((key, pack(found)))
            return found
        return unpack(row)

    def _sum(self, view: SnapshotView) -> Shown | None:
        blobs, units = self._answers.of(view), self._units
        wanted = {p: blobs[p] for p in self._records if p in blobs}
        missing = {p: (*self._records[p], blob) for p, blob in wanted.items() if (p, blob) not in self._rows}
        if missing:
            scored = self._keeper.scored(view, self.behavior, missing)
            self._rows |= {(p, blobs[p]): (row.greedy, *row.draws) for p, row in scored.items()}
        return tally(((units[p], self._rows[p, blob]) for p, blob in wanted.items()), 1 + max(units.values()))

    @cached_property
    def _origin(self) -> str:
        """Names everything that the sums depend on but the answers."""
        records = [text for probe in sorted(self._records) for text in (probe, *self._records[probe])]
        return score_key("bisect/2", self.behavior.digest, *records).hex()

    def flush(self) -> None:
        """Keeps what was scored for the next time."""
        self._keeper.flush()
        waiting, self._waiting = self._waiting, []
        self.repository.store.index.environment.remember(waiting)


class _Answers:
    """Which record of answers each probe has, commit by commit; only folders that differ from those of the commit asked
    before are read."""

    def __init__(self) -> None:
        self._shards: dict[str, str] = {}
        self._blobs: dict[str, str] = {}
        self._read: dict[str, Mapping[str, str]] = {}

    def of(self, view: SnapshotView) -> Mapping[str, str]:
        """`{probe: blob id}`, good until the next call."""
        suites = view.snapshot.suites
        if len(suites) != 1:
            return view.output_blobs
        shards = dict(view.below(f"outputs/{suites[0].name}"))
        for _, shard in self._shards.items() - shards.items():
            for probe in self._records(view, shard):
                self._blobs.pop(probe, None)
        for _, shard in shards.items() - self._shards.items():
            self._blobs |= self._records(view, shard)
        self._shards = shards
        return self._blobs

    def _records(self, view: SnapshotView, shard: str) -> Mapping[str, str]:
        if shard not in self._read:
            self._read[shard] = view.records_in(shard)
        return self._read[shard]
