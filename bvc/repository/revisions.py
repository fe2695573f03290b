"""Git's names of commits and objects: ids, branches, tags, `HEAD`, `@`, `~n`, `^n`, `@{n}`, ranges, `REV:path`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bvc.errors import AmbiguousId, UnknownRevision, UsageError
from bvc.ids import looks_like_id
from bvc.repository.repository import Repository
from bvc.repository.snapshot_view import SnapshotView
from bvc.store import graph
from bvc.store.objects import TREE_MODE, is_object_id
from bvc.store.refs import BRANCHES
from bvc.store.store import Store

_REVISION = re.compile(r"(?P<base>.*?)(?:@\{(?P<entry>[0-9]+)\})?(?P<steps>(?:[~^][0-9]*|\^\{[a-z]*\})*)", re.DOTALL)
_STEP = re.compile(r"\^\{([a-z]*)\}|([~^])([0-9]*)")
_KINDS = ("", "object", "commit", "tree", "tag", "blob")
_PLACES = ("{}", "refs/{}", "refs/tags/{}", "refs/heads/{}", "refs/remotes/{}", "refs/remotes/{}/HEAD")
"""Where a short name is looked for, in Git's order."""
_SHOWN = 5


@dataclass(frozen=True)
class Range:
    """`A..B` or `A...B`: two commits, and whether the dots were three."""

    a: str
    b: str
    symmetric: bool


@dataclass(frozen=True)
class Selection:
    """The commits that revision arguments select, all full ids: what `starts` reach and `hidden` do not (as `git
    rev-list STARTS --not HIDDEN`), and those `named` alone, whatever is hidden."""

    starts: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    named: tuple[str, ...] = ()

    @property
    def ends(self) -> tuple[str, ...]:
        """From these all of it is reached."""
        return (*self.starts, *self.named)

    def walk(self, node: graph.NodeOf) -> Iterator[str]:
        """The commits, newest first, children before their parents."""
        reached = graph.walk(self.starts, node, self.hidden)
        return _merged(reached, self, node) if self.named else reached


def _merged(reached: Iterator[str], selection: Selection, node: graph.NodeOf) -> Iterator[str]:
    left = {*reached, *selection.named}
    for oid in graph.walk(selection.ends, node):
        if oid in left:
            left.remove(oid)
            yield oid
        if not left:
            return


def select(repository: Repository, revisions: Iterable[str], *, alone: bool = False) -> Selection:
    """What `A`, `^A`, `A..B` and `A...B` select together, as Git has it: what any `^A` or left side reaches is left out
    wherever it comes from; of `A...B` it is what both sides reach.

    `A` is all that A reaches; with `alone` it is that commit alone, which nothing leaves out, and `^A` is refused.
    Raises UsageError, and as `resolve` does.
    """
    starts: list[str] = []
    hidden: list[str] = []
    named: list[str] = []
    for text in revisions:
        span = parse_range(repository, text)
        if span is not None and span.symmetric:
            starts += [span.a, span.b]
            hidden += repository.store.history.merge_bases(span.a, span.b)
        elif span is not None:
            starts.append(span.b)
            hidden.append(span.a)
        elif not text.startswith("^"):
            (named if alone else starts).append(resolve(repository, text))
        elif alone:
            raise UsageError(f"{text} leaves out what was not asked for", hint="write a range: A..B")
        else:
            hidden.append(resolve(repository, text[1:]))
    return Selection(tuple(starts), tuple(hidden), tuple(named))


def resolve(repository: Repository, revision: str) -> str:
    """The full commit id that `revision` names, annotated tags followed.

    Raises UnknownRevision, or AmbiguousId with the candidates when an abbreviated id fits several commits.
    """
    return _peel(repository.store, _named(repository.store, revision, commits=True), "commit", revision)


def resolve_object(repository: Repository, text: str) -> str:
    """The object id of `REV:path`, `REV:probe/ID`, a revision, or any (abbreviated) object id.

    As in Git, the name of an annotated tag is that of the tag object; `TAG^{}` is what it stands on.
    """
    revision, colon, path = text.partition(":")
    if not colon:
        return _named(repository.store, text, commits=False)
    if path.startswith("probe/"):
        view = repository.snapshot(resolve(repository, revision or "HEAD"))
        return view.output_blob(find_probe(view, path.removeprefix("probe/")))
    store = repository.store
    tree = _peel(store, _named(store, revision or "HEAD", commits=True), "tree", revision)
    return _object_at(store, tree, path, text)


def parse_range(repository: Repository, text: str) -> Range | None:
    """`A..B` / `A...B` resolved (an empty side is HEAD), or None when `text` holds no dots."""
    symmetric = "..." in text
    left, dots, right = text.partition("..." if symmetric else "..")
    if not dots or ":" in left:
        return None
    if ".." in right:
        raise UsageError(f"not a range: {text}", hint="a range is A..B or A...B")
    return Range(resolve(repository, left or "HEAD"), resolve(repository, right or "HEAD"), symmetric)


def full_ref(store: Store, name: str) -> str | None:
    """The full name of the ref that `name` stands for, tags before branches as in Git, or None."""
    for place in _PLACES:
        full = place.format(name)
        if full.startswith("refs/") and ref_value(store, full) is not None:
            return full
    return None


def ref_value(store: Store, full: str) -> str | None:
    """The value of a ref by its full name; None when it does not exist or no ref can have that name."""
    try:
        return store.refs.get(full)
    except (UsageError, OSError):
        return None


def _named(store: Store, revision: str, *, commits: bool) -> str:
    """The object that a revision without a path names; with `commits`, abbreviated ids mean commits and tags only."""
    parts = _REVISION.fullmatch(revision)
    if parts is None or not (parts["base"] or parts["entry"]):
        raise _unknown(store, revision)
    if parts["entry"] is not None:
        oid = _reflog_entry(store, parts["base"], int(parts["entry"]), revision)
    else:
        oid = _base(store, parts["base"], revision, commits=commits or bool(parts["steps"]))
    for step in _STEP.finditer(parts["steps"]):
        oid = _step(store, oid, step, revision)
    return oid


def _base(store: Store, base: str, revision: str, *, commits: bool) -> str:
    if base in ("HEAD", "@"):
        commit = store.refs.head().commit
        if commit is None:
            raise UnknownRevision("HEAD names nothing yet: there is no commit", hint="run `bvc commit CHECKPOINT`")
        return commit
    if is_object_id(base.lower()):
        return _by_prefix(store, base.lower(), revision, commits=False)
    full = full_ref(store, base)
    if full is not None and (value := store.refs.get(full)) is not None:
        return value
    if looks_like_id(base.lower()):
        return _by_prefix(store, base.lower(), revision, commits=commits)
    raise _unknown(store, revision)


def _by_prefix(store: Store, prefix: str, revision: str, *, commits: bool) -> str:
    """The only object, or else the only commit or tag, whose id begins with `prefix`."""
    found = store.objects.with_prefix(prefix)
    if commits or len(found) > 1:
        lasting = [oid for oid in found if store.objects.read(oid)[0] in ("commit", "tag")]
        found = lasting if commits or lasting else found
    if len(found) > 1:
        shown = ", ".join(oid[:12] for oid in found[:_SHOWN])
        what = "commits" if commits else "objects"
        raise AmbiguousId(f"{prefix} fits {len(found)} {what}: {shown}", hint="give more digits")
    if not found:
        raise _unknown(store, revision)
    return found[0]


def _unknown(store: Store, revision: str) -> UnknownRevision:
    from bvc.wording import nearest, printable

    close = nearest(revision, [name.split("/", 2)[-1] for name in store.refs.all()])
    hint = f"did you mean `{close}`?" if close else "`bvc log` and `bvc branch` show what there is"
    return UnknownRevision(f"unknown revision: {printable(revision)}", hint=hint)


def _reflog_entry(store: Store, base: str, index: int, revision: str) -> str:
    """Where a ref was `index` moves ago; `@{n}` alone speaks of the current branch."""
    name = _logged(store, base)
    if name is None:
        raise _unknown(store, revision)
    entries = store.refs.reflog(name)
    if index >= len(entries):
        raise UnknownRevision(
            f"{revision}: the reflog of {name} has {len(entries)} entries", hint=f"`bvc reflog {base or name}` shows it"
        )
    return entries[index].new


def _logged(store: Store, base: str) -> str | None:
    if base in ("HEAD", "@"):
        return "HEAD"
    if base:
        return full_ref(store, base)
    branch = store.refs.head().branch
    return "HEAD" if branch is None else BRANCHES + branch


def _step(store: Store, oid: str, step: re.Match[str], revision: str) -> str:
    kind, direction, digits = step.groups()
    if kind is not None:
        return _peel(store, oid, kind, revision)
    commit, count = _peel(store, oid, "commit", revision), int(digits or 1)
    if direction == "^":
        return commit if count == 0 else _parent(store, commit, count, revision)
    for _ in range(count):
        commit = _parent(store, commit, 1, revision)
    return commit


def _peel(store: Store, oid: str, kind: str, revision: str) -> str:
    """The object of `kind` behind `oid`: through annotated tags, and from a commit to its tree where asked for."""
    if kind not in _KINDS:
        raise UnknownRevision(f"{revision}: ^{{{kind}}} is not known", hint="write ^{commit}, ^{tree} or ^{}")
    if kind == "commit" and store.index.node(oid) is not None:
        return oid
    found, data = store.objects.read(oid)
    if kind == "object":
        return oid
    while found == "tag" != kind:
        oid = data.split(b"\n", 1)[0].split(b" ")[-1].decode("ascii", "replace")
        found, data = store.objects.read(oid)
    if found == "commit" and kind == "tree":
        return store.history.info(oid).tree
    if kind not in ("", found):
        raise UnknownRevision(f"{revision or 'HEAD'} is a {found}, not a {kind}")
    return oid


def _parent(store: Store, commit: str, number: int, revision: str) -> str:
    parents = store.history.node(commit).parents
    if number > len(parents):
        missing = "no parent" if not parents else "one parent" if len(parents) == 1 else f"{len(parents)} parents"
        raise UnknownRevision(f"{revision}: commit {commit[:10]} has {missing}", hint="`bvc log` shows its history")
    return parents[number - 1]


def _object_at(store: Store, tree: str, path: str, text: str) -> str:
    oid, mode = tree, TREE_MODE
    for part in [p for p in path.split("/") if p]:
        entries = {e.name: e for e in store.objects.tree(oid)} if mode == TREE_MODE else {}
        if part not in entries:
            raise UnknownRevision(f"{text}: there is no such path in that commit", hint="`bvc cat-file REV:` lists it")
        oid, mode = entries[part].oid, entries[part].mode
    return oid


def find_probe(view: SnapshotView, wanted: str) -> str:
    """The id of the probe that `wanted` names in a snapshot: the full id, the user's label, or an abbreviated id."""
    ids = view.probe_ids()
    if wanted in ids:
        return wanted
    labeled = {probe.id for _, probe in view.probes() if probe.name == wanted}
    short = {i for i in ids if i.startswith(wanted.lower())} if looks_like_id(wanted.lower()) else set()
    found = sorted(labeled or short)
    if len(found) == 1:
        return found[0]
    if found:
        shown = ", ".join(i[:12] for i in found[:_SHOWN])
        raise AmbiguousId(f"{wanted} fits {len(found)} probes: {shown}", hint="give more digits of the id")
    raise UnknownRevision(
        f"commit {view.info.id[:10]} has no probe {wanted}", hint="`bvc suite show NAME` lists a suite's probes"
    )
