"""log, show, merge-base, reflog, cat-file: reading history. Loads neither numpy nor torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from bvc.api.shift_log import logged_shift
from bvc.errors import NotComparable, UnknownRevision, UsageError
from bvc.records import CommitInfo, LogEntry, LogStat
from bvc.repository.repository import Repository
from bvc.repository.revisions import find_probe, full_ref, resolve, resolve_object, select
from bvc.repository.snapshot_view import SnapshotView

if TYPE_CHECKING:
    from bvc.api.search_records import LogSearch
    from bvc.results import ProbeView, Progress, ReflogEntry, ShowResult


def log(
    repository: Repository,
    revisions: Sequence[str],
    *,
    limit: int | None = None,
    stat: bool = False,
    search: LogSearch | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Iterator[LogEntry]:
    """Entries newest first, children before parents. `A..B` (and `^A`) leave out what A reaches; with `search` only the
    commits that change such answers are listed."""
    selected = select(repository, revisions or ("HEAD",))
    entry = _entries(repository, stat)
    shown = selected.walk(repository.store.history.node)
    if search is None:
        return map(entry, islice(shown, limit))
    from bvc.api.search_log import LogFinder

    finder = LogFinder(repository, search, selected.starts, progress)
    found = list(islice((commit for commit in shown if commit in finder), limit))
    drawn = finder.drawn_parents(found)
    return (replace(entry(commit), answers=finder.changes(commit), drawn=drawn[commit]) for commit in found)


def _entries(repository: Repository, stat: bool) -> Callable[[str], LogEntry]:
    """What makes the entry of a commit."""
    names, attached = decorations(repository), repository.attached

    def entry(commit: str) -> LogEntry:
        info = repository.store.history.info(commit)
        summary = _stat(repository, info) if stat else None
        return LogEntry(attached.merged(info), names.get(commit, ()), summary)

    return entry


def decorations(repository: Repository) -> Mapping[str, tuple[str, ...]]:
    """`{commit: names}` as Git's log shows them: `HEAD -> main`, `tag: v1`, branch names."""
    refs = repository.store.refs
    head = refs.head()
    out: dict[str, list[str]] = {}
    if head.commit is not None:
        out[head.commit] = ["HEAD" if head.branch is None else f"HEAD -> {head.branch}"]
    for name in sorted(refs.all(), key=lambda n: (not n.startswith("refs/tags/"), n)):
        short = name.split("/", 2)[-1]
        if name.startswith("refs/heads/") and short != head.branch:
            out.setdefault(_commit_of(repository, name), []).append(short)
        elif name.startswith("refs/tags/"):
            out.setdefault(_commit_of(repository, name), []).append(f"tag: {short}")
    return {commit: tuple(names) for commit, names in out.items()}


def _commit_of(repository: Repository, ref: str) -> str:
    return repository.store.refs.peel(ref) or ""


def _stat(repository: Repository, info: CommitInfo) -> LogStat | None:
    """What `log --stat` says of a commit against its first parent."""
    counts = text_stat(repository, info)
    return None if counts is None else replace(counts, shift=logged_shift(repository, info))


def text_stat(repository: Repository, info: CommitInfo) -> LogStat | None:
    """How many probes' texts differ from the first parent's: a comparison of tree ids, nothing is read."""
    if not info.parents or info.snapshot is None:
        return None
    parent = repository.store.history.info(info.parents[0])
    if parent.snapshot is None:
        return None
    here, there = repository.view(info), repository.view(parent)
    if here.folder("outputs") == there.folder("outputs"):
        return LogStat(0, 0, 0)
    new, old = here.output_blobs, there.output_blobs
    changed = sum(1 for probe, oid in new.items() if probe in old and old[probe] != oid)
    return LogStat(changed, len(new.keys() - old.keys()), len(old.keys() - new.keys()))


def show(repository: Repository, revision: str, probe: str | None) -> ShowResult:
    """One commit; with `probe` (label, id or abbreviation; also from `REV:probe/ID`) that probe's capture."""
    from bvc.results import ShowResult

    revision, _, path = revision.partition(":")
    if path and not path.startswith("probe/"):
        raise UsageError(f"`bvc show` takes REV or REV:probe/ID, not {revision}:{path}", hint="see `bvc cat-file`")
    probe = path.removeprefix("probe/") if path else probe
    view = repository.snapshot(resolve(repository, revision or "HEAD"))
    shown, names = None if probe is None else probe_view(view, probe), decorations(repository)
    return ShowResult(view.info, names.get(view.info.id, ()), text_stat(repository, view.info), shown)


def probe_view(view: SnapshotView, wanted: str) -> ProbeView:
    """Everything recorded of one probe. Raises NotComparable for a commit without captures."""
    if view.snapshot.capability is None:
        raise NotComparable(
            f"commit {view.info.id[:10]} was registered without capture",
            hint=f"`bvc capture {view.info.id[:10]}` captures it now",
        )
    probe = find_probe(view, wanted)
    suite = view.suite_of(probe)
    from bvc.results import ProbeView

    result = ProbeView(view.probe(probe, suite), suite, view.outputs(probe), view.reference(probe))
    if "logprob" not in view.signatures.manifests:
        return result
    from bvc.api.strip import with_logprobs

    return with_logprobs(view, probe, result)


def merge_base(repository: Repository, revisions: Sequence[str], *, all: bool = False) -> list[str]:  # noqa: A002
    """Best common ancestors of exactly two revisions, in the history's order."""
    if len(revisions) != 2:
        raise UsageError(f"merge-base takes two revisions, not {len(revisions)}")
    a, b = (resolve(repository, text) for text in revisions)
    found = repository.store.history.merge_bases(a, b)
    return found if all else found[:1]


def reflog(repository: Repository, ref: str) -> list[ReflogEntry]:
    """Newest first. Raises UnknownRevision for a ref that does not exist."""
    store = repository.store
    name = "HEAD" if ref in ("HEAD", "@") else full_ref(store, ref)
    if name is None:
        raise UnknownRevision(f"unknown ref: {ref}", hint="`bvc branch` lists the branches")
    return store.refs.reflog(name)


def cat_file(repository: Repository, name: str) -> tuple[str, int, bytes]:
    """(kind, size in bytes, content); a tree's content is its listing, one `mode kind id<TAB>name` a line."""
    oid = resolve_object(repository, name)
    kind, data = repository.store.objects.read(oid)
    if kind == "tree":
        lines = [
            f"{entry.mode:06o} {'tree' if entry.mode == 0o040000 else 'blob'} {entry.oid}\t{entry.name}\n"
            for entry in repository.store.objects.tree(oid)
        ]
        return kind, len(data), "".join(lines).encode("utf-8", "surrogateescape")
    return kind, len(data), data
