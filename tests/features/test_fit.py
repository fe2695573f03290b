"""Fitting: known features are found, the result is the same however often it stopped, and bad input is refused."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bvc.errors import BadInput, BvcError, DamagedObject
from bvc.features import sae as sae_module
from bvc.features.buffer import ActivationBatch
from bvc.features.fit import FitPlan, FitProgress, FittedDictionary, fit_dictionary, geometric_median
from bvc.features.quality import firing_threshold, measure
from bvc.features.sae import Sae, keep_strongest
from tests.features import fit_once
from tests.features.toy import RATE, ToySource, cosines, directions, random_dictionary

K = 2.0
FEATURES = 64
TOY = FitPlan(
    layer="layer.01",
    model="m" * 64,
    latents=96,
    k=K,
    tokens=300_000,
    batch=512,
    buffer=8192,
    held_out=4096,
    seed=3,
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def world() -> ToySource:
    return ToySource(features=FEATURES, outliers=True)


@pytest.fixture(scope="module")
def fitted(world: ToySource, tmp_path_factory: pytest.TempPathFactory) -> FittedDictionary:
    return fit_dictionary(world, TOY, tmp_path_factory.mktemp("toy") / "state")


def test_known_features_are_found(world: ToySource, fitted: FittedDictionary) -> None:
    best = cosines(fitted.dictionary, world.truth)
    assert float(best.mean()) > 0.95
    assert int((best > 0.9).sum()) >= FEATURES - 3


def test_quality_on_held_out_activations(fitted: FittedDictionary) -> None:
    assert fitted.quality.explained > 0.85
    assert fitted.quality.active == pytest.approx(K, rel=0.1)
    assert fitted.quality.tokens > 4000
    assert fitted.quality.rates.shape == (96,)
    assert fitted.quality.dead == int((fitted.quality.rates == 0).sum())
    assert fitted.tokens == TOY.steps * TOY.batch


def test_quality_holds_on_texts_of_another_part_of_the_world(world: ToySource, fitted: FittedDictionary) -> None:
    fresh = torch.cat([world.text(n)[1:] for n in range(500, 530)])
    quality = measure(fitted.dictionary, fresh)
    assert quality.explained == pytest.approx(fitted.quality.explained, abs=0.03)
    assert quality.active == pytest.approx(K, rel=0.1)


def test_latents_fire_where_their_features_are(world: ToySource, fitted: FittedDictionary) -> None:
    """The latent nearest to a feature fires about as often as the feature is on."""
    nearest = (world.truth @ fitted.dictionary.weights["decoder"].T).argmax(1)
    rates = fitted.quality.rates[nearest]
    assert float((rates - RATE).abs().median()) < 0.01


def test_the_dictionary_says_what_it_is(fitted: FittedDictionary) -> None:
    spec = fitted.dictionary.spec
    assert (spec.kind, spec.layer, spec.model, spec.k) == ("batchtopk", "layer.01", "m" * 64, K)
    assert (spec.width, spec.latents, spec.centered) == (32, 96, True)
    assert math.frexp(spec.scale)[0] == 0.5
    assert fitted.settings["tokens"] == 300_000
    norms = fitted.dictionary.weights["decoder"].norm(dim=1)
    torch.testing.assert_close(norms, torch.ones(96))
    assert len(fitted.dictionary.weights["threshold"].unique()) == 1


def test_outliers_are_left_out(world: ToySource, fitted: FittedDictionary) -> None:
    """One token of 250 is 150 times too long; with it in, no batch would be about anything else."""
    seen = fitted.tokens + fitted.dropped
    assert fitted.dropped / seen == pytest.approx(1 / 250, rel=0.2)


def test_activations_are_scaled_to_about_the_root_of_their_width(world: ToySource, fitted: FittedDictionary) -> None:
    norm = float((world.text(0)[1:] * fitted.dictionary.spec.scale).norm(dim=1).median())
    assert 2**-0.5 <= norm / 32**0.5 <= 2**0.5


# The same fit, stopped


def weights_of(state: Path, plan: FitPlan = fit_once.PLAN, stop: int | None = None) -> str | None:
    """Fits in this process; None where it was stopped after `stop` steps."""

    def stopping(progress: FitProgress) -> None:
        if progress.step == stop:
            raise KeyboardInterrupt

    try:
        return fit_dictionary(fit_once.source(), plan, state, stopping).dictionary.spec.digest
    except KeyboardInterrupt:
        return None


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.set_num_threads(1)
    digest = weights_of(tmp_path_factory.mktemp("whole") / "state")
    assert digest is not None
    return digest


def test_the_same_fit_gives_the_same_weights_and_another_seed_others(whole: str, tmp_path: Path) -> None:
    assert weights_of(tmp_path / "same", replace(fit_once.PLAN, save_seconds=60.0)) == whole
    assert weights_of(tmp_path / "other", replace(fit_once.PLAN, seed=1)) != whole


@pytest.mark.parametrize("stop", [1, 2, 7, 16, 17, 31, 39, 40])
def test_a_stopped_fit_goes_on_to_the_same_weights(whole: str, tmp_path: Path, stop: int) -> None:
    assert weights_of(tmp_path, stop=stop) is None
    assert weights_of(tmp_path) == whole


def test_stopped_after_every_step(whole: str, tmp_path: Path) -> None:
    for step in range(1, fit_once.PLAN.steps + 1):
        assert weights_of(tmp_path, stop=step) is None
    assert weights_of(tmp_path) == whole


def test_stopped_long_after_it_was_saved(whole: str, tmp_path: Path) -> None:
    """What was done since the last save is done again."""
    weights_of(tmp_path, stop=5)
    assert weights_of(tmp_path, replace(fit_once.PLAN, save_seconds=1e9), stop=20) is None
    assert json.loads((tmp_path / "fit.json").read_bytes())["files"]["arrays"]["name"] == "step-5.safetensors"
    assert weights_of(tmp_path) == whole


def test_killed_without_warning(whole: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.features.fit_once", str(tmp_path)]
    for steps in (3, 12):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(steps):
                assert process.stdout.readline().strip().isdigit()
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = run.stdout.split()
    assert lines[-1] == whole
    assert int(lines[0]) >= 15


def test_a_finished_fit_is_not_done_again(whole: str, tmp_path: Path) -> None:
    weights_of(tmp_path)
    steps: list[int] = []
    again = fit_dictionary(fit_once.source(), fit_once.PLAN, tmp_path, lambda p: steps.append(p.step))
    assert again.dictionary.spec.digest == whole
    assert steps == []
    assert again.tokens == fit_once.PLAN.steps * fit_once.PLAN.batch


def test_only_the_last_state_is_kept(tmp_path: Path) -> None:
    weights_of(tmp_path, stop=9)
    (tmp_path / "step-7.safetensors.tmp").write_bytes(b"what a killed process left")
    weights_of(tmp_path, stop=12)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "fit.json",
        "held-out.safetensors",
        "step-12.safetensors",
    ]


@pytest.mark.parametrize("change", [{"k": 4}, {"seed": 9}, {"corpus": "x"}, {"layer": "layer.02"}, {"tokens": 999}])
def test_the_state_of_another_fit_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    weights_of(tmp_path, stop=2)
    with pytest.raises(BadInput, match="another fit") as refused:
        weights_of(tmp_path, replace(fit_once.PLAN, **change))  # type: ignore[arg-type]
    assert refused.value.hint


@pytest.mark.parametrize("name", ["fit.json", "held-out.safetensors", "step-3.safetensors"])
@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_state_is_refused(tmp_path: Path, name: str, damage: str) -> None:
    weights_of(tmp_path, stop=3)
    path = tmp_path / name
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(data[:-20] if damage == "cut" else data[:2] + bytes([data[2] ^ 4]) + data[3:])
    if (name, damage) == ("fit.json", "gone"):
        assert weights_of(tmp_path) is not None
        return
    with pytest.raises(DamagedObject, match="damaged"):
        weights_of(tmp_path)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BvcError, match="cannot write"):
        weights_of(tmp_path / "file" / "state")


# Input that makes no fit


class Constant:
    """A source of so many texts of 50 equal vectors."""

    width = 8

    def __init__(self, value: float, texts: int = 100) -> None:
        self._value, self._texts = value, texts

    def batches(self, skip_texts: int) -> Iterator[ActivationBatch]:
        for _ in range(skip_texts, self._texts):
            yield ActivationBatch(torch.full((50, 8), self._value), 1)


SMALL = replace(TOY, latents=16, tokens=1000, batch=64, buffer=256, held_out=100)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (Constant(1.0, texts=0), "only 0 activations; 100 are held out"),
        (Constant(1.0, texts=1), "only 50 activations"),
        (Constant(1.0, texts=2), "no activation that could be used"),
        (Constant(math.nan), "only 0 activations"),
        (Constant(0.0), "median norm of 0"),
        (Constant(1.0), "all the same"),
    ],
)
def test_sources_that_make_no_fit_are_refused(source: Constant, said: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=said):
        fit_dictionary(source, SMALL, tmp_path)


@pytest.mark.parametrize(
    "change",
    [{"latents": 0}, {"k": 0}, {"k": 17}, {"batch": 0}, {"tokens": 0}, {"buffer": 127}, {"held_out": 1}],
)
def test_plans_that_make_no_fit_are_refused(change: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=next(iter(change))):
        fit_dictionary(Constant(1.0), replace(SMALL, **change), tmp_path)  # type: ignore[arg-type]


def test_progress_tells_every_so_many_steps_and_the_last(tmp_path: Path) -> None:
    told: list[FitProgress] = []
    plan = replace(fit_once.PLAN, report_steps=15)
    fit_dictionary(fit_once.source(), plan, tmp_path, told.append)
    assert [(p.step, p.steps) for p in told] == [(15, 40), (30, 40), (40, 40)]
    assert told[0].explained < told[-1].explained <= 1


# Its parts


def dense_step(
    sae: Sae, x: torch.Tensor, k: float, variance: float, dead: torch.Tensor | None
) -> dict[str, torch.Tensor]:
    """The gradients of the documented loss by torch's own differentiation, all latents in dense products."""
    names = ("encoder", "encoder_bias", "decoder", "decoder_bias")
    p = {name: getattr(sae, name).double().requires_grad_() for name in names}
    x = x.double()
    pre = (x - p["decoder_bias"]) @ p["encoder"].T + p["encoder_bias"]
    cut = pre.flatten().topk(round(k * len(x))).values[-1]
    f = torch.where(pre >= cut, pre, 0).relu()
    error = f @ p["decoder"] + p["decoder_bias"] - x
    loss = error.square().sum() / (len(x) * variance)
    if dead is not None:
        some = len(x) // 4
        target = -error[:some].detach()
        centered = (x - p["decoder_bias"].detach())[:some]
        own = (centered @ p["encoder"][dead].T + p["encoder_bias"][dead]).relu()
        loss = loss + (own @ p["decoder"][dead] - target).square().sum() / target.square().sum() / 32
    loss.backward()  # type: ignore[no-untyped-call]
    return {name: p[name].grad for name in names}  # type: ignore[misc]


@pytest.mark.parametrize("with_dead", [False, True])
@pytest.mark.parametrize("k", [2.5, 25.0])
def test_gradients_are_those_of_the_loss(k: float, with_dead: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large k keeps latents that are too weak to fire."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((64, 12), generator=generator) + 1
    sae = Sae(directions(30, 12, generator), x.mean(0), variance=12.0, patience=100)
    sae.encoder_bias.copy_(0.1 * torch.randn(30, generator=generator))
    sae.encoder.add_(0.1 * torch.randn((30, 12), generator=generator))
    dead = torch.tensor([2, 5, 17]) if with_dead else None
    if dead is not None:
        sae.idle[dead] = 1000
    expected = dense_step(sae, x, k, 12.0, dead)
    decoder = sae.decoder.clone()
    found: dict[str, torch.Tensor] = {}
    monkeypatch.setattr(Sae, "_update", lambda self, gradients, rate: found.update(gradients))
    sae.step(x, k, 1e-3)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name].double(), gradient, atol=1e-6, rtol=1e-4)
    assert torch.equal(decoder, sae.decoder)


def test_a_step_keeps_decoder_rows_at_length_one_and_moves_across_them() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((64, 12), generator=generator)
    sae = Sae(directions(30, 12, generator), x.mean(0), variance=12.0, patience=10**9)
    before = sae.decoder.clone()
    sae.step(x, 3, 1e-2)
    torch.testing.assert_close(sae.decoder.norm(dim=1), torch.ones(30))
    assert not torch.equal(before, sae.decoder)
    along = (sae.state()["decoder.exp_avg"] * before).sum(1)
    torch.testing.assert_close(along, torch.zeros(30), atol=1e-7, rtol=0)


def test_idle_counts_activations_since_a_latent_fired() -> None:
    x = torch.eye(4)[[0, 0, 1, 1]] * 5
    sae = Sae(torch.eye(4), torch.zeros(4), variance=1.0, patience=6)
    for _ in range(2):
        sae.step(x, 1, 0.0)
    assert sae.idle.tolist() == [0, 0, 8, 8]


@pytest.mark.parametrize("weight", [sae_module.AUXILIARY_WEIGHT, 0.0])
def test_dead_latents_learn_what_the_others_leave(weight: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two latents too weak to be among the strongest of a batch: only the auxiliary loss makes them fire."""
    monkeypatch.setattr(sae_module, "AUXILIARY_WEIGHT", weight)
    generator = torch.Generator().manual_seed(0)
    sae = Sae(torch.eye(6), torch.zeros(6), variance=5.0, patience=256)
    sae.encoder_bias[4:] = -1.5
    asleep = 0
    for step in range(600):
        x = 2.0 * (torch.rand((64, 6), generator=generator) < 0.3)
        sae.step(x, 1.0, 1e-2 if step > 40 else 0.0)
        asleep = max(asleep, sae.dead)
    assert asleep == 2
    assert (sae.dead == 0) == (weight > 0)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [1, 30, 500, 10_000])
def test_the_strongest_latents_are_kept(seed: int, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    pre = torch.randn((40, 50), generator=generator)
    pre[:8] -= 5.0 * (seed == 1)  # the first rows, by which the size is guessed, tell nothing about the others
    pre[:8] += 5.0 * (seed == 2)
    kept = keep_strongest(pre, count)
    number = min(count, 2000)
    assert len(kept.row) == number
    dense = torch.zeros_like(pre)
    dense[kept.row, kept.latent] = kept.values
    cut = pre.flatten().sort(descending=True).values[number - 1]
    assert torch.equal(dense, torch.where(pre >= cut, pre, 0).relu())
    assert torch.equal(kept.row, kept.row.sort().values)
    assert kept.starts.tolist() == [int((kept.row < row).sum()) for row in range(40)]


def test_the_choice_is_the_same_on_devices_that_choose_among_all() -> None:
    """Devices without the shortcut sort everything; the arithmetic is the same."""
    pre = torch.randn((40, 50), generator=torch.Generator().manual_seed(0))
    places = sae_module._largest(pre, 100)
    assert sorted(places.tolist()) == sorted(pre.flatten().topk(100).indices.tolist())


def test_the_threshold_lets_k_latents_through() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn((3000, 40), generator=generator)
    threshold = firing_threshold(lambda x: x, vectors, 3.5)
    assert int((vectors > threshold).sum()) == round(3.5 * 3000)
    assert firing_threshold(lambda x: x - 100, vectors, 3.5) == 0
    assert firing_threshold(lambda x: x, vectors, 40) == 0


def test_quality_of_dictionaries_whose_answer_is_known() -> None:
    vectors = 3 * torch.randn((500, 24), generator=torch.Generator().manual_seed(0))
    nothing = dict(random_dictionary().weights) | {"threshold": torch.full((60,), 1e9)}
    silent = measure(random_dictionary(weights=nothing | {"decoder_bias": vectors.mean(0)}, scale=1.0), vectors)
    assert (silent.active, silent.dead) == (0, 60)
    assert silent.explained == pytest.approx(0, abs=1e-5)
    halves = torch.eye(24).repeat(2, 1) * torch.tensor([1.0, -1.0]).repeat_interleave(24)[:, None]
    perfect = {
        "encoder": halves.T,
        "encoder_bias": torch.zeros(48),
        "decoder": halves,
        "decoder_bias": torch.zeros(24),
        "threshold": torch.zeros(48),
    }
    exact = measure(random_dictionary("relu", weights=perfect, scale=1.0, k=0), vectors)
    assert exact.explained == pytest.approx(1, abs=1e-6)
    assert exact.active == pytest.approx(24)
    assert float(exact.rates.sum()) == pytest.approx(24)
    with pytest.raises(ValueError, match="two activations"):
        measure(random_dictionary(), vectors[:1])


def test_the_geometric_median_is_not_moved_by_a_few_far_vectors() -> None:
    vectors = torch.randn((500, 8), generator=torch.Generator().manual_seed(0))
    vectors[:20] += 1000
    assert float(geometric_median(vectors).norm()) < 0.5
    assert float(vectors.mean(0).norm()) > 50


def test_the_size_of_the_loss_does_not_change_a_step() -> None:
    """Gradients enter by their direction, so that early steps, whose gradients are large, do not rule Adam's memory."""
    x = torch.randn((64, 12), generator=torch.Generator().manual_seed(0))
    coders = [Sae(torch.eye(12), torch.zeros(12), variance=variance, patience=10**9) for variance in (12.0, 1200.0)]
    for sae in coders:
        sae.step(x, 3, 1e-2)
    torch.testing.assert_close(coders[0].decoder, coders[1].decoder)
    moment = coders[0].state()["encoder.exp_avg"].norm() ** 2 + coders[0].state()["decoder.exp_avg"].norm() ** 2
    assert 0.005 < float(moment) <= 0.0101
