"""From a bisect's state and the evidence at hand to what follows: the observations, the plan, the next commit.

The core of `bvc.compare.bisect` is asked anew each time; nothing of its answers is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import median

from bvc.api.bisect_behavior import BehaviorJudge, behavior_of
from bvc.api.bisect_evidence import CaptureJudge, Shown, by_commit, observations, stir
from bvc.api.bisect_live import Visitor, left_to_gain
from bvc.api.bisect_log import History
from bvc.api.bisect_span import Lineage
from bvc.api.bisect_state import State
from bvc.behaviors.records import Tools
from bvc.bisection import Ask, BisectPlan, BisectStatus, Conclusion, Observation
from bvc.errors import BvcError, NotComparable
from bvc.records import CommitInfo
from bvc.repository.repository import Repository
from bvc.results import Progress

READ_ALL = 32
"""Commits of a span up to which also the captures are all read that take long to judge."""
_COMMAND_LOAD = 1e-3
"""A command's runs cost all the same, its first of a commit no more than the next."""
_REPORTED = 50
_DRIFT = "no single step stands out of the drift from commit to commit"
_SETTLED = (BisectStatus.FOUND, BisectStatus.INTERMITTENT)


@dataclass(frozen=True)
class Situation:
    """Where a bisect stands: what was observed, the plan, and the next visit or the conclusion."""

    lineage: Lineage
    observations: tuple[Observation, ...]
    plan: BisectPlan
    skipped: frozenset[int]
    step: Ask | Conclusion

    def conclude(self) -> Conclusion:
        """What the observations say now, also while more is to be asked."""
        if isinstance(self.step, Conclusion):
            return self.step
        from bvc.compare.bisect import conclude

        found = conclude(self.lineage.span, self.plan, self.observations, self.skipped)
        return replace(found, status=BisectStatus.RUNNING)


@dataclass
class Search:
    """The evidence about one bisect's commits, read as it is needed."""

    state: State
    lineage: Lineage
    visitor: Visitor
    tools: Tools = field(default_factory=Tools)
    _shown: dict[str, Shown | None] = field(default_factory=dict)
    _infos: dict[str, CommitInfo] = field(default_factory=dict)
    _moving: float | None = None
    _found: tuple[History, Situation] | None = None

    def __post_init__(self) -> None:
        self._attached = self.repository.attached

    @property
    def repository(self) -> Repository:
        """The project's store."""
        return self.state.repository

    @cached_property
    def judge(self) -> CaptureJudge | None:
        """What judges by captures; None where a person or a command does."""
        settings = self.state.settings
        if settings.like_bad:
            from bvc.api.bisect_like import LikeJudge

            return LikeJudge(self.repository, self.lineage.good[0], self.lineage.bad, self.state.picks)
        if settings.judged:
            return BehaviorJudge(self.repository, behavior_of(self.repository, settings), self.lineage.bad, self.tools)
        return None

    @property
    def by_features(self) -> BehaviorJudge | None:
        """The judge, where it goes by the features of captures."""
        settings = self.state.settings
        judge = self.judge if isinstance(settings.behavior or settings.expr, str) else None
        return judge if isinstance(judge, BehaviorJudge) and judge.features else None

    def check(self) -> None:
        """Raises UsageError for a judge that cannot be, NotComparable where ends must be read that are not captured."""
        settings = self.state.settings
        if isinstance(settings.behavior or settings.expr, str) and self.judge is not None:
            self.judge.probes()
        for end in (self.lineage.bad, *self.lineage.good):
            if settings.stored and not self.captured(end):
                raise NotComparable(
                    f"commit {end[:10]} is not captured, and --stored loads no model",
                    hint=f"`bvc capture {end[:10]}` captures it, or leave out --stored",
                )
            if self.by_features is not None:
                self._check_features(end, self.by_features)

    def _check_features(self, end: str, judge: BehaviorJudge) -> None:
        """Raises NotComparable for an end whose features are asked for, and neither stored nor to be had."""
        lacks = judge.lacks(end)
        if not self.captured(end) and not judge.can_add():
            lacks = f"commit {end[:10]} is not captured, and captures record features of another dictionary"
        if lacks is not None and not self._can_add(end, judge, stored=self.state.settings.stored):
            raise NotComparable(f"the ends cannot be judged: {lacks}")

    def _can_add(self, commit: str, judge: BehaviorJudge, *, stored: bool) -> bool:
        return not stored and judge.can_add() and self.visitor.can_run(self.info(commit))

    def info(self, commit: str) -> CommitInfo:
        """A commit, with what was attached to it."""
        if commit not in self._infos:
            self._infos[commit] = self._attached.merged(self.repository.info(commit))
        return self._infos[commit]

    def captured(self, commit: str) -> bool:
        """Whether a commit has captures."""
        snapshot = self.info(commit).snapshot
        return snapshot is not None and snapshot.capability is not None

    def shown(self, commit: str) -> Shown | None:
        """What the captures of a commit show."""
        if commit not in self._shown:
            self._shown[commit] = None if self.judge is None else self.judge.shown(commit)
            self._moving = None
        return self._shown[commit]

    def doubt(self, found: Situation) -> str:
        """How many commits are left to suspect, in words."""
        left = len(found.conclude().candidates)
        return f", {left} commits left" if left > 1 else ""

    def forget(self, commit: str) -> None:
        """More of this commit was captured."""
        self._shown.pop(commit, None)
        self._infos.pop(commit, None)
        self._attached = self.repository.attached
        self._moving = self._found = None

    def situation(self) -> Situation:
        """Reads what is stored, as far as it decides anything, and says what follows. No model is asked where stored
        captures alone name a commit."""
        if self._found is None or self._found[0] != self.state.history:
            self._found = self.state.history, self._work_out()
        return self._found[1]

    def _work_out(self) -> Situation:
        read = self._first_read()
        if self.judge is not None and not any(True for _ in self.state.visits()):
            alone = self._decided(set(read), stored=True)
            if isinstance(alone.step, Conclusion) and alone.step.status in _SETTLED:
                return alone
        return self._decided(read, stored=self.state.settings.stored)

    def _decided(self, read: set[str], *, stored: bool) -> Situation:
        while True:
            found = self._situation(read, stored=stored)
            if not isinstance(found.step, Ask) or self.judge is None:
                return found
            commit = self.lineage.commits[found.step.node]
            if commit in read or self.shown(commit) is None:
                return found
            read.add(commit)

    def _first_read(self) -> set[str]:
        """Commits whose captures are read whatever is asked: all, unless that takes long."""
        if self.judge is None:
            return set()
        ends = {*self.lineage.good, self.lineage.bad, *(visit.commit for visit in self.state.visits())}
        everything = isinstance(self.judge, BehaviorJudge) or len(self.lineage.commits) <= READ_ALL
        wanted = self.lineage.commits if everything else [c for c in self.lineage.commits if c in ends]
        if isinstance(self.judge, BehaviorJudge):
            self._shown |= self.judge.shown_of([c for c in wanted if c not in self._shown], self.visitor.report)
            self.judge.flush()
        out = set()
        for number, commit in enumerate(wanted):
            if number % _REPORTED == 0 and len(wanted) > _REPORTED:
                self.visitor.report(Progress("reading what is stored", number, len(wanted)))
            out |= {commit} if self.shown(commit) is not None else set()
        return out

    def _situation(self, read: set[str], *, stored: bool) -> Situation:
        from bvc.compare.bisect import next_step

        seen = self._observations(read)
        skipped = frozenset(self.lineage.index[c] for c in self.state.skipped if c in self.lineage.index)
        seen = tuple(one for one in seen if one.node not in skipped)
        plan = self._plan(stored=stored)
        base = self._untested_base(seen, skipped)
        step = base or next_step(self.lineage.span, plan, seen, skipped)
        return Situation(self.lineage, seen, plan, skipped, self._settled(step))

    def _settled(self, step: Ask | Conclusion) -> Ask | Conclusion:
        """The ends of `--like-bad` differ, or there would be nothing to go by: what is not found is only not told from
        drift."""
        ends = isinstance(step, Conclusion) and step.status is BisectStatus.NOT_REPRODUCIBLE and bool(step.candidates)
        if not (self.state.settings.like_bad and ends and isinstance(step, Conclusion)):
            return step
        sure = min(1.0, sum(share for _, share in step.candidates))
        return replace(step, status=BisectStatus.RANGE, confidence=sure, reason=_DRIFT)

    def _untested_base(self, seen: Sequence[Observation], skipped: frozenset[int]) -> Ask | Conclusion | None:
        """Of an exact bisect: a merge base that stands for an old commit on another branch has to be tested first."""
        if not self.state.exact:
            return None
        for base in sorted(self.lineage.bases, key=self.lineage.index.__getitem__):
            node = self.lineage.index[base]
            known = [one for one in seen if one.node == node]
            if any(one.hits for one in known):
                old, new = self.state.settings.terms
                reason = (
                    f"the merge base {base[:10]} is {new} too: what {self.lineage.beside[0][:10]} has of {old} came "
                    "after they parted"
                )
                return Conclusion(BisectStatus.NOT_REPRODUCIBLE, reason=reason)
            if not known and node not in skipped:
                return Ask(node, 1, "a merge base must be tested")
        return None

    @property
    def moving(self) -> float:
        """How much commits move by themselves (see `bvc.api.bisect_evidence.stir`)."""
        if self._moving is None:
            known = (self._shown.get(commit) for commit in self.lineage.commits)
            self._moving = stir([shown for shown in known if shown is not None])
        return self._moving

    def _observations(self, read: set[str]) -> tuple[Observation, ...]:
        out = list(self.state.said(self.lineage))
        moving, visits = self.moving, by_commit(self.state.visits())
        ignored = by_commit(self.state.history.ignored)
        for commit in self.lineage.commits:
            shown = self._shown.get(commit) if commit in read else None
            if shown is not None and commit not in self.state.marks:
                node = self.lineage.index[commit]
                out += observations(node, shown, moving, visits.get(commit, ()), ignored.get(commit, ()))
        return tuple(out)

    # The plan

    def _plan(self, *, stored: bool) -> BisectPlan:
        settings = self.state.settings
        plan = BisectPlan(
            confidence=self._asked,
            exact=self.state.exact,
            max_loads=settings.max_loads,
            max_draws=settings.max_draws,
            prior=self._prior() if settings.prior == "drift" else None,
        )
        if self.judge is None:
            return plan if self.state.exact else replace(plan, load_cost=_COMMAND_LOAD, draw_cost=1.0)
        loads, draws = self.state.visit_seconds()
        if loads and draws:
            plan = replace(plan, load_cost=max(median(loads), 1e-3), draw_cost=max(median(draws), 1e-6))
        return replace(plan, available=self._available(stored=stored))

    @property
    def _asked(self) -> float:
        """The confidence that is asked for; by likeness it takes more, the more steps there are."""
        confidence = self.state.settings.confidence
        if not self.state.settings.like_bad:
            return confidence
        from bvc.api.bisect_like import asked_of

        return asked_of(confidence, len(self.lineage.commits) - len(self.lineage.span.good))

    def _available(self, *, stored: bool) -> Mapping[int, int]:
        """What each commit has left to give: nothing more where no model can or may be run."""
        moving = self.moving
        out = {}
        for node, commit in enumerate(self.lineage.commits):
            left = self._left(commit, moving, stored=stored)
            if left is not None:
                out[node] = left
        return out

    def _left(self, commit: str, moving: float, *, stored: bool) -> int | None:
        judge = self.by_features
        if judge is not None:
            lacks = not self.captured(commit) or judge.lacks(commit) is not None
            return len(judge.probes()) if lacks and self._can_add(commit, judge, stored=stored) else 0
        runs = not stored and self.visitor.can_run(self.info(commit))
        if not self.captured(commit):
            return None if runs else 0
        if commit not in self._shown:
            return None  # read when its turn comes
        shown = self._shown[commit]
        if shown is None or not runs or self.judge is None or not self.judge.takes_draws:
            return 0
        return left_to_gain(shown, moving)

    def _prior(self) -> tuple[float, ...] | None:
        """Steps that moved the model farther are likelier; those that are not captured count as the median one."""
        from bvc.api.bands import drift_of

        moved: dict[int, float] = {}
        for node, commit in enumerate(self.lineage.commits):
            parents = [p for p in self.repository.store.history.node(commit).parents if self.captured(p)]
            if node in self.lineage.span.good or not parents or not self.captured(commit):
                continue
            self.visitor.report(Progress("measuring steps", node, len(self.lineage.commits)))
            try:
                moved[node] = min(drift_of(self.repository, parent, commit) for parent in parents)
            except BvcError:
                continue
        usual = median(moved.values()) if moved else 0.0
        if usual <= 0:
            return None
        good = self.lineage.span.good
        return tuple(0.0 if node in good else moved.get(node, usual) for node in range(len(self.lineage.commits)))
