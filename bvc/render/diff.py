"""`bvc diff`: what changed between two commits, the probes that most deserve a look first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bvc.ids import short
from bvc.records import CommitInfo
from bvc.render.commits import capability_text, model_text, plural
from bvc.render.numbers import channel_names, number, p_text
from bvc.render.screen import Screen
from bvc.render.text import cells, clean, pad, shorten, wrap
from bvc.render.words import brief_lines
from bvc.results import DiffResult, ProbeDiff, Verdict

TOP = 10
"""Rows of the triage list without `--all`."""
STANDS_OUT = 0.05
"""False discovery rate at which a probe is said to stand out of the whole model's drift."""
_DIFF_LINES = 4
_LABEL = 24
_UNITS = (("logprob", ""), ("text", "of the words"), ("activation", "of the activations' length"))
_STYLES = {Verdict.CHANGED: "bold red", Verdict.UNDECIDED: "yellow", Verdict.SAME: "green"}
_SENTENCES = {
    Verdict.CHANGED: "The model changed.",
    Verdict.SAME: "Same behavior.",
    Verdict.UNDECIDED: "Undecided.",
}


def render_diff(result: DiffResult, screen: Screen, *, everything: bool = False) -> Iterator[str]:
    """The page of `bvc diff`: both commits, the overall answer, counts, then the probes by rank."""
    yield from diff_header(result, screen)
    yield ""
    yield from _answer(result, screen)
    rows = listed(result, everything)
    shown = rows if everything else rows[:TOP]
    outlier = False
    for probe in shown:
        yield ""
        if outlier and not stands_out(probe):
            yield from _boundary(screen)
        outlier = stands_out(probe)
        yield from _row(probe, screen)
    yield from _closing(result, rows, shown, screen)


def listed(result: DiffResult, everything: bool) -> Sequence[ProbeDiff]:
    """The probes of the list by rank: all, or those not shown to be the same."""
    ordered = sorted(result.probes, key=lambda p: p.rank)
    return ordered if everything else [p for p in ordered if p.verdict is not Verdict.SAME]


def stands_out(probe: ProbeDiff) -> bool:
    """Whether a probe moved more than the whole model's drift explains."""
    return probe.q_value is not None and probe.q_value <= STANDS_OUT


def _boundary(screen: Screen) -> Iterator[str]:
    text = " below: no more than the whole model moved "
    rule = screen.glyph("rule") * 3
    yield screen.paint("dim", f"{rule}{text}{screen.glyph('rule') * max(0, screen.width - len(text) - 3)}")
    yield ""


def diff_header(result: DiffResult, screen: Screen) -> Iterator[str]:
    """Both commits, what they are compared on, and what could not be compared."""
    models = [_model(commit) for commit in (result.a, result.b)]
    width = max(cells(model) for model in models)
    for side, commit, model in zip("ab", (result.a, result.b), models, strict=True):
        sign = screen.paint("red" if side == "a" else "green", side)
        line = f"{sign}  {screen.paint('yellow', short(commit.id))}  {screen.paint('cyan', pad(model, width))}  "
        room = max(12, screen.width - width - 17)
        yield line + shorten(clean(commit.subject), room, screen.glyph("ellipsis"))
    yield f"   {plural(result.summary.probes, 'common probe')}, compared by {capability_text(result.capability)}"
    reasons = [*result.reasons, *_unpaired(result)]
    for reason in reasons:
        for row, line in enumerate(wrap(clean(reason), max(20, screen.width - 5))):
            yield f"   {screen.paint('yellow', '!') if row == 0 else ' '} {line}"


def _model(commit: CommitInfo) -> str:
    return "" if commit.snapshot is None else model_text(commit.snapshot.model)


def _unpaired(result: DiffResult) -> Iterator[str]:
    for side, ids in (("a", result.only_a), ("b", result.only_b)):
        if ids:
            yield f"{plural(len(ids), 'probe')} only in {side}: not compared"


def _answer(result: DiffResult, screen: Screen) -> Iterator[str]:
    overall, summary = result.overall, result.summary
    verdict = screen.paint(_STYLES[overall.verdict], _SENTENCES[overall.verdict])
    facts = [f"median drift {_drift(result)}"]
    if overall.p_value is not None:
        facts.append(p_text(overall.p_value))
    if overall.drift_percentile is not None:
        facts.append(f"larger than {overall.drift_percentile:.0f} % of this lineage's steps")
    line = ", ".join(facts)
    if cells(_SENTENCES[overall.verdict]) + 2 + cells(line) <= screen.width:
        yield f"{verdict}  {line}"
    else:
        yield verdict
        yield from wrap(line, screen.width)
    yield f"{_counts(result, screen)}; {summary.identical_text} of {summary.probes} answers are word for word the same"
    outliers = sum(map(stands_out, result.probes))
    if outliers:
        noun = "probe stands" if outliers == 1 else "probes stand"
        yield f"{screen.paint('bold', f'{outliers} {noun} out')} of the drift of the whole model"
    bands = "; ".join(_null(result))
    yield screen.paint("dim", bands or "No noise was measured: nothing says how far the same weights would move.")
    yield from _layers(result, screen)


def _drift(result: DiffResult) -> str:
    """The drift in the unit of the channel that it was measured in."""
    compared = {name for probe in result.probes for name in probe.channels}
    unit = next((unit or result.logprob_unit for name, unit in _UNITS if name in compared), "")
    drift = result.overall.drift
    return f"{number(100 * drift)} % {unit}" if unit.startswith("of ") else f"{number(drift)} {unit}".rstrip()


def _counts(result: DiffResult, screen: Screen) -> str:
    summary = result.summary
    counts = (summary.changed, Verdict.CHANGED), (summary.undecided, Verdict.UNDECIDED), (summary.same, Verdict.SAME)
    return ", ".join(f"{screen.paint(_STYLES[v] if n else '', str(n))} {v.value}" for n, v in counts)


def _null(result: DiffResult) -> Iterator[str]:
    """The bands of each null that was available: `the same weights move by up to (N0): logprob 0.0021, text 0`."""
    for name, bands in result.null.items():
        values = [f"{clean(channel)} {number(float(band['band']))}" for channel, band in bands.items()]
        yield f"the same weights move by up to ({clean(name)}): {', '.join(values)}"


def _layers(result: DiffResult, screen: Screen) -> Iterator[str]:
    """Where activations moved most."""
    if result.layers:
        most = max(result.layers, key=lambda layer: layer.distance)
        line = f"activations moved most at {clean(most.hookpoint)}: {number(most.distance)}"
        yield screen.paint("dim", line)


def glyph(verdict: Verdict, screen: Screen) -> str:
    """The sign of a verdict; its shape tells it without color."""
    return screen.paint(_STYLES[verdict], screen.glyph(verdict.value))


def label(probe: ProbeDiff) -> str:
    """The user's label of a probe, or the beginning of its id."""
    return clean(probe.probe.name) if probe.probe.name else short(probe.probe.id)


def _row(diff: ProbeDiff, screen: Screen) -> Iterator[str]:
    """Rank, verdict, label and numbers; what was asked; how the answers differ."""
    ellipsis = screen.glyph("ellipsis")
    name = shorten(label(diff), _LABEL, ellipsis)
    score = f"score {number(diff.score)}"
    room = screen.width - 12 - cells(name) - cells("  ".join([score, *_channels(diff, Screen())]))
    parts = [
        f"{diff.rank:>3} {glyph(diff.verdict, screen)} {screen.paint('bold', name)}",
        screen.paint("bold" if stands_out(diff) else "", score),
        *_channels(diff, screen),
        screen.paint("dim", _fitting([f"#{clean(tag)}" for tag in diff.probe.tags], room)),
    ]
    yield "  ".join(parts).rstrip()
    indent = " " * 6
    yield indent + screen.paint("cyan", shorten(clean(diff.probe.text), screen.width - 6, ellipsis))
    for line in _words(diff, screen):
        yield indent + line


def _fitting(tags: Sequence[str], room: int) -> str:
    """As many whole tags as fit."""
    shown = ""
    for tag in tags:
        if cells(shown) + cells(tag) + 1 > room:
            break
        shown = f"{shown} {tag}".strip()
    return shown


def _channels(diff: ProbeDiff, screen: Screen) -> Iterator[str]:
    """Each channel's distance; dim where it stays within the noise of the same weights."""
    for name in channel_names(diff.channels):
        channel = diff.channels[name]
        noise = channel.band is not None and channel.distance <= channel.band
        yield screen.paint("dim" if noise else "", f"{clean(name)} {number(channel.distance)}")


def _words(diff: ProbeDiff, screen: Screen) -> list[str]:
    if diff.text.first_difference is None:
        same = shorten(clean(diff.text.a), max(20, screen.width - 26), screen.glyph("ellipsis"))
        return [screen.paint("dim", f"{same}  (same text)")]
    lines = brief_lines(diff.text.a, diff.text.b, screen, screen.width - 8, _DIFF_LINES)
    empty = [side for side, text in (("a", diff.text.a), ("b", diff.text.b)) if not text]
    return lines + [screen.paint("dim", f"(the answer of {side} is empty)") for side in empty]


def _closing(
    result: DiffResult, rows: Sequence[ProbeDiff], shown: Sequence[ProbeDiff], screen: Screen
) -> Iterator[str]:
    hidden = len(rows) - len(shown)
    same = result.summary.probes - len(rows)
    left_out = [f"{hidden} more"] if hidden else []
    if same > 0:
        left_out.append(f"{same} {'more ' if shown and not hidden else ''}with verdict same")
    if not left_out and not shown:
        return
    yield ""
    if left_out:
        yield screen.paint("dim", f"{' and '.join(left_out)}: `bvc diff --all` lists them.")
    if shown:
        yield screen.paint("dim", f"One probe in full: `bvc diff --probe {label(shown[0])}`.")
