"""What `grep` and the searching options of `log` are asked, and what grep answers."""

from __future__ import annotations

from dataclasses import dataclass

from bvc.records import CommitInfo

Place = tuple[int, int]
"""Start and end in a text, in characters."""


@dataclass(frozen=True)
class GrepOptions:
    """`fixed`: the pattern is a text, not a regular expression. `probes`, `tags`: only answers of these. `prompts`:
    search what was asked instead of the answers. `every_ref`: all that branches and tags reach. `limit`: answers (or
    with `counts` commits) at most. `counts`: say of each commit how many of its answers match."""

    fixed: bool = False
    ignore_case: bool = False
    probes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    prompts: bool = False
    every_ref: bool = False
    counts: bool = False
    limit: int | None = None


@dataclass(frozen=True)
class GrepStretch:
    """Commits that hold an answer without a break, oldest and newest; `commits` counts them all."""

    oldest: CommitInfo
    newest: CommitInfo
    commits: int


@dataclass(frozen=True)
class GrepMatch:
    """One text that matches, of one probe, wherever in the searched history it stands.

    `greedy`: as the greedy answer; `draws`: as these draws (from 0). `places` are the first of those that matched.
    """

    probe: str
    name: str | None
    tags: tuple[str, ...]
    suite: str
    text: str
    places: tuple[Place, ...]
    greedy: bool
    draws: tuple[int, ...]
    stretches: tuple[GrepStretch, ...]
    commits: int


@dataclass(frozen=True)
class GrepCount:
    """How many answers of one commit match."""

    commit: CommitInfo
    answers: int


@dataclass(frozen=True)
class GrepResult:
    """`bvc.grep/1`. `commits` were searched (those with answers), which hold `records` distinct records of answers.
    `total` matches were found; with `counts` asked for they are counted per commit, newest first, and not listed."""

    pattern: str
    options: GrepOptions
    commits: int
    records: int
    matches: tuple[GrepMatch, ...]
    total: int
    counts: tuple[GrepCount, ...] = ()


@dataclass(frozen=True)
class LogSearch:
    """Which commits `log` is to list: `text` as `-S`, `regex` as `-G`, `probes` as `--probe`."""

    text: str | None = None
    regex: str | None = None
    probes: tuple[str, ...] = ()
    ignore_case: bool = False
