"""Words and runs of up to five words in many answers, counted by probe and side in numpy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bvc.compare.phrase_test import Shifts, sums
from bvc.compare.text import words

FEWEST = 3
"""Probes that a gram needs to be looked at."""
LONGEST = 5
"""Words of the longest run that is counted."""
EDGE = "\0"
"""Stands before the first and after the last word of an answer."""
EMPTY = (EDGE, EDGE)
CAPITALS, SMALL = "\0CAPITALS", "\0small"
"""Stand for an answer without small letters, and for one of some length without capital letters."""
TEXT_LIMIT = 20_000
"""Characters of a text that are looked at."""
_BUDGET = 2_000_000
"""Characters that are looked at in all: beyond, fewer draws count, then texts are cut shorter."""
_FEWEST_LETTERS = 12
_LEAST_LEAN = 1e-9

Texts = Mapping[str, tuple[Sequence[str], Sequence[str]]]
"""Answers of both sides by probe, the greedy one first."""
Gram = tuple[str, ...]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Answers:
    """The distinct answers of each probe: `texts` [m], the row of the probe of each in `probe` [m] (rising), and the
    share of its side's answers that each is, `a` and `b` [m]."""

    texts: list[str]
    probe: Ints
    a: Floats
    b: Floats


@dataclass(frozen=True)
class Counted:
    """Grams that enough probes hold: how far each probe leans (`shifts.feature` indexes `grams`), and the expected
    number of probes whose answer holds each, `a` and `b` [grams]."""

    grams: list[Gram]
    shifts: Shifts
    a: Floats
    b: Floats

    def chosen(self, kept: npt.NDArray[np.bool_]) -> Counted:
        """Only the grams in `kept` [grams]."""
        at = np.flatnonzero(kept).tolist()
        return Counted([self.grams[i] for i in at], self.shifts.chosen(kept), self.a[kept], self.b[kept])


@dataclass(frozen=True)
class Gathered:
    """Answers, `texts` as much of them as is looked at, and their grams that at least FEWEST probes hold and lean to,
    one of each set towards which the same probes lean alike."""

    texts: Texts
    counted: Counted


def gather(texts: Texts) -> Gathered:
    """The answers of all probes, with their grams."""
    looked_at = shortened(texts)
    counted = count(distinct(looked_at), len(looked_at), FEWEST)
    return Gathered(looked_at, counted.chosen(first_of_equals(counted)))


def shortened(texts: Texts) -> dict[str, tuple[list[str], list[str]]]:
    """As much of the answers as is looked at: texts cut at TEXT_LIMIT, and no more draws than the budget allows."""
    first = sum(len(text[:TEXT_LIMIT]) for sides in texts.values() for side in sides for text in side[:1])
    limit = TEXT_LIMIT if first <= _BUDGET else max(200, _BUDGET // (2 * len(texts)))
    most = max(1, _BUDGET // max(first, 1))
    return {
        p: ([t[:limit].strip() for t in a[:most]], [t[:limit].strip() for t in b[:most]]) for p, (a, b) in texts.items()
    }


def distinct(texts: Texts) -> Answers:
    """The answers of all probes that have some on both sides, each text of a probe once."""
    found: list[str] = []
    probe: list[int] = []
    shares: list[tuple[float, float]] = []
    for row, (a, b) in enumerate(texts.values()):
        if a and b:
            in_a, in_b = Counter(a), Counter(b)
            texts_here = list(in_a | in_b)
            found += texts_here
            probe += [row] * len(texts_here)
            shares += [(in_a[text] / len(a), in_b[text] / len(b)) for text in texts_here]
    both = np.array(shares, float).reshape(-1, 2)
    return Answers(found, np.array(probe, np.int64), both[:, 0], both[:, 1])


def count(answers: Answers, probes: int, fewest: int) -> Counted:
    """Every run of up to LONGEST words (case-folded, EDGE included) that at least `fewest` of the `probes` hold, and
    towards which at least as many lean: b's share of answers that hold it less a's is not 0."""
    tokens, owner, vocabulary = _tokens(answers)
    level = _level(np.arange(len(tokens)), tokens, answers, owner, fewest)
    grams: list[Gram] = [(vocabulary[code],) for code in level.codes.tolist()]
    parts = [_counted(grams, level, probes, fewest)]
    level.gram[_which(tokens, vocabulary, (CAPITALS, SMALL))] = -1
    edge = _which(tokens, vocabulary, (EDGE,))
    for length in range(2, LONGEST + 1):
        size = max(len(grams), 1)
        level = _longer(level, answers, owner, fewest, broken=edge & (length > 2))
        grams = [(*grams[code // size], grams[code % size][-1]) for code in level.codes.tolist()]
        parts.append(_counted(grams, level, probes, fewest))
    return _joined(parts, probes)


def _which(tokens: Ints, vocabulary: list[str], chosen: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    return np.isin(tokens, [i for i, word in enumerate(vocabulary) if word in chosen])


def _counted(grams: list[Gram], level: _Level, probes: int, fewest: int) -> Counted:
    counted = Counted(grams, Shifts(*level.lean, len(grams), probes), level.a, level.b)
    return counted.chosen(counted.shifts.support() >= fewest)


def _joined(parts: list[Counted], probes: int) -> Counted:
    starts = np.cumsum([0, *(len(part.grams) for part in parts)])
    shifts = Shifts(
        np.concatenate([part.shifts.feature + start for part, start in zip(parts, starts, strict=False)]),
        np.concatenate([part.shifts.unit for part in parts]),
        np.concatenate([part.shifts.value for part in parts]),
        int(starts[-1]),
        probes,
    )
    grams = [gram for part in parts for gram in part.grams]
    return Counted(grams, shifts, np.concatenate([p.a for p in parts]), np.concatenate([p.b for p in parts]))


@dataclass(frozen=True)
class _Level:
    """Runs of one length that enough probes hold: the `gram` that begins at each position, [tokens], -1 for none; the
    code each was made from, [grams]; the `lean` (gram, probe, value) of the probes; and the expected number of probes
    whose answer holds each on side `a` and `b`, [grams]."""

    gram: Ints
    codes: Ints
    lean: tuple[Ints, Ints, Floats]
    a: Floats
    b: Floats


def _tokens(answers: Answers) -> tuple[Ints, Ints, list[str]]:
    """All words of all answers as numbers, the answer that each belongs to, and the vocabulary."""
    flat: list[str] = []
    ends = [0]
    for text in answers.texts:
        flat += _words(text)
        ends.append(len(flat))
    vocabulary = list(dict.fromkeys(flat))
    numbers = {word: i for i, word in enumerate(vocabulary)}
    tokens = np.fromiter(map(numbers.__getitem__, flat), np.int64, len(flat))
    return tokens, np.repeat(np.arange(len(ends) - 1), np.diff(ends)), vocabulary


def _words(text: str) -> list[str]:
    case = CAPITALS if text.isupper() else SMALL if text.islower() else None
    marks = [case] if case is not None and len(text) >= _FEWEST_LETTERS else []
    return [*marks, EDGE, *words(text.casefold().replace(EDGE, " ")), EDGE]


def _longer(level: _Level, answers: Answers, owner: Ints, fewest: int, broken: npt.NDArray[np.bool_]) -> _Level:
    """Runs one word longer: two of `level` that overlap, in one answer, whose second word is not `broken`. A run is
    held by no more probes than its parts, so that only runs of `level` need be looked at."""
    here, after = level.gram[:-1], level.gram[1:]
    at = np.flatnonzero((here >= 0) & (after >= 0) & (owner[:-1] == owner[1:]) & ~broken[1:])
    return _level(at, here[at] * max(len(level.codes), 1) + after[at], answers, owner, fewest)


def _level(at: Ints, codes: Ints, answers: Answers, owner: Ints, fewest: int) -> _Level:
    """The runs that begin at the positions `at`, told apart by `codes`; one sort of both packed into one number."""
    bits = len(owner).bit_length()
    kinds, packed = codes[:0], codes
    if len(codes) and int(codes.max()).bit_length() + bits > 62:
        kinds, packed = np.unique(codes, return_inverse=True)
    keys = np.sort(packed << bits | at)
    code, position = keys >> bits, keys & ((1 << bits) - 1)
    new_run = _changes(code)
    run = np.cumsum(new_run) - 1
    holders = _Holders.of(run, owner[position], answers)
    enough = np.bincount(holders.run, minlength=int(new_run.sum())) >= fewest
    place = np.where(enough, np.cumsum(enough) - 1, -1)
    gram = np.full(len(owner), -1)
    gram[position] = place[run]
    found = code[new_run][enough]
    leans = enough[holders.run] & (np.abs(holders.b - holders.a) > _LEAST_LEAN)
    lean = place[holders.run[leans]], holders.probe[leans], (holders.b - holders.a)[leans]
    a, b = (sums(holders.run, side, len(enough))[enough] for side in (holders.a, holders.b))
    return _Level(gram, kinds[found] if len(kinds) else found, lean, a, b)


def first_of_equals(counted: Counted) -> npt.NDArray[np.bool_]:
    """One gram of each set towards which the same probes lean alike: preferably without an edge, then the longest."""
    shifts = counted.shifts
    weights = np.random.default_rng(0).random(shifts.units)  # a random sum tells columns apart
    sums = np.bincount(shifts.feature, weights[shifts.unit] * shifts.value, shifts.features).round(9)
    order = sorted(range(len(counted.grams)), key=lambda i: (EDGE in counted.grams[i], -len(counted.grams[i])))
    _, first = np.unique(sums[order], return_index=True)
    kept = np.zeros(len(order), bool)
    kept[np.array(order, np.int64)[first]] = True
    return kept


@dataclass(frozen=True)
class _Holders:
    """Pairs of a run and a probe that holds it, in this order, with the shares of the probe's answers that do."""

    run: Ints
    probe: Ints
    a: Floats
    b: Floats

    @classmethod
    def of(cls, run: Ints, owner: Ints, answers: Answers) -> _Holders:
        """From the run and the answer at each place, both rising."""
        once = _changes(run) | _changes(owner)
        run, owner = run[once], owner[once]
        starts = np.flatnonzero(_changes(run) | _changes(answers.probe[owner]))
        if not len(starts):
            return cls(run, owner, answers.a[:0], answers.b[:0])
        a, b = (np.add.reduceat(side[owner], starts) for side in (answers.a, answers.b))
        return cls(run[starts], answers.probe[owner[starts]], a, b)


def _changes(values: Ints) -> npt.NDArray[np.bool_]:
    """Where `values` differ from the one before; the first always does."""
    out = np.ones(len(values), bool)
    out[1:] = values[1:] != values[:-1]
    return out
