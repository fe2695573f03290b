"""branch, tag, switch. Loads neither numpy nor torch."""

from __future__ import annotations

import re
import time
from contextlib import suppress

from bvc.errors import BvcError, DamagedObject, UnknownRevision, UsageError
from bvc.repository.repository import Repository
from bvc.repository.revisions import full_ref, ref_value, resolve
from bvc.results import BranchEntry
from bvc.store.objects import is_object_id
from bvc.store.reflog import LogNote

# Git's rules for ref names (git-check-ref-format), the parts that concern one short name.
_BAD_NAME = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[-/.]|/$|\.$|\.lock(/|$)|/\.|^@$|^HEAD$", re.ASCII)


def check_name(name: str) -> None:
    """Raises UsageError when Git would refuse `name` as a branch or tag, or could only take it for an object id."""
    if not name or _BAD_NAME.search(name) or is_object_id(name.lower()):
        raise UsageError(f"not a valid name for a branch or tag: {name!r}")


def _entry(repository: Repository, name: str, commit: str, *, current: bool = False) -> BranchEntry:
    return BranchEntry(name, commit, repository.store.history.info(commit).subject, current)


def _move(repository: Repository, ref: str, new: str, old: str | None, note: LogNote) -> None:
    repository.store.refs.update(ref, new, old, note.message, note.author, note.date, note.timezone)


def _note(message: str, author: str) -> LogNote:
    now = int(time.time())
    return LogNote(message, author, now, local_offset(now))


def _listing(repository: Repository, prefix: str, current: str | None) -> list[BranchEntry]:
    refs = repository.store.refs
    out = []
    for name in sorted(refs.all(prefix)):
        commit = refs.peel(name)
        short = name.removeprefix(prefix)
        if commit is not None:
            out.append(_entry(repository, short, commit, current=short == current))
    return out


def branches(repository: Repository) -> list[BranchEntry]:
    """All branches by name; `current` marks the one HEAD follows."""
    return _listing(repository, "refs/heads/", repository.store.refs.head().branch)


def tags(repository: Repository) -> list[BranchEntry]:
    """All tags by name, with the commit behind each."""
    return _listing(repository, "refs/tags/", None)


def create_branch(repository: Repository, name: str, revision: str, *, author: str, force: bool = False) -> BranchEntry:
    """Raises UsageError when the branch exists and `force` is not set, or is the one HEAD follows."""
    check_name(name)
    refs, full = repository.store.refs, f"refs/heads/{name}"
    old = refs.get(full)
    if old is not None and not force:
        raise UsageError(f"a branch named {name} exists", hint="`bvc branch --force` moves it")
    if old is not None and refs.head().branch == name:
        raise UsageError(f"{name} is the current branch", hint="switch to another branch first")
    commit = resolve(repository, revision)
    _move(repository, full, commit, old, _note(f"branch: Created from {revision}", author))
    return _entry(repository, name, commit)


def _existing(repository: Repository, name: str) -> str:
    commit = ref_value(repository.store, f"refs/heads/{name}")
    if commit is None:
        raise UnknownRevision(f"there is no branch named {name}", hint="`bvc branch` lists the branches")
    return commit


def delete_branch(repository: Repository, name: str, *, force: bool = False) -> BranchEntry:
    """Raises UsageError for the current branch, and for one with commits that HEAD does not reach unless `force`."""
    store, commit = repository.store, _existing(repository, name)
    head = store.refs.head()
    if head.branch == name:
        raise UsageError(f"{name} is the current branch", hint="switch to another branch first")
    merged = head.commit is not None and store.history.is_ancestor(commit, head.commit)
    if not merged and not force:
        raise UsageError(
            f"branch {name} has commits that HEAD does not reach",
            hint=f"`bvc branch -D {name}` deletes it all the same",
        )
    entry = _entry(repository, name, commit)
    store.refs.delete(f"refs/heads/{name}", commit)
    return entry


def rename_branch(repository: Repository, old: str, new: str, *, author: str) -> BranchEntry:
    """Creates the new name before the old one goes, so that a crash between leaves both."""
    check_name(new)
    refs, commit = repository.store.refs, _existing(repository, old)
    if refs.get(f"refs/heads/{new}") is not None:
        raise UsageError(f"a branch named {new} exists")
    note = _note(f"Branch: renamed refs/heads/{old} to refs/heads/{new}", author)
    _move(repository, f"refs/heads/{new}", commit, None, note)
    current = refs.head().branch == old
    if current:
        refs.set_head_branch(new, note)
    refs.delete(f"refs/heads/{old}", commit)
    return _entry(repository, new, commit, current=current)


def create_tag(
    repository: Repository,
    name: str,
    revision: str,
    *,
    author: str,
    message: str | None = None,
    force: bool = False,
) -> BranchEntry:
    """Raises UsageError when the tag exists and `force` is not set."""
    check_name(name)
    store, full = repository.store, f"refs/tags/{name}"
    commit, old = resolve(repository, revision), store.refs.get(full)
    if old is not None and not force:
        raise UsageError(f"a tag named {name} exists", hint="`bvc tag --force` moves it")
    target, note = commit, _note(f"tag: {name}", author)
    if message is not None:
        with store.begin() as transaction:
            target = transaction.tag(name, commit, message, author, note.date, note.timezone)
    _move(repository, full, target, old, note)
    return _entry(repository, name, commit)


def delete_tag(repository: Repository, name: str) -> BranchEntry:
    """Raises UnknownRevision when there is none of that name."""
    refs, full = repository.store.refs, f"refs/tags/{name}"
    target = ref_value(repository.store, full)
    commit = None if target is None else refs.peel(full)
    if target is None or commit is None:
        raise UnknownRevision(f"there is no tag named {name}", hint="`bvc tag` lists the tags")
    refs.delete(full, target)
    return _entry(repository, name, commit)


def switch(repository: Repository, target: str, *, author: str, create: bool = False, detach: bool = False) -> None:
    """Moves HEAD; the project's files are untouched (bvc tracks models, not a work tree)."""
    if create and detach:
        raise UsageError("--create and --detach exclude each other")
    refs = repository.store.refs
    note = _note(f"checkout: moving {_from(repository)}to {target}", author)
    if create:
        _begin_branch(repository, target, author)
        refs.set_head_branch(target, note)
    elif detach:
        refs.detach_head(resolve(repository, target), note)
    else:
        _check_branch(repository, target)
        refs.set_head_branch(target, note)


def _from(repository: Repository) -> str:
    """`from BRANCH `, as Git's reflog has it; empty where HEAD is damaged, which switching sets right."""
    with suppress(DamagedObject):
        head = repository.store.refs.head()
        return f"from {head.branch or head.commit} "
    return ""


def _begin_branch(repository: Repository, name: str, author: str) -> None:
    """Makes a branch at HEAD; before the first commit there is nothing to point at, and HEAD's word is enough."""
    refs = repository.store.refs
    check_name(name)
    if refs.head().commit is not None or refs.get(f"refs/heads/{name}") is not None:
        create_branch(repository, name, "HEAD", author=author)


def _check_branch(repository: Repository, name: str) -> None:
    known = ref_value(repository.store, f"refs/heads/{name}")
    if known is None and full_ref(repository.store, name) is not None:
        raise BvcError(f"{name} is not a branch", hint=f"`bvc switch --detach {name}` stands on its commit")
    if known is None:
        raise UnknownRevision(f"there is no branch named {name}", hint=f"`bvc switch -c {name}` creates it")


def local_offset(now: int) -> int:
    """This machine's offset from UTC in seconds at `now`."""
    return time.localtime(now).tm_gmtoff
