"""At which commits an answer stands: stretches of the lineage, from where it comes to where it goes. Pure.

Along first parents the commits with answers are a forest. Numbered by a walk that goes down before it goes on, all that
descends from a commit has numbers next to each other, so a stretch is a few intervals, whatever its length.
"""

from __future__ import annotations

import bisect
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

Interval = tuple[int, int]
"""Numbers from the first to before the second."""


@dataclass(frozen=True)
class Stretch:
    """Commits that hold an answer without a break: the oldest and the newest that were asked for, and how many."""

    oldest: str
    newest: str
    commits: int
    intervals: tuple[Interval, ...]


class Lineage:
    """The commits with answers of a history, and which of them were asked for."""

    def __init__(
        self, order: Sequence[str], parents: Mapping[str, Sequence[str | None]], chosen: Collection[str]
    ) -> None:
        """`order` is newest first; `parents` has each commit with answers, with those before it that have some."""
        self._parents = parents
        self._order = order
        self.commits: list[str] = []
        self._begin: dict[str, int] = {}
        self._end: dict[str, int] = {}
        self._number()
        rank = {commit: place for place, commit in enumerate(order) if commit in chosen}
        self._newness = [rank.get(commit, len(order)) for commit in self.commits]
        self._oldness = [rank.get(commit, -1) for commit in self.commits]
        self._chosen = [0, *accumulate(int(commit in rank) for commit in self.commits)]

    def _number(self) -> None:
        children: dict[str | None, list[str]] = {}
        for commit in self._order:
            if commit in self._parents:
                children.setdefault(self._parents[commit][0], []).append(commit)
        stack = [(root, False) for root in children.get(None, ())]
        while stack:
            commit, done = stack.pop()
            if done:
                self._end[commit] = len(self.commits)
                continue
            self._begin[commit] = len(self.commits)
            self.commits.append(commit)
            stack.append((commit, True))
            stack += [(child, False) for child in children.get(commit, ())]

    def stretches(self, comes: Collection[str], goes: Collection[str]) -> list[Stretch]:
        """The stretches of what comes and goes (against the first parent) at these commits, newest first; those
        without a commit that was asked for are left out."""
        parts = self._parts(comes, goes)
        found = [self._stretch(intervals) for intervals in self._joined(parts)]
        return sorted((s for s in found if s is not None), key=lambda s: self._newness[self._begin[s.newest]])

    def _parts(self, comes: Collection[str], goes: Collection[str]) -> dict[str, list[Interval]]:
        """Per commit where it comes the numbers up to where it goes."""
        parts: dict[str, list[Interval]] = {commit: [] for commit in comes}
        events = sorted((self._begin[c], self._end[c], c if c in parts else None) for c in {*comes, *goes})
        stack: list[tuple[int, str | None]] = [(len(self.commits), None)]
        at = 0

        def go_to(place: int) -> None:
            nonlocal at
            owner = stack[-1][1]
            if owner is not None and place > at:
                parts[owner].append((at, place))
            at = max(at, place)

        for begin, end, owner in [*events, (len(self.commits), 0, None)]:
            while len(stack) > 1 and stack[-1][0] <= begin:
                go_to(stack[-1][0])
                stack.pop()
            go_to(begin)
            stack.append((end, owner))
        return parts

    def _joined(self, parts: Mapping[str, list[Interval]]) -> Iterable[list[Interval]]:
        """Parts as one where a merge takes an answer over from a parent that is not its first."""
        merges = [commit for commit in parts if len(self._parents[commit]) > 1]
        group = {commit: commit for commit in parts}
        starts = sorted((begin, end, commit) for commit, part in parts.items() for begin, end in part) if merges else []

        def find(commit: str) -> str:
            while group[commit] != commit:
                commit = group[commit]
            return commit

        for merge in merges:
            for parent in self._parents[merge][1:]:
                owner = None if parent is None else _owner(starts, self._begin[parent])
                if owner is not None:
                    group[find(merge)] = find(owner)
        joined: dict[str, list[Interval]] = {}
        for commit, part in parts.items():
            joined.setdefault(find(commit), []).extend(part)
        return joined.values()

    def _stretch(self, intervals: Sequence[Interval]) -> Stretch | None:
        count = sum(self._chosen[end] - self._chosen[begin] for begin, end in intervals)
        if not count:
            return None
        newest = min(min(self._newness[begin:end]) for begin, end in intervals)
        oldest = max(max(self._oldness[begin:end]) for begin, end in intervals)
        return Stretch(self._order[oldest], self._order[newest], count, tuple(intervals))

    def counts(self, stretches: Iterable[Iterable[Stretch]]) -> dict[str, int]:
        """For each commit that was asked for of how many answers (given by their stretches) it holds, where any."""
        steps = [0] * (len(self.commits) + 1)
        for answer in stretches:
            for begin, end in (interval for stretch in answer for interval in stretch.intervals):
                steps[begin] += 1
                steps[end] -= 1
        held = zip(self.commits, accumulate(steps), self._oldness, strict=False)
        return {commit: count for commit, count, rank in held if count and rank >= 0}


def _owner(starts: Sequence[tuple[int, int, str]], place: int) -> str | None:
    """Whose interval holds a number."""
    at = bisect.bisect_right(starts, place, key=lambda interval: interval[0]) - 1
    return starts[at][2] if at >= 0 and starts[at][0] <= place < starts[at][1] else None
