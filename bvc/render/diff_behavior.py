"""`bvc diff --behavior`: one behavior on both sides, and the probes that gained or lost it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bvc.errors import NotComparable, UsageError
from bvc.ids import short
from bvc.render.commits import plural
from bvc.render.diff_header import diff_header
from bvc.render.diff_layout import STYLES, brief, headed, packed, says, sections, sign, title
from bvc.render.diff_rows import rows
from bvc.render.diff_words import difference_text, is_balanced, rate_text
from bvc.render.numbers import p_text, share
from bvc.render.screen import Screen
from bvc.render.spans import Span
from bvc.results import BehaviorDiff, DiffResult, ProbeDiff, Verdict
from bvc.wording import nearest, printable, some_of

_TOP = 10
_DESCRIPTION = 400


def select_behavior(result: DiffResult, name: str) -> BehaviorDiff:
    """The behavior called `name`. Raises UsageError when the diff has none of that name, NotComparable when a
    side lacks the features that it asks for."""
    for behavior in result.behaviors:
        if behavior.name == name:
            return behavior
    if name in dict(result.unscored):
        raise NotComparable(f"behavior {printable(name)} cannot be scored: {dict(result.unscored)[name]}")
    known = [behavior.name for behavior in result.behaviors]
    if not known:
        raise UsageError("no behavior was scored in this diff", hint="define behaviors in behaviors.toml")
    meant = nearest(name, known)
    hint = f"did you mean {printable(meant)}?" if meant else f"scored are {some_of([printable(n) for n in known], 8)}"
    raise UsageError(f"no behavior {printable(name)} in this diff", hint=hint)


def behavior_probes(result: DiffResult, behavior: BehaviorDiff) -> tuple[Sequence[ProbeDiff], Sequence[ProbeDiff]]:
    """The probes that gained the behavior and those that lost it, most first."""
    known = {probe.probe.id: probe for probe in result.probes}
    gained, lost = ([known[i] for i in ids if i in known] for ids in (behavior.gained, behavior.lost))
    return gained, lost


def render_behavior_diff(
    result: DiffResult, behavior: BehaviorDiff, screen: Screen, *, everything: bool = False
) -> Iterator[str]:
    """The page of one behavior."""
    gained, lost = behavior_probes(result, behavior)
    yield from sections(
        [
            diff_header(result, screen),
            _rates(behavior, result, screen),
            _flips(gained, "gained it", everything, screen),
            _flips(lost, "lost it", everything, screen),
        ]
    )


def _rates(behavior: BehaviorDiff, result: DiffResult, screen: Screen) -> Iterator[str]:
    name = brief(behavior.name, max(16, screen.width - 9), screen)
    yield title(f"Behavior {name}", screen)
    if behavior.description:
        yield from says(brief(behavior.description, _DESCRIPTION, screen), screen, 2)
    yield from headed(
        f"  {sign(behavior.verdict, screen)} ", _verdict(behavior), screen, style=STYLES[behavior.verdict]
    )
    for side, commit, rate in (("a", result.a, behavior.a), ("b", result.b, behavior.b)):
        yield from says(f"{side} {short(commit.id)}  {rate_text(rate)} of {plural(rate.n, 'probe')}", screen)
    tests = f"{p_text(behavior.p_value)}, {p_text(behavior.q_value, 'q')}"
    yield from packed([Span("difference  " + difference_text(behavior)), Span(tests)], screen, "    ", 16)


def _verdict(behavior: BehaviorDiff) -> str:
    least = f"a difference of {share(behavior.smallest)} points would have been found"
    if is_balanced(behavior):
        return (
            f"Changed, though the rate did not: {plural(len(behavior.gained), 'probe')} gained it, "
            f"{len(behavior.lost)} lost it."
        )
    if behavior.verdict is Verdict.CHANGED:
        return f"Changed: {'more' if behavior.difference > 0 else 'less'} frequent in b."
    if behavior.verdict is Verdict.SAME:
        return f"The same; {least}."
    return f"Undecided: more draws or probes would tell; {least}."


def _flips(probes: Sequence[ProbeDiff], verb: str, everything: bool, screen: Screen) -> Iterator[str]:
    """The probes whose score rose, or fell."""
    yield title(f"{plural(len(probes), 'probe')} {verb}", screen)
    shown = probes if everything else probes[:_TOP]
    yield from rows(shown, screen, boundary=False)
    if len(probes) > len(shown):
        yield ""
        yield screen.paint("dim", f"  {len(probes) - len(shown)} more: `--all` lists them")
