"""`bvc diff --probe`: one probe in full: what was asked, every distance against every null, both answers, the tokens
whose probability moved, the draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bvc.ids import short
from bvc.render.diff_answer import null_bands
from bvc.render.diff_header import diff_header
from bvc.render.diff_layout import KINDS, STYLES, brief, headed, says, sections, sign, stands_out, than
from bvc.render.diff_rows import undecided_lines
from bvc.render.diff_strip import strip_lines
from bvc.render.numbers import channel_names, number, p_text
from bvc.render.probe import identity_lines, input_lines
from bvc.render.screen import Screen
from bvc.render.spans import flow, paint
from bvc.render.table import columns
from bvc.render.words import side_by_side, word_diff
from bvc.results import ChannelDistance, DiffResult, ProbeDetail, ProbeDiff, Verdict

_TWO_COLUMNS = 100
"""Narrower screens show one column."""
_DRAWS = 4
_DRAW_LINES = 3
_REASON = 200
_EXPLAINED = {
    "text": "share of words edited",
    "activation": "of the length",
    "feature": "dictionary latents",
}


def render_probe_diff(
    result: DiffResult, diff: ProbeDiff, screen: Screen, detail: ProbeDetail | None = None
) -> Iterator[str]:
    """The page of one probe; without `detail` neither the strip nor the draws."""
    yield from sections(
        [
            diff_header(result, screen),
            [*identity_lines(diff.probe, diff.suite, screen), *_finding(result, diff, screen)],
            input_lines(diff.probe, screen),
            _answers(result, diff, screen),
            _distances(result, diff, screen),
            strip_lines(detail or ProbeDetail(), screen),
            _draws(detail or ProbeDetail(), screen),
        ]
    )


def _finding(result: DiffResult, diff: ProbeDiff, screen: Screen) -> Iterator[str]:
    """Verdict and null, place among the probes, what became of the answer, what would decide."""
    beyond = f"more than {than(diff.exceeds)}" if diff.exceeds else "exceeds no null that was measured"
    text = f"{diff.verdict.value}: {beyond}"
    yield from headed(f"{sign(diff.verdict, screen)} ", text, screen, 2, STYLES[diff.verdict])
    place = f"rank {diff.rank} of {len(result.probes)}, score {number(diff.score)}"
    if diff.q_value is not None:
        place += f", {'stands out' if stands_out(diff) else 'does not stand out'} ({p_text(diff.q_value, 'q')})"
    yield from says(place, screen, 2)
    if diff.substance is not None:
        reason = f": {brief(diff.substance.reason, _REASON, screen)}" if diff.substance.reason else ""
        kind = f"{KINDS[diff.substance.kind]}{reason}"
        yield from says(f"change of substance {number(diff.substance.distance)} of 1, {kind}", screen, 2)
    yield from undecided_lines(diff, screen, 2)


def _answers(result: DiffResult, diff: ProbeDiff, screen: Screen) -> Iterator[str]:
    if diff.text.first_difference is None:
        yield screen.paint("bold", "Answer, word for word the same")
        spans = word_diff(diff.text.a, diff.text.b, screen, brief=False)
        yield from ("  " + paint(line, screen) for line in flow(spans, screen.width - 2))
    elif screen.width >= _TWO_COLUMNS:
        titles = (f"a {short(result.a.id)}", f"b {short(result.b.id)}")
        yield from side_by_side(diff.text.a, diff.text.b, screen, titles)
    else:
        yield f"{screen.paint('bold', 'Answer')}  ({screen.paint('red', '[-a-]')} {screen.paint('green', '{+b+}')})"
        spans = word_diff(diff.text.a, diff.text.b, screen, brief=False)
        yield from ("  " + paint(line, screen).rstrip() for line in flow(spans, screen.width - 2))


def _distances(result: DiffResult, diff: ProbeDiff, screen: Screen) -> Iterator[str]:
    """Each channel with its interval, the band of each null, and on which side of the widest band it lies."""
    units = {**_EXPLAINED, "logprob": result.logprob_unit}
    bands = {brief(name, 12, screen): dict(null_bands(result, name)) for name in result.null}
    heads = ["channel", "distance", "95 % interval", *bands, "verdict", ""]
    rows = [heads]
    wide = screen.width >= _TWO_COLUMNS
    for name in channel_names(diff.channels):
        channel = diff.channels[name]
        low, high = (number(end) for end in channel.ci)
        widths = [number(band[name]) if name in band else "none" for band in bands.values()]
        verdict = channel_verdict(channel)
        text = "no band" if verdict is None else verdict.value
        rows.append(
            [
                brief(name, 16, screen),
                number(channel.distance),
                f"{low} to {high}",
                *widths,
                text,
                units.get(name, "") if wide else "",
            ]
        )
    if len(rows) > 1:
        lines = columns(rows, screen, right=range(1, 3 + len(bands)))
        yield screen.paint("dim", lines[0])
        yield from lines[1:]


def channel_verdict(channel: ChannelDistance) -> Verdict | None:
    """What one channel's interval says about its band: beyond it `changed`, inside it `same`, across it `undecided`;
    None without a band."""
    if channel.band is None:
        return None
    low, high = channel.ci
    if low > channel.band:
        return Verdict.CHANGED
    return Verdict.SAME if high <= channel.band else Verdict.UNDECIDED


def _draws(detail: ProbeDetail, screen: Screen) -> Iterator[str]:
    """The first draws of each side; equal ones once, with their count."""
    for side, draws in (("a", detail.draws_a), ("b", detail.draws_b)):
        if draws:
            yield from _side(side, draws, screen)


def _side(side: str, draws: Sequence[str], screen: Screen) -> Iterator[str]:
    counts = {text: draws.count(text) for text in dict.fromkeys(draws)}
    distinct = f"{len(counts)} distinct" if len(counts) < len(draws) else "all distinct"
    yield f"{screen.paint('bold', f'Draws of {side}')}  {screen.paint('dim', f'{len(draws)}, {distinct}')}"
    for text, count in list(counts.items())[:_DRAWS]:
        times = f"{count} {screen.glyph('times')} " if count > 1 else ""
        room = _DRAW_LINES * (screen.width - 4)
        shown = f"{times}{brief(text, room, screen, newline=screen.glyph('newline') + ' ') or '(empty)'}"
        lines = list(says(shown, screen, 4))
        yield f"  {screen.paint('red' if side == 'a' else 'green', '-' if side == 'a' else '+')} {lines[0][4:]}"
        yield from lines[1:]
    if len(counts) > _DRAWS:
        yield screen.paint("dim", f"    {len(counts) - _DRAWS} more")
