"""Finding the stored records whose texts match, by the index where it knows them and by reading where it does not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from bvc.api.search_changes import Report
from bvc.behaviors.finder import Finder, TooSlow
from bvc.errors import UsageError
from bvc.records import Outputs, Probe
from bvc.repository.snapshot_view import SnapshotView
from bvc.results import Progress
from bvc.store.postings import Document, Postings, Slots
from bvc.store.trigrams import word_slots
from bvc.wording import printable

_AT_ONCE = 500
"""Records whose places are looked up together."""
_T = TypeVar("_T")

Texts = tuple[str, ...]


def make_finder(pattern: str, *, fixed: bool, ignore_case: bool) -> Finder:
    """What is looked for. Raises UsageError for what is not a regular expression."""
    try:
        return Finder(pattern, fixed, ignore_case)
    except ValueError as error:
        hint = "`-F` looks for a text as it stands; in an expression \\ before a character takes its meaning away"
        raise UsageError(f"the pattern {printable(pattern)} {error}", hint=hint) from error


def too_slow(finder: Finder | None, error: TooSlow) -> UsageError:
    """The error for a pattern that was given up."""
    hint = "simplify it (nested repeats such as `(a+)+` are slow), or use `-F` for a plain text"
    return UsageError(f"the pattern {printable(finder.pattern if finder else '')} {error}", hint=hint)


@dataclass(frozen=True)
class TextSource:
    """Records of one kind: how the texts of one (by its object id) are read."""

    view: SnapshotView
    read: Callable[[str], Texts]


def answer_source(view: SnapshotView) -> TextSource:
    """Records of answers: the greedy text, then the draws. `view` may be of any commit."""
    return TextSource(view, lambda oid: answer_texts(view.read_outputs(oid)))


def prompt_source(view: SnapshotView) -> TextSource:
    """Records of probes: the raw prompt, or each message."""
    return TextSource(view, lambda oid: prompt_texts(view.read_probe(oid)))


def answer_texts(outputs: Outputs) -> Texts:
    """The greedy text, then the draws."""
    return (outputs.greedy.text, *(draw.text for draw in outputs.draws))


def prompt_texts(probe: Probe) -> Texts:
    """The raw prompt, or the messages."""
    if probe.prompt is not None:
        return (probe.prompt,)
    return tuple(message.content for message in probe.messages or ())


def matching(
    source: TextSource,
    records: Collection[bytes],
    finder: Finder,
    make: Callable[[Texts], _T | None],
    progress: Report | None = None,
) -> dict[bytes, _T]:
    """What `make` makes of the texts of each record that may match, where that is not None.

    Records that the index lacks are filed first. Raises UsageError for a pattern that takes too long, DamagedObject.
    """
    found: dict[bytes, _T] = {}
    try:
        for oid, texts in _candidates(source, records, finder, progress):
            made = make(texts)
            if made is not None:
                found[oid] = made
    except TooSlow as error:
        raise too_slow(finder, error) from error
    return found


def _candidates(
    source: TextSource, records: Collection[bytes], finder: Finder, progress: Report | None
) -> Iterator[tuple[bytes, Texts]]:
    environment = source.view.store.index.environment
    postings = Postings(environment)
    unknown = set(records) - postings.known()
    if unknown and environment.writable:
        postings.add(_documents(source, unknown, progress))
        unknown = set(records) - postings.known()
    for oid, texts in postings.search(records, branches(finder)):
        yield oid, source.read(oid.hex()) if texts is None else texts
    for document in _documents(source, unknown, progress):
        yield document.oid, document.texts


def branches(finder: Finder) -> list[Slots] | None:
    """For each way to match the trigram slots that a text then has; None where every text has to be looked at."""
    if finder.literals is None:
        return None
    found: list[Slots] = []
    for branch in finder.literals:
        parts = (word_slots(literal, ignore_case=finder.ignore_case) for literal in branch)
        found.append(set().union(*parts))
    return found


def _documents(source: TextSource, records: Iterable[bytes], progress: Report | None) -> Iterator[Document]:
    waiting = sorted(records)
    store, done = source.view.store, 0
    left = iter(waiting)
    while batch := list(islice(left, _AT_ONCE)):
        store.objects.expect(oid.hex() for oid in batch)
        for oid in batch:
            yield Document(oid, source.read(oid.hex()))
        done += len(batch)
        if progress is not None:
            progress(Progress("answers filed for search", done, len(waiting)))
