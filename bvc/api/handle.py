"""`Repo`: an open project with one method per verb. Each method loads the module of its verb on first use."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from bvc.repository.repository import Repository, create_project

if TYPE_CHECKING:
    from bvc.api.amplify import AmplifyResult
    from bvc.api.behavior_records import AddedBehavior, BehaviorList, BehaviorTest
    from bvc.api.bisect import Bisection
    from bvc.api.blame_records import BlameResult
    from bvc.api.explore_records import ExploreResult
    from bvc.api.search_records import GrepResult, LogSearch
    from bvc.bisection import BisectResult
    from bvc.records import Suite
    from bvc.results import (
        BranchEntry,
        CaptureResult,
        CommitResult,
        DiffResult,
        FsckResult,
        LogEntry,
        NoiseResult,
        ProbeDetail,
        ProbeDiff,
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
    """Makes `directory` a bvc project with the starter suite and behaviors. Nothing that exists is overwritten."""
    from bvc.behaviors.starter import starter_behaviors
    from bvc.suites.starter import starter_bytes

    root = Path(directory)
    created, kept = create_project(root, starter_bytes(), starter_behaviors())
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
        """Releases files, the index, and the base model that captures keep in memory for the next adapter."""
        self.repository.close()
        loader = sys.modules.get("bvc.capture.load")  # not imported: it would load torch, and then it keeps nothing
        if loader is not None:
            loader.forget_models()

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
        self,
        revisions: str | Sequence[str] = (),
        *,
        limit: int | None = None,
        stat: bool = False,
        behavior: str | None = None,
        allow_python: bool = False,
        search: LogSearch | None = None,
        progress: Report | None = None,
    ) -> Iterator[LogEntry]:
        """Commits reachable from `revisions` (default HEAD; `A..B` leaves out what A reaches), newest first; with the
        rate of a named `behavior` at each; with `search` only those that change certain answers."""
        from bvc.api.history import log

        entries = log(self.repository, _several(revisions), limit=limit, stat=stat, search=search, progress=progress)
        if behavior is None:
            return entries
        from bvc.api.behaviors import with_rates
        from bvc.api.judges import tools

        return with_rates(self.repository, entries, behavior, tools=tools(self.root, allow_python))

    def grep(
        self,
        pattern: str,
        revisions: str | Sequence[str] = (),
        *,
        progress: Report | None = None,
        **options: Any,
    ) -> GrepResult:
        """The distinct answers that match `pattern` in all that HEAD reaches, or in some commits and ranges alone.

        `options` are the fields of `bvc.api.search_records.GrepOptions` (fixed, ignore_case, probes, tags and so on).
        """
        from bvc.api.search import grep
        from bvc.api.search_records import GrepOptions

        return grep(self.repository, pattern, _several(revisions), GrepOptions(**options), progress)

    def blame(
        self,
        probes: str | Sequence[str] = (),
        revision: str = "HEAD",
        *,
        behavior: str | None = None,
        suites: str | Sequence[str] = (),
        everything: bool = False,
        allow_python: bool = False,
        progress: Report | None = None,
    ) -> BlameResult:
        """With which commit each of `probes` (ids, labels, abbreviations), of the probes of `suites`, or every probe of
        a revision last changed; with `behavior` the commits with which its rate changed."""
        from bvc.api.blame import BlameOptions, blame_behavior, blame_probes

        if behavior is None:
            options = BlameOptions(_several(probes), _several(suites), everything)
            return blame_probes(self.repository, revision, options, progress)
        from bvc.api.judges import tools

        judges = tools(self.root, allow_python)
        return blame_behavior(self.repository, behavior, revision, tools=judges, progress=progress)

    def behaviors(self, revision: str = "HEAD", *, allow_python: bool = False) -> BehaviorList:
        """The behaviors of `behaviors.toml` with rates at a commit; `allow_python` runs scorers of the project."""
        from bvc.api.behaviors import behavior_rates
        from bvc.api.judges import tools

        return behavior_rates(self.repository, revision, tools=tools(self.root, allow_python))

    def behavior_names(self) -> list[str]:
        """The names in `behaviors.toml`."""
        from bvc.api.behaviors import load_behaviors

        return [behavior.name for behavior in load_behaviors(self.repository)]

    def behavior_test(self, name: str, revision: str = "HEAD", *, allow_python: bool = False) -> BehaviorTest:
        """What a behavior scores at a commit, answer by answer, and why."""
        from bvc.api.behaviors import behavior_test
        from bvc.api.judges import tools

        return behavior_test(self.repository, name, revision, tools=tools(self.root, allow_python))

    def behavior_add(self, name: str, scorer: Mapping[str, Any], *, allow_python: bool = False) -> AddedBehavior:
        """Writes a behavior to `behaviors.toml` and scores the last commits; `scorer` holds the keys of its table."""
        from bvc.api.behaviors import behavior_add
        from bvc.api.judges import tools

        return behavior_add(self.repository, name, scorer, tools=tools(self.root, allow_python))

    def show(self, revision: str = "HEAD", probe: str | None = None) -> ShowResult:
        """One commit and, on demand, one of its probes."""
        from bvc.api.history import show

        return show(self.repository, revision, probe)

    def diff(
        self,
        a: str | None = None,
        b: str | None = None,
        *,
        channels: Sequence[str] = (),
        judge_key: str | None = None,
        progress: Report | None = None,
    ) -> DiffResult:
        """What B does differently from A. Default `HEAD~1 HEAD`; with `a` alone `a HEAD`, or `a` may be `A..B`.

        `judge_key` is the key of the server that judges meaning, where the settings name one."""
        from bvc.api.background import Judging
        from bvc.api.diff import diff

        return diff(self.repository, a, b, channels=channels, judging=Judging(judge_key, progress))

    def diff_probe(
        self, a: str | None, b: str | None, probe: str, *, channels: Sequence[str] = ()
    ) -> tuple[ProbeDiff, ProbeDetail]:
        """One probe (label, id or abbreviation) of the diff of A and B, with its draws and per-token log-probs."""
        from bvc.api.diff_probe import diff_probe

        return diff_probe(self.repository, a, b, probe, channels=channels)

    def probe_detail(self, a: str, b: str, probe: str) -> ProbeDetail:
        """The draws and per-token log-probs of a probe of a diff that is already there; all three are full ids."""
        from bvc.api.diff_probe import probe_detail

        return probe_detail(self.repository, a, b, probe)

    def capture(self, revisions: str | Sequence[str] = (), **options: Any) -> CaptureResult:
        """Captures what commits (default HEAD) lack, and attaches it to them; history stays as it is.

        `options` are the fields of `bvc.api.capture_more.CaptureOptions` (more_draws, probes, suites, checkpoint) and
        of `bvc.api.checkpoints.PairOptions` (base, dtype, device, batch_size, progress and so on).
        """
        from bvc.api.capture_more import CaptureOptions, capture
        from bvc.api.checkpoints import divided

        what, how = divided({"author": self.author, **options}, CaptureOptions)
        return capture(self.repository, _several(revisions), what, how)

    def noise_learn(self, pairs: Sequence[tuple[str, str]], level: str = "N1") -> NoiseResult:
        """Remembers that in each pair the second revision differs from the first by a benign update (N1 or N2)."""
        from bvc.api.noise_pairs import noise_learn

        return noise_learn(self.repository, pairs, level, author=self.author)

    def noise_forget(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Trusts these pairs no longer."""
        from bvc.api.noise_pairs import noise_forget

        noise_forget(self.repository, pairs, author=self.author)

    def noise(self, revision: str = "HEAD") -> NoiseResult:
        """Which harmless changes are known, and how far they move a model, from the point of view of a commit."""
        from bvc.api.noise_pairs import noise_show

        return noise_show(self.repository, revision)

    def explore(self, a: str | None = None, b: str | None = None, **options: Any) -> ExploreResult:
        """New probes where B and A differ most, found with both checkpoints; commits as in `diff`.

        `options` are the fields of `bvc.api.explore_records.ExploreOptions` (probes, limit, prefills, seed, add, pick)
        and of `bvc.api.checkpoints.PairOptions` (checkpoint_a, checkpoint_b, base, dtype, device, progress and so on).
        """
        from bvc.api.checkpoints import divided
        from bvc.api.explore import explore
        from bvc.api.explore_records import ExploreOptions

        what, how = divided(options, ExploreOptions)
        return explore(self.repository, a, b, what=what, options=how)

    def bisect(
        self, bad: str, good: str | Sequence[str], *, progress: Report | None = None, **options: Any
    ) -> BisectResult:
        """Finds the commit between `good` and `bad` that brought what a behavior, an expression or "like bad" judges.

        `options` are the fields of `bvc.api.bisect_settings.BisectSettings` (behavior, expr, like_bad, probes,
        confidence, max_loads, max_draws, prior, stored, allow_python). `bisection` has the other verbs.
        """
        from bvc.api.bisect_settings import BisectSettings

        return self.bisection(progress=progress).run_between(bad, _several(good), BisectSettings(**options))

    def bisection(self, **options: Any) -> Bisection:
        """The project's bisect with a method for each verb: start, mark, skip, undo, next, run and so on.

        `options` are the fields of `bvc.api.checkpoints.PairOptions` (base, dtype, device, progress and so on).
        """
        from bvc.api.bisect import Bisection
        from bvc.api.bisect_session import Means
        from bvc.api.checkpoints import PairOptions
        from bvc.api.judges import tools

        means = Means(self.author, PairOptions(**options), partial(tools, self.root))
        return Bisection(self.repository, means)

    def amplify(
        self, a: str, b: str, prompts: str | Sequence[str] = (), *, probes: str | Sequence[str] = (), **options: Any
    ) -> AmplifyResult:
        """Samples `prompts` and recorded `probes` from the amplified difference of B and A: to show, not to test.

        `options` are the fields of `bvc.api.amplify.AmplifyOptions` (alphas, draws, max_new_tokens, plausible) and of
        `bvc.api.checkpoints.PairOptions`.
        """
        from bvc.api.amplify import AmplifyOptions, amplify
        from bvc.api.checkpoints import divided

        what, how = divided(options, AmplifyOptions)
        return amplify(self.repository, a, b, _several(prompts), _several(probes), what=what, options=how)

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
