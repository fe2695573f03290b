"""`bvc diff`: what changed between two commits, for somebody who has ten seconds; every claim leads to its probes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from bvc.ids import short
from bvc.render.diff_answer import amounts, how_far, null_bands, what_more
from bvc.render.diff_header import diff_header
from bvc.render.diff_layout import NAME, NULLS, Asked, Names, brief, listed, packed, says, sections, title
from bvc.render.diff_rows import rows
from bvc.render.diff_words import in_words
from bvc.render.numbers import channel_names
from bvc.render.screen import Screen
from bvc.render.spans import Span
from bvc.render.text import cells, pad
from bvc.results import DiffResult, ProbeDiff, Verdict

TOP = 10
"""Entries of the triage list without `--all`."""
_SOURCE = 120
_BENIGN = {"N1", "N2"}
_LEARN = "`bvc noise learn --benign A B`"
_SIGNS = (Verdict.CHANGED, Verdict.UNDECIDED, Verdict.SAME)
_NAME = 80
"""Longest name of a behavior that is proposed to be typed."""


def render_diff(
    result: DiffResult, screen: Screen, *, everything: bool = False, asked: Asked | None = None
) -> Iterator[str]:
    """The page of `bvc diff`: both commits; the answer in two parts; what changed, in words; the probes by rank; what
    it was measured against; the commands that look closer, which repeat how the diff was `asked` for (None: by the
    commits' ids). `everything` leaves nothing out of the lists."""
    names = Names(result)
    candidates = listed(result, everything)
    shown = candidates if everything else candidates[:TOP]
    yield from sections(
        [
            diff_header(result, screen),
            how_far(result, screen, everything=everything),
            what_more(result, screen),
            in_words(result, names, screen, everything=everything),
            _triage(shown, screen),
            _evidence(result, screen),
            _next(result, candidates, shown, names, asked or Asked((short(result.a.id), short(result.b.id))), screen),
        ]
    )


def _triage(shown: Sequence[ProbeDiff], screen: Screen) -> Iterator[str]:
    if shown:
        yield title("Where to look first", screen)
        yield from packed([Span(part, "dim") for part in _legend(shown, screen)], screen, "  ", 2)
        yield from rows(shown, screen)


def _legend(shown: Sequence[ProbeDiff], screen: Screen) -> Iterator[str]:
    """What the signs, numbers and marks of the entries mean."""
    verdicts = {probe.verdict for probe in shown}
    yield ", ".join(f"{screen.glyph(v.value)} {v.value}" for v in _SIGNS if v in verdicts)
    yield "score: how far it stands out of the others"
    distances = channel_names({name for probe in shown for name in probe.channels})
    if distances:
        yield f"{', '.join(brief(name, NAME) for name in distances)}: how far it moved"
    yield "[-only in a-]{+only in b+}"


def _evidence(result: DiffResult, screen: Screen) -> Iterator[str]:
    """What the verdicts were measured against: each null that was available, where its bands come from, the bands."""
    yield title("Measured against", screen)
    for name in result.null:
        bands = amounts(dict(null_bands(result, name)), result)
        source = result.null_sources.get(name)
        origin = f" ({brief(source, _SOURCE, screen)})" if source else ""
        text = f"{brief(name, NAME, screen)}  {NULLS.get(name, '')}{origin}: {bands or 'no band'}"
        yield from packed([Span(text)], screen, "  ", 6)
    if not result.null:
        yield from says("No noise was measured: nothing says how far the same weights would move.", screen, 2)
    if not _BENIGN & result.null.keys():
        hint = [Span("No benign update is known (N1)."), Span("Pairs that you trust teach one:"), Span(_LEARN)]
        yield from packed(hint, screen, "  ", 2)


def _next(
    result: DiffResult,
    candidates: Sequence[ProbeDiff],
    shown: Sequence[ProbeDiff],
    names: Names,
    asked: Asked,
    screen: Screen,
) -> Iterator[str]:
    """Commands that look closer."""
    proposals = list(_proposals(result, candidates, shown, names, asked))
    if proposals:
        yield title("Next", screen)
        width = max(cells(command) for command, _ in proposals)
        fits = width + max(cells(does) for _, does in proposals) + 4 <= screen.width
        for command, does in proposals:
            yield from packed([Span(pad(command, width if fits else 0)), Span(does, "dim")], screen, "  ", 6)


def _proposals(
    result: DiffResult, candidates: Sequence[ProbeDiff], shown: Sequence[ProbeDiff], names: Names, asked: Asked
) -> Iterator[tuple[str, str]]:
    for probe in islice(shown, 1):
        yield asked.command("--probe", names.typed(probe.probe.id)), "one probe in full"
    moved = [b for b in result.behaviors if b.verdict is Verdict.CHANGED]
    for behavior in sorted(moved, key=lambda b: b.q_value)[:1]:
        if len(behavior.name) <= _NAME:
            yield asked.command("--behavior", behavior.name), "one behavior and its probes"
    hidden = len(candidates) - len(shown)
    same = len(result.probes) - len(candidates)
    left_out = [f"{hidden} more"] if hidden else []
    if same > 0:
        left_out.append(f"{same} {'more ' if shown and not hidden else ''}with verdict same")
    if left_out:
        yield asked.command("--all"), f"lists {' and '.join(left_out)}"
        yield asked.command("--stat"), "one line per probe"
    if result.exclusive is None and _unlike(result):
        yield f"bvc features exclusive {short(result.a.id)} {short(result.b.id)}", "what only one of the models has"


def _unlike(result: DiffResult) -> bool:
    """Whether the two are checkpoints of different architectures."""
    kinds = [None if side.snapshot is None else side.snapshot.model.architecture for side in (result.a, result.b)]
    return None not in kinds and kinds[0] != kinds[1]
