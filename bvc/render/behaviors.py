"""`bvc behavior`: rates with their intervals, and what was scored in each answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from bvc.api.behavior_records import AddedBehavior, BehaviorList, BehaviorRow, BehaviorTest, ScoredAnswer, ScoredProbe
from bvc.behaviors.records import Span as Place
from bvc.ids import short
from bvc.records import BehaviorRate
from bvc.render.commits import plural
from bvc.render.screen import Screen
from bvc.render.spans import Span, flow, limit, paint
from bvc.render.sparkline import rate_bar
from bvc.render.table import columns
from bvc.render.text import clean, pad, shorten, wrap

_BAR = 20
_ANSWER_LINES = 3
_BEFORE = 120
"""Characters shown before the first place that decided."""
_REASONS = 5


def rate_text(rate: BehaviorRate) -> str:
    """`12.5 % [4.1, 30.2]`, or that nothing was scored."""
    if not rate.n:
        return "not scored"
    low, high = rate.ci
    return f"{100 * rate.rate:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def rate_line(rate: BehaviorRate, screen: Screen) -> str:
    """`refusal  12.5 % [4.1, 30.2] of 22 probes  ███░░░`, for a log."""
    name = screen.paint("bold", clean(rate.name))
    return f"{name}  {rate_text(rate)} of {plural(rate.n, 'probe')}  {rate_bar(rate, screen, _BAR)}".rstrip()


def render_behaviors(listed: BehaviorList, screen: Screen) -> Iterator[str]:
    """One line per behavior: name, rate, interval, probes, description."""
    if not listed.rows:
        yield "no behaviors: `bvc behavior add NAME --contains TEXT` defines one"
        return
    if listed.commit is not None:
        yield screen.paint("dim", f"at {short(listed.commit.id)} {clean(listed.commit.subject)}")
    rows = [_row(row) for row in listed.rows]
    yield from columns(rows, screen, right=(1, 2), styles=("bold", "", "", "", "dim"))
    for row in listed.rows:
        if row.why is not None:
            yield from wrap(f"{clean(row.behavior.name)} is left out: {clean(row.why)}", max(20, screen.width))


def _row(row: BehaviorRow) -> list[str]:
    rate, behavior = row.rate, row.behavior
    if not rate.n:
        why = "no answer can be scored" if row.left_out else "no probe"
        return [clean(behavior.name), "", "", why, clean(behavior.description)]
    low, high = rate.ci
    left = f", {row.left_out} left out" if row.left_out else ""
    interval = f"[{100 * low:.1f}, {100 * high:.1f}]"
    number = f"of {rate.n:,}{left}"
    return [clean(behavior.name), f"{100 * rate.rate:.1f} %", interval, number, clean(behavior.description)]


def render_behavior_test(test: BehaviorTest, screen: Screen, *, everything: bool = False) -> Iterator[str]:
    """What was scored and why: probes that show the behavior first, with the words that decided; `everything` also
    lists those that do not, and every draw."""
    behavior = test.behavior
    yield f"{screen.paint('bold', clean(behavior.name))}  {clean(behavior.description)}".rstrip()
    yield screen.paint("dim", f"at {short(test.commit.id)} {clean(test.commit.subject)}")
    scored = sorted((p for p in test.probes if p.value is not None), key=lambda p: -(p.value or 0.0))
    shown = [p for p in scored if everything or p.value]
    for probe in shown:
        yield ""
        yield from _probe(probe, screen, everything)
    yield ""
    yield from _totals(test, len(scored) - len(shown))


def _probe(probe: ScoredProbe, screen: Screen, everything: bool) -> Iterator[str]:
    name = clean(probe.probe.name or short(probe.probe.id))
    style = "green" if (probe.value or 0.0) >= 0.5 else "dim"
    asked = shorten(
        clean(probe.probe.text, newline=" "), max(20, screen.width - len(name) - 8), screen.glyph("ellipsis")
    )
    yield f"{screen.paint(style, pad(f'{probe.value or 0.0:.2f}', 4))}  {screen.paint('bold', name)}  {asked}"
    answers = probe.answers if everything else _telling(probe.answers)
    for answer in answers:
        place = "" if answer.draw is None else f"draw {answer.draw}: "
        yield screen.paint("dim", f"      {place}{clean(answer.score.why)}")
        lines = limit(flow(_marked(answer, screen), max(20, screen.width - 6), _ANSWER_LINES), _ANSWER_LINES, "…")
        yield from (f"      {paint(line, screen)}".rstrip() for line in lines)


def _telling(answers: Sequence[ScoredAnswer]) -> Sequence[ScoredAnswer]:
    """The answer that shows the behavior most; of equals the first, which is the greedy one."""
    return [max(answers, key=lambda answer: -1.0 if answer.score.value is None else answer.score.value)]


def _marked(answer: ScoredAnswer, screen: Screen) -> Iterator[Span]:
    """The answer from shortly before the first place that decided, those places between marks."""
    text, places = answer.text, _apart(answer.score.spans)
    start = max(0, places[0][0] - _BEFORE) if places else 0
    if start:
        yield Span(screen.glyph("ellipsis"), "dim")
    for begin, end in places:
        yield Span(clean(text[start:begin], newline=" "))
        yield Span(f"[{clean(text[begin:end], newline=' ')}]", "bold yellow")
        start = end
    yield Span(clean(text[start : start + 4000], newline=" "))


def _apart(spans: Sequence[Place]) -> list[Place]:
    """The places in order, without those that overlap an earlier one or are the whole text or nothing."""
    kept: list[Place] = []
    for begin, end in sorted(spans):
        if end > begin and (not kept or begin >= kept[-1][1]):
            kept.append((begin, end))
    return kept


def _totals(test: BehaviorTest, hidden: int) -> Iterator[str]:
    yield f"{rate_text(test.rate)} of {plural(test.rate.n, 'probe')}" if test.rate.n else "no answer was scored"
    if hidden:
        yield f"{plural(hidden, 'probe')} without it: `--all` lists them"
    if test.not_selected:
        yield f"{plural(test.not_selected, 'probe')} not selected by `on`"
    reasons = Counter(probe.answers[0].score.why for probe in test.probes if probe.value is None)
    for reason, count in reasons.most_common(_REASONS):
        yield f"{plural(count, 'probe')} left out: {clean(reason)}"


def render_added(added: AddedBehavior, screen: Screen) -> Iterator[str]:
    """The rate of a new behavior at the last commits, newest first."""
    rows = [[short(c.id), rate_text(rate), _number(rate), clean(c.subject)] for c, rate in added.history]
    yield from columns(rows, screen, right=(1, 2), styles=("yellow",))


def _number(rate: BehaviorRate) -> str:
    return plural(rate.n, "probe")
