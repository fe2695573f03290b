"""Visits to checkpoints: loaded once, asked for all that is wanted; what they answered is attached to the commit."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bvc.api.bisect_evidence import Shown, complete, worth
from bvc.api.checkpoints import PairOptions
from bvc.records import CommitInfo
from bvc.repository.repository import Repository
from bvc.results import Progress

MOST_ANSWERS = 64
"""Answers of one probe that one visit asks for at most."""
_LOADING, _DRAWS, _PROBES = "loading the model", "draws", "probes"


@dataclass(frozen=True)
class Wanted:
    """What a visit asks a commit for: answers number `first` up to `end` of each of `probes`; of a commit without
    captures (`first` 0) everything else is captured too. With `features` also those of the project's dictionary, where
    the commit's captures lack them."""

    commit: str
    probes: tuple[str, ...]
    first: int
    end: int
    features: bool = False


@dataclass(frozen=True)
class Seconds:
    """What a visit took: `load` until the first answer and for all that is captured whatever is asked, `draw` for one
    further answer (None where there was none)."""

    load: float
    draw: float | None


@dataclass
class _Clock:
    """Passes progress on, and keeps when each kind of work went on."""

    report: Callable[[Progress], None]
    first: dict[str, tuple[float, int]] = field(default_factory=dict)
    last: dict[str, tuple[float, int]] = field(default_factory=dict)

    def __call__(self, step: Progress) -> None:
        now = time.monotonic()
        self.first.setdefault(step.what, (now, step.done))
        self.last[step.what] = (now, step.done)
        self.report(step)

    def each(self, what: str) -> float | None:
        """Seconds for one unit of a kind of work."""
        if what not in self.first:
            return None
        (start, before), (end, after) = self.first[what], self.last[what]
        return (end - start) / (after - before) if after > before else None


class Visitor:
    """Visits commits of one repository; `notes` are what the captures remarked."""

    def __init__(self, repository: Repository, author: str, how: PairOptions) -> None:
        self.repository = repository
        self.notes: list[str] = []
        self._author = author
        self._how = how

    @property
    def report(self) -> Callable[[Progress], None]:
        """Where progress goes."""
        return self._how.report

    def visit(self, wanted: Wanted) -> Seconds:
        """Captures what is wanted and attaches it. Raises as `bvc.api.capture_more.capture` does; the same call again
        goes on where it stopped."""
        from bvc.api.capture_more import CaptureOptions, capture

        clock = _Clock(self._how.report)
        started = time.monotonic()
        options = CaptureOptions(author=self._author, features=wanted.features)
        more = wanted.end - max(wanted.first, 1 + self._usual_draws(wanted))
        if more > 0:
            options = replace(options, more_draws=more, probes=wanted.probes)
        result = capture(self.repository, [wanted.commit], options, replace(self._how, progress=clock))
        self.notes += [note for entry in result.commits for note in entry.notes]
        draw = clock.each(_DRAWS)
        drawn = 0.0 if draw is None else draw * sum(entry.drawn for entry in result.commits)
        return Seconds(max(0.0, time.monotonic() - started - drawn), draw or clock.each(_PROBES))

    def _usual_draws(self, wanted: Wanted) -> int:
        """Draws that a capture has anyhow."""
        return 0 if wanted.first else self.repository.config.draws

    def can_run(self, info: CommitInfo) -> bool:
        """Whether the commit records a checkpoint that, as far as one can see, is still there."""
        model = None if info.snapshot is None else info.snapshot.model
        place = next(iter(info.trailers.get("Bvc-Location", ())), None)
        if model is None or model.kind == "recorded" or place is None:
            return False
        if model.kind == "hub" or not place.startswith("/"):
            return True
        return Path(place).exists()


def wanted_answers(commit: str, shown: Shown | None, probes: Sequence[str], draws: int) -> Wanted:
    """So many answers of each probe that together they are `draws`, beyond those that are there."""
    held = 0 if shown is None else complete(shown)
    each = min(MOST_ANSWERS, max(1, math.ceil(draws / max(1, len(probes)))))
    return Wanted(commit, tuple(probes), held, held + each)


def left_to_gain(shown: Shown, moving: float) -> int | None:
    """How many independent answers a commit's probes can still give, however often they are asked; None: no limit."""
    return max(0, int(1 / moving - worth(shown.answers, moving))) if moving > 0 else None
