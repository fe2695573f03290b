"""Mean shifts: a vector added at a block of a real model is found there and below; intervals and nulls hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bvc.compare.shift import BEYOND, FEWEST, Signature, SiteShift, beyond_noise, leading, mean_shifts, signature
from bvc.evidence import ActivationBlock
from tests.engines import TEXTS, chat, opened, recipe
from tests.tiny_models import tiny_model

SITE = "layer.02/prompt"
RUNS = 300


def blocks(shifted: npt.NDArray[Any], seed: int = 0) -> tuple[ActivationBlock, ActivationBlock]:
    """Two captures whose difference is `shifted` [n, d]."""
    a = np.random.default_rng(seed).normal(size=shifted.shape).astype(np.float32) * 3
    return ActivationBlock({SITE: a}), ActivationBlock({SITE: (a + shifted).astype(np.float32)})


def world(
    seed: int, probes: int, width: int, length: float, per_cluster: int = 1
) -> tuple[SiteShift, npt.NDArray[Any]]:
    """A mean shift of that length under noise of unlike size per coordinate, part of it shared by clusters; with the
    truth."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=width)
    truth *= length / np.linalg.norm(truth)
    scale = np.exp(rng.normal(0, 0.5, width))
    names = np.repeat(np.arange(probes // per_cluster), per_cluster)
    noise = rng.normal(size=(probes, width)) * scale
    if per_cluster > 1:
        noise += (rng.normal(size=(names.max() + 1, width)) * scale)[names]
    clusters = [str(name) for name in names] if per_cluster > 1 else None
    return mean_shifts(*blocks(noise + truth, seed), clusters, spectrum=False)[SITE], truth


def within(share: float, count: int, expected: float) -> bool:
    """Whether a share lies within 3 standard deviations of a binomial."""
    return abs(share - expected) <= 3 * np.sqrt(expected * (1 - expected) / count)


@pytest.mark.parametrize(
    ("probes", "width", "length", "per_cluster"), [(30, 32, 2.0, 1), (15, 64, 6.0, 1), (60, 32, 3.0, 4)]
)
def test_intervals_of_the_length_cover(probes: int, width: int, length: float, per_cluster: int) -> None:
    covered = 0
    for seed in range(RUNS):
        found, _ = world(seed, probes, width, length, per_cluster)
        assert found.ci is not None and found.units == probes // per_cluster
        covered += found.ci[0] <= length <= found.ci[1]
    assert within(covered / RUNS, RUNS, 0.95)


def test_the_length_has_no_upward_bias_and_the_direction_is_as_stable_as_it_says() -> None:
    runs = [world(seed, 30, 64, 4.0) for seed in range(100)]
    assert abs(np.mean([found.norm for found, _ in runs]) - 4.0) < 0.15
    assert np.mean([np.linalg.norm(found.mean) for found, _ in runs]) > 4.3  # what the plain mean would say
    cosines = [float(found.mean @ truth) / float(np.linalg.norm(found.mean)) / 4.0 for found, truth in runs]
    assert abs(np.mean(cosines) - np.mean([found.stability for found, _ in runs])) < 0.02


@pytest.mark.parametrize("per_cluster", [1, 3])
def test_a_shared_shift_is_claimed_in_a_twentieth_of_nulls(per_cluster: int) -> None:
    p_values = [world(seed, 30, 32, 1e-12, per_cluster)[0].p_value for seed in range(RUNS)]
    assert within(float(np.mean(np.array(p_values) <= 0.05)), RUNS, 0.05)


def test_ignoring_clusters_would_claim_more() -> None:
    """The null of the clusters is no null of the probes: what the units are for."""
    rng = np.random.default_rng(0)
    rejected = 0
    for _ in range(100):
        shared = np.repeat(rng.normal(size=(6, 16)), 5, axis=0) + 0.1 * rng.normal(size=(30, 16))
        rejected += mean_shifts(*blocks(shared), spectrum=False)[SITE].p_value <= 0.05
    assert rejected > 40


def many_sites(shifted: dict[str, npt.NDArray[Any]]) -> dict[str, SiteShift]:
    """The mean shifts of sites whose states are as long as each other's."""
    states = {site: 20 * np.random.default_rng(0).normal(size=rows.shape) for site, rows in shifted.items()}
    a = {site: rows.astype(np.float32) for site, rows in states.items()}
    b = {site: (a[site] + rows).astype(np.float32) for site, rows in shifted.items()}
    return mean_shifts(ActivationBlock(a), ActivationBlock(b), spectrum=False)


def test_the_site_to_name_is_the_one_whose_shift_is_surely_the_largest() -> None:
    rng = np.random.default_rng(0)
    sure = 1.0 + 0.1 * rng.normal(size=(30, 16))
    noisy = 1.2 + 3 * rng.normal(size=(30, 16))
    small = 0.3 + 0.1 * rng.normal(size=(30, 16))
    found = many_sites({"noisy": noisy, "sure": sure, "small": small})
    assert found["noisy"].relative > found["sure"].relative > found["small"].relative
    assert max(beyond_noise(found).values()) <= BEYOND
    named = leading(found)
    assert named is not None and named.site == "sure"


@pytest.mark.parametrize(("sites", "runs", "most"), [(1, RUNS, 8), (6, 100, 4)])
def test_a_site_is_named_in_a_hundredth_of_nulls_however_many_there_are(sites: int, runs: int, most: int) -> None:
    named = 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        named += leading(many_sites({f"s{n:02}": rng.normal(size=(12, 8)) for n in range(sites)})) is not None
    assert named <= most  # the mean, and 3 standard deviations


def test_a_shift_can_be_beyond_noise_at_any_number_of_sites() -> None:
    rng = np.random.default_rng(1)
    halves = [many_sites({f"s{n:02}{end}": 1 + rng.normal(size=(20, 8)) for n in range(20)}) for end in "pr"]
    assert max(beyond_noise(halves[0] | halves[1]).values()) <= BEYOND


def test_sites_with_too_few_units_are_not_tested() -> None:
    found = many_sites({"few": np.ones((FEWEST - 1, 4))})
    assert beyond_noise(found) == {} and leading(found) is None and leading({}) is None


def test_directions_beyond_the_null_are_counted() -> None:
    rng = np.random.default_rng(3)
    noise = rng.normal(size=(40, 64))
    planted = sum(
        6 * np.outer(rng.normal(size=40), direction) for direction in np.linalg.qr(rng.normal(size=(64, 3)))[0].T
    )
    spectrum = mean_shifts(*blocks(noise + planted))[SITE].spectrum
    assert spectrum is not None and spectrum.directions == 3 and spectrum.p_value <= 0.01
    assert spectrum.values[2] > spectrum.null[2] and spectrum.values[3] <= spectrum.null[3]


def test_the_spectrum_of_noise_has_no_direction_but_in_a_twentieth_of_cases() -> None:
    p_values = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        noise = rng.normal(size=(20, 24)) * np.exp(rng.normal(0, 0.5, 24))
        spectrum = mean_shifts(*blocks(noise, seed))[SITE].spectrum
        assert spectrum is not None and (spectrum.directions > 0) == (spectrum.p_value <= 0.05)
        p_values.append(spectrum.p_value)
    assert sum(p <= 0.05 for p in p_values) <= 11  # 100 at .05: 5, and 2.75 standard deviations


def test_too_few_units_say_nothing_beyond_the_mean() -> None:
    found = mean_shifts(*blocks(np.ones((FEWEST - 1, 8))))[SITE]
    assert (found.ci, found.stability_ci, found.spectrum, found.p_value) == (None, None, None, 1.0)
    assert found.norm == pytest.approx(np.sqrt(8), rel=1e-5)
    one = mean_shifts(*blocks(np.ones((1, 8))))[SITE]
    assert one.units == 1 and one.norm == pytest.approx(np.sqrt(8), rel=1e-5)


def test_probes_that_are_not_finite_are_left_out_and_unlike_widths_too() -> None:
    a, b = blocks(np.ones((8, 4)))
    broken = b.vectors[SITE].copy()
    broken[3, 2] = np.nan
    assert mean_shifts(a, ActivationBlock({SITE: broken}))[SITE].probes == 7
    assert mean_shifts(a, ActivationBlock({SITE: np.full_like(broken, np.inf)})) == {}
    assert mean_shifts(a, ActivationBlock({SITE: np.zeros((8, 5), np.float32)})) == {}
    with pytest.raises(ValueError, match="8 probes against 7"):
        mean_shifts(a, b.rows(0, 7))


def test_no_movement_is_no_shift() -> None:
    found = mean_shifts(*blocks(np.zeros((10, 6))))[SITE]
    assert (found.norm, found.stability, found.ci, found.p_value) == (0.0, 0.0, (0.0, 0.0), 1.0)
    assert found.spectrum is not None and found.spectrum.directions == 0


def test_signatures_add_up_along_a_lineage() -> None:
    rng = np.random.default_rng(5)
    models = [signature(ActivationBlock({SITE: rng.normal(size=(7, 9)).astype(np.float32)})) for _ in range(3)]
    steps = models[1].minus(models[0]), models[2].minus(models[1])
    whole = models[2].minus(models[0])
    np.testing.assert_allclose(whole.means[SITE], steps[0].means[SITE] + steps[1].means[SITE])
    assert whole.cosine(whole) == pytest.approx(1.0)
    assert whole.cosine(models[0].minus(models[0])) is None
    with pytest.raises(ValueError, match="over 7 and 6 probes"):
        models[0].minus(Signature(6, models[1].means))
    with pytest.raises(ValueError, match="at least one probe"):
        signature(ActivationBlock({}))


# A real model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("shift") / "tiny")


@contextmanager
def added(block: Any, vector: npt.NDArray[np.float32]) -> Iterator[None]:
    """Adds a vector to what leaves a block of a transformers model."""
    import torch

    def hook(_module: Any, _inputs: Any, output: Any) -> Any:
        return output + torch.from_numpy(vector)

    handle = block.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def test_a_vector_added_at_one_block_is_found_at_exactly_that_layer_and_below(tiny: Path) -> None:
    """What the blocks below add in answer is bounded by their normalization: a long vector stays in sight."""
    at, length, how = 2, 200, recipe(draws=0, hookpoints=(0.25, 0.5, 0.75, 1.0))
    vector = np.random.default_rng(1).normal(size=32).astype(np.float32)
    vector *= length / np.linalg.norm(vector)
    probes = [chat(text, reference="The capital of France is Paris.") for text in TEXTS]
    with opened(tiny, how) as engine:
        before = capture(engine, probes, how)
        with added(engine._loaded.core.model.layers[at - 1], vector):
            after = capture(engine, probes, how)
    shifts = mean_shifts(before, after)
    assert {site.split("/")[0] for site in shifts} == {f"layer.0{n}" for n in (1, 2, 3, 4)}
    for site, found in shifts.items():
        layer = int(site[6:8])
        if layer < at:
            assert found.norm == 0 and not found.mean.any()
        else:
            cosine = float(found.mean @ vector) / float(np.linalg.norm(found.mean)) / length
            assert cosine > 0.99, site
            assert found.stability > 0.99 and found.p_value <= 0.05
        if layer == at:
            assert found.norm == pytest.approx(length, rel=1e-4)
            np.testing.assert_allclose(found.mean, vector, atol=1e-2)


def capture(engine: Any, probes: Any, how: Any) -> ActivationBlock:
    """The activations of all probes, in their order."""
    from bvc.capture.engine import ProbeRequest

    found = {c.probe_id: c for batch in engine.plan([ProbeRequest(p) for p in probes], how) for c in engine.run(batch)}
    return ActivationBlock.concatenate([found[p.id].evidence.activation for p in probes])
