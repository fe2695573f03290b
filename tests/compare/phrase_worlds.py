"""Made-up answers whose truth is known: Zipf words, stock phrases that come together, planted phrases."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

WORDS = np.array([f"w{i:x}" for i in range(3000)])
ZIPF = 1 / np.arange(1, len(WORDS) + 1)
ZIPF /= ZIPF.sum()
STOCK = [" ".join(WORDS[20 * i : 20 * i + 6]) for i in range(1, 21)]
"""Stock phrases of six words: their words and runs rise and fall together."""

Texts = dict[str, tuple[list[str], list[str]]]
Change = Callable[[int, str], str]


def answers(rng: np.random.Generator, count: int, prefer: int | None = None) -> list[str]:
    """Answers of 24 words and some stock phrases; stock phrase `prefer` is taken half as often again."""
    body = WORDS[rng.choice(len(WORDS), (count, 24), p=ZIPF)]
    weight = np.ones(len(STOCK))
    if prefer is not None:
        weight[prefer] *= 1.5
    stock = rng.choice(len(STOCK), (count, 3), p=weight / weight.sum())
    return [
        " ".join([*row[:8], STOCK[s[0]], *row[8:16], STOCK[s[1]], *row[16:], STOCK[s[2]]])
        for row, s in zip(body, stock, strict=True)
    ]


def pair(n: int, seed: int, draws: int = 0, change: Change | None = None, prefer: int | None = None) -> Texts:
    """Both sides' answers to n probes, all reworded: drawn anew. `change(i, text)` is what b does to answer i."""
    rng = np.random.default_rng(seed)
    per = draws + 1
    a, b = answers(rng, n * per), answers(rng, n * per, prefer)
    if change is not None:
        b = [change(i // per, text) for i, text in enumerate(b)]
    return {f"p{i:04d}": (a[i * per : (i + 1) * per], b[i * per : (i + 1) * per]) for i in range(n)}
