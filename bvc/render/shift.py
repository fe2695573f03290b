"""`bvc features shift`: how far hidden states moved together by site, and what tokens that speaks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bvc.api.shift import ShiftResult
from bvc.ids import short
from bvc.records import Json
from bvc.render.commits import plural
from bvc.render.diff_header import both_commits
from bvc.render.diff_layout import brief, packed, says, sections, title
from bvc.render.documents import side_json
from bvc.render.numbers import number, p_cell, p_text, share
from bvc.render.screen import Screen
from bvc.render.spans import Span
from bvc.render.table import columns
from bvc.render.text import clean

if TYPE_CHECKING:
    from bvc.compare.shift import SiteShift, Spectrum
    from bvc.compare.shift_tokens import SiteTokens, TokenShift

_TOKEN = 24


def render_shift(result: ShiftResult, screen: Screen) -> Iterator[str]:
    """The page: both commits, the table of sites, the site that leads, the tokens where they were asked for, what to do
    next."""
    yield from sections(
        [
            _head(result, screen),
            _sites(result, screen),
            _tokens(result, screen),
            _next(result, screen),
        ]
    )


def _head(result: ShiftResult, screen: Screen) -> Iterator[str]:
    yield from both_commits(result.a, result.b, screen)
    prompts, along = (_first(result, end) for end in ("/prompt", "/reference"))
    said = [] if prompts is None else [f"{plural(prompts.probes, 'common probe')}{_units(prompts)}"]
    said += [] if along is None else [f"the same reference in {along.probes:,}{_units(along)}"]
    yield from says(", ".join(said), screen, 3)


def _first(result: ShiftResult, end: str) -> SiteShift | None:
    return next((one for site, one in result.sites.items() if site.endswith(end)), None)


def _units(found: SiteShift) -> str:
    return "" if found.units == found.probes else f" ({plural(found.units, 'unit')})"


def _sites(result: ShiftResult, screen: Screen) -> Iterator[str]:
    yield title("Mean shift of the hidden states", screen)
    rows = [["site", "length, 95 %", "of states", "stability", "p", "directions"]]
    rows += [_row(one) for one in result.sites.values()]
    lines = columns(rows, replace(screen, width=screen.width - 2), right=(1, 2, 3, 4))
    yield from (f"  {line}" for line in (screen.paint("dim", lines[0]), *lines[1:]))
    yield from says(_leading(result), screen, 2, "" if result.leading else "dim")


def _row(one: SiteShift) -> list[str]:
    return [
        clean(one.site),
        f"{number(one.norm)} {_interval(one.ci)}".rstrip(),
        f"{share(one.relative)} %",
        f"{one.stability:.2f}",
        p_cell(one.p_value),
        _directions(one.spectrum),
    ]


def _interval(ci: tuple[float, float] | None) -> str:
    return "" if ci is None else f"[{number(ci[0])}, {number(ci[1])}]"


def _directions(found: Spectrum | None) -> str:
    return "" if found is None else f"{found.directions} ({p_cell(found.p_value)})"


def _leading(result: ShiftResult) -> str:
    one = result.leading
    if one is None:
        return "no shift that the prompts share is beyond noise at any site"
    low, high = (share(end) for end in one.relative_ci or (one.relative, one.relative))
    told = f"{share(one.relative)} % of the states' length [{low}, {high}] at {clean(one.site)}"
    return f"largest beyond noise: {told}, {p_text(result.adjusted[one.site])} over all sites"


# Tokens


def _tokens(result: ShiftResult, screen: Screen) -> Iterator[str]:
    if result.tokens is None:
        return
    yield title("Tokens that the shift promotes and demotes, through b's unembedding", screen)
    if not result.tokens:
        yield from says("none: nothing moved, or there are too few prompts to say what chance reads", screen, 2, "dim")
        return
    mark = "* beyond what any token at any site reads in 95 % of looks at shifts whose signs are random"
    yield from says(mark, screen, 2)
    for found in result.tokens.values():
        yield from _site_tokens(found, screen)


def _site_tokens(found: SiteTokens, screen: Screen) -> Iterator[str]:
    """Never a list without what chance reads."""
    parts = [
        Span(clean(found.site), "cyan"),
        Span(f"random signs: the strongest reads {number(found.chance)}, marked beyond {number(found.bound)}", "dim"),
    ]
    yield from packed(parts, screen, "  ", 4)
    for tokens, letter, style in ((found.promoted, "+", "bold green"), (found.demoted, "-", "bold red")):
        yield from packed(_named(tokens, screen), screen, f"    {screen.paint(style, letter)} ", 6)


def _named(tokens: Sequence[TokenShift], screen: Screen) -> Iterator[Span]:
    for token in tokens:
        text = brief(token.text, _TOKEN, screen, newline=screen.glyph("newline"))
        yield Span(f'"{text}" {number(abs(token.logit))}{"*" if token.beyond else ""}', "" if token.beyond else "dim")


def _next(result: ShiftResult, screen: Screen) -> Iterator[str]:
    a, b = short(result.a.id), short(result.b.id)
    if result.tokens is None and result.leading is not None:
        yield title("Next", screen)
        parts = [Span(f"bvc features shift {a} {b} --tokens"), Span("what tokens it speaks for", "dim")]
        yield from packed(parts, screen, "  ", 6)


# The document


def shift_document(result: ShiftResult) -> Json:
    """`bvc.features-shift/1`."""
    out: Json = {
        "schema": "bvc.features-shift/1",
        "a": side_json(result.a),
        "b": side_json(result.b),
        "leading": None if result.leading is None else result.leading.site,
        "sites": [_site_json(one, result.adjusted.get(site)) for site, one in result.sites.items()],
    }
    if result.tokens is not None:
        out["tokens"] = [_tokens_json(found) for found in result.tokens.values()]
    return out


def _site_json(one: SiteShift, adjusted: float | None) -> Json:
    return {
        "site": one.site,
        "probes": one.probes,
        "units": one.units,
        "norm": one.norm,
        "ci": _ends(one.ci),
        "relative": one.relative,
        "relative_ci": _ends(one.relative_ci),
        "stability": one.stability,
        "stability_ci": _ends(one.stability_ci),
        "p_value": one.p_value,
        "adjusted": adjusted,
        "mean": one.mean.tolist(),
        "spectrum": None if one.spectrum is None else _spectrum_json(one.spectrum),
    }


def _ends(ci: tuple[float, float] | None) -> list[float] | None:
    return None if ci is None else list(ci)


def _spectrum_json(found: Spectrum) -> Json:
    return {
        "directions": found.directions,
        "p_value": found.p_value,
        "values": list(found.values),
        "null": list(found.null),
    }


def _tokens_json(found: SiteTokens) -> Json:
    return {
        "site": found.site,
        "chance": found.chance,
        "bound": found.bound,
        "promoted": [_token_json(token) for token in found.promoted],
        "demoted": [_token_json(token) for token in found.demoted],
    }


def _token_json(token: TokenShift) -> Json:
    return {
        "token": token.token,
        "text": token.text,
        "logit": token.logit,
        "p_value": token.p_value,
        "beyond": token.beyond,
    }
