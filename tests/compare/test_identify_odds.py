"""Which known model is this: stated probabilities hold, "none" is rarely false, the nearest has a fair confidence."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from bvc.compare.identify import (
    LEAST,
    Pairs,
    Posterior,
    nearest,
    odds_of_same,
    posterior,
    reading,
    telling,
)
from bvc.compare.pairing import ACTIVATION, LOGPROB, TEXT

PROBES = [f"p{i:02d}" for i in range(40)]
MODELS = [f"m{i}" for i in range(8)]
RUNS = 2000


def capture_world(seed: int) -> tuple[Posterior, str | None]:
    """A lineage of eight, and an unknown that is one of them half of the time; as the laws of `identify` have it: same
    weights near 1e-8 nats, other models as the steps, and one in ten anywhere above 1e-6."""
    rng = np.random.default_rng(seed)
    center, spread = rng.normal(-0.7, 0.4), 0.4
    same_at = rng.normal(-8, 0.4)
    steps = (center + spread * rng.normal(size=7)).tolist()
    noise = (same_at + 0.3 * rng.normal(size=8)).tolist()
    truth = str(rng.choice(MODELS)) if rng.random() < 0.5 else None
    odds = {}
    for model in MODELS:
        apart = center + spread * rng.normal() if rng.random() < 0.9 else rng.uniform(-6, 1)
        exponent = same_at + 0.3 * rng.normal() if model == truth else apart
        table = {p: float(10 ** (exponent + 0.2 * rng.normal())) for p in PROBES}
        odds[model] = odds_of_same(reading(LOGPROB, table), Pairs(LOGPROB, noise, steps))
    return posterior(odds), truth


def text_world(seed: int) -> tuple[Posterior, str | None]:
    """The same with nothing but which answers are equal: of one model most, or half under other arithmetic; of two
    models few, and one in ten anything up to most."""
    rng = np.random.default_rng(seed)
    center = rng.normal(2.2, 0.5)
    truth = str(rng.choice(MODELS)) if rng.random() < 0.5 else None
    at = -4.0 + rng.normal() if rng.random() < 0.5 else -0.5 + 0.9 * rng.normal()
    odds = {}
    steps = [reading(TEXT, equal_answers(rng, center + 0.7 * rng.normal())).value for _ in range(7)]
    for model in MODELS:
        apart = center + 0.7 * rng.normal() if rng.random() < 0.9 else rng.uniform(-1.5, 6)
        read = reading(TEXT, equal_answers(rng, at if model == truth else apart))
        odds[model] = odds_of_same(read, Pairs(TEXT, (), steps, covered=False))
    return posterior(odds), truth


def equal_answers(rng: np.random.Generator, value: float) -> Mapping[str, float]:
    """Distances of texts of which a share is 0; `value` is the log odds of the others."""
    return dict(zip(PROBES, (rng.random(len(PROBES)) < 1 / (1 + np.exp(-value))).astype(float).tolist(), strict=True))


@pytest.mark.parametrize("world", [capture_world, text_world])
def test_stated_probabilities_hold(world: object) -> None:
    """In every band of the probability stated for the likeliest answer, as many are right as it says."""
    stated, right = [], []
    for seed in range(RUNS):
        found, truth = world(seed)  # type: ignore[operator]
        said: dict[str | None, float] = {**found.models, None: found.none}
        best = max(said, key=lambda name: said[name])
        stated.append(said[best])
        right.append(best == truth)
    probabilities, hits = np.array(stated), np.array(right, float)
    for low, high in ((0.0, 0.8), (0.8, 0.95), (0.95, 1.01)):
        band = (probabilities >= low) & (probabilities < high)
        if band.sum() >= 20:
            mean, count = float(probabilities[band].mean()), int(band.sum())
            # never surer than right; somewhat less sure is the price of laws that stand for any lineage
            assert hits[band].mean() >= mean - 3 * np.sqrt(mean * (1 - mean) / count) - 1 / count
            assert hits[band].mean() <= mean + 0.15


@pytest.mark.parametrize("world", [capture_world, text_world])
def test_none_of_these_is_said_falsely_in_at_most_a_twentieth(world: object) -> None:
    runs = [world(seed) for seed in range(RUNS)]  # type: ignore[operator]
    recorded = [found for found, truth in runs if truth is not None]
    assert sum(found.none >= 0.95 for found in recorded) <= 0.05 * len(recorded)
    strangers = [found for found, truth in runs if truth is None]
    assert sum(max(found.models.values()) >= 0.95 for found in strangers) <= 0.05 * len(strangers)
    told = sum(found.models[truth] >= 0.95 for found, truth in runs if truth is not None)
    assert told >= (0.9 if world is capture_world else 0.3) * len(recorded)  # and it is not by saying nothing


STEPS = [-0.9, -0.6, -0.3, -0.95, 0.0, -0.6, -0.05]


@pytest.mark.parametrize(("distance", "covered", "least", "most"), [
    (0.0, True, 0.99, 1.0),  # bit for bit the same
    (2e-8, True, 0.99, 1.0),  # another layout of the batch
    (3e-6, True, 0.0, 0.1),  # noise on the weights of 2^-12
    (1e-3, True, 0.0, 0.01),  # another number type that the recipe would name
    (1e-3, False, 0.3, 0.95),  # the same, unnamed: it may be that, or a light touch
    (0.2, True, 0.0, 1e-4), (0.2, False, 0.0, 0.01),  # an update
])  # fmt: skip
def test_a_reading_of_log_probs(distance: float, covered: bool, least: float, most: float) -> None:
    read = reading(LOGPROB, dict.fromkeys(PROBES, distance))
    odds = odds_of_same(read, Pairs(LOGPROB, [-8.0] * 8, STEPS, covered))
    others = dict.fromkeys(MODELS[1:], 1e-9)
    assert least <= posterior({MODELS[0]: odds, **others}).models[MODELS[0]] <= most


def test_what_is_measured_goes_before_what_is_assumed() -> None:
    read = reading(LOGPROB, dict.fromkeys(PROBES, 1e-6))
    quiet, noisy = (odds_of_same(read, Pairs(LOGPROB, [noise] * 8, STEPS)) for noise in (-8.0, -6.0))
    assert noisy > 100 * quiet


def test_more_equal_texts_make_a_model_likelier() -> None:
    odds = []
    for equal in (0, 10, 20, 30, 38, 40):
        table = {p: float(i >= equal) for i, p in enumerate(PROBES)}
        odds.append(odds_of_same(reading(TEXT, table), Pairs(TEXT, (), [3.0, 1.5, 2.0], covered=False)))
    assert odds == sorted(odds) and odds[0] < 0.01 and odds[-1] > 100


def test_probabilities_add_up_and_none_has_its_share() -> None:
    found = posterior({"a": 1.0, "b": 1.0})
    assert (found.models["a"], found.models["b"], found.none) == (0.25, 0.25, 0.5)
    assert posterior({"a": 1e9}).none < 1e-8
    for odds, new in (({}, 0.5), ({"a": 1.0}, 1.0)):
        with pytest.raises(ValueError, match="known models are needed"):
            posterior(odds, new)


def test_readings_refuse_what_they_cannot_read() -> None:
    with pytest.raises(ValueError, match="no probe"):
        reading(TEXT, {})
    with pytest.raises(ValueError, match="of activation"):
        reading(ACTIVATION, {"p": 1.0})
    with pytest.raises(ValueError, match="logprob against pairs of text"):
        odds_of_same(reading(LOGPROB, {"p": 1.0}), Pairs(TEXT))
    assert reading(LOGPROB, {"p": 0.0}).value == np.log10(LEAST)


def test_the_nearest_comes_with_how_often_resamples_say_so() -> None:
    rng = np.random.default_rng(0)
    base = rng.random(len(PROBES))
    clear = {"a": dict(zip(PROBES, base, strict=True)), "b": dict(zip(PROBES, base + 1, strict=True))}
    assert nearest(clear).model == "a" and nearest(clear).confidence == 1.0
    close = {"a": clear["a"], "b": dict(zip(PROBES, base + rng.normal(size=len(PROBES)), strict=True))}
    assert 0.4 < nearest(close).confidence < 0.999
    with pytest.raises(ValueError, match="no distances"):
        nearest({"a": {}})


def test_the_confidence_of_the_nearest_counts_clusters() -> None:
    """Forty probes of two clusters are two observations: what tells in one of them is no certainty."""
    tables = {"a": {p: float(i >= 20) for i, p in enumerate(PROBES)}, "b": dict.fromkeys(PROBES, 0.6)}
    clusters = {p: str(i // 20) for i, p in enumerate(PROBES)}
    assert nearest(tables).confidence > nearest(tables, clusters).confidence + 0.05


def test_tables_without_a_shared_probe_give_a_nearest_without_confidence() -> None:
    found = nearest({"a": {"p": 1.0}, "b": {"q": 0.5}})
    assert (found.model, found.confidence) == ("b", 0.0)


def test_probes_are_chosen_so_that_every_step_is_told() -> None:
    quiet = dict.fromkeys(PROBES, 0.01)
    steps = [quiet | {"p03": 1.0, "p04": 1.0, "p05": 1.0, "p06": 0.9}, quiet | {"p30": 1.0}]
    chosen = telling(steps, PROBES, 2)
    assert "p30" in chosen and len(set(chosen) & {"p03", "p04", "p05"}) == 1
    assert telling(steps, PROBES, 100) == PROBES
    assert telling([], PROBES[::-1], 3) == ["p02", "p01", "p00"]
    assert telling([{}, {"other": 1.0}], PROBES, 2) == PROBES[:2]
