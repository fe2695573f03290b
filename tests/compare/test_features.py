"""The feature diff of two captures: rates by hand, what is left out, only in b, yields of null pairs, energy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bvc.compare.feature_energy import energy_diff, energy_move
from bvc.compare.feature_pairs import FeatureGather, FeaturePair
from bvc.compare.features import STEP, NullPair, compare_features, null_pair
from bvc.errors import NotComparable
from tests.compare.feature_worlds import POSITIONS, World, block

WORLD = World(1, latents=300, per=1)


def names(count: int) -> list[str]:
    return [f"p{i:04d}" for i in range(count)]


def planted() -> tuple[FeaturePair, list[int]]:
    counts = WORLD.pair(1, drift=0.1)
    chosen = WORLD.planted(counts, 2)
    return WORLD.gathered(counts), chosen.tolist()


def nulls(level: str, count: int) -> list[NullPair]:
    return [null_pair(level, f"a{i}", f"b{i}", p) for i, p in enumerate(WORLD.pairs(range(50, 50 + count), drift=0.1))]


def test_rates_and_strengths_are_those_counted_by_hand() -> None:
    fired, total = np.zeros((2, 12, 3)), np.zeros((2, 12, 3))
    fired[0, :6, 1], total[0, :6, 1] = 3, 6
    fired[1, :12, 1], total[1, :12, 1] = 11, 44
    gather = FeatureGather(3)
    gather.add(names(12), block(fired[0], total[0]), block(fired[1], total[1]))
    found = compare_features(gather.finish())
    (latent,) = found.latents
    assert (latent.latent, latent.side, latent.only, latent.bound) == (1, "b", False, None)
    assert (latent.a.fires, latent.a.share, latent.a.strength) == (6, 0.5, 2.0)
    assert (latent.b.fires, latent.b.share, latent.b.strength) == (12, 1.0, 4.0)
    assert latent.a.rate == pytest.approx(3 * 6 / (12 * POSITIONS))
    assert latent.difference == pytest.approx((11 - 1.5) / POSITIONS)
    assert latent.ci[0] < latent.difference < latent.ci[1]
    assert latent.p_value == pytest.approx(2 * 2.0**-11)
    assert (latent.score, latent.beyond, latent.stands_out) == (None, None, False)
    assert "too few latents" in found.against
    assert [(p.probe, p.a, p.b) for p in latent.probes[:1]] == [("p0006", 0.0, pytest.approx(44 / POSITIONS))]
    assert found.peaks[0][0].place == 3


def test_planted_latents_come_first_and_are_said_to_be_only_in_b() -> None:
    pair, chosen = planted()
    found = compare_features(pair, nulls("N1", 3), names={"p0000": "first"})
    assert {latent.latent for latent in found.latents[:4]} == set(chosen)
    for latent in found.latents[:4]:
        assert latent.stands_out
        assert (latent.side, latent.only, latent.a.strength) == ("b", True, None)
        assert latent.bound == pytest.approx(1 - 0.05 ** (1 / 100))
        assert all(probe.b > probe.a == 0 for probe in latent.probes)
    assert found.found.standing >= 4
    assert found.found.only_b >= 4
    assert found.against == "3 benign pairs"


def test_exchanged_sides_say_only_in_a() -> None:
    counts = WORLD.pair(1, drift=0.1)
    chosen = WORLD.planted(counts, 2).tolist()
    counts.fired, counts.total = counts.fired[::-1], counts.total[::-1]
    found = compare_features(WORLD.gathered(counts))
    assert {latent.latent for latent in found.latents[:4]} == set(chosen)
    assert {(latent.side, latent.only) for latent in found.latents[:4]} == {("a", True)}
    assert all(latent.score is not None and latent.score < 0 for latent in found.latents[:4])


def test_every_null_pair_has_its_yield_by_the_same_rule() -> None:
    pair, _ = planted()
    trusted, steps = nulls("N1", 2), nulls(STEP, 4)
    again = null_pair("N0", "c", "c", WORLD.gathered(_same()))
    found = compare_features(pair, [again, *trusted, *steps])
    assert [(y.level, y.a, y.probes) for y in found.null_yield] == [
        ("N0", "c", 100), *(("N1", f"a{i}", 100) for i in range(2)), *((STEP, f"a{i}", 100) for i in range(4)),
    ]  # fmt: skip
    assert found.null_yield[0].different == found.null_yield[0].standing == 0
    assert found.null_yield[0].only_a == found.null_yield[0].only_b == 0
    assert sum(y.standing for y in found.null_yield) <= 2
    odd = null_pair("N1", "x", "y", pair)
    assert compare_features(pair, [*trusted, odd]).null_yield[-1].standing >= 4


def _same():  # type: ignore[no-untyped-def]
    counts = WORLD.pair(1)
    counts.fired[1], counts.total[1] = counts.fired[0], counts.total[0]
    return counts


def test_two_steps_of_a_lineage_are_no_bulk_three_are() -> None:
    pair, _ = planted()
    assert "no benign update is known" in compare_features(pair, nulls(STEP, 2)).against
    assert compare_features(pair, nulls(STEP, 3)).against == "3 steps of this lineage"
    assert compare_features(pair, nulls("N2", 1)).against == "1 benign pair"


def test_probes_along_other_references_and_with_odd_numbers_are_left_out_and_counted() -> None:
    counts = WORLD.pair(1)
    a, b = (block(counts.fired[s], counts.total[s]) for s in (0, 1))
    longer = b.positions.copy()
    longer[3] += 1
    energy = b.energy.copy()
    energy[5] = np.nan
    total = b.total.copy()
    total[0] = np.inf
    gather = FeatureGather(WORLD.latents)
    gather.leave_out(2)
    gather.add(names(100), a, replace(b, positions=longer, energy=energy, total=total))
    pair = gather.finish()
    assert (len(pair.ids), pair.apart, pair.broken) == (97, 3, 2)
    assert not {"p0000", "p0003", "p0005"} & set(pair.ids)
    assert compare_features(pair).energy.a == pytest.approx(0.2)


def test_no_probe_left_and_latents_that_do_not_exist_are_errors() -> None:
    counts = WORLD.pair(1)
    a = block(counts.fired[0, :4], counts.total[0, :4])
    with pytest.raises(NotComparable, match="no probe"):
        FeatureGather(10).finish()
    with pytest.raises(NotComparable, match="a dictionary of 10"):
        FeatureGather(10).add(names(4), a, a)


def test_block_size_does_not_matter() -> None:
    counts = WORLD.pair(1, drift=0.3)
    assert compare_features(WORLD.gathered(counts, size=100)) == compare_features(WORLD.gathered(counts, size=7))


# Energy out of dictionary


def energies(shares: np.ndarray, per: int = 1) -> FeaturePair:  # type: ignore[type-arg]
    """A pair whose shares unexplained are `shares` [2, n]."""
    count = shares.shape[1]
    blank = block(np.eye(count), np.eye(count))
    gather = FeatureGather(count)
    gather.add(names(count), *(replace(blank, missed=shares[s].astype(np.float32)) for s in (0, 1)))
    return gather.finish({p: str(i // per) for i, p in enumerate(names(count))})


def test_energy_that_leaves_the_span_is_found_with_its_probes() -> None:
    rng = np.random.default_rng(0)
    shares = 0.2 + 0.02 * rng.normal(size=(2, 60))
    shares[1, :5] += 0.3
    found = energy_diff(energies(shares), [energy_move(energies(0.2 + 0.02 * rng.normal(size=(2, 60))))])
    assert found.a == pytest.approx(0.2, abs=0.01)
    assert found.difference == pytest.approx(0.025, abs=0.01)
    assert {p.probe for p in found.probes} == set(names(5))
    assert found.p_value < 0.05
    assert len(found.benign) == 1


def test_a_rise_that_benign_pairs_show_too_names_no_probe() -> None:
    rng = np.random.default_rng(1)
    shares = 0.2 + 0.01 * rng.normal(size=(2, 60))
    shares[1, :2] += 0.1
    wild = energy_move(energies(0.3 + 0.1 * rng.normal(size=(2, 60))))
    assert energy_diff(energies(shares)).probes
    assert not energy_diff(energies(shares), [wild]).probes


def test_energy_is_calibrated_and_clusters_count_once() -> None:
    rng = np.random.default_rng(2)
    moved = named = untold = 0
    for _ in range(100):
        common = 0.02 * np.repeat(rng.normal(size=(2, 12)), 5, axis=1)
        shares = np.clip(0.2 + common + 0.005 * rng.standard_t(5, (2, 60)), 0, 1)
        found = energy_diff(energies(shares, per=5))
        moved += found.p_value <= 0.05
        named += bool(found.probes)
        untold += energy_diff(energies(shares)).p_value <= 0.05
    assert moved <= 12  # 100 at .05: 5, and 3 standard deviations
    assert named <= 12
    assert untold > 20


def test_no_energy_is_nothing_unexplained() -> None:
    pair = energies(np.zeros((2, 30)))
    still = energy_diff(replace(pair, energy=np.zeros_like(pair.energy)))
    assert (still.a, still.b, still.difference, still.probes) == (0.0, 0.0, 0.0, ())
