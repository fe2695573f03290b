"""Fitting a dictionary to a stream of activations: bounded in memory, deterministic, and able to go on when killed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from bvc.errors import BadInput
from bvc.features.buffer import ActivationSource, BufferState, ShuffleBuffer
from bvc.features.dictionary import Dictionary
from bvc.features.fit_state import Basis, StateFolder
from bvc.features.quality import Quality, firing_threshold, measure
from bvc.features.sae import Sae
from bvc.features.schedule import annealed, rate_factor

_CENTER_ROWS = 4096
_THRESHOLD_ROWS = 16_384
_WEISZFELD_STEPS = 30
_ANNEALED_SHARE = 0.2
_RATE_AT_16K = 1e-3


@dataclass(frozen=True)
class FitPlan:
    """What is fitted and how.

    `layer`, `model` and `architecture` go into the dictionary's spec, `corpus` says which texts the source reads (a
    digest; a state is gone on with only for the same). `latents` (m) and `k` are the dictionary's size and its mean
    number of latents per activation. `tokens` activations are trained on in steps of `batch`, with as many passes over
    the source as it takes; `buffer` of them are held for mixing, and the first `held_out` are kept for measuring (the
    texts should come in no particular order). `rate` is Adam's learning rate (None: by the number of latents), `start`
    the multiple of k that is begun with, `outlier` the multiple of the median norm above which activations are left
    out, and `patience` the activations after which a latent that has not fired counts as dead (None: by `tokens`).

    Where it runs (`device`), how often it is saved and reported do not change what it is.
    """

    layer: str
    model: str
    architecture: str | None = None
    corpus: str = ""
    latents: int = 4096
    k: float = 32
    tokens: int = 2_000_000
    batch: int = 1024
    buffer: int = 65_536
    held_out: int = 8192
    seed: int = 0
    rate: float | None = None
    start: float = 2.0
    outlier: float = 4.0
    patience: int | None = None
    device: str = "cpu"
    save_seconds: float = 60.0
    report_steps: int = 10

    @property
    def steps(self) -> int:
        """Steps of the fit."""
        return max(1, round(self.tokens / self.batch))

    @property
    def learning_rate(self) -> float:
        """Adam's learning rate: less for larger dictionaries, as their optimum goes with 1 / sqrt(m) (2406.04093)."""
        return self.rate if self.rate is not None else _RATE_AT_16K / math.sqrt(self.latents / 2**14)

    @property
    def dead_after(self) -> int:
        """Activations without firing after which a latent counts as dead: a twentieth of all, ten million at most."""
        return self.patience if self.patience is not None else max(self.batch, min(10_000_000, self.tokens // 20))

    def settings(self) -> dict[str, Any]:
        """All that fixes the result, for a state and for a dictionary's card."""
        return {key: value for key, value in asdict(self).items() if key not in _NOT_IDENTITY}

    def check(self) -> None:
        """Raises BadInput for numbers that make no fit."""
        for name in ("latents", "batch", "tokens", "report_steps"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 < self.k <= self.latents:
            raise BadInput(f"k must be above 0 and at most the number of latents ({self.latents}), not {self.k}")
        if self.buffer < 2 * self.batch:
            raise BadInput(f"a buffer of {self.buffer} is too small for batches of {self.batch}", hint="twice at least")
        if self.held_out < 2:
            raise BadInput(f"held_out must be at least 2, not {self.held_out}")


_NOT_IDENTITY = frozenset({"device", "save_seconds", "report_steps"})


@dataclass(frozen=True)
class FitProgress:
    """Where a fit stands: `step` of `steps`, the share of the last batch's variance `explained`, latents `dead`."""

    step: int
    steps: int
    explained: float
    dead: int


@dataclass(frozen=True)
class FittedDictionary:
    """A dictionary, its quality on held-out activations, the activations it was trained on (`tokens`, with repeats),
    how many were left out as outliers (`dropped`), and the settings of the fit."""

    dictionary: Dictionary
    quality: Quality
    tokens: int
    dropped: int
    settings: Mapping[str, Any]


Progress = Callable[[FitProgress], None]


def fit_dictionary(
    source: ActivationSource, plan: FitPlan, state: Path, progress: Progress | None = None
) -> FittedDictionary:
    """A BatchTopK dictionary of the activations of `source`, in bounded memory.

    `state` is a folder for this fit alone: a fit that was stopped at any point goes on from what was last saved there
    and ends with the same weights, bit for bit, on the same machine. It may be removed once this returns. Raises
    BadInput for a plan that makes no fit, too few activations, and a folder with the state of another fit.
    """
    plan.check()
    fit = _Fit(source, plan, StateFolder(state, {**plan.settings(), "width": source.width}))
    fit.run(progress or _silent)
    return fit.result()


class _Fit:
    """A fit under way: the coder, the buffer it learns from, and where both are saved."""

    def __init__(self, source: ActivationSource, plan: FitPlan, folder: StateFolder) -> None:
        self._plan = plan
        self._folder = folder
        saved = folder.load()
        if saved is None:
            self._begin(source)
            return
        self._basis, self._held_out = saved.basis, saved.held_out
        self._buffer = self._make_buffer(source)
        center = torch.zeros(source.width, device=plan.device)
        self._sae = self._make_sae(self._directions(source.width), center)
        arrays = {part: _under(part, saved.arrays) for part in ("sae", "buffer")}
        self._buffer.restore(BufferState(arrays["buffer"], saved.counts))
        self._sae.restore(arrays["sae"])

    def _begin(self, source: ActivationSource) -> None:
        self._held_out, texts = _hold_out(source, self._plan.held_out)
        norms = self._held_out.norm(dim=1)
        median = float(norms.median())
        if not 0 < median < math.inf:
            raise BadInput(f"the activations of {self._plan.layer} have a median norm of {median:g}")
        longest = self._plan.outlier * median
        self._held_out = self._held_out[norms <= longest]
        self._basis = Basis(_power_of_two(math.sqrt(source.width) / median), longest, 1.0, texts)
        self._buffer = self._make_buffer(source)
        ahead = self._buffer.ahead(_CENTER_ROWS) * self._basis.scale
        variance = float((ahead - ahead.mean(0)).square().sum(1).mean())
        if not variance > 0:
            raise BadInput(f"the activations of {self._plan.layer} are all the same")
        self._basis = Basis(self._basis.scale, longest, variance, texts)
        self._sae = self._make_sae(self._directions(source.width), geometric_median(ahead))
        self._folder.begin(self._basis, self._held_out)

    def _make_buffer(self, source: ActivationSource) -> ShuffleBuffer:
        return ShuffleBuffer(
            source,
            self._plan.buffer,
            seed=self._plan.seed,
            longest=self._basis.longest,
            skip_texts=self._basis.texts,
            passes=None,
            device=self._plan.device,
        )

    def _make_sae(self, directions: torch.Tensor, center: torch.Tensor) -> Sae:
        return Sae(directions, center, variance=self._basis.variance, patience=self._plan.dead_after)

    def _directions(self, width: int) -> torch.Tensor:
        """Where latents begin [m, d]: anywhere. Directions of activations, which find more of the features of a toy
        world in as many steps, overshoot a hundredfold in a language model, whose activations are all alike."""
        generator = torch.Generator().manual_seed(self._plan.seed)
        return torch.randn((self._plan.latents, width), generator=generator).to(self._plan.device)

    def run(self, progress: Progress) -> None:
        """All steps that are left."""
        steps, saved_at = self._plan.steps, time.monotonic()
        while self._sae.steps < steps:
            missed = self._step()
            step = self._sae.steps
            if step == steps or time.monotonic() - saved_at >= self._plan.save_seconds:
                self._save()
                saved_at = time.monotonic()
            if step == steps or step % self._plan.report_steps == 0:
                progress(FitProgress(step, steps, 1 - float(missed), self._sae.dead))

    def _step(self) -> torch.Tensor:
        plan, step = self._plan, self._sae.steps
        first = min(plan.start * plan.k, plan.latents)
        k = annealed(step, first, plan.k, math.ceil(_ANNEALED_SHARE * plan.steps))
        x = self._buffer.take(plan.batch).mul_(self._basis.scale)
        return self._sae.step(x, k, plan.learning_rate * rate_factor(step, plan.steps))

    def _save(self) -> None:
        buffer = self._buffer.state()
        arrays = {f"sae/{name}": array for name, array in self._sae.state().items()}
        arrays |= {f"buffer/{name}": array for name, array in buffer.arrays.items()}
        self._folder.save(self._sae.steps, arrays, buffer.counts)

    def result(self) -> FittedDictionary:
        """The dictionary with a threshold in place of the batch, and its quality."""
        plan, scale, trained = self._plan, self._basis.scale, self._buffer.served
        fresh = self._buffer.take(min(_THRESHOLD_ROWS, plan.buffer // 2))
        threshold = firing_threshold(lambda x: self._sae.preactivations(x * scale), fresh, plan.k)
        dictionary = Dictionary.build(
            kind="batchtopk",
            layer=plan.layer,
            model=plan.model,
            architecture=plan.architecture,
            k=plan.k,
            scale=scale,
            weights=self._sae.weights(threshold),
        )
        quality = measure(dictionary.to(plan.device), self._held_out)
        return FittedDictionary(dictionary, quality, trained, self._buffer.dropped, plan.settings())


def geometric_median(vectors: torch.Tensor) -> torch.Tensor:
    """The point [d] with the least sum of distances from vectors [n, d], by Weiszfeld's steps: a mean that a few far
    vectors do not move."""
    center = vectors.mean(0)
    for _ in range(_WEISZFELD_STEPS):
        weights = 1 / (vectors - center).norm(dim=1).clamp_min(1e-6)
        center = weights @ vectors / weights.sum()
    return center


def _hold_out(source: ActivationSource, count: int) -> tuple[torch.Tensor, int]:
    """The first `count` finite activations [count, d], on the CPU, and the texts they come from."""
    parts, texts, have = [], 0, 0
    for batch in source.batches(0):
        vectors = batch.vectors.to("cpu", torch.float32)
        parts.append(vectors[vectors.isfinite().all(1)][: count - have])
        texts += batch.texts
        have += len(parts[-1])
        if have == count:
            return torch.cat(parts), texts
    raise BadInput(
        f"the texts give only {have:,} activations; {count:,} are held out to measure the dictionary with",
        hint="give more text, or hold out less",
    )


def _power_of_two(number: float) -> float:
    """The nearest one: multiplying by it is exact, so that a dictionary can be written in the model's unit and back."""
    return 2.0 ** round(math.log2(number))


def _under(part: str, arrays: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(f"{part}/"): array for name, array in arrays.items() if name.startswith(f"{part}/")}


def _silent(progress: FitProgress) -> None:
    del progress
