"""Tokens of a mean shift: the planted one is found, and where nothing is shared hardly any is ever marked."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bvc.compare.shift import FEWEST
from bvc.compare.shift_tokens import (
    FLIPS,
    SiteTokens,
    flip_signs,
    flipped_means,
    lens_reading,
    token_shifts,
)
from bvc.evidence import ActivationBlock

SITES = ("layer.01/prompt", "layer.02/prompt", "layer.02/reference")
TOKENS, WIDTH = 200, 24
RUNS = 300
Array = npt.NDArray[Any]


def vocabulary(seed: int = 0) -> Array:
    """An unembedding [v, d] of rows of unlike length that have a direction in common."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(TOKENS, WIDTH)) * np.exp(rng.normal(0, 0.5, (TOKENS, 1)))
    return np.asarray(rows + 3 * rng.normal(size=WIDTH), np.float32)


def looked(shifted: dict[str, Array], units: Array, weight: Array, count: int = 5) -> dict[str, SiteTokens]:
    """The whole look at shifts [n, d] by site, the logits given in uneven parts as a lens does."""
    rng = np.random.default_rng(1)
    a = {site: rng.normal(size=rows.shape).astype(np.float32) for site, rows in shifted.items()}
    b = {site: (a[site] + rows).astype(np.float32) for site, rows in shifted.items()}
    signs = flip_signs(int(units.max()) + 1)
    means = flipped_means(ActivationBlock(a), ActivationBlock(b), units, signs)
    read = {site: lens_reading(part @ weight.T for part in np.split(rows, [70])) for site, rows in means.items()}
    return token_shifts(read, count)


def noise(seed: int, units: Array) -> dict[str, Array]:
    """Shifts as likely as their opposites: heavy tails, shared within units and between sites, unlike coordinates."""
    rng = np.random.default_rng(seed)
    scale = np.exp(rng.normal(0, 0.7, WIDTH))
    own = rng.standard_t(3, size=(int(units.max()) + 1, WIDTH)) * scale
    return {
        site: 10**place * (own + 0.5 * rng.normal(size=own.shape) * scale)[units] for place, site in enumerate(SITES)
    }


def marked(found: dict[str, SiteTokens]) -> list[int]:
    return [t.token for one in found.values() for t in (*one.promoted, *one.demoted) if t.beyond]


@pytest.mark.parametrize("per_unit", [1, 3])
def test_where_nothing_is_shared_a_twentieth_of_looks_marks_a_token_anywhere(per_unit: int) -> None:
    units = np.repeat(np.arange(20), per_unit)
    weight = vocabulary()
    share = np.mean([bool(marked(looked(noise(seed, units), units, weight))) for seed in range(RUNS)])
    assert abs(share - 0.05) <= 3 * np.sqrt(0.05 * 0.95 / RUNS)


def test_without_units_clusters_would_be_marked_far_more_often() -> None:
    units = np.repeat(np.arange(10), 6)
    runs = [looked(noise(seed, units), np.arange(60), vocabulary()) for seed in range(60)]
    assert np.mean([bool(marked(found)) for found in runs]) > 0.3


def test_a_planted_token_comes_first_at_its_site_and_is_marked_beyond_the_bound() -> None:
    units, weight = np.arange(40), vocabulary(3)
    shifted = noise(5, units)
    row = weight[17] - weight.mean(0)
    shifted[SITES[1]] = shifted[SITES[1]] + 40 * row / np.linalg.norm(row)
    found = looked(shifted, units, weight)
    first = found[SITES[1]].promoted[0]
    assert (first.token, first.beyond, first.p_value) == (17, True, 1 / (FLIPS + 1))
    assert found[SITES[1]].chance < found[SITES[1]].bound < first.logit
    assert not {t.token for t in found[SITES[0]].promoted if t.beyond}
    for one in found.values():
        for token in (*one.promoted, *one.demoted):
            assert token.beyond == (abs(token.logit) > one.bound)


def test_logits_are_those_of_a_stream_as_long_as_the_states_relative_to_all_tokens() -> None:
    units, weight = np.arange(6), vocabulary(2)
    shifted = {SITES[0]: np.random.default_rng(4).normal(size=(6, WIDTH)) + 1}
    rng = np.random.default_rng(1)
    a = rng.normal(size=(6, WIDTH))
    length = np.mean([np.linalg.norm(a, axis=1), np.linalg.norm(a + shifted[SITES[0]], axis=1)])
    expected = weight @ shifted[SITES[0]].mean(0) / (length / np.sqrt(WIDTH))
    expected -= expected.mean()
    found = looked(shifted, units, weight, TOKENS)[SITES[0]]
    logits = {t.token: t.logit for t in (*found.promoted, *found.demoted)}
    np.testing.assert_allclose([logits[t] for t in range(TOKENS)], expected, rtol=1e-3, atol=1e-3)
    assert [t.logit for t in found.promoted] == sorted((x for x in logits.values() if x > 0), reverse=True)
    assert [t.logit for t in found.demoted] == sorted(x for x in logits.values() if x < 0)


def test_nothing_moved_and_too_few_units_say_nothing() -> None:
    still = {site: np.zeros((9, WIDTH)) for site in SITES}
    assert looked(still, np.arange(9), vocabulary()) == {}
    moved = noise(0, np.arange(9))
    assert set(looked({**moved, SITES[0]: still[SITES[0]]}, np.arange(9), vocabulary())) == set(SITES[1:])
    few = {site: rows[: FEWEST - 1] for site, rows in moved.items()}
    assert looked(few, np.arange(FEWEST - 1), vocabulary()) == {}
    with pytest.raises(ValueError, match="nothing was read"):
        lens_reading([])
