"""grep: answers that match, over history, each with the commits in which it stands. Loads neither numpy nor torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from bvc.api.search_changes import ChangeHistory, Report, change_history
from bvc.api.search_probes import HistoryProbes
from bvc.api.search_records import GrepCount, GrepMatch, GrepOptions, GrepResult, GrepStretch, Place
from bvc.api.search_stands import Lineage, Stretch
from bvc.api.search_texts import Texts, answer_source, make_finder, matching, prompt_source
from bvc.behaviors.finder import Finder
from bvc.errors import UsageError
from bvc.records import CommitInfo
from bvc.repository.repository import Repository
from bvc.repository.revisions import resolve, select

_PLACES = 100
"""Places of a pattern in one text that are remembered."""

_REFS = ("refs/heads/", "refs/tags/", "refs/remotes/")

Found = Mapping[int, tuple[str, tuple[Place, ...]]]
"""Of one record by the number of the text: the text and the places in it."""


@dataclass
class _Text:
    """One text of one probe: at which commits it comes and goes, and as which answers."""

    places: tuple[Place, ...]
    comes: set[str] = field(default_factory=set)
    goes: set[str] = field(default_factory=set)
    numbers: set[int] = field(default_factory=set)


def grep(
    repository: Repository,
    pattern: str,
    revisions: Sequence[str] = (),
    options: GrepOptions | None = None,
    progress: Report | None = None,
) -> GrepResult:
    """The distinct answers that match `pattern`, newest first, and where each stands.

    `revisions` are commits to search alone, or ranges; default is all that HEAD reaches. Raises UsageError for a
    pattern that is none or takes too long, UnknownRevision.
    """
    options = options or GrepOptions()
    finder = make_finder(pattern, fixed=options.fixed, ignore_case=options.ignore_case)
    starts, chosen = _scope(repository, revisions, options)
    history = change_history(repository, starts, progress)
    chosen = (chosen if chosen is not None else set(history.order)) & history.edges.keys()
    search = _Search(repository, history, Lineage(history.order, _parents(history), chosen), options)
    texts = search.prompts(finder, progress) if options.prompts else search.answers(finder, progress)
    return search.result(pattern, texts, len(chosen))


def _scope(repository: Repository, revisions: Sequence[str], options: GrepOptions) -> tuple[list[str], set[str] | None]:
    """Where the walk starts, and the commits asked for (None: all that it reaches)."""
    if options.every_ref:
        if revisions:
            raise UsageError("--all and revisions exclude each other")
        refs = repository.store.refs
        named = (name for name in refs.all() if name.startswith(_REFS))
        tips = {tip for name in named if (tip := refs.peel(name)) is not None}
        return sorted(tips | {resolve(repository, "HEAD")}), None
    if not revisions:
        return [resolve(repository, "HEAD")], None
    selected = select(repository, revisions, alone=True)
    return list(selected.ends), set(selected.walk(repository.store.history.node))


def _parents(history: ChangeHistory) -> dict[str, tuple[str | None, ...]]:
    return {commit: tuple(edge.base for edge in edges) for commit, edges in history.edges.items()}


@dataclass
class _Search:
    repository: Repository
    history: ChangeHistory
    lineage: Lineage
    options: GrepOptions

    def __post_init__(self) -> None:
        self.probes = HistoryProbes(self.repository, self.history)
        self._infos: dict[str, CommitInfo] = {}
        self._allowed = self._narrowed()

    def _narrowed(self) -> set[bytes] | None:
        """The probes that were asked for; None for all."""
        if not self.options.probes and not self.options.tags:
            return None
        named = self.probes.named(self.options.probes) if self.options.probes else self.history.probes()
        return named & self.probes.tagged(self.options.tags) if self.options.tags else named

    def answers(self, finder: Finder, progress: Report | None) -> dict[tuple[bytes, str], _Text]:
        """The matching texts of answers by probe and text."""

        def look(texts: Texts) -> Found | None:
            found = {
                n: (text, tuple(places)) for n, text in enumerate(texts) if (places := finder.places(text, _PLACES))
            }
            return found or None

        records = matching(answer_source(self.probes.view), self.history.records(self._allowed), finder, look, progress)
        texts: dict[tuple[bytes, str], _Text] = {}
        for commit, edges in self.history.edges.items():
            for change in edges[0].changes():
                if (change.old in records or change.new in records) and self._wants(change.probe):
                    old = {} if change.old is None else records.get(change.old, {})
                    new = {} if change.new is None else records.get(change.new, {})
                    _note(texts, change.probe, commit, old, new)
        return texts

    def prompts(self, finder: Finder, progress: Report | None) -> dict[tuple[bytes, str], _Text]:
        """The matching prompts by probe and text: they stand wherever the probe was answered."""
        kept = {bytes.fromhex(oid): probe for probe, (_, oid) in self.probes.records.items() if self._wants(probe)}

        def look(texts: Texts) -> tuple[str, tuple[Place, ...]] | None:
            found = ((text, finder.places(text, _PLACES)) for text in texts)
            return next(((text, tuple(places)) for text, places in found if places), None)

        records = matching(prompt_source(self.probes.view), kept, finder, look, progress)
        asked = {kept[oid]: (text, _Text(places)) for oid, (text, places) in records.items()}
        for commit, edges in self.history.edges.items():
            for change in edges[0].changes():
                if change.probe in asked and change.old is None:
                    asked[change.probe][1].comes.add(commit)
                elif change.probe in asked and change.new is None:
                    asked[change.probe][1].goes.add(commit)
        return {(probe, text): found for probe, (text, found) in asked.items()}

    def _wants(self, probe: bytes) -> bool:
        return self._allowed is None or probe in self._allowed

    def result(self, pattern: str, texts: Mapping[tuple[bytes, str], _Text], commits: int) -> GrepResult:
        """The texts that stand at a commit that was asked for."""
        stretches = {key: self.lineage.stretches(text.comes, text.goes) for key, text in texts.items()}
        standing = {key: found for key, found in stretches.items() if found}
        limit = self.options.limit
        matches: tuple[GrepMatch, ...] = ()
        counts: tuple[GrepCount, ...] = ()
        if self.options.counts:
            counts = tuple(islice(self._counts(standing.values()), limit))
        else:
            place = {commit: number for number, commit in enumerate(self.history.order)}
            ordered = sorted(standing, key=lambda key: (place[standing[key][0].newest], self._order(key)))
            matches = tuple(self._match(key, texts[key], standing[key]) for key in ordered[:limit])
        return GrepResult(pattern, self.options, commits, len(self.history.records()), matches, len(standing), counts)

    def _order(self, key: tuple[bytes, str]) -> tuple[str, str, bytes, str]:
        record = self.probes.probe(key[0])
        return self.probes.suite(key[0]), "" if record is None or record.name is None else record.name, *key

    def _counts(self, answers: Iterable[Sequence[Stretch]]) -> Iterable[GrepCount]:
        held = self.lineage.counts(answers)
        return (GrepCount(self._info(commit), held[commit]) for commit in self.history.order if commit in held)

    def _match(self, key: tuple[bytes, str], text: _Text, stretches: Sequence[Stretch]) -> GrepMatch:
        probe, said = key
        record = self.probes.probe(probe)
        shown = tuple(GrepStretch(self._info(s.oldest), self._info(s.newest), s.commits) for s in stretches)
        return GrepMatch(
            probe=probe.hex(),
            name=None if record is None else record.name,
            tags=() if record is None else record.tags,
            suite=self.probes.suite(probe),
            text=said,
            places=text.places,
            greedy=0 in text.numbers,
            draws=tuple(sorted(number - 1 for number in text.numbers if number)),
            stretches=shown,
            commits=sum(s.commits for s in stretches),
        )

    def _info(self, commit: str) -> CommitInfo:
        if commit not in self._infos:
            self._infos[commit] = self.repository.store.history.info(commit)
        return self._infos[commit]


def _note(texts: dict[tuple[bytes, str], _Text], probe: bytes, commit: str, old: Found, new: Found) -> None:
    """Takes one change of a record into the account of its texts."""
    before = {text for text, _ in old.values()}
    after = {text for text, _ in new.values()}
    for number, (text, places) in new.items():
        entry = texts.setdefault((probe, text), _Text(places))
        entry.numbers.add(number)
        if text not in before:
            entry.comes.add(commit)
    for text, places in old.values():
        if text not in after:
            texts.setdefault((probe, text), _Text(places)).goes.add(commit)
