"""What changed between two commits, in words: behaviors, answers that became right or wrong, phrases, tokens, families.

Every claim names the probes behind it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from bvc.render.commits import plural
from bvc.render.diff_layout import NAME, Names, brief, packed, says, title
from bvc.render.numbers import number, p_text, points, share
from bvc.render.screen import Screen
from bvc.render.spans import Span
from bvc.render.table import columns
from bvc.results import BehaviorDiff, DiffResult, PhraseDiff, Rate, Verdict

_PHRASES = 5
"""Phrases of one kind and side that are shown without `--all`."""
_BEHAVIORS = 8
_FAMILIES = 5
_EXCLUSIVE = 3
_SEEDS = 2
"""Fits that must have found a feature of one model only before a diff names it."""
_PROMOTED = 4
_WHY = 300
"""Characters of why a behavior is left out."""


def in_words(result: DiffResult, names: Names, screen: Screen, *, everything: bool = False) -> Iterator[str]:
    """The section `What changed, in words`; nothing where nothing is known."""
    lines = [
        *_families(result, screen),
        *_behaviors(result, names, screen, everything),
        *_right_and_wrong(result, screen),
        *_phrases(result, names, screen, everything),
        *_latents(result, names, screen),
        *_exclusive(result, screen),
    ]
    if lines:
        yield title("What changed, in words", screen)
        yield from lines


def _families(result: DiffResult, screen: Screen) -> Iterator[str]:
    """`8 of the 10 probes that stand out have tag weather, 14 of all 60 do`."""
    for family in result.families[:_FAMILIES]:
        name = brief(family.name, NAME, screen)
        kind = "are in suite" if family.kind == "suite" else "have tag"
        text = (
            f"{family.outliers} of the {family.all_outliers} probes that stand out {kind} {name}; "
            f"of all probes {family.probes} of {family.all_probes} ({p_text(family.q_value, 'q')})"
        )
        yield from packed([Span(text)], screen, f"  {screen.glyph('dot')} ", 4)


def _behaviors(result: DiffResult, names: Names, screen: Screen, everything: bool) -> Iterator[str]:
    """Behaviors that moved, surest and largest first; then what the others would have shown."""
    ordered = sorted(result.behaviors, key=lambda b: (b.q_value, -abs(b.difference), b.name))
    moved = [b for b in ordered if b.verdict is Verdict.CHANGED]
    shown = ordered if everything else moved[:_BEHAVIORS]
    for behavior in shown:
        yield from _behavior(behavior, names, screen)
    if len(moved) > len(shown):
        yield from says(f"{plural(len(moved) - len(shown), 'more behavior')} moved", screen, 2)
    if not everything:
        yield from _unmoved([b for b in ordered if b.verdict is not Verdict.CHANGED], screen)
    for name, why in result.unscored:
        left = f"{brief(name, NAME, screen)} is left out: {brief(why, _WHY, screen)}"
        yield from packed([Span(left)], screen, f"  {screen.glyph('dot')} ", 4)


def _behavior(behavior: BehaviorDiff, names: Names, screen: Screen) -> Iterator[str]:
    """Name, both rates and their difference; below it the flips both ways with probes."""
    mark, style = direction(behavior, screen)
    name = brief(behavior.name, NAME, screen)
    parts = [
        Span(name, "bold"),
        Span(f"{rate_text(behavior.a)} {screen.glyph('arrow')} {rate_text(behavior.b)}"),
        Span(difference_text(behavior), style),
        Span(p_text(behavior.q_value, "q")),
    ]
    yield from packed(parts, screen, f"  {mark} ", 6)
    yield from packed(_flips(behavior, names), screen, " " * 6, 6)


def direction(behavior: BehaviorDiff, screen: Screen) -> tuple[str, str]:
    """The sign of a behavior and its style: up, down, both ways, or the sign of a verdict that is not `changed`."""
    if behavior.verdict is not Verdict.CHANGED:
        return screen.glyph(behavior.verdict.value), ""
    if is_balanced(behavior):
        return screen.glyph("both"), "bold yellow"
    return ("+", "bold green") if behavior.difference > 0 else ("-", "bold red")


def is_balanced(behavior: BehaviorDiff) -> bool:
    """Whether a behavior changed while its rate did not: probes flipped both ways, the net interval holds 0."""
    low, high = behavior.ci
    flips = bool(behavior.gained and behavior.lost)
    return behavior.verdict is Verdict.CHANGED and flips and low <= 0 <= high


def rate_text(rate: Rate) -> str:
    """`23 % (14 to 35)`."""
    low, high = (share(end) for end in rate.ci)
    return f"{share(rate.rate)} % ({low} to {high})"


def difference_text(behavior: BehaviorDiff) -> str:
    """`+21 points (+11 to +32)`."""
    low, high = (points(end) for end in behavior.ci)
    return f"{points(behavior.difference)} points ({low} to {high})"


def _flips(behavior: BehaviorDiff, names: Names) -> Iterator[Span]:
    """How many probes gained and lost the behavior, with the first of them."""
    if is_balanced(behavior):
        yield Span("flips both ways, which the rate does not show:", "dim")
    for mark, verb, ids in (("+", "gained it", behavior.gained), ("-", "lost it", behavior.lost)):
        yield Span(f"{mark}{len(ids)} {verb}: {names.some(ids)}" if ids else f"none {verb}", "dim")


def _unmoved(behaviors: Sequence[BehaviorDiff], screen: Screen) -> Iterator[str]:
    """The behaviors that were not seen to move, each with the change that would have been found."""
    for verdict, words in ((Verdict.SAME, "no change found in"), (Verdict.UNDECIDED, "undecided:")):
        chosen = [b for b in behaviors if b.verdict is verdict]
        told = [
            f"{brief(b.name, NAME, screen)} ({share(b.smallest)}{'' if place else ' points would have been found'})"
            for place, b in enumerate(chosen[:_BEHAVIORS])
        ]
        if told:
            more = f" and {len(chosen) - len(told)} more" if len(chosen) > len(told) else ""
            text = f"{words} {', '.join(told)}{more}"
            yield from packed([Span(text, "dim")], screen, f"  {screen.glyph(verdict.value)} ", 6)


def _right_and_wrong(result: DiffResult, screen: Screen) -> Iterator[str]:
    """Flips of the probes whose right answer is known."""
    summary = result.summary
    if summary.right_to_wrong or summary.wrong_to_right:
        arrow = screen.glyph("arrow")
        parts = [
            Span("answers that can be checked", "bold"),
            Span(f"{summary.right_to_wrong} right {arrow} wrong", "red" if summary.right_to_wrong else ""),
            Span(f"{summary.wrong_to_right} wrong {arrow} right", "green" if summary.wrong_to_right else ""),
        ]
        net = summary.wrong_to_right - summary.right_to_wrong
        mark = "+" if net > 0 else "-" if net < 0 else screen.glyph("both")
        yield from packed(parts, screen, f"  {mark} ", 6)


_GROUPS = (
    (False, "b", "more in b, answers that hold it: a {arrow} b"),
    (False, "a", "less in b, answers that hold it: a {arrow} b"),
    (True, "b", "likelier in b along the references; probes in which it rose {up} and fell {down}"),
    (True, "a", "less likely in b along the references; probes in which it rose {up} and fell {down}"),
)
"""Whether tokens, the side that over-produces them, the heading."""


def _phrases(result: DiffResult, names: Names, screen: Screen, everything: bool) -> Iterator[str]:
    """What one side over-produces, strongest first: phrases of the answers, tokens along the references."""
    groups = [[p for p in result.phrases if ((p.kind == "token"), p.side) == group[:2]] for group in _GROUPS]
    shown = [group if everything else group[:_PHRASES] for group in groups]
    rows = [_phrase(phrase, names, screen) for group in shown for phrase in group]
    table = iter(columns(rows, replace(screen, width=screen.width - 4), styles=("", "", "", "dim")))
    glyphs = {name: screen.glyph(name) for name in ("arrow", "up", "down")}
    for (_, side, heading), all_of_it, group in zip(_GROUPS, groups, shown, strict=True):
        if group:
            more = f"  ({len(all_of_it) - len(group)} more)" if len(all_of_it) > len(group) else ""
            yield from says(heading.format(**glyphs) + more, screen, 2, "dim")
        mark = screen.paint("green", "+") if side == "b" else screen.paint("red", "-")
        yield from (f"  {mark} {line}" for line in islice(table, len(group)))


def _phrase(phrase: PhraseDiff, names: Names, screen: Screen) -> list[str]:
    text = brief(phrase.text, max(12, screen.width // 3), screen, newline=screen.glyph("newline"))
    if phrase.kind == "token":
        counts = f"{screen.glyph('up')}{phrase.count_b} {screen.glyph('down')}{phrase.count_a}"
    else:
        counts = f"{phrase.count_a} {screen.glyph('arrow')} {phrase.count_b}"
    shown = text if phrase.kind == "pattern" else f'"{text}"'
    return [shown, counts, p_text(phrase.q_value, "q"), names.some(phrase.probes)]


def _latents(result: DiffResult, names: Names, screen: Screen) -> Iterator[str]:
    """Latents that stand out, below what the same rule lists on null pairs, without which they say nothing."""
    if not result.latents:
        return
    nulls = ", ".join(f"{found.standing} ({found.level})" for found in result.latent_yield[1:])
    beside = (
        f"on null pairs the same rule lists {nulls}" if nulls else "no null pair says how many the rule lists anyway"
    )
    yield from says(f"latents that stand out; {beside}; `bvc features diff` shows them", screen, 2, "dim")
    for latent in result.latents:
        mark = screen.paint("green", "+") if latent.side == "b" else screen.paint("red", "-")
        parts = [
            Span(f"latent {latent.latent}", "bold"),
            Span(f"only in {latent.side}" if latent.only else "more in b" if latent.side == "b" else "less in b"),
            Span(f"prompts {latent.a.fires} {screen.glyph('arrow')} {latent.b.fires}"),
            Span("" if latent.beyond is None else p_text(latent.beyond, "q")),
            Span(names.some([probe.probe for probe in latent.probes]), "dim"),
        ]
        yield from packed(parts, screen, f"  {mark} ", 6)


def _exclusive(result: DiffResult, screen: Screen) -> Iterator[str]:
    """What a search for features of one model only found, never without its null pairs."""
    search = result.exclusive
    if search is None:
        return
    counts = ", ".join(f"{search.found_in(_SEEDS, side)} only in {side}" for side in "ab")
    found = f"features of one model only, from {_SEEDS} seeds or more: {counts}"
    beside = f"null pairs gave {search.null_most} a seed at most; `bvc features exclusive` shows them"
    yield from says(f"{found}; {beside}", screen, 2, "dim")
    for feature in [one for one in search.features if len(one.seeds) >= _SEEDS][:_EXCLUSIVE]:
        mark = screen.paint("green", "+") if feature.side == "b" else screen.paint("red", "-")
        tokens = " ".join(f'"{brief(text, NAME, screen)}"' for text, _ in feature.promoted[:_PROMOTED])
        parts = [Span(f"only in {feature.side}", "bold"), Span(f"nu {number(feature.nu)}"), Span(f"raises {tokens}")]
        yield from packed(parts, screen, f"  {mark} ", 4)
