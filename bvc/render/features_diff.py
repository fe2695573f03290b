"""`bvc features diff`: the latents that tell two commits apart, beside what the same procedure yields on null pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bvc.feature_results import EnergyDiff, FeatureDiff, LatentDiff, LatentProbe, LatentRate, LatentYield
from bvc.ids import short
from bvc.render.commits import plural
from bvc.render.diff_header import both_commits
from bvc.render.diff_layout import NAME, brief, packed, says, sections, title
from bvc.render.numbers import number, p_text, points, share
from bvc.render.screen import Screen
from bvc.render.spans import Span
from bvc.render.table import columns
from bvc.render.text import clean, ending, pad

_TOKENS = 6
_CONTEXTS = 2
_PROBES = 3
_TOKEN = 24
_ENERGY_PROBES = 5
_WIDE = 80
"""Columns from which both the ids and the level of a null pair fit beside its numbers."""
_LEVELS = {"N0": "N0 twice captured", "N1": "N1 trusted", "N2": "N2 trusted"}
_UNKNOWN = "this repository has no card of the dictionary"


def render_features_diff(result: FeatureDiff, screen: Screen, *, everything: bool = False) -> Iterator[str]:
    """The page: both commits, how many latents differ and stand out beside the yield on null pairs, the latents, the
    energy that the dictionary does not explain, what to do next. `everything` shows all latents and probes that the
    result has."""
    standing = [latent for latent in result.latents if latent.stands_out]
    others = [latent for latent in result.latents if not latent.stands_out]
    yield from sections(
        [
            _head(result, screen),
            _counts(result, screen),
            _yields(result, screen),
            _latents("Latents that stand out", standing, screen, everything),
            _latents(
                "Differ most, but do not stand out", others if everything or not standing else [], screen, everything
            ),
            _energy(result.energy, screen, everything),
            _next(result, others if standing and not everything else [], screen),
        ]
    )


def _head(result: FeatureDiff, screen: Screen) -> Iterator[str]:
    yield from both_commits(result.a, result.b, screen)
    probes = plural(result.probes, "common probe")
    clusters = "" if result.clusters == result.probes else f" in {plural(result.clusters, 'cluster')}"
    along = "along what each side answers" if result.along == "answer" else "along the references that both have"
    yield from says(f"{probes}{clusters}, {plural(result.size, 'latent')} of {_dictionary(result)} {along}", screen, 3)
    for reason in _left_out(result):
        yield from packed([Span(reason)], screen, f"   {screen.paint('yellow', '!')} ", 5)


def _dictionary(result: FeatureDiff) -> str:
    """`lineage (0123456789), read at layer.15`."""
    if result.stored is None:
        return f"dictionary {short(result.dictionary)} ({_UNKNOWN})"
    spec = result.stored.spec
    return f"dictionary {brief(result.stored.name, NAME)} ({short(result.dictionary)}), read at {clean(spec.layer)}"


def _left_out(result: FeatureDiff) -> Iterator[str]:
    if result.apart:
        yield f"{plural(result.apart, 'probe')} left out: other references on the two sides"
    if result.broken:
        yield f"{plural(result.broken, 'probe')} left out: numbers that cannot be"


def _counts(result: FeatureDiff, screen: Screen) -> Iterator[str]:
    found = result.found
    yield title("How many latents moved", screen)
    tested = plural(result.tested, "latent")
    verb = "is" if result.tested == 1 else "are"
    yield from says(f"{tested} {verb} active in enough prompts to be tested; the unit is the prompt.", screen, 2)
    yield from packed(
        [Span(f"{found.different:,}", "bold"), Span("differ at all (false discovery rate .05)")], screen, "  ", 4
    )
    what = f"stand out of {result.against}" if result.found.standing != 1 else f"stands out of {result.against}"
    yield from packed([Span(f"{found.standing:,}", "bold"), Span(what)], screen, "  ", 4)
    sides = f"{found.only_b:,} fire only in b, {found.only_a:,} only in a"
    yield from says(f"{sides}: read these beside the null pairs below", screen, 2, "dim")


def _yields(result: FeatureDiff, screen: Screen) -> Iterator[str]:
    """The same procedure on null pairs; never left out."""
    yield title("The same procedure on null pairs", screen)
    if not result.null_yield:
        hint = "No null pair is at hand: the lists below have no measured false yield. "
        yield from says(hint + "`bvc noise learn --benign A B` names pairs that you trust.", screen, 2, "yellow")
        return
    arrow = screen.glyph("arrow")
    rows = [["pair", "probes", "differ", "stand out", "only b", "only a", ""]]
    rows.append(_yield("this pair", result.found, ""))
    rows += [_yield(_pair(null, arrow), null, _level(null)) for null in result.null_yield]
    if screen.width < _WIDE:
        rows = [[row[-1] or row[0], *row[1:-1]] for row in rows]
    lines = columns(rows, replace(screen, width=screen.width - 2), right=(1, 2, 3, 4, 5))
    yield from (f"  {line}" for line in (screen.paint("dim", lines[0]), *lines[1:]))


def _yield(pair: str, found: LatentYield, level: str) -> list[str]:
    numbers = (found.probes, found.different, found.standing, found.only_b, found.only_a)
    return [pair, *(f"{value:,}" for value in numbers), level]


def _pair(null: LatentYield, arrow: str) -> str:
    return short(null.a) if null.a == null.b else f"{short(null.a)} {arrow} {short(null.b)}"


def _level(null: LatentYield) -> str:
    """N0, N1, N2, or that it is a step that nobody vouched for."""
    return _LEVELS.get(null.level, "step")


def _latents(heading: str, latents: Sequence[LatentDiff], screen: Screen, everything: bool) -> Iterator[str]:
    if latents:
        yield title(heading, screen)
    for latent in latents:
        yield from _latent(latent, screen)
        yield from _card(latent, screen)
        for probe in latent.probes if everything else latent.probes[:_PROBES]:
            yield from _probe(probe, screen)


def _latent(latent: LatentDiff, screen: Screen) -> Iterator[str]:
    """Number and kind; below it how often and how strongly on both sides."""
    mark, style = ("+", "bold green") if latent.side == "b" else ("-", "bold red")
    parts = [Span(f"latent {latent.latent}", "bold"), Span(_kind(latent), style)]
    if latent.score is not None and latent.beyond is not None:
        parts += [Span(f"score {number(latent.score)}"), Span(p_text(latent.beyond, "q"))]
    parts.append(Span(f"one way in more prompts than chance: {p_text(latent.p_value)}", "dim"))
    yield from packed(parts, screen, f"  {screen.paint(style, mark)} ", 6)
    yield from packed(_rates(latent, screen), screen, " " * 6, 6)


def _kind(latent: LatentDiff) -> str:
    other = "a" if latent.side == "b" else "b"
    if latent.only and latent.bound is not None:
        return f"only in {latent.side} (in {other} at most {share(latent.bound)} % of prompts)"
    return f"{'more' if latent.side == 'b' else 'less'} in b"


def _rates(latent: LatentDiff, screen: Screen) -> Iterator[Span]:
    arrow = screen.glyph("arrow")
    a, b = latent.a, latent.b
    yield Span(f"prompts {_prompts(a)} {arrow} {_prompts(b)}")
    low, high = (points(end) for end in latent.ci)
    yield Span(f"positions {share(a.rate)} {arrow} {share(b.rate)} %")
    yield Span(f"({points(latent.difference)} points, {low} to {high})", "dim")
    yield Span(f"strength {_strength(a)} {arrow} {_strength(b)}")


def _prompts(rate: LatentRate) -> str:
    low, high = (share(end) for end in rate.ci)
    return f"{rate.fires:,} ({share(rate.share)} %, {low} to {high})"


def _strength(rate: LatentRate) -> str:
    return "none" if rate.strength is None else number(rate.strength)


def _card(latent: LatentDiff, screen: Screen) -> Iterator[str]:
    """What the latent is, from the corpus that it was fitted on."""
    card = latent.card
    if card is None:
        return
    if card.promoted:
        tokens = (f'"{brief(text, _TOKEN, newline=screen.glyph("newline"))}"' for text, _ in card.promoted[:_TOKENS])
        yield from packed([Span("raises", "dim"), *(Span(token) for token in tokens)], screen, " " * 6, 8)
    for text, strength in card.contexts[:_CONTEXTS]:
        spans = [Span("fires at", "dim"), Span(_tail(text, screen)), Span(f"({number(strength)})", "dim")]
        yield from packed(spans, screen, " " * 6, 8)


def _probe(probe: LatentProbe, screen: Screen) -> Iterator[str]:
    """Its strength on both sides, the reference up to where it fires, both answers."""
    name = brief(probe.name, NAME, screen) if probe.name else short(probe.probe)
    arrow = screen.glyph("arrow")
    parts = [Span(name, "cyan"), Span(f"{number(probe.a)} {arrow} {number(probe.b)}")]
    if probe.text is not None:
        parts.append(Span(f"at {_tail(probe.text, screen)}" if probe.text else "at the end of the prompt", "dim"))
    yield from packed(parts, screen, " " * 6, 8)
    for side, answer, style in (("a", probe.answer_a, "red"), ("b", probe.answer_b, "green")):
        text = brief(answer, max(20, screen.width - 14), screen, newline=screen.glyph("newline")) or "(empty)"
        yield f"        {screen.paint(style, side)}  {text}"


def _tail(text: str, screen: Screen) -> str:
    """The end of a text, which is where a latent fires."""
    words = clean(text[-screen.width :], newline=screen.glyph("newline"))
    return ending(words, max(20, screen.width // 2), screen.glyph("ellipsis"))


def _energy(energy: EnergyDiff, screen: Screen, everything: bool) -> Iterator[str]:
    yield title("Out of the dictionary", screen)
    low, high = (points(end) for end in energy.ci)
    parts = [
        Span(f"unexplained energy {share(energy.a)} {screen.glyph('arrow')} {share(energy.b)} %"),
        Span(f"({points(energy.difference)} points, {low} to {high})"),
        Span(p_text(energy.p_value)),
    ]
    yield from packed(parts, screen, "  ", 4)
    if energy.benign:
        yield from says(f"benign pairs: {', '.join(map(points, energy.benign))} points", screen, 2, "dim")
    shown = energy.probes if everything else energy.probes[:_ENERGY_PROBES]
    if shown:
        more = f" and {len(energy.probes) - len(shown)} more" if len(energy.probes) > len(shown) else ""
        named = (
            f"{brief(p.name, NAME, screen) if p.name else short(p.probe)} ({share(p.a)} to {share(p.b)} %)"
            for p in shown
        )
        yield from says(f"rose beyond the others in {', '.join(named)}{more}", screen, 2)


def _next(result: FeatureDiff, hidden: Sequence[LatentDiff], screen: Screen) -> Iterator[str]:
    a, b = short(result.a.id), short(result.b.id)
    rows = [(f"bvc features show {latent.latent}", "what a latent is") for latent in result.latents[:1]]
    if hidden:
        rows.append((f"bvc features diff {a} {b} --all", f"and {plural(len(hidden), 'latent')} that differ most"))
    if rows:
        yield title("Next", screen)
        width = max(len(command) for command, _ in rows) if screen.width >= _WIDE else 0
        for command, does in rows:
            yield from packed([Span(pad(command, width)), Span(does, "dim")], screen, "  ", 6)
