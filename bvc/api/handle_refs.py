"""Verbs of `Repo` for branches, tags, HEAD and objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bvc.api.handle_project import ProjectHandle

if TYPE_CHECKING:
    from bvc.results import BranchEntry, ReflogEntry, StatusResult


@dataclass(frozen=True)
class CatFile:
    """One stored object: `kind` is commit, tree, blob or tag, `data` its content (a tree as `git ls-tree`)."""

    kind: str
    size: int
    data: bytes


class RefVerbs(ProjectHandle):
    """status, branch, tag, switch, merge-base, rev-parse, reflog, cat-file."""

    def status(self) -> StatusResult:
        """The branch, what changed in suites since HEAD, checkpoints not yet committed, unfinished captures."""
        from bvc.api.status import status

        return status(self.repository)

    def branches(self) -> list[BranchEntry]:
        """All branches by name."""
        from bvc.api.refs import branches

        return branches(self.repository)

    def create_branch(self, name: str, revision: str = "HEAD", *, force: bool = False) -> BranchEntry:
        """A new branch at `revision`; `force` moves an existing one."""
        from bvc.api.refs import create_branch

        return create_branch(self.repository, name, revision, author=self.author, force=force)

    def delete_branch(self, name: str, *, force: bool = False) -> BranchEntry:
        """Deletes a branch; without `force` only when HEAD reaches all of it. Returns what it was."""
        from bvc.api.refs import delete_branch

        return delete_branch(self.repository, name, force=force)

    def rename_branch(self, old: str, new: str) -> BranchEntry:
        """Gives a branch another name; HEAD follows."""
        from bvc.api.refs import rename_branch

        return rename_branch(self.repository, old, new, author=self.author)

    def tags(self) -> list[BranchEntry]:
        """All tags by name."""
        from bvc.api.refs import tags

        return tags(self.repository)

    def create_tag(
        self, name: str, revision: str = "HEAD", *, message: str | None = None, force: bool = False
    ) -> BranchEntry:
        """A tag at `revision`, annotated when there is a message."""
        from bvc.api.refs import create_tag

        return create_tag(self.repository, name, revision, author=self.author, message=message, force=force)

    def delete_tag(self, name: str) -> BranchEntry:
        """Deletes a tag; returns what it was."""
        from bvc.api.refs import delete_tag

        return delete_tag(self.repository, name)

    def switch(self, target: str, *, create: bool = False, detach: bool = False) -> StatusResult:
        """Makes HEAD follow another branch (`create` makes it first), or stand on a commit with `detach`."""
        from bvc.api.refs import switch

        switch(self.repository, target, author=self.author, create=create, detach=detach)
        return self.status()

    def merge_base(self, revisions: Sequence[str], *, all: bool = False) -> list[str]:  # noqa: A002 - as in Git
        """The best common ancestors of two commits; the first alone unless `all`."""
        from bvc.api.history import merge_base

        return merge_base(self.repository, revisions, all=all)

    def rev_parse(self, revision: str) -> str:
        """The full id that a revision, `REV:path` or `REV:probe/ID` names."""
        from bvc.repository.revisions import resolve_object

        return resolve_object(self.repository, revision)

    def reflog(self, ref: str = "HEAD") -> list[ReflogEntry]:
        """Where a ref has been, newest first."""
        from bvc.api.history import reflog

        return reflog(self.repository, ref)

    def cat_file(self, name: str) -> CatFile:
        """One stored object by id, revision or `REV:path`."""
        from bvc.api.history import cat_file

        return CatFile(*cat_file(self.repository, name))
