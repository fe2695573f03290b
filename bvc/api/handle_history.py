"""Verbs of `Repo` that look along the history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from bvc.api.handle_project import ProjectHandle, Report, several

if TYPE_CHECKING:
    from bvc.api.behavior_records import AddedBehavior, BehaviorList, BehaviorTest
    from bvc.api.bisect import Bisection
    from bvc.api.blame_records import BlameResult
    from bvc.api.search_records import GrepResult, LogSearch
    from bvc.bisection import BisectResult
    from bvc.results import LogEntry, ShowResult


class HistoryVerbs(ProjectHandle):
    """log, show, grep, blame, behaviors, bisect."""

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

        entries = log(self.repository, several(revisions), limit=limit, stat=stat, search=search, progress=progress)
        if behavior is None:
            return entries
        from bvc.api.behaviors import with_rates
        from bvc.api.judges import tools

        return with_rates(self.repository, entries, behavior, tools=tools(self.root, allow_python))

    def show(self, revision: str = "HEAD", probe: str | None = None) -> ShowResult:
        """One commit and, on demand, one of its probes."""
        from bvc.api.history import show

        return show(self.repository, revision, probe)

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

        return grep(self.repository, pattern, several(revisions), GrepOptions(**options), progress)

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
            options = BlameOptions(several(probes), several(suites), everything)
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

    def bisect(
        self, bad: str, good: str | Sequence[str], *, progress: Report | None = None, **options: Any
    ) -> BisectResult:
        """Finds the commit between `good` and `bad` that brought what a behavior, an expression or "like bad" judges.

        `options` are the fields of `bvc.api.bisect_settings.BisectSettings` (behavior, expr, like_bad, probes,
        confidence, max_loads, max_draws, prior, stored, allow_python). `bisection` has the other verbs.
        """
        from bvc.api.bisect_settings import BisectSettings

        return self.bisection(progress=progress).run_between(bad, several(good), BisectSettings(**options))

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
