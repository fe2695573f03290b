"""`bvc features exclusive`: features of one of two models only, beside what the same search finds on null pairs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bvc.exclusive import ExclusiveFeatures, ExclusiveLatent, ExclusiveResult, PairYield
from bvc.render.commits import plural
from bvc.render.diff_header import both_commits
from bvc.render.diff_layout import brief, packed, says, sections, title
from bvc.render.numbers import number, share
from bvc.render.screen import Screen
from bvc.render.spans import Span
from bvc.render.table import columns
from bvc.render.text import clean, ending

_SHOWN = 10
_CONTEXTS = 3
_TOKENS = 6
_TOKEN = 24
_NAME = 20
_PAIRS = {"a re-capture of the first": "a read again", "a linear map of it": "a linear map of a"}
_METHODS = {
    "dedicated": "dedicated feature crosscoders",
    "crosscoder": "crosscoders",
    "difference": "autoencoders of the difference",
}


def render_exclusive(result: ExclusiveResult, screen: Screen, *, everything: bool = False) -> Iterator[str]:
    """The page: both commits, what was read, the yield of each seed beside that of the null pairs, the features of each
    side. `everything` shows all of them with all contexts."""
    yield from sections(
        [
            _head(result, screen),
            _yields(result.search, screen),
            _matched(result.search, screen),
            *(_features(result.search, side, screen, everything) for side in "ab"),
        ]
    )


def _head(result: ExclusiveResult, screen: Screen) -> Iterator[str]:
    yield from both_commits(result.a, result.b, screen)
    search = result.search
    how = search.settings
    layers = f"{clean(how.layer_a)} of a and {clean(how.layer_b)} of b"
    read = f"{search.tokens:,} tokens of {plural(search.texts, 'text')} that both read alike, at {layers}"
    yield from says(f"{read} (windows cover {share(search.covered)} % of the characters)", screen, 3)
    if search.left_out:
        yield from says(f"{plural(search.left_out, 'token')} with outlying activations left out", screen, 3, "dim")
    fits = f"{_METHODS.get(how.method, clean(how.method))}: {how.latents:,} latents, k {how.k}, {how.steps:,} steps"
    kept = "; kept from before" if result.kept else ""
    yield from says(f"{fits}, {how.seeds} seeds{kept}", screen, 3, "dim")


def _yields(search: ExclusiveFeatures, screen: Screen) -> Iterator[str]:
    """The same search on null pairs; never left out."""
    yield title("Latents that passed the gate, by seed", screen)
    rows = [["", "seed", "claimed", "judged", "only a", "only b", "shared", "undecided"]]
    for found in (search.found, *search.nulls):
        rows += _counts(found)
    lines = columns(rows, replace(screen, width=screen.width - 2), right=range(1, 8))
    yield from (f"  {line}" for line in (screen.paint("dim", lines[0]), *lines[1:]))
    if search.null_most:
        warning = f"null pairs, which have nothing to find, gave up to {search.null_most} in a seed: "
        yield from says(f"{warning}as many below may be false", screen, 2, "yellow")


def _counts(found: PairYield) -> Iterator[list[str]]:
    for place, seed in enumerate(found.seeds):
        numbers = (seed.claimed, seed.judged, seed.only_a, seed.only_b, seed.shared, seed.undecided)
        yield [
            "" if place else _PAIRS.get(found.name, brief(found.name, _NAME)),
            str(seed.seed),
            *(f"{value:,}" for value in numbers),
        ]


def _matched(search: ExclusiveFeatures, screen: Screen) -> Iterator[str]:
    yield title("The same feature from several seeds", screen)
    seeds = search.settings.seeds
    for side in "ab":
        found = [search.found_in(least, side) for least in (1, 2, seeds)]
        counts = f"{found[0]} in all, {found[1]} from two seeds or more, {found[2]} from all {seeds}"
        yield from says(f"only in {side}: {counts}", screen, 2)


def _features(search: ExclusiveFeatures, side: str, screen: Screen, everything: bool) -> Iterator[str]:
    own = [feature for feature in search.features if feature.side == side]
    if not own:
        return
    yield title(f"Only in {side}", screen)
    for feature in own if everything else own[:_SHOWN]:
        yield from _feature(feature, search.settings.seeds, screen, everything)
    if len(own) > _SHOWN and not everything:
        yield from says(f"and {len(own) - _SHOWN} more: --all", screen, 2, "dim")


def _feature(feature: ExclusiveLatent, seeds: int, screen: Screen, everything: bool) -> Iterator[str]:
    """How sure, how often; what it promotes and where it fires."""
    mark, style = ("+", "bold green") if feature.side == "b" else ("-", "bold red")
    low, high = feature.ci
    end = "no bound" if high is None else number(high)
    parts = [
        Span(_named(feature), "bold"),
        Span(f"nu {number(feature.nu)} ({number(low)} to {end})"),
        Span(f"fires at {share(feature.share)} % of tokens"),
        Span(f"{len(feature.seeds)} of {seeds} seeds"),
        Span(f"R2 {number(feature.own)} by its own stream, {number(feature.other)} by the other", "dim"),
    ]
    yield from packed(parts, screen, f"  {screen.paint(style, mark)} ", 6)
    newline = screen.glyph("newline")
    if feature.promoted:
        tokens = (f'"{brief(text, _TOKEN, newline=newline)}"' for text, _ in feature.promoted[:_TOKENS])
        yield from packed([Span("raises", "dim"), *(Span(token) for token in tokens)], screen, " " * 6, 8)
    for text, strength in feature.contexts if everything else feature.contexts[:_CONTEXTS]:
        words = ending(clean(text, newline=newline), max(20, screen.width - 30), screen.glyph("ellipsis"))
        yield from packed([Span("at", "dim"), Span(words), Span(f"({number(strength)})", "dim")], screen, " " * 6, 8)


def _named(feature: ExclusiveLatent) -> str:
    """`1:207`: the first seed that found it and its number there."""
    seed, latent = feature.seeds[0]
    return f"{seed}:{latent}"
