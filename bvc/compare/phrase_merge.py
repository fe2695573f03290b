"""From many significant grams to the few that are worth reading: ordered by effect, one per finding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import log

from bvc.compare.grams import EDGE, EMPTY, Counted, Gram, Texts
from bvc.compare.phrase_test import Column
from bvc.compare.phrase_wording import CASES, PATTERN, Wording, wording
from bvc.results import PhraseDiff

_COVERED = 0.8
"""Share of a phrase's probes that a stronger one must hold for the weaker to be the same finding."""
_NEARLY = 0.8
"""Share of the strongest phrase's probes that a longer one around it must have to be shown in its place."""
_LEFT = 6
"""Probes that must remain of a phrase, those of a shown one with its words taken off, for it to be found by itself."""
_SAME_PROBES = 3
"""Phrases without a word in common that are shown for one and the same set of probes."""
_SAYS = (0.7, 1.0, 1.5, 1.9)
"""Weight of a gram by its number of words that are not marks."""
_WHOLE = 3.0
"""Weight of what describes a whole answer, as that it is empty: it explains all words that come or go with it."""
_READ = 600
"""Grams, the strongest, that are looked at."""


@dataclass(frozen=True)
class Finding:
    """A gram that one side over-produces: `rows` are the probes (their places) that lean to that side, most first."""

    gram: Gram
    side: str
    count_a: float
    count_b: float
    q_value: float
    rows: tuple[int, ...]

    @property
    def effect(self) -> float:
        """Count gained times its log ratio, so that what is new counts more than what is more frequent; and more for
        runs of words, which say more than a word."""
        more = max(self.count_a, self.count_b)
        named = sum(word.isalnum() for word in self.gram)
        says = _WHOLE if self.gram == EMPTY or self.gram[0] in CASES else _SAYS[min(named, len(_SAYS) - 1)]
        return (more - self.less) * log((more + 0.5) / (self.less + 0.5)) * says

    @property
    def less(self) -> float:
        """The count of the side that has fewer."""
        return min(self.count_a, self.count_b)


def found(counted: Counted, q_values: Column) -> list[Finding]:
    """All grams of `counted`, whose q-values are given, the strongest first."""
    leans: list[list[tuple[float, int]]] = [[] for _ in counted.grams]
    shifts = counted.shifts
    for gram, row, value in zip(shifts.feature.tolist(), shifts.unit.tolist(), shifts.value.tolist(), strict=True):
        leans[gram].append((value, row))
    out = [
        _finding(gram, a, b, q, lean)
        for gram, a, b, q, lean in zip(
            counted.grams, counted.a.tolist(), counted.b.tolist(), q_values.tolist(), leans, strict=True
        )
    ]
    return sorted(out, key=lambda f: (-f.effect, f.gram))[:_READ]


def _finding(gram: Gram, a: float, b: float, q_value: float, leans: list[tuple[float, int]]) -> Finding:
    sign = 1 if b > a else -1
    rows = sorted((-sign * value, row) for value, row in leans if sign * value > 0)
    return Finding(gram, "b" if b > a else "a", a, b, q_value, tuple(row for _, row in rows))


def merged(findings: Sequence[Finding], texts: Texts, most: int) -> Iterator[PhraseDiff]:
    """At most `most` of `findings` (strongest first), without those that say the same of the same probes."""
    ids = list(texts)
    taken: list[tuple[Finding, Wording]] = []
    for finding in findings:
        if len(taken) == most:
            break
        if _said(finding, taken):
            continue
        fullest = _fullest(finding, findings)
        shown = wording(
            fullest.gram, [text for row in fullest.rows for text in _holding(texts[ids[row]], fullest.side)]
        )
        if any(shown.text == other.text and fullest.side == f.side for f, other in taken):
            continue
        taken.append((_recounted(fullest, shown, texts, ids), shown))
    for finding, shown in taken:
        yield PhraseDiff(
            text=shown.text,
            side=finding.side,
            count_a=round(finding.count_a),
            count_b=round(finding.count_b),
            q_value=finding.q_value,
            probes=tuple(ids[row] for row in finding.rows),
            kind=shown.kind,
        )


def _recounted(finding: Finding, shown: Wording, texts: Texts, ids: Sequence[str]) -> Finding:
    """`finding` with the counts and probes of the phrase as it is shown, where that is longer than the gram."""
    if shown.kind == PATTERN or len(shown.words) <= len(finding.gram):
        return finding
    phrase = shown.text.casefold()
    counts = [sum(_share(sides[i], phrase) for sides in texts.values()) for i in (0, 1)]
    rows = tuple(row for row in finding.rows if _share(_holding(texts[ids[row]], finding.side), phrase))
    return replace(finding, count_a=counts[0], count_b=counts[1], rows=rows)


def _share(answers: Sequence[str], phrase: str) -> float:
    return sum(phrase in answer.casefold() for answer in answers) / max(len(answers), 1)


def _holding(sides: tuple[Sequence[str], Sequence[str]], side: str) -> Sequence[str]:
    return sides[0] if side == "a" else sides[1]


def _fullest(finding: Finding, findings: Sequence[Finding]) -> Finding:
    """The longest gram around `finding`'s that nearly all of its probes hold."""
    longer = [
        f
        for f in findings
        if f.side == finding.side and len(f.rows) >= _NEARLY * len(finding.rows) and _within(finding.gram, f.gram)
    ]
    return max([finding, *longer], key=lambda f: (EDGE not in f.gram or EDGE in finding.gram, len(f.gram), f.effect))


def _within(part: Gram, whole: Gram) -> bool:
    size = len(part)
    return any(whole[i : i + size] == part for i in range(len(whole) - size + 1))


def _said(finding: Finding, taken: Sequence[tuple[Finding, Wording]]) -> bool:
    """Whether what was taken says enough: phrases with words of `finding` leave too few of its probes, or several
    others cover these."""
    rows = set(finding.rows)
    words = set(finding.gram) - {EDGE}
    same = [f for f, shown in taken if f.side == finding.side and words & set(shown.words)]
    left = rows.difference(*(f.rows for f in same))
    covering = [f for f, _ in taken if len(rows & set(f.rows)) >= _COVERED * len(rows)]
    return (bool(same) and len(left) < _LEFT + finding.less) or len(covering) >= _SAME_PROBES
