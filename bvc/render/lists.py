"""Short listings: branches, tags, reflog, suites, settings, results of fsck and commit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bvc.ids import short
from bvc.records import Suite
from bvc.render.commits import model_text, plural
from bvc.render.screen import Screen
from bvc.render.table import columns
from bvc.render.text import clean, shorten
from bvc.results import BranchEntry, CommitResult, FsckResult, ReflogEntry, SuiteSummary


def render_branches(entries: Sequence[BranchEntry], screen: Screen, *, verbose: bool = False) -> Iterator[str]:
    """As `git branch`: the current one with a star; `verbose` adds commit and subject."""
    rows = [[clean(e.name), short(e.commit), clean(e.subject)] if verbose else [clean(e.name)] for e in entries]
    for entry, line in zip(entries, columns(rows, screen), strict=True):
        star = "* " if entry.current else "  "
        name = clean(entry.name)
        yield star + screen.paint("green" if entry.current else "", name) + line[len(name) :]


def render_tags(entries: Sequence[BranchEntry], screen: Screen, *, verbose: bool = False) -> Iterator[str]:
    """Tag names; `verbose` adds commit and subject."""
    rows = [[clean(e.name), short(e.commit), clean(e.subject)] if verbose else [clean(e.name)] for e in entries]
    yield from columns(rows, screen, styles=("", "yellow") if verbose else ())


def render_reflog(entries: Sequence[ReflogEntry], ref: str, screen: Screen) -> Iterator[str]:
    """As `git reflog`: `9bc2d01e11 HEAD@{0}: commit: …`."""
    for entry in entries:
        place = f"{clean(ref)}@{{{entry.index}}}"
        yield f"{screen.paint('yellow', short(entry.new))} {screen.paint('cyan', place)}: {clean(entry.message)}"


def render_suites(suites: Sequence[SuiteSummary], screen: Screen) -> Iterator[str]:
    """One line per suite: name, size, tags."""
    rows = [[clean(s.name), plural(s.probes, "probe"), short(s.digest), _tags(s)] for s in suites]
    yield from columns(rows, screen, right=(1,), styles=("bold", "", "yellow", "dim"))


def _tags(suite: SuiteSummary) -> str:
    often = sorted(suite.tags.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{clean(tag)} {count}" for tag, count in often)


def render_suite(suite: Suite, screen: Screen) -> Iterator[str]:
    """A suite's probes in order: label or id, tags, prompt."""
    yield f"{screen.paint('bold', clean(suite.name))}  {plural(len(suite.probes), 'probe')}  sha256:{suite.digest}"
    rows = [
        [short(p.id), shorten(clean(p.name or ""), 24), shorten(" ".join(map(clean, p.tags)), 28), clean(p.text)]
        for p in suite.probes
    ]
    yield from columns(rows, screen, styles=("yellow", "bold", "dim"))


def render_config(values: Mapping[str, Any]) -> Iterator[str]:
    """`key = value`, one a line."""
    yield from (f"{clean(key)} = {setting_text(value)}" for key, value in values.items())


def setting_text(value: Any) -> str:
    """A setting as `bvc.toml` would hold it, a string without quotes."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return ", ".join(setting_text(item) for item in value)
    return "" if value is None else clean(str(value))


def render_commit(result: CommitResult, screen: Screen) -> Iterator[str]:
    """As `git commit`: `[main 9bc2d01e11] subject`, then what was captured."""
    root = " (root-commit)" if not result.parents else ""
    branch = clean(result.branch) if result.branch is not None else "detached HEAD"
    place = f"[{screen.paint('bold green', branch)}{root} {screen.paint('yellow', short(result.commit))}]"
    yield f"{place} {clean(result.subject)}"
    verb = "recorded" if result.model.kind == "recorded" else "captured"
    probes = f"{plural(result.captured, 'probe')} {verb}"
    if result.reused:
        probes += f", {result.reused:,} reused"
    yield f" {screen.paint('cyan', model_text(result.model))}: {probes} in {duration(result.seconds)}"


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 05 s`, `1 h 20 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def render_fsck(result: FsckResult, screen: Screen) -> Iterator[str]:
    """Each problem on a line, then what was checked."""
    for problem in result.problems:
        kind = screen.paint("bold red", clean(problem.kind))
        yield f"{kind} {clean(problem.object)}: {clean(problem.detail)}"
    checked = ", ".join(f"{count:,} {clean(kind)}" for kind, count in result.checked.items()) or "nothing"
    verdict = (
        screen.paint("green", "ok") if result.ok else screen.paint("bold red", plural(len(result.problems), "problem"))
    )
    yield f"{verdict}: checked {checked}"
