"""Commits, trees and tags as bytes: made through dulwich's objects, read directly (cheaper, and all `log` needs)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bvc.errors import BvcError, DamagedObject
from bvc.store.objects import TreeEntry
from bvc.store.reflog import LogNote, identity, zone_seconds, zone_text

ROOT_TRAILER = "Bvc-Root"
_TRAILER_PREFIX = "Bvc-"
_LONGEST_NAME = 255


class GitCommit(NamedTuple):
    """What a commit object says; `date` in seconds since the epoch, `timezone` the author's offset in seconds."""

    tree: str
    parents: tuple[str, ...]
    author: str
    date: int
    timezone: int
    message: str


def parse_commit(oid: str, data: bytes) -> GitCommit:
    """Raises DamagedObject when the bytes are not a commit."""
    head, _, message = data.partition(b"\n\n")
    headers: dict[str, list[str]] = {}
    for line in head.decode("utf-8", "replace").split("\n"):
        key, _, value = line.partition(" ")
        headers.setdefault(key, []).append(value)
    try:
        author, date, zone = headers["author"][0].rsplit(" ", 2)
        text = message.decode(headers.get("encoding", ["utf-8"])[0], "replace")
        parents = tuple(headers.get("parent", ()))
        return GitCommit(headers["tree"][0], parents, author, int(date), zone_seconds(zone), text)
    except (KeyError, ValueError, LookupError) as error:
        raise DamagedObject(f"commit {oid} is malformed", hint="run `bvc fsck`") from error


def commit_bytes(commit: GitCommit) -> bytes:
    """The bytes of a commit object; author and committer are one."""
    from dulwich.objects import Commit, ObjectID

    made = Commit()
    made.tree = commit.tree.encode()
    made.parents = [ObjectID(parent.encode()) for parent in commit.parents]
    made.author = made.committer = identity(commit.author).encode("utf-8", "replace")
    made.author_time = made.commit_time = max(0, commit.date)
    made.author_timezone = made.commit_timezone = zone_seconds(zone_text(commit.timezone))
    made.message = _text_bytes(commit.message)
    return made.as_raw_string()


def tag_bytes(name: str, target: str, kind: str, note: LogNote) -> bytes:
    """The bytes of an annotated tag on an object of `kind`."""
    from dulwich.objects import Blob, Commit, Tag, Tree

    made = Tag()
    made.name = name.encode("utf-8", "surrogateescape")
    made.object = ({"commit": Commit, "tree": Tree, "blob": Blob, "tag": Tag}[kind], target.encode())
    made.tagger = identity(note.author).encode("utf-8", "replace")
    made.tag_time = max(0, note.date)
    made.tag_timezone = zone_seconds(zone_text(note.timezone))
    made.message = _text_bytes(note.message.rstrip("\n") + "\n")
    return made.as_raw_string()


def tree_bytes(entries: Sequence[TreeEntry]) -> bytes:
    """The bytes of a tree object. Raises BvcError for names that Git refuses and for two entries of one name."""
    from dulwich.objects import ObjectID, Tree

    made = Tree()
    for entry in entries:
        name = entry.name.encode("utf-8", "surrogateescape")
        if not _is_good_name(entry.name) or len(name) > _LONGEST_NAME or name in made:
            raise BvcError(f"not a valid name for something stored: {entry.name!r}")
        made.add(name, entry.mode, ObjectID(entry.oid.encode()))
    return made.as_raw_string()


def _is_good_name(name: str) -> bool:
    return name not in ("", ".", "..") and name.lower() != ".git" and not set(name) & set("/\0")


def trailers_of(message: str) -> Mapping[str, tuple[str, ...]]:
    """The `Bvc-*` lines of a message's last paragraph, by name."""
    found: dict[str, tuple[str, ...]] = {}
    for line in message.rstrip("\n").rpartition("\n\n")[2].split("\n"):
        name, separator, value = line.partition(": ")
        if separator and name.startswith(_TRAILER_PREFIX):
            found[name] = (*found.get(name, ()), value)
    return found


def with_root(message: str, root: str) -> str:
    """The message with the Merkle root as its last trailer."""
    body = message.rstrip("\n")
    last = body.rpartition("\n\n")[2].split("\n")
    has_trailers = "\n\n" in body and all(": " in line and " " not in line.partition(": ")[0] for line in last)
    return f"{body}{'' if has_trailers else chr(10)}\n{ROOT_TRAILER}: sha256:{root}\n"


def _text_bytes(text: str) -> bytes:
    return text.replace("\0", "").encode("utf-8", "replace")
