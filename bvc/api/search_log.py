"""`log -S`, `-G` and `--probe`: the commits that change certain answers. Loads neither numpy nor torch.

As in Git a commit is compared with its parent, probe by probe. A merge is listed for what differs from every parent:
what it took over from one of them began elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field

from bvc.api.search_changes import ChangeHistory, Report, change_history
from bvc.api.search_probes import HistoryProbes
from bvc.api.search_records import LogSearch
from bvc.api.search_texts import Texts, answer_source, answer_texts, make_finder, matching, too_slow
from bvc.behaviors.finder import Finder, TooSlow
from bvc.errors import UsageError
from bvc.records import AnswerChange, AnswerChanges
from bvc.repository.repository import Repository
from bvc.store.changes import Change

_SHOWN = 20
"""Changed answers of one commit that are read, unless probes are named."""

Value = Callable[[bytes | None], Hashable]
"""What is compared of a record of answers (None: there is none)."""
Measure = Callable[[str], Hashable]
"""What is compared of one text."""


@dataclass
class LogFinder:
    """The commits of a history that change what is searched for."""

    repository: Repository
    search: LogSearch
    starts: Sequence[str]
    progress: Report | None = None
    _found: dict[str, list[Change]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._finder = _finder(self.search)
        self._history = change_history(self.repository, self.starts, self.progress)
        self._probes = HistoryProbes(self.repository, self._history)
        self._allowed = self._probes.named(self.search.probes) if self.search.probes else None
        value, self._measure = self._compared()
        self._found = dict(_selected(self._history, value, self._allowed))

    def __contains__(self, commit: str) -> bool:
        return commit in self._found

    def _compared(self) -> tuple[Value, Measure]:
        """What decides about a record, and about one of its texts."""
        finder = self._finder
        if finder is None:
            return (lambda record: record), (lambda text: text)
        counting = self.search.text is not None
        measure: Measure = finder.count if counting else lambda text: text if finder.places(text, 1) else None

        def look(texts: Texts) -> Hashable | None:
            if counting:
                return sum(finder.count(text) for text in texts) or None
            return tuple((n, text) for n, text in enumerate(texts) if finder.places(text, 1)) or None

        source = answer_source(self._probes.view)
        records = matching(source, self._history.records(self._allowed), finder, look, self.progress)
        return (lambda record: None if record is None else records.get(record)), measure

    def changes(self, commit: str) -> AnswerChanges:
        """The answers that made a commit be listed, against its first parent."""
        found = sorted(self._found[commit], key=self._order)
        shown = found if self._allowed is not None else found[:_SHOWN]
        try:
            return AnswerChanges(len(found), tuple(map(self._change, shown)))
        except TooSlow as error:
            raise too_slow(self._finder, error) from error

    def _order(self, change: Change) -> tuple[str, bytes]:
        record = self._probes.probe(change.probe)
        return "" if record is None or record.name is None else record.name, change.probe

    def _change(self, change: Change) -> AnswerChange:
        record = self._probes.probe(change.probe)
        old, new = self._texts(change.old), self._texts(change.new)
        pairs = [(n, _at(old, n), _at(new, n)) for n in range(max(len(old), len(new)))]
        differing = [pair for pair in pairs if pair[1] != pair[2]]
        telling = [p for p in differing if self._measured(p[1]) != self._measured(p[2])] or differing or pairs
        number, before, after = telling[0]
        return AnswerChange(
            probe=change.probe.hex(),
            name=None if record is None else record.name,
            draw=number - 1 if number else None,
            old=before,
            new=after,
            differing=len(differing),
        )

    def _measured(self, text: str | None) -> Hashable:
        return (self._measure("") if self.search.text is not None else None) if text is None else self._measure(text)

    def _texts(self, record: bytes | None) -> Texts:
        return () if record is None else answer_texts(self._probes.view.read_outputs(record.hex()))

    def drawn_parents(self, commits: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """For each of `commits` (newest first) its nearest ancestors among them: how a drawing joins them."""
        listed = set(commits)
        history = self.repository.store.history
        nearest: dict[str, tuple[str, ...]] = {}
        parents: dict[str, tuple[str, ...]] = {}
        for commit in reversed(self._history.order):
            found = tuple(dict.fromkeys(a for parent in history.node(commit).parents for a in nearest[parent]))
            if len(found) > 1:
                found = tuple(a for a in found if not any(a != b and history.is_ancestor(a, b) for b in found))
            nearest[commit] = (commit,) if commit in listed else found
            parents[commit] = found
        return {commit: parents[commit] for commit in commits}


def _finder(search: LogSearch) -> Finder | None:
    """What is looked for in the answers; None where any change counts. Raises UsageError."""
    if search.text is not None and search.regex is not None:
        raise UsageError("-S and -G exclude each other", hint="search for one of them at a time")
    if search.text == "" or search.regex == "":
        raise UsageError("-S and -G need something to look for", hint="`bvc log` lists every commit")
    if search.text is not None:
        return make_finder(search.text, fixed=True, ignore_case=search.ignore_case)
    if search.regex is not None:
        return make_finder(search.regex, fixed=False, ignore_case=search.ignore_case)
    return None


def _selected(history: ChangeHistory, value: Value, allowed: set[bytes] | None) -> Iterator[tuple[str, list[Change]]]:
    """The commits in which the value of some probe's record differs from that in every parent, with those changes."""
    for commit, edges in history.edges.items():
        differing = [
            {
                change.probe: change
                for change in edge.changes()
                if (allowed is None or change.probe in allowed) and value(change.old) != value(change.new)
            }
            for edge in edges
        ]
        found = [change for probe, change in differing[0].items() if all(probe in other for other in differing[1:])]
        if found:
            yield commit, found


def _at(texts: Texts, number: int) -> str | None:
    return texts[number] if number < len(texts) else None
