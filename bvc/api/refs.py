"""branch, tag, switch. Loads neither numpy nor torch."""

from __future__ import annotations

import re
import time

from bvc.errors import BvcError, UnknownRevision, UsageError
from bvc.repository.repository import Repository
from bvc.repository.revisions import find_ref, resolve
from bvc.results import BranchEntry

# Git's rules for ref names (git-check-ref-format), the parts that concern one short name.
_BAD_NAME = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[-/.]|/$|\.$|\.lock(/|$)|/\.|^@$|^HEAD$", re.ASCII)


def check_name(name: str) -> None:
    """Raises UsageError when Git would refuse `name` as a branch or tag."""
    if not name or _BAD_NAME.search(name):
        raise UsageError(f"not a valid name for a branch or tag: {name!r}")


def _entry(repository: Repository, name: str, commit: str, *, current: bool = False) -> BranchEntry:
    return BranchEntry(name, commit, repository.store.history.info(commit).subject, current)


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
    commit, old = resolve(repository, revision), refs.get(full)
    if old is not None and not force:
        raise UsageError(f"a branch named {name} exists", hint="`bvc branch --force` moves it")
    if old is not None and refs.head().branch == name:
        raise UsageError(f"{name} is the current branch", hint="switch to another branch first")
    refs.update(full, commit, old, f"branch: Created from {revision}", author, int(time.time()))
    return _entry(repository, name, commit)


def _existing(repository: Repository, name: str) -> str:
    commit = repository.store.refs.get(f"refs/heads/{name}")
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
    refs.update(f"refs/heads/{new}", commit, None, f"branch: Renamed from {old}", author, int(time.time()))
    current = refs.head().branch == old
    if current:
        refs.set_head_branch(new)
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
    target, now = commit, int(time.time())
    if message is not None:
        with store.begin() as transaction:
            target = transaction.tag(name, commit, message, author, now, local_offset(now))
    store.refs.update(full, target, old, f"tag: {name}", author, now)
    return _entry(repository, name, commit)


def delete_tag(repository: Repository, name: str) -> BranchEntry:
    """Raises UnknownRevision when there is none of that name."""
    refs, full = repository.store.refs, f"refs/tags/{name}"
    target, commit = refs.get(full), refs.peel(full)
    if target is None or commit is None:
        raise UnknownRevision(f"there is no tag named {name}", hint="`bvc tag` lists the tags")
    refs.delete(full, target)
    return _entry(repository, name, commit)


def switch(repository: Repository, target: str, *, author: str, create: bool = False, detach: bool = False) -> None:
    """Moves HEAD; the project's files are untouched (bvc tracks models, not a work tree)."""
    refs = repository.store.refs
    if create:
        if refs.head().commit is None:
            check_name(target)
        else:
            create_branch(repository, target, "HEAD", author=author)
        refs.set_head_branch(target)
    elif detach:
        refs.detach_head(resolve(repository, target))
    elif refs.get(f"refs/heads/{target}") is not None:
        refs.set_head_branch(target)
    elif find_ref(repository.store, target) is not None:
        raise BvcError(f"{target} is not a branch", hint=f"`bvc switch --detach {target}` stands on its commit")
    else:
        raise UnknownRevision(f"there is no branch named {target}", hint=f"`bvc switch -c {target}` creates it")


def local_offset(now: int) -> int:
    """This machine's offset from UTC in seconds at `now`."""
    return time.localtime(now).tm_gmtoff
