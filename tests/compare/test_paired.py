"""Paired differences: right p-values, honest intervals, and balanced flips that no net test sees."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest

from bvc.compare.paired import NoiseFlips, PairedChange, ScoredPair, paired_change, sign_flip_p, upper_tail, verdict
from bvc.results import Verdict


def flips(gained: int, lost: int, same: int) -> list[ScoredPair]:
    scores = [(0.0, 1.0)] * gained + [(1.0, 0.0)] * lost + [(1.0, 1.0)] * same
    return [ScoredPair(a, b, cluster=str(i)) for i, (a, b) in enumerate(scores)]


def test_net_p_is_that_of_the_sign_test() -> None:
    assert paired_change(flips(6, 0, 30)).p_net == pytest.approx(2 / 2**6)
    assert paired_change(flips(8, 1, 0)).p_net == pytest.approx(2 * (1 + 9) / 2**9)
    assert paired_change(flips(5, 5, 20)).p_net == 1.0
    assert paired_change(flips(0, 0, 20)).p_net == 1.0


def test_exact_p_equals_full_enumeration() -> None:
    terms = np.array([0.2, -0.6, 0.4, 0.4, 1.0, -0.2])
    sums = [abs(sum(s * t for s, t in zip(signs, terms, strict=True))) for signs in product((1, -1), repeat=6)]
    expected = np.mean([value >= abs(terms.sum()) - 1e-9 for value in sums])
    assert sign_flip_p(terms, 5) == pytest.approx(float(expected))
    assert sign_flip_p(terms, 0) == pytest.approx(float(expected), abs=0.02)


def test_clusters_are_the_unit() -> None:
    rows = [ScoredPair(0.0, 1.0, cluster=str(i // 10)) for i in range(40)]
    assert paired_change(rows).p_net == pytest.approx(2 / 2**4)


def test_fisher() -> None:
    assert upper_tail(5, 5, 0, 5) == pytest.approx(1 / 252)
    assert upper_tail(0, 50, 0, 5) == 1.0


def test_no_flip_is_no_proof_of_a_small_sample() -> None:
    few, many = paired_change(flips(0, 0, 20)), paired_change(flips(0, 0, 100))
    assert few.ci[1] == pytest.approx(3 / 20, rel=0.1)
    assert verdict(few, 1.0) is Verdict.UNDECIDED
    assert verdict(many, 1.0) is Verdict.SAME
    assert few.smallest > many.smallest


def test_significant_but_immaterial_is_the_same() -> None:
    change = paired_change(flips(20, 0, 1980))
    assert change.p_net < 1e-5
    assert verdict(change, change.p_value) is Verdict.SAME
    assert verdict(change, change.p_value, band=0.005) is Verdict.CHANGED


def test_without_pairs() -> None:
    with pytest.raises(ValueError, match="no pairs"):
        paired_change([])


def simulated(
    generator: np.random.Generator, a: np.ndarray, b: np.ndarray, draws: int, *, coupled: bool, size: int = 1
) -> list[ScoredPair]:
    """Scores of probes with the given chances; probes of a cluster share half of their luck."""
    noise = generator.random((2, len(a), draws + 1))
    if coupled:
        noise[1] = noise[0]
    left, right = (noise[0] < a[:, None]).astype(float), (noise[1] < b[:, None]).astype(float)
    return [
        ScoredPair(x[0], y[0], tuple(x[1:]), tuple(y[1:]), str(i // size))
        for i, (x, y) in enumerate(zip(left.tolist(), right.tolist(), strict=True))
    ]


NULLS = [(20, 0, 0.5, False), (150, 0, 0.1, False), (60, 4, 0.3, False), (60, 8, 0.5, True), (30, 8, 0.5, False)]


@pytest.mark.parametrize(("probes", "draws", "rate", "coupled"), NULLS)
def test_false_alarms_under_the_null(probes: int, draws: int, rate: float, coupled: bool) -> None:
    """One model on both sides: at most 5 % (within binomial error of 400 trials) are called different."""
    generator = np.random.default_rng(3)
    alarms = covered = 0
    for _ in range(400):
        chances = generator.beta(4 * rate, 4 * (1 - rate), probes)
        change = paired_change(simulated(generator, chances, chances, draws, coupled=coupled))
        alarms += change.p_value <= 0.05
        covered += change.ci[0] <= 0 <= change.ci[1]
    assert alarms <= 400 * 0.05 + 2 * (400 * 0.05 * 0.95) ** 0.5
    assert covered >= 0.93 * 400


def power(changes: Sequence[PairedChange]) -> float:
    return float(np.mean([verdict(change, change.p_value) is Verdict.CHANGED for change in changes]))


@pytest.mark.parametrize("coupled", [True, False])
def test_balanced_flips_are_seen(coupled: bool) -> None:
    """A tenth of the probes flips by half, half of them each way: the rate stays, and every net test is blind."""
    generator = np.random.default_rng(4)
    found = []
    for _ in range(60):
        a = generator.beta(2, 2, 200)
        b = a.copy()
        b[:10], b[10:20] = np.clip(a[:10] + 0.5, 0, 1), np.clip(a[10:20] - 0.5, 0, 1)
        found.append(paired_change(simulated(generator, a, b, 8, coupled=coupled)))
    assert power(found) >= 0.73
    assert np.mean([change.p_net <= 0.05 for change in found]) < 0.2


def test_balanced_flips_of_greedy_answers_against_recaptures() -> None:
    many = paired_change(flips(15, 15, 70), NoiseFlips(0, 40))
    assert many.p_net == 1.0
    assert verdict(many, many.p_value) is Verdict.CHANGED
    as_noisy = paired_change(flips(15, 15, 70), NoiseFlips(12, 40))
    assert verdict(as_noisy, as_noisy.p_value) is not Verdict.CHANGED
    assert paired_change(flips(15, 15, 70)).p_volume is None


def test_planted_shift_is_found_and_covered() -> None:
    generator = np.random.default_rng(5)
    found = []
    for _ in range(60):
        a = generator.beta(1, 4, 200)
        found.append(paired_change(simulated(generator, a, np.clip(a + 0.15, 0, 1), 4, coupled=False)))
    assert power(found) >= 0.9
    assert np.mean([change.ci[0] <= 0.15 <= change.ci[1] for change in found]) >= 0.9


def test_smallest_is_found_four_times_of_five() -> None:
    generator = np.random.default_rng(6)
    found = []
    for _ in range(200):
        moved = generator.random(150) < 0.07
        found.append(paired_change([ScoredPair(0.0, float(m), cluster=str(i)) for i, m in enumerate(moved)]))
    assert np.mean([c.smallest for c in found]) == pytest.approx(0.07, abs=0.035)
    assert np.mean([c.p_net <= 0.05 for c in found]) >= 0.8
