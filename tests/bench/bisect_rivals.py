"""What a bisect is measured beside: the rule of `git bisect`, git_bayesect's own class, and the Fano bound."""

from __future__ import annotations

import subprocess
import sys
from functools import lru_cache
from math import comb, log2
from pathlib import Path
from typing import Any

import numpy as np

from tests.compare.bisect_worlds import Rates

PACKAGES = ("git_bayesect==1.2", "scipy")
MOST_DRAWS = 3_000
_STEPS = 400


def install(folder: Path) -> None:
    """Put git_bayesect into `folder`, unless it is there, and let it be imported from it after everything else."""
    if not (folder / "git_bayesect.py").exists() or not (folder / "scipy").is_dir():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*command, "--target", str(folder), *PACKAGES], check=True)
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def git_bayesect(commits: int, rates: Rates, rng: np.random.Generator, confidence: float = 0.95) -> tuple[int, int]:
    """The commit that its class names on a line of so many commits, drawn once a time until its posterior reaches
    `confidence`, and the draws. Its indices run from the newest; the good commit is given without prior weight."""
    from git_bayesect import Bisector

    bisector: Any = Bisector(np.append(np.ones(commits), 0.0))
    drawn = 0
    with np.errstate(all="ignore"):
        while drawn < MOST_DRAWS and bisector.distribution.max() < confidence:
            asked = bisector.select()
            bisector.record(asked, bool(rng.random() < rates[commits - asked]))
            drawn += 1
        return commits - int(bisector.distribution.argmax()), drawn


@lru_cache
def capacity(old: float, new: float, draws: int) -> float:
    """Bits that `draws` draws of one commit can tell at most about whether it is old or new, at known rates."""
    sides = [[comb(draws, k) * p**k * (1 - p) ** (draws - k) for k in range(draws + 1)] for p in (old, new)]
    shares = np.arange(1, _STEPS)[:, None] / _STEPS
    mixed = shares * np.array(sides[1]) + (1 - shares) * np.array(sides[0])
    own = np.array([_entropy(np.array([side]))[0] for side in sides])
    told = _entropy(mixed) - shares[:, 0] * own[1] - (1 - shares[:, 0]) * own[0]
    return float(told.max())


def visits_bound(commits: int, old: float, new: float, draws: int, error: float = 0.05) -> float:
    """Two visits to the ends, which tell nothing about where it is, and the larger of log2(n) and the visits without
    which nobody can be wrong in only `error` of cases (Fano's inequality)."""
    doubt = -error * log2(error) - (1 - error) * log2(1 - error) + error * log2(max(commits - 1, 1))
    return 2 + max(log2(commits), (log2(commits) - doubt) / capacity(old, new, draws))


def _entropy(rows: Rates) -> Rates:
    out: Rates = -(rows * np.log2(np.maximum(rows, 1e-300))).sum(1)
    return out
