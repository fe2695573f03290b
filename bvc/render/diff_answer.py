"""The answer of `bvc diff`, in two parts kept apart: how far the model moved, and what moved more than that."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from bvc.ids import short
from bvc.render.commits import plural
from bvc.render.diff_layout import (
    NAME,
    NULLS,
    STYLES,
    Names,
    brief,
    headed,
    packed,
    says,
    sentence,
    sign,
    stands_out,
    than,
    title,
)
from bvc.render.numbers import channel_names, number, p_text, share
from bvc.render.screen import Screen
from bvc.render.spans import Span
from bvc.results import DiffResult, Overall, Verdict

WHOLE = "drift"
RATE = "rate"
"""Keys of `Overall.smallest` for the least drift of the whole model, and for the least shift of the mean score of its
draws; the others are about one probe."""
DRIFT_BEYOND = "drift beyond "
"""How the test of `Overall.tests` begins that sets the drift beside a null; the null's name follows."""
SHIFT_BEYOND = "shift beyond "
"""That of the one for the mean score of its draws."""
_UNITS = {"text": "% of the words", "logprob": "", "activation": "% of the activations' length"}
"""Units of a channel; that of log-probs is the result's own."""
_PLAIN = {
    Verdict.CHANGED: "The model changed.",
    Verdict.SAME: "The same behavior.",
    Verdict.UNDECIDED: "Undecided: what was recorded does not tell whether the model changed.",
}
_AGAINST = {
    Verdict.CHANGED: "The model changed,",
    Verdict.SAME: "The same behavior: it differs no",
    Verdict.UNDECIDED: "Undecided: what was recorded does not tell whether it changed",
}
_MOST = {"logprob": 5.0, "text": 1.0, "activation": 2.0}
"""Drifts in a channel's unit that no fine-tune makes which leaves a language model: a bound beyond bounds nothing."""
_LAYERS = 2
_DECIDED = 0.9
"""Share of the undecided probes that the proposed number of draws should decide."""


def how_far(result: DiffResult, screen: Screen, *, everything: bool = False) -> Iterator[str]:
    """Verdict against which null, drift and its place in the lineage, the test (its parts with `everything`); for
    `same` its bound."""
    overall = result.overall
    yield title("How far the model moved", screen)
    yield from headed(f"  {sign(overall.verdict, screen)} ", _verdict(result), screen, style=STYLES[overall.verdict])
    if is_identical(result):
        return
    yield from says(_drift(result), screen)
    yield from packed(map(Span, _tests(overall, everything)), screen, " " * 4, 4)
    yield from _bound(result, screen)
    yield from _layers(result, screen, everything)


def _layers(result: DiffResult, screen: Screen, everything: bool) -> Iterator[str]:
    """Where in the model activations moved most, and the probes that moved there beyond the shift that all share."""
    ordered = sorted(result.layers, key=lambda layer: -layer.distance)
    if not ordered:
        return
    parts = []
    for layer in ordered if everything else ordered[:_LAYERS]:
        band = "" if layer.band is None else f" (band {number(layer.band)})"
        parts.append(f"{brief(layer.hookpoint, NAME, screen)} {number(layer.distance)}{band}")
    text = f"activations moved most at {', then '.join(parts)}"
    if ordered[0].probes:
        text += f"; there beyond the common shift: {Names(result).some(ordered[0].probes)}"
    yield from says(text, screen)


def is_identical(result: DiffResult) -> bool:
    """Whether everything that was compared is equal, so that there was nothing to test."""
    equal = result.summary.identical_text == result.summary.probes
    moved = any(channel.distance != 0 for probe in result.probes for channel in probe.channels.values())
    return equal and not moved and result.overall.verdict is Verdict.SAME


def _verdict(result: DiffResult) -> str:
    """What the verdict says, in one sentence."""
    overall = result.overall
    if is_identical(result):
        return "Identical: everything that was recorded is equal."
    if overall.against is None:
        return _PLAIN[overall.verdict]
    return f"{_AGAINST[overall.verdict]} more than {than(overall.against)}."


def _drift(result: DiffResult) -> str:
    """The drift in the unit of the channel that it was measured in, its interval, its place in the lineage."""
    overall = result.overall
    channel = _drift_channel(result)
    text = f"median drift {amount(overall.drift, channel, result.logprob_unit)}"
    if overall.ci is not None:
        scale = 100 if _UNITS.get(channel) else 1
        low, high = (number(scale * end) for end in overall.ci)
        text += f" ({low} to {high})"
    if overall.drift_percentile is None or not math.isfinite(overall.drift_percentile):
        return text
    steps = f"{overall.steps} known steps" if overall.steps else "steps"
    share = f"{overall.drift_percentile:.0f} %"
    part = {"100 %": f"all {steps}", "0 %": f"none of the {steps}"}.get(share, f"{share} of the {steps}")
    return f"{text}, larger than {part} of this lineage"


def _drift_channel(result: DiffResult) -> str:
    """The channel that the drift is the median of."""
    compared = {name for probe in result.probes for name in probe.channels}
    return next((name for name in ("logprob", "text", "activation") if name in compared), "")


def amount(value: float, channel: str, logprob_unit: str) -> str:
    """A distance with its unit: `0.13 nats per token`, `42 % of the words`."""
    unit = _UNITS.get(channel, "")
    if unit:
        return f"{number(100 * value)} {unit}"
    return f"{number(value)} {brief(logprob_unit, NAME)}" if channel == "logprob" else number(value)


def _tests(overall: Overall, everything: bool) -> Iterator[str]:
    """The global test, those of drift and draws beyond a benign null, and with `everything` parts of the former."""
    if overall.p_value is not None:
        yield f'test of "it is the same model": {p_text(overall.p_value)}'
    for name, p_value in overall.tests.items():
        null = name.removeprefix(DRIFT_BEYOND)
        if null != name:
            yield f'test of "it drifted no further than {NULLS.get(null, brief(null, NAME))}": {p_text(p_value)}'
        elif name.startswith(SHIFT_BEYOND):
            null = name.removeprefix(SHIFT_BEYOND)
            than = NULLS.get(null, brief(null, NAME))
            yield f'test of "its share of right draws shifted no further than with {than}": {p_text(p_value)}'
        elif everything:
            yield p_text(p_value, brief(name, NAME))


def _bound(result: DiffResult, screen: Screen) -> Iterator[str]:
    """For `same` the band that bounds it; unless it changed, what would have been found."""
    overall = result.overall
    if overall.verdict is Verdict.CHANGED:
        return
    bands = dict(null_bands(result, overall.against or ""))
    if overall.verdict is Verdict.SAME and bands:
        yield from says(f"bounded by {brief(overall.against or '', NAME, screen)}: {amounts(bands, result)}", screen)
    if WHOLE in overall.smallest:
        yield from says(_smallest_drift(overall.smallest[WHOLE], result), screen)
    if RATE in overall.smallest:
        points = share(overall.smallest[RATE])
        yield from says(
            f"smallest shift of the share of right draws that would have been found: {points} points", screen
        )


def _smallest_drift(value: float, result: DiffResult) -> str:
    """The bound, or that there is none to speak of: few benign pairs do not tell how far a further one may drift."""
    channel = _drift_channel(result)
    if value > _MOST.get(channel, math.inf):
        return "hardly any drift of the whole would have been found: too few benign pairs are known (`bvc noise learn`)"
    return f"smallest drift that would have been found: {amount(value, channel, result.logprob_unit)}"


def amounts(values: Mapping[str, float], result: DiffResult) -> str:
    """`text 3 % of the words, logprob 0.02 nats per token`."""
    return ", ".join(f"{brief(name, NAME)} {amount(v, name, result.logprob_unit)}" for name, v in values.items())


def null_bands(result: DiffResult, name: str) -> Iterator[tuple[str, float]]:
    """The bands of one null by channel."""
    bands = result.null.get(name, {})
    for channel in channel_names(bands):
        band = bands[channel]
        value = band.get("band") if isinstance(band, Mapping) else band
        if isinstance(value, int | float):
            yield channel, float(value)


def what_more(result: DiffResult, screen: Screen) -> Iterator[str]:
    """How many probes moved more than the whole model, or what would have been found; the counts; the draws needed."""
    yield title("What moved more than that", screen)
    outliers = sum(map(stands_out, result.probes))
    tested = any(probe.q_value is not None for probe in result.probes)
    if outliers:
        noun = "probe stands" if outliers == 1 else "probes stand"
        text = f"{outliers} of {result.summary.probes} {noun} out of the drift of the whole model."
        yield from headed(f"  {sign(Verdict.CHANGED, screen)} ", text, screen, style="bold")
    else:
        mark = Verdict.SAME if tested else Verdict.UNDECIDED
        yield from headed(f"  {sign(mark, screen)} ", _nothing(result, tested), screen)
    yield from sentence(_counts(result), screen)
    yield from _more_draws(result, screen)


def _nothing(result: DiffResult, tested: bool) -> str:
    """What "no probe stands out" is worth."""
    if not tested:
        return "Not known: too few probes were compared to tell one that stands out from the rest."
    least = {name: value for name, value in result.overall.smallest.items() if name not in (WHOLE, RATE)}
    if not least:
        return "No probe stands out; how small a change in one probe would have been found is not known."
    return (
        f"No probe stands out; the smallest change in one probe that would have been found: {amounts(least, result)}."
    )


def _counts(result: DiffResult) -> Iterator[Span]:
    summary = result.summary
    counts = (summary.changed, Verdict.CHANGED), (summary.undecided, Verdict.UNDECIDED), (summary.same, Verdict.SAME)
    for place, (count, verdict) in enumerate(counts):
        yield Span(", " if place else "")
        yield Span(str(count), STYLES[verdict] if count else "")
        yield Span(f" {verdict.value}")
    yield Span(f"; {summary.identical_text} of {summary.probes} answers are word for word the same")


def _drawing(result: DiffResult, draws: int) -> str:
    """The command that adds draws: recorded outputs have no model that could be asked."""
    snapshots = (result.a.snapshot, result.b.snapshot)
    if any(snapshot is not None and snapshot.model.kind == "recorded" for snapshot in snapshots):
        return "bvc commit --outputs FILE"
    return f"bvc capture {short(result.a.id)} {short(result.b.id)} --more-draws {draws}"


def _more_draws(result: DiffResult, screen: Screen) -> Iterator[str]:
    """How many draws would decide what is undecided, and the command that adds them."""
    draws, decided = draws_needed(result)
    if draws:
        command = _drawing(result, draws)
        probes = plural(result.summary.undecided, "undecided probe")
        text = f"{plural(draws, 'more draw')} a side would decide {decided} of {probes}"
        yield from packed([Span(f"{text}:"), Span(f"`{command}`")], screen, "    ", 4)


def draws_needed(result: DiffResult) -> tuple[int, int]:
    """The number of further draws a side that decides nine in ten of the undecided probes for which it is known, and
    how many probes it decides; (0, 0) where none is known."""
    known = sorted(p.more_draws for p in result.probes if p.verdict is Verdict.UNDECIDED and p.more_draws)
    if not known:
        return 0, 0
    draws = known[math.ceil(_DECIDED * len(known)) - 1]
    return draws, sum(needed <= draws for needed in known)
