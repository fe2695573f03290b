"""`Repo`: an open project with one method per verb. Each method loads the module of its verb on first use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from bvc.repository.repository import Repository, create_project

if TYPE_CHECKING:
    from bvc.records import Suite
    from bvc.results import (
        BranchEntry,
        CommitResult,
        DiffResult,
        FsckResult,
        LogEntry,
        Progress,
        ReflogEntry,
        ShowResult,
        StatusResult,
        SuiteSummary,
    )

Report = Callable[["Progress"], None]
UNKNOWN_AUTHOR = "unknown <unknown@localhost>"
"""Who made a commit when neither the caller nor `bvc.toml` says."""


@dataclass(frozen=True)
class InitResult:
    """What `init` made and what it left as it was, as names relative to `root`."""

    root: Path
    created: tuple[str, ...]
    kept: tuple[str, ...]


@dataclass(frozen=True)
class CatFile:
    """One stored object: `kind` is commit, tree, blob or tag, `data` its content (a tree as `git ls-tree`)."""

    kind: str
    size: int
    data: bytes


def init(directory: str | Path = ".") -> InitResult:
    """Makes `directory` a bvc project with the starter suite. Nothing that exists is overwritten."""
    from bvc.suites.starter import starter_bytes

    root = Path(directory)
    created, kept = create_project(root, starter_bytes())
    return InitResult(root.resolve(), tuple(created), tuple(kept))


def open_repo(directory: str | Path = ".") -> Repo:
    """The project at `directory` or above it. Raises NoRepository."""
    return Repo(Repository.open(Path(directory)))


class Repo:
    """An open project. A context manager; methods return the records of `bvc.results`.

    Revisions are written as in Git. Long work takes `progress`, a function that is called with each
    `bvc.results.Progress`. Every method raises subclasses of `bvc.errors.BvcError`.
    """

    def __init__(self, repository: Repository, author: str | None = None) -> None:
        self.repository = repository
        self.default_author = author

    def __enter__(self) -> Repo:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Releases files and the index."""
        self.repository.close()

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self.repository.root

    @property
    def author(self) -> str:
        """`Name <mail>` for new commits, tags and reflog lines: what the caller set, else what `bvc.toml` says."""
        return self.default_author or self.repository.config.author or UNKNOWN_AUTHOR

    def commit(
        self,
        checkpoint: str | Path | None = None,
        *,
        outputs: str | Path | None = None,
        parents: str | Sequence[str] = (),
        suites: str | Sequence[str] = (),
        **options: Any,
    ) -> CommitResult:
        """Captures a checkpoint (or takes recorded `outputs` of the model called `model`) and commits it.

        `options` are the other fields of `bvc.api.commit_records.CommitOptions`: message, draws, max_new_tokens,
        dtype, device, batch_size, seed, base, capture and so on.
        """
        from bvc.api.commit import commit
        from bvc.api.commit_records import CommitOptions

        asked = CommitOptions(
            checkpoint=None if checkpoint is None else str(checkpoint),
            outputs=None if outputs is None else Path(outputs),
            parents=_several(parents),
            suites=_several(suites),
            **{"author": self.author, **options},
        )
        return commit(self.repository, asked)

    def log(
        self, revisions: str | Sequence[str] = (), *, limit: int | None = None, stat: bool = False
    ) -> Iterator[LogEntry]:
        """Commits reachable from `revisions` (default HEAD; `A..B` leaves out what A reaches), newest first."""
        from bvc.api.history import log

        return log(self.repository, _several(revisions), limit=limit, stat=stat)

    def show(self, revision: str = "HEAD", probe: str | None = None) -> ShowResult:
        """One commit and, on demand, one of its probes."""
        from bvc.api.history import show

        return show(self.repository, revision, probe)

    def diff(self, a: str | None = None, b: str | None = None, *, channels: Sequence[str] = ()) -> DiffResult:
        """What B does differently from A. Default `HEAD~1 HEAD`; with `a` alone `a HEAD`, or `a` may be `A..B`."""
        from bvc.api.diff import diff

        return diff(self.repository, a, b, channels=channels)

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

    def config_list(self) -> dict[str, Any]:
        """All settings, defaults included, by dotted key."""
        from bvc.api.settings import config_list

        return config_list(self.repository)

    def config_get(self, key: str) -> Any:
        """One setting by dotted key. Raises UsageError for an unknown key."""
        from bvc.api.settings import config_get

        return config_get(self.repository, key)

    def config_set(self, key: str, value: str) -> None:
        """Changes one setting in `bvc.toml`; comments stay."""
        from bvc.api.settings import config_set

        config_set(self.repository, key, value)

    def fsck(self, progress: Report | None = None) -> FsckResult:
        """Reads and checks every stored byte."""
        from bvc.store.fsck import fsck

        return fsck(self.repository.store, progress)

    def reindex(self, progress: Report | None = None) -> None:
        """Rebuilds everything derived from Git and the packs."""
        from bvc.store.reindex import reindex

        reindex(self.repository.store, progress)

    def suite_import(self, source: str | Path, *, name: str | None = None, format: str | None = None) -> SuiteSummary:  # noqa: A002
        """Converts a file of another format to `probes/NAME.jsonl`."""
        from bvc.api.suites import suite_import

        return suite_import(self.repository, source, name=name, format=format)

    def suites(self) -> list[SuiteSummary]:
        """The suite files of the project."""
        from bvc.api.suites import suites

        return suites(self.repository)

    def suite(self, name: str) -> Suite:
        """One suite with its probes."""
        from bvc.api.suites import suite

        return suite(self.repository, name)

    def suite_check(self, names: Sequence[str] = ()) -> list[SuiteSummary]:
        """Validates suites (default all). Raises BadInput with file and line for the first problem."""
        from bvc.api.suites import suite_check

        return suite_check(self.repository, names)


def _several(names: str | Sequence[str]) -> Sequence[str]:
    """One name or several as a sequence: a lone string is one."""
    return (names,) if isinstance(names, str) else names
