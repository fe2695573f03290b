"""fsck: reads every stored byte and says what is wrong with it.

The truth is read from the files alone: array packs (name, XXH3, SHA-256), Git packs and loose objects (checksums and
hashes), refs and reflogs; then every commit that they reach: all its objects exist, its Merkle root is the one its
message states, every chunk that its manifests name is there. The index comes last and is compared with all that.
Unfinished files and data that nothing names are no problem: interrupted commits leave them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bvc import codec
from bvc.errors import BvcError, DamagedObject
from bvc.results import FsckResult, Progress
from bvc.store.attached import attached_trees, snapshot_json
from bvc.store.check_dictionaries import CARD_FILE, DICTIONARY_TRAILER, WEIGHTS_FILE, check_dictionary, check_weights
from bvc.store.check_files import Arrays, GitFiles, check_arrays, check_git_files
from bvc.store.check_index import (
    check_captures,
    check_digests,
    check_index_file,
    check_objects_known,
    check_places,
    check_rows,
    index_entries,
)
from bvc.store.check_refs import check_small_files
from bvc.store.environment import Row
from bvc.store.files import disk_errors
from bvc.store.findings import CORRUPT, MISSING, Findings
from bvc.store.gitobjects import ROOT_TRAILER, GitCommit, parse_commit, trailers_of
from bvc.store.history import attached_captures, capture_keys, snapshot_of, summary_row
from bvc.store.index import Node, commit_rows
from bvc.store.merkle import merkle_digest
from bvc.store.objects import TREE_MODE, TreeEntry, parse_tree
from bvc.store.store import Store

SIGNATURES = "signatures"
RECAPTURES = "recaptures"
PROBE_ORDER = "probes.json"

_SUBMODULE = 0o160000
_SHA_DIGITS = 64


@dataclass
class _Reached:
    """What the refs and reflogs lead to."""

    objects: set[str] = field(default_factory=set)
    commits: dict[str, GitCommit] = field(default_factory=dict)
    chunks: dict[str, str] = field(default_factory=dict)
    manifests: set[str] = field(default_factory=set)
    attached: set[tuple[str, str]] = field(default_factory=set)


def fsck(store: Store, progress: Callable[[Progress], None] | None = None) -> FsckResult:
    """Checks the whole store and changes nothing. `ok` is False when anything stored is damaged or missing."""
    findings = Findings(progress)
    with disk_errors("check the store"):
        _check_all(store, findings)
    return findings.result()


def _check_all(store: Store, findings: Findings) -> None:
    index_is_safe = check_index_file(store.layout, store.index, findings)
    entries = index_entries(store.index, findings) if index_is_safe else {}
    named = check_small_files(store.layout, store.refs, findings)
    arrays = check_arrays(store.layout, findings)
    git = check_git_files(store.layout, store.objects, findings)
    try:
        reached = _reach(named, git, findings)
        _check_commits(reached, arrays, git, findings)
        if index_is_safe:
            _check_index(entries, reached, arrays, git, findings)
    finally:
        git.reader.close()


def _reach(named: dict[str, str], git: GitFiles, findings: Findings) -> _Reached:
    """Follows everything that refs and reflogs name; what is absent is noted with who names it."""
    reached = _Reached()
    stack = list(named.items())
    while stack:
        oid, namer = stack.pop()
        if oid in reached.objects:
            continue
        reached.objects.add(oid)
        if oid not in git.places:
            findings.add(MISSING, oid, f"{namer} needs this object, and no sound copy of it exists")
            continue
        try:
            stack += [(child, oid) for child in _children(oid, git, reached)]
        except DamagedObject as error:
            findings.add(CORRUPT, oid, error.message)
    return reached


def _children(oid: str, git: GitFiles, reached: _Reached) -> list[str]:
    if git.places[oid][0] == "blob":
        return []
    kind, data = git.read(oid)
    if kind == "tree":
        return [entry.oid for entry in parse_tree(oid, data) if entry.mode != _SUBMODULE]
    if kind == "tag":
        return [data[7:47].decode("ascii", "replace")]
    commit = parse_commit(oid, data)
    reached.commits[oid] = commit
    return [commit.tree, *commit.parents]


def _check_commits(reached: _Reached, arrays: Arrays, git: GitFiles, findings: Findings) -> None:
    """Merkle roots and chunks of every commit."""
    for done, (oid, commit) in enumerate(sorted(reached.commits.items())):
        findings.step("commits", done, len(reached.commits))
        findings.count("commits")
        try:
            _check_root(oid, commit, git, findings)
            _check_dictionary(commit, arrays, git, findings)
            for tree in (commit.tree, *_attached(oid, commit, git, reached, findings)):
                for manifest in _manifests(tree, git):
                    _collect_chunks(manifest, git, reached, findings)
        except BvcError as error:
            findings.add(CORRUPT, oid, f"its snapshot cannot be checked: {error.message}")
        except RecursionError:
            findings.add(CORRUPT, oid, "its folders are nested too deeply")
    for sha, manifest in sorted(reached.chunks.items()):
        if sha not in arrays.sound:
            findings.add(MISSING, sha, f"manifest {manifest} names this chunk, and no sound copy of it exists")


def _check_root(oid: str, commit: GitCommit, git: GitFiles, findings: Findings) -> None:
    stated = trailers_of(commit.message).get(ROOT_TRAILER)
    if stated is None:
        return
    findings.count("Merkle roots")
    if stated != (f"sha256:{merkle_digest(commit.tree, git.read, git.digests)}",):
        findings.add(CORRUPT, oid, "its tree does not have the Merkle root that its message states")


def _check_dictionary(commit: GitCommit, arrays: Arrays, git: GitFiles, findings: Findings) -> None:
    """What a commit of a dictionary says of it, and its weights as far as all of them are there. Raises
    DamagedObject."""
    stated = trailers_of(commit.message).get(DICTIONARY_TRAILER)
    if stated is None:
        return
    findings.count("dictionaries")
    top = _folder(commit.tree, git)
    signatures = _folder(top[SIGNATURES].oid, git) if SIGNATURES in top else {}
    if CARD_FILE not in top or WEIGHTS_FILE not in signatures:
        raise DamagedObject("its dictionary is not there")
    card, weights = (git.read(entry.oid)[1] for entry in (top[CARD_FILE], signatures[WEIGHTS_FILE]))
    spec, tiles = check_dictionary(stated[0], card, weights)
    if all(sha in arrays.sound for shas in tiles.values() for sha in shas):
        check_weights(spec, tiles, arrays.read)


def _attached(oid: str, commit: GitCommit, git: GitFiles, reached: _Reached, findings: Findings) -> Iterator[str]:
    """The trees of captures that a notes commit attaches, each pair of commit and tree once in the whole check. They
    must be of the model that the commit records."""
    for target, tree in attached_trees(commit.tree, git.read).items():
        if (target, tree) in reached.attached:
            continue
        reached.attached.add((target, tree))
        findings.count("attached captures")
        found = snapshot_of(target, snapshot_json(tree, git.read))
        own = _snapshot(reached.commits[target], git) if target in reached.commits else None
        if own is not None and snapshot_of(target, own).model.fingerprint != found.model.fingerprint:
            findings.add(CORRUPT, tree, f"these captures, attached to commit {target} by {oid}, are of another model")
        yield tree


def _manifests(tree: str, git: GitFiles) -> Iterator[str]:
    """The blobs that name chunks: `signatures/*.json`, and the same below `recaptures/`."""
    top = _folder(tree, git)
    folders = [top.get(SIGNATURES)]
    if (recaptures := top.get(RECAPTURES)) is not None and recaptures.mode == TREE_MODE:
        folders.append(_folder(recaptures.oid, git).get(SIGNATURES))
    for entry in folders:
        if entry is not None and entry.mode == TREE_MODE:
            for name, found in _folder(entry.oid, git).items():
                if name.endswith(".json") and name != PROBE_ORDER:
                    yield found.oid


def _folder(tree: str, git: GitFiles) -> dict[str, TreeEntry]:
    return {entry.name: entry for entry in parse_tree(tree, git.read(tree)[1])}


def _collect_chunks(oid: str, git: GitFiles, reached: _Reached, findings: Findings) -> None:
    if oid in reached.manifests:
        return
    reached.manifests.add(oid)
    findings.count("manifests")
    try:
        for sha in chunks_of(codec.parse(git.read(oid)[1])):
            reached.chunks.setdefault(sha, oid)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        findings.add(CORRUPT, oid, "this manifest is not one")


_TABLES = ("buckets_table", "token_texts")
"""Fields of a manifest that name a chunk each."""


def chunks_of(manifest: Any) -> Iterator[str]:
    """The chunk digests that a parsed manifest names. Raises ValueError and the like for what is not a manifest."""
    shas = [sha for spec in manifest["fields"].values() for sha in spec["tiles"]]
    shas += [table for name in _TABLES if (table := manifest.get(name)) is not None]
    for sha in shas:
        if len(bytes.fromhex(sha)) * 2 != _SHA_DIGITS:
            raise ValueError(f"not a SHA-256: {sha}")
        yield sha


def _check_index(
    entries: dict[bytes, bytes], reached: _Reached, arrays: Arrays, git: GitFiles, findings: Findings
) -> None:
    check_places(entries, arrays, git, set(reached.chunks), findings)
    check_objects_known(entries, reached.objects, git, findings)
    check_digests(entries, git.digests, findings)
    rows, captures = _expected(reached, git)
    check_rows(entries, rows, "commits", findings)
    check_captures(entries, captures, findings)


def _expected(reached: _Reached, git: GitFiles) -> tuple[list[Row], list[tuple[bytes, str]]]:
    """What the index should hold of the commits that can be read with all their ancestors."""
    generations: dict[str, int] = {}
    rows: list[Row] = []
    captures: list[tuple[bytes, str]] = []
    seen: set[tuple[str, str]] = set()
    for oid in _parents_first(reached.commits):
        commit = reached.commits[oid]
        if any(parent not in generations for parent in commit.parents):
            continue
        try:
            snapshot = _snapshot(commit, git)
            attached = attached_captures(commit.tree, git.read, seen) if snapshot is None else []
        except (DamagedObject, ValueError, RecursionError):
            continue
        generations[oid] = 1 + max((generations[p] for p in commit.parents), default=-1)
        node = Node(generations[oid], commit.date, commit.parents)
        rows += commit_rows(oid, node, summary_row(commit, snapshot))
        captures += [*((key, oid) for key in capture_keys(snapshot)), *attached]
    return rows, captures


def _snapshot(commit: GitCommit, git: GitFiles) -> Any:
    return snapshot_json(commit.tree, git.read)


def _parents_first(commits: dict[str, GitCommit]) -> Iterator[str]:
    done: set[str] = set()
    for start in sorted(commits):
        stack = [start]
        while stack:
            oid = stack[-1]
            waiting = [p for p in commits[oid].parents if p in commits and p not in done]
            if waiting and oid not in done:
                stack += waiting
                continue
            stack.pop()
            if oid not in done:
                done.add(oid)
                yield oid
