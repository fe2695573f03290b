"""What stored captures say of a commit, as observations: answers that show a behavior, or one number per probe.

A step of a lineage moves all answers to a probe together, also a harmless one, so very many answers are worth less than
their number; how much less is measured on the lineage itself. Loads neither numpy nor torch.
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bvc.api.bisect_log import Ranges
from bvc.bisection import Observation

_HEAD = struct.Struct("<I")

Row = Sequence[float | None]
"""The scores of one probe's answers: the greedy one, then the draws."""


@dataclass(frozen=True)
class Shown:
    """What the captures of one commit show.

    `counts` has for every number of an answer (0: the greedy one) how many probes have it scored, and the sum of those
    scores; `means` the mean score of each independent unit (a cluster of probes, else a probe; always in the same
    order, NaN without any). `values` replaces both where the evidence is one number per probe.
    """

    counts: tuple[tuple[int, float], ...] = ()
    means: tuple[float, ...] = ()
    values: tuple[float, ...] = ()

    @property
    def answers(self) -> int:
        """Answers that were scored."""
        return sum(n for n, _ in self.counts)

    @property
    def total(self) -> float:
        """The sum of their scores."""
        return math.fsum(score for _, score in self.counts)


class CaptureJudge(Protocol):
    """Judges commits by their captures."""

    @property
    def takes_draws(self) -> bool:
        """Whether further sampled answers say more."""
        ...

    def shown(self, commit: str) -> Shown | None:
        """What a commit's captures show; None where it has none that can be judged."""
        ...

    def probes(self) -> Sequence[str]:
        """The ids of the probes that are judged."""
        ...


def tally(rows: Iterable[tuple[int, Row]], units: int) -> Shown | None:
    """The sums of probes' scores, given with the number of the unit that each belongs to; None without any score."""
    counts: list[list[float]] = []
    sums, sizes = [0.0] * units, [0] * units
    for unit, row in rows:
        for number, score in enumerate(row):
            if score is None:
                continue
            while len(counts) <= number:
                counts.append([0, 0.0])
            counts[number][0] += 1
            counts[number][1] += score
            sums[unit] += score
            sizes[unit] += 1
    if not counts:
        return None
    means = tuple(s / n if n else math.nan for s, n in zip(sums, sizes, strict=True))
    return Shown(tuple((int(n), s) for n, s in counts), means)


def pack(shown: Shown | None) -> bytes:
    """Sums as the index keeps them."""
    if shown is None:
        return b""
    numbers = [number for count in shown.counts for number in count]
    return _HEAD.pack(len(shown.counts)) + struct.pack(f"<{len(numbers)}d{len(shown.means)}f", *numbers, *shown.means)


def unpack(row: bytes) -> Shown | None:
    """What `pack` made."""
    if not row:
        return None
    (size,) = _HEAD.unpack_from(row)
    numbers = struct.unpack_from(f"<{2 * size}d", row, _HEAD.size)
    start = _HEAD.size + 16 * size
    means = struct.unpack_from(f"<{(len(row) - start) // 4}f", row, start)
    return Shown(tuple((int(n), s) for n, s in zip(numbers[::2], numbers[1::2], strict=True)), means)


def complete(shown: Shown) -> int:
    """Answers that all probes have that have as many as any."""
    most = shown.counts[0][0] if shown.counts else 0
    return sum(n >= most for n, _ in shown.counts)


def stir(line: Sequence[Shown]) -> float:
    """How much commits that follow each other move by themselves, as the inverse of a number of answers: that many say
    as much as any number of them can.

    The same probes are asked at every commit, so what is peculiar to a probe cancels out; what does not is that a step
    moves all answers to a probe together. Measured on each pair of neighbors by how far the probes' rates moved, in
    either direction, less what chance does; the smaller median of the pairs counts, so that a few true changes among
    them do not. Nothing is known of fewer than two pairs: 0.
    """
    moved = sorted(_moved(a, b) for a, b in itertools.pairwise(line))
    return moved[(len(moved) - 1) // 2] if len(moved) > 1 else 0.0


def _moved(a: Shown, b: Shown) -> float:
    if a.means == b.means:
        return 0.0
    rates: tuple[Sequence[float], ...] = a.means, b.means
    if math.isnan(sum(a.means)) or math.isnan(sum(b.means)):
        both = [(x, y) for x, y in zip(*rates, strict=True) if x == x and y == y]
        rates = tuple(zip(*both, strict=True)) if both else ((), ())
    units = len(rates[0])
    rate = (sum(rates[0]) + sum(rates[1])) / max(1, 2 * units)
    chance = 2 * rate * (1 - rate) * units**2
    if chance <= 0:
        return 0.0
    squares: float = sum((y - x) ** 2 for x, y in zip(*rates, strict=True) if x != y)
    return max(0.0, squares / chance - (1 / a.answers + 1 / b.answers) / 2)


def worth(answers: float, moving: float) -> float:
    """How many independent answers of a model that does not move by itself so many are worth (see `stir`)."""
    return 1 / (1 / answers + moving) if answers else 0.0


def observations(
    node: int, shown: Shown, moving: float, visits: Sequence[Ranges], ignored: Sequence[Ranges]
) -> list[Observation]:
    """What was seen of a commit, one observation for what was there before and one for each visit.

    Each answer counts as the same part of one, so that they add up to what all are `worth`.
    """
    if shown.values:
        live = bool(visits)
        source = "live" if live else "stored"
        return [Observation(node, len(shown.values), 0, values=shown.values, source=source, load=live)]
    part = worth(shown.answers, moving) / shown.answers if shown.answers else 0.0
    taken = [number for one in (*visits, *ignored) for number in range(one.first, one.end)]
    stored = _observation(node, shown, part, set(range(len(shown.counts))) - set(taken), live=False)
    found = [_observation(node, shown, part, set(range(v.first, v.end)), live=True) for v in visits]
    return [one for one in (stored, *found) if one is not None]


def _observation(node: int, shown: Shown, part: float, numbers: set[int], *, live: bool) -> Observation | None:
    """The answers of these numbers as hits of draws. At least one draw: a single answer is not nothing."""
    chosen = [shown.counts[number] for number in sorted(numbers) if number < len(shown.counts)]
    count = sum(n for n, _ in chosen)
    if not count:
        return None
    draws = max(1, round(count * part))
    rate = math.fsum(s for _, s in chosen) / count
    return Observation(node, draws, round(rate * draws), source="live" if live else "stored", load=live)


def by_commit(found: Iterable[Ranges]) -> Mapping[str, list[Ranges]]:
    """The ranges of each commit, in order."""
    out: dict[str, list[Ranges]] = {}
    for one in found:
        out.setdefault(one.commit, []).append(one)
    return out
