"""Models that answer with words drawn from a distribution of each probe, and lineages of them, for tests of draws."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from bvc.compare.draw_distance import Texts, draw_distance, of_other_numbers
from bvc.compare.identify import Pairs, Posterior, draws_reading, odds_of_same, posterior
from bvc.compare.pairing import DRAWS

WORDS = np.array([f"word{number}" for number in range(300)])
LENGTH = 20

Model = npt.NDArray[np.float64]
"""The probability of each word at each probe, [probes, words]."""
Answers = list[list[str]]
"""Draws by probe."""


def model(rng: np.random.Generator, probes: int) -> Model:
    """One with a few likely words at each probe."""
    weights = rng.gamma(0.05, size=(probes, len(WORDS)))
    out: Model = weights / weights.sum(1, keepdims=True)
    return out


def moved(rng: np.random.Generator, before: Model, by: float) -> Model:
    """A fine-tune: the share `by` of each probe's words comes from elsewhere."""
    out: Model = (1 - by) * before + by * model(rng, len(before))
    return out


def sampled(rng: np.random.Generator, author: Model, draws: int) -> Answers:
    """Answers of a model. The same generator gives two models coupled draws: word by word the same random numbers."""
    numbers = rng.random((len(author), draws, LENGTH))
    rows = np.cumsum(author, axis=1)
    places = [np.searchsorted(row / row[-1], number) for row, number in zip(rows, numbers, strict=True)]
    return [[" ".join(words) for words in WORDS[place]] for place in places]


def beside(a: Answers, b: Answers) -> Texts:
    """The draws of two models by probe."""
    return {f"p{number:02d}": pair for number, pair in enumerate(zip(a, b, strict=True))}


@dataclass(frozen=True)
class Lineage:
    """Models in a row, each moved from the one before, with their coupled draws as commits record them."""

    models: list[Model]
    draws: list[Answers]

    @classmethod
    def grown(cls, rng: np.random.Generator, *, models: int, probes: int, draws: int, by: float) -> Lineage:
        """A random one, whose steps move a share around `by`."""
        line = [model(rng, probes)]
        for _ in range(models - 1):
            line.append(moved(rng, line[-1], float(np.clip(by * np.exp(0.4 * rng.normal()), 0, 1))))
        seed = int(rng.integers(1 << 32))
        return cls(line, [sampled(np.random.default_rng(seed), one, draws) for one in line])

    def identify(self, answers: Answers, hidden: int | None = None) -> Posterior:
        """Which of the models, but for the `hidden` one, gave the answers; the names are their places."""
        known = [place for place in range(len(self.models)) if place != hidden]
        steps = [self._step(a, b) for a, b in pairwise(known) if b == a + 1]
        pairs = Pairs(DRAWS, (), [value for value in steps if value is not None], covered=False)
        odds = {}
        for place in known:
            found = draw_distance(beside(self.draws[place], answers))
            if found is not None:
                odds[str(place)] = odds_of_same(draws_reading([found]), pairs)
        return posterior(odds)

    def _step(self, a: int, b: int) -> float | None:
        halves = [draw_distance(half) for half in of_other_numbers(beside(self.draws[a], self.draws[b]))]
        found = [half for half in halves if half is not None]
        return draws_reading(found).value if found else None
