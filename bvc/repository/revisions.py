"""Git's names of commits: branches, tags, ids, `HEAD`, `@`, `~n`, `^n`, `@{n}`, ranges, `REV:path`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bvc.errors import AmbiguousId, UnknownRevision, UsageError
from bvc.ids import looks_like_id
from bvc.repository.repository import Repository
from bvc.repository.snapshot_view import SnapshotView
from bvc.store.store import Store

_STEP = re.compile(r"([~^])(\d*)|@\{(\d+)\}")
_TREE_MODE = 0o040000


@dataclass(frozen=True)
class Range:
    """`A..B` or `A...B`: two commits, and whether the dots were three."""

    a: str
    b: str
    symmetric: bool


def resolve(repository: Repository, revision: str) -> str:
    """The full commit id that `revision` names.

    Raises UnknownRevision, or AmbiguousId with the candidates when an abbreviated id fits several commits.
    """
    base, steps = _split(revision)
    store = repository.store
    if steps.startswith("@{"):
        match = _STEP.match(steps)
        assert match is not None  # noqa: S101 - _split only cuts in front of a step
        commit = _reflog_entry(store, base, int(match[3]), revision)
        steps = steps[match.end() :]
    else:
        commit = _resolve_base(store, base, revision)
    for match in _STEP.finditer(steps):
        commit = _step(store, commit, match, revision)
    return commit


def _split(revision: str) -> tuple[str, str]:
    """Base name and the steps behind it: `main~2^` -> (`main`, `~2^`); a bare `@` or `` is HEAD."""
    steps = re.search(r"(?:[~^]\d*|@\{\d+\})+$", revision)
    base, tail = (revision, "") if steps is None else (revision[: steps.start()], steps.group())
    if base in ("", "@") and (base or tail):
        base = "HEAD"
    if not base:
        raise UnknownRevision("an empty revision names nothing")
    return base, tail


def _resolve_base(store: Store, base: str, revision: str) -> str:
    if base == "HEAD":
        commit = store.refs.head().commit
        if commit is None:
            raise UnknownRevision("HEAD names nothing yet: there is no commit", hint="run `bvc commit CHECKPOINT`")
        return commit
    named = find_ref(store, base)
    if named is not None:
        return _peel(store, named)
    if looks_like_id(base.lower()):
        return _by_prefix(store, base.lower(), revision)
    raise _unknown(store, revision)


def find_ref(store: Store, name: str) -> str | None:
    """The object id of a ref by full or short name, tags before branches as in Git, or None."""
    for full in (name, f"refs/{name}", f"refs/tags/{name}", f"refs/heads/{name}", f"refs/remotes/{name}"):
        if full.startswith("refs/") and (found := store.refs.get(full)) is not None:
            return found
    return None


def _by_prefix(store: Store, prefix: str, revision: str) -> str:
    commits = [oid for oid in store.objects.with_prefix(prefix) if store.objects.read(oid)[0] in ("commit", "tag")]
    if len(commits) > 1:
        shown = ", ".join(sorted(c[:12] for c in commits)[:5])
        raise AmbiguousId(f"{prefix} fits {len(commits)} commits: {shown}", hint="give more digits")
    if not commits:
        raise _unknown(store, revision)
    return _peel(store, commits[0])


def _peel(store: Store, oid: str) -> str:
    """The commit behind an annotated tag."""
    kind, data = store.objects.read(oid)
    while kind == "tag":
        oid = data.split(b"\n", 1)[0].split(b" ")[1].decode("ascii")
        kind, data = store.objects.read(oid)
    if kind != "commit":
        raise UnknownRevision(f"{oid} is a {kind}, not a commit")
    return oid


def _unknown(store: Store, revision: str) -> UnknownRevision:
    from difflib import get_close_matches

    names = [name.split("/", 2)[-1] for name in store.refs.all()]
    close = get_close_matches(revision, names, n=1)
    hint = f"did you mean `{close[0]}`?" if close else "`bvc log` and `bvc branch` show what there is"
    return UnknownRevision(f"unknown revision: {revision}", hint=hint)


def _reflog_entry(store: Store, base: str, index: int, revision: str) -> str:
    name = "HEAD" if base == "HEAD" else base if base.startswith("refs/") else f"refs/heads/{base}"
    entries = store.refs.reflog(name)
    if index >= len(entries):
        raise UnknownRevision(f"{revision}: the reflog of {base} has only {len(entries)} entries")
    return entries[index].new


def _step(store: Store, commit: str, match: re.Match[str], revision: str) -> str:
    kind, count = match[1], int(match[2] or 1)
    if kind is None:
        raise UnknownRevision(f"{revision}: @{{n}} stands directly behind a branch name")
    if kind == "^":
        return commit if count == 0 else _parent(store, commit, count, revision)
    for _ in range(count):
        commit = _parent(store, commit, 1, revision)
    return commit


def _parent(store: Store, commit: str, number: int, revision: str) -> str:
    parents = store.history.info(commit).parents
    if number > len(parents):
        missing = "no parent" if not parents else f"only {len(parents)} parent(s)"
        raise UnknownRevision(f"{revision}: commit {commit[:10]} has {missing}")
    return parents[number - 1]


def parse_range(repository: Repository, text: str) -> Range | None:
    """`A..B` / `A...B` resolved (an empty side is HEAD), or None when `text` holds no dots."""
    symmetric = "..." in text
    left, dots, right = text.partition("..." if symmetric else "..")
    if not dots:
        return None
    if ".." in right:
        raise UsageError(f"not a range: {text}")
    return Range(resolve(repository, left or "HEAD"), resolve(repository, right or "HEAD"), symmetric)


def resolve_object(repository: Repository, text: str) -> str:
    """The object id of `REV:path`, `REV:probe/ID`, a revision, or any (abbreviated) object id."""
    revision, colon, path = text.partition(":")
    if colon:
        view = repository.snapshot(resolve(repository, revision or "HEAD"))
        if path.startswith("probe/"):
            return view.output_blob(find_probe(view, path.removeprefix("probe/")))
        return _object_at(repository.store, view.info.tree, path, text)
    try:
        return resolve(repository, text)
    except UnknownRevision:
        found = repository.store.objects.with_prefix(text.lower()) if looks_like_id(text.lower()) else []
        if len(found) != 1:
            raise
        return found[0]


def _object_at(store: Store, tree: str, path: str, text: str) -> str:
    oid, mode = tree, _TREE_MODE
    for part in [p for p in path.split("/") if p]:
        entries = {e.name: e for e in store.objects.tree(oid)} if mode == _TREE_MODE else {}
        if part not in entries:
            raise UnknownRevision(f"{text}: there is no such path in that commit")
        oid, mode = entries[part].oid, entries[part].mode
    return oid


def find_probe(view: SnapshotView, wanted: str) -> str:
    """The id of the probe that `wanted` names in a snapshot: the user's label, the full id or an abbreviation."""
    ids = view.probe_ids()
    if wanted in ids:
        return wanted
    by_prefix = [i for i in ids if i.startswith(wanted)] if looks_like_id(wanted) else []
    labeled = [p.id for _, p in view.probes() if p.name == wanted] if len(by_prefix) != 1 else []
    found = sorted(set(labeled or by_prefix))
    if len(found) == 1:
        return found[0]
    if found:
        raise AmbiguousId(f"{wanted} fits {len(found)} probes: {', '.join(i[:10] for i in found[:5])}")
    raise UnknownRevision(
        f"commit {view.info.id[:10]} has no probe {wanted}", hint="`bvc suite show NAME` lists a suite's probes"
    )
