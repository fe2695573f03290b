"""`bvc noise`: which harmless changes are known, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bvc.ids import short
from bvc.records import CommitInfo, Json
from bvc.render.commits import plural
from bvc.render.numbers import number
from bvc.render.screen import Screen
from bvc.render.table import columns
from bvc.render.text import clean
from bvc.results import BenignEntry, NoiseResult, NullBand

_CHANNELS = ("text", "logprob", "activation")
_NOTHING = "none known; `bvc noise learn --benign A B` takes your word for a pair"


def render_noise(result: NoiseResult, screen: Screen) -> Iterator[str]:
    """The nulls with their bands, the trusted pairs, the steps of the lineage."""
    yield f"{screen.paint('yellow', f'commit {short(result.commit.id)}')}  {clean(result.commit.subject)}"
    for name, bands in result.nulls.items():
        yield ""
        yield f"{screen.paint('bold', _title(name))}  {result.covers.get(name, '')}"
        yield from _bands(bands, screen)
    yield ""
    yield screen.paint("bold", "Trusted pairs")
    yield from _pairs(result, screen)
    if result.steps:
        yield ""
        yield screen.paint("bold", "Steps of the lineage") + "  drift of each, nearest first"
        rows = [[f"{short(a)} {screen.glyph('arrow')} {short(b)}", number(drift)] for a, b, drift in result.steps]
        yield from (f"  {line}" for line in columns(rows, screen, styles=("yellow",)))


def _title(name: str) -> str:
    return "Steps" if name == "steps" else name


def _bands(bands: Mapping[str, NullBand], screen: Screen) -> Iterator[str]:
    head = ["channel", "band", "covers", "median", "largest", "rests on"]
    rows = [
        [
            clean(channel),
            number(band.band),
            f"{100 * band.coverage:.3g} %",
            number(band.median),
            number(band.max),
            f"{plural(band.n, 'probe')} of {plural(band.pairs, 'pair')}",
        ]
        for channel, band in sorted(bands.items(), key=_place)
    ]
    lines = columns([head, *rows], screen, right=(1, 2, 3, 4))
    yield from (f"  {line}" for line in (screen.paint("dim", lines[0]), *lines[1:]))


def _place(item: tuple[str, NullBand]) -> tuple[int, str]:
    return (_CHANNELS.index(item[0]) if item[0] in _CHANNELS else len(_CHANNELS)), item[0]


def _pairs(result: NoiseResult, screen: Screen) -> Iterator[str]:
    if not result.pairs:
        yield f"  {_NOTHING}"
        return
    used = set(result.used)
    rows = []
    for pair in result.pairs:
        names = f"{_short(pair.a)} {screen.glyph('arrow')} {_short(pair.b)}"
        rows.append([pair.level, names, _state(pair, (_id(pair.a), _id(pair.b)) in used)])
    yield from (f"  {line}" for line in columns(rows, screen, styles=("bold", "yellow")))


def _state(pair: BenignEntry, used: bool) -> str:
    if pair.problem is not None or pair.drift is None:
        return f"not usable: {clean(pair.problem or 'it cannot be measured')}"
    state = f"drift {number(pair.drift)} over {plural(pair.probes or 0, 'probe')}"
    return state if used else f"{state}; not used here: another recipe or tokenizer"


def _id(end: CommitInfo | str) -> str:
    return end if isinstance(end, str) else end.id


def _short(end: CommitInfo | str) -> str:
    return short(_id(end))


def noise_document(result: NoiseResult) -> Json:
    """`bvc.noise/1`."""
    used = set(result.used)
    return {
        "schema": "bvc.noise/1",
        "commit": result.commit.id,
        "nulls": {
            name: {"covers": result.covers.get(name, ""), "channels": {c: _band(b) for c, b in bands.items()}}
            for name, bands in result.nulls.items()
        },
        "pairs": [_pair(pair, (_id(pair.a), _id(pair.b)) in used) for pair in result.pairs],
        "steps": [{"a": a, "b": b, "drift": drift} for a, b, drift in result.steps],
    }


def _band(band: NullBand) -> Json:
    return {
        "n": band.n,
        "pairs": band.pairs,
        "median": band.median,
        "q95": band.q95,
        "max": band.max,
        "band": band.band,
        "coverage": band.coverage,
    }


def _pair(pair: BenignEntry, used: bool) -> Json:
    return {
        "a": _id(pair.a),
        "b": _id(pair.b),
        "level": pair.level,
        "drift": pair.drift,
        "probes": pair.probes,
        "used": used,
        "problem": pair.problem,
    }
