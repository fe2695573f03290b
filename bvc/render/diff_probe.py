"""`bvc diff --probe`: one probe in full: what was asked, both answers, every distance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bvc.errors import AmbiguousId, UnknownRevision
from bvc.ids import looks_like_id, short
from bvc.render.diff import diff_header, glyph, stands_out
from bvc.render.numbers import channel_names, number
from bvc.render.probe import identity_lines, input_lines
from bvc.render.screen import Screen
from bvc.render.spans import flow, paint
from bvc.render.table import columns
from bvc.render.text import clean
from bvc.render.words import side_by_side, word_diff
from bvc.results import DiffResult, ProbeDiff

_TWO_COLUMNS = 100
"""Narrower screens show one column."""
_EXPLAINED = {
    "text": "share of words edited",
    "activation": "of the length",
    "feature": "dictionary latents",
}


def select_probe(result: DiffResult, wanted: str) -> ProbeDiff:
    """The probe that a label, an id or an abbreviation names.

    Raises UnknownRevision when the diff has none, AmbiguousId when it has several.
    """
    exact = [p for p in result.probes if wanted in (p.probe.id, p.probe.name)]
    found = exact or [p for p in result.probes if looks_like_id(wanted) and p.probe.id.startswith(wanted)]
    if len({p.probe.id for p in found}) > 1:
        ids = ", ".join(sorted({short(p.probe.id) for p in found})[:5])
        raise AmbiguousId(f"{clean(wanted)} fits several probes: {ids}", hint="give more digits, or the label")
    if found:
        return found[0]
    if any(i == wanted or (looks_like_id(wanted) and i.startswith(wanted)) for i in (*result.only_a, *result.only_b)):
        raise UnknownRevision(
            f"probe {clean(wanted)} is in one of the two commits only, so there is nothing to compare"
        )
    raise UnknownRevision(f"no probe {clean(wanted)} in this diff", hint="`bvc diff --all` lists its probes")


def render_probe_diff(result: DiffResult, diff: ProbeDiff, screen: Screen) -> Iterator[str]:
    """The page of one probe."""
    yield from diff_header(result, screen)
    yield ""
    yield from identity_lines(diff.probe, diff.suite, screen)
    yield (
        f"{glyph(diff.verdict, screen)} {diff.verdict.value}: rank {diff.rank} of {len(result.probes)}, "
        f"score {number(diff.score)}, {_beyond(diff)}"
    )
    yield ""
    yield from input_lines(diff.probe, screen)
    yield ""
    yield from _answers(result, diff, screen)
    yield ""
    yield from _distances(diff, {**_EXPLAINED, "logprob": result.logprob_unit}, screen)


def _beyond(diff: ProbeDiff) -> str:
    text = f"exceeds {clean(diff.exceeds)}" if diff.exceeds else "exceeds no measured noise"
    if diff.q_value is None:
        return text
    return f"{text}, {'stands out' if stands_out(diff) else 'does not stand out'} (q = {diff.q_value:.2g})"


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


def _distances(diff: ProbeDiff, units: Mapping[str, str], screen: Screen) -> Iterator[str]:
    rows = [["channel", "distance", "95 % interval", "N0 band", ""]]
    for name in channel_names(diff.channels):
        channel = diff.channels[name]
        low, high = (number(end) for end in channel.ci)
        band = "none" if channel.band is None else number(channel.band)
        rows.append([clean(name), number(channel.distance), f"{low} to {high}", band, units.get(name, "")])
    lines = columns(rows, screen, right=(1, 2, 3))
    yield screen.paint("dim", lines[0])
    yield from lines[1:]
