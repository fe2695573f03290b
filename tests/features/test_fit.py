"""Fits on sources whose features are known: found, the same every time, and gone on with wherever they stop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bvc.errors import BadInput
from bvc.features.fit import FitPlan, FitProgress, FittedDictionary, fit_dictionary
from tests.features.toy import ToySource, cosines

PLAN = FitPlan(
    layer="layer.01",
    model="0" * 64,
    latents=96,
    k=2,
    tokens=400_000,
    batch=256,
    buffer=4096,
    held_out=2000,
    rate=3e-3,
)
SHORT = replace(PLAN, tokens=256 * 12, save_seconds=0.0, report_steps=1)


class _Stopped(Exception):
    """What ends a fit in the middle."""


def _fit(plan: FitPlan, state: Path, stop_at: int | None = None) -> FittedDictionary:
    def told(progress: FitProgress) -> None:
        if progress.step == stop_at:
            raise _Stopped

    return fit_dictionary(ToySource(texts=60), plan, state, told)


def test_the_features_of_a_toy_world_are_found(tmp_path: Path) -> None:
    source = ToySource(texts=60)
    fitted = fit_dictionary(source, PLAN, tmp_path)
    assert cosines(fitted.dictionary, source.truth).mean() > 0.9
    assert fitted.quality.explained > 0.85
    assert abs(fitted.quality.active - PLAN.k) < 0.2 * PLAN.k


@pytest.mark.parametrize("stop", [1, 5, 11])
def test_a_fit_that_stopped_ends_as_one_that_did_not(tmp_path: Path, stop: int) -> None:
    whole = _fit(SHORT, tmp_path / "whole")
    with pytest.raises(_Stopped):
        _fit(SHORT, tmp_path / "cut", stop)
    again = _fit(SHORT, tmp_path / "cut")
    assert again.dictionary.spec == whole.dictionary.spec
    for name, array in whole.dictionary.weights.items():
        assert torch.equal(array, again.dictionary.weights[name])


def test_the_state_of_another_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(_Stopped):
        _fit(SHORT, tmp_path, 3)
    with pytest.raises(BadInput):
        _fit(replace(SHORT, seed=1), tmp_path)


@pytest.mark.parametrize("change", [{"k": 0}, {"k": 97}, {"buffer": 300}, {"held_out": 1}, {"tokens": 0}])
def test_plans_that_make_no_fit_are_refused(tmp_path: Path, change: dict[str, int]) -> None:
    with pytest.raises(BadInput):
        _fit(replace(SHORT, **change), tmp_path)  # type: ignore[arg-type]
