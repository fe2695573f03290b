"""Named axes: the planted direction is found, its separation is honest, movements along it have intervals that hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bvc.compare.axes import axes, movements
from bvc.evidence import ActivationBlock

SITE = "layer.07/prompt"
FIRST = [i < 20 for i in range(50)]
SECOND = [20 <= i < 40 for i in range(50)]


def states(seed: int, apart: float, width: int = 16) -> tuple[ActivationBlock, npt.NDArray[Any]]:
    """Fifty probes of which the first twenty lie `apart` from the next twenty along a direction, which is returned."""
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=width)
    direction /= np.linalg.norm(direction)
    rows = rng.normal(size=(50, width))
    rows[:20] += apart * direction
    return ActivationBlock({SITE: rows.astype(np.float32)}), direction


def test_the_planted_direction_is_found_with_its_gap() -> None:
    block, direction = states(0, 12.0)
    found = axes(block, FIRST, SECOND)[SITE]
    assert float(found.direction @ direction) > 0.97
    assert found.gap == pytest.approx(12.0, abs=1.5) and found.separation == 1.0
    assert np.linalg.norm(found.direction) == pytest.approx(1.0)


def test_groups_that_do_not_differ_separate_by_chance() -> None:
    found = [axes(states(seed, 0.0, 64)[0], FIRST, SECOND)[SITE].separation for seed in range(60)]
    assert abs(np.mean(found) - 0.5) < 0.05  # measured on the probes that made it, it would be near 1


def test_movements_are_shares_of_the_gap_and_their_intervals_cover() -> None:
    block, direction = states(1, 10.0)
    axis = axes(block, FIRST, SECOND)
    along = float(direction @ axis[SITE].direction) * 3.0 / axis[SITE].gap
    covered = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        noise = np.repeat(rng.normal(size=(25, 16)), 2, axis=0) + rng.normal(size=(50, 16))
        after = ActivationBlock({SITE: (block.vectors[SITE] + 3.0 * direction + noise).astype(np.float32)})
        moved = movements(axis, block, after, [f"c{i // 2}" for i in range(50)])[SITE]
        assert moved.ci is not None and moved.probes == 50
        covered += moved.ci[0] <= along <= moved.ci[1]
    assert abs(covered / 300 - 0.95) <= 0.038  # 3 standard deviations


def test_what_cannot_be_said_is_not() -> None:
    block, _ = states(2, 5.0)
    with pytest.raises(ValueError, match="at least 4 probes"):
        axes(block, [i < 3 for i in range(50)], SECOND)
    with pytest.raises(ValueError, match="in one group"):
        axes(block, FIRST, FIRST)
    broken = block.vectors[SITE].copy()
    broken[1, 1] = np.nan
    assert axes(ActivationBlock({SITE: broken}), FIRST, SECOND) == {}
    assert axes(ActivationBlock({SITE: np.ones((50, 3), np.float32)}), FIRST, SECOND) == {}
    axis = axes(block, FIRST, SECOND)
    assert movements(axis, block, ActivationBlock({SITE: broken}))[SITE].probes == 49
    assert movements(axis, *[ActivationBlock({SITE: block.vectors[SITE][:, :5]})] * 2) == {}
    assert movements(axis, block.rows(0, 1), block.rows(0, 1))[SITE].ci is None
    with pytest.raises(ValueError, match="50 probes against 49"):
        movements(axis, block, block.rows(0, 49))
