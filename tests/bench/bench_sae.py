"""What fitting a dictionary costs and reaches, beside the BatchTopK trainer of dictionary-learning, and its memory.

    python -m tests.bench.bench_sae

Both trainers see the same batches in turn, so that a busy machine slows them alike; the package is installed into
.bench/rivals-sae, without what it needs for reading language models. Activations are a toy world's and those of
SmolLM2-135M-Instruct (after half of its blocks, on Python's language reference; kept in .bench). Prints Markdown.
"""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from bvc.features.buffer import ActivationBatch
from bvc.features.dictionary import Dictionary
from bvc.features.encoder import DictionaryEncoder
from bvc.features.fit import FitPlan, fit_dictionary, geometric_median
from bvc.features.quality import firing_threshold, measure
from bvc.features.sae import Sae
from bvc.features.schedule import annealed, rate_factor
from tests.bench.measure import once, table

CACHE = Path(__file__).resolve().parents[2] / ".bench"
RIVAL = "dictionary-learning==0.1.0"
SEQUENCE, TOKENS = 128, 110_000
HELD_OUT = 8192
BUFFERS = (8_192, 32_768, 131_072)
_IN_TURN = 10


@dataclass(frozen=True)
class World:
    """Activations [n, d] of median norm sqrt(d), in no order, and what is fitted to them."""

    name: str
    vectors: torch.Tensor
    latents: int
    k: int
    batch: int
    steps: int

    def at(self, step: int) -> torch.Tensor:
        """The batch of a step; the last HELD_OUT vectors are in none."""
        usable = len(self.vectors) - HELD_OUT
        start = step * self.batch % (usable - self.batch)
        return self.vectors[start : start + self.batch]

    @property
    def held_out(self) -> torch.Tensor:
        return self.vectors[-HELD_OUT:]


def normalized(vectors: torch.Tensor) -> torch.Tensor:
    """Without outliers, scaled and shuffled."""
    norms = vectors.norm(dim=1)
    kept = vectors[norms <= 4 * norms.median()] * (vectors.shape[1] ** 0.5 / float(norms.median()))
    return kept[torch.randperm(len(kept), generator=torch.Generator().manual_seed(0))]


def toy() -> World:
    """512 features at 1 % in 128 dimensions."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.nn.functional.normalize(torch.randn((512, 128), generator=generator), dim=1)
    on = torch.rand((60_000, 512), generator=generator) < 0.01
    vectors = on * (1 + 2 * torch.rand(on.shape, generator=generator)) @ truth
    return World("toy world", normalized(vectors + 0.02 * torch.randn(vectors.shape)), 1024, 6, 512, 800)


def real() -> World:
    """The stream of SmolLM2 after 15 of 30 blocks."""
    path = CACHE / "sae-smollm2.safetensors"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        save_file({"vectors": _stream().to(torch.bfloat16)}, path)
    return World("SmolLM2-135M", normalized(load_file(path)["vectors"].float()), 4096, 32, 1024, 300)


def _stream() -> torch.Tensor:
    import pydoc_data.topics

    from transformers import AutoModelForCausalLM, AutoTokenizer

    from bvc.capture.hookpoints import Hookpoints, find_blocks
    from tests.real_model import real_model

    folder = real_model()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    text = "\n\n".join(pydoc_data.topics.topics[key] for key in sorted(pydoc_data.topics.topics))
    ids = torch.tensor(AutoTokenizer.from_pretrained(folder)(text)["input_ids"][:TOKENS])
    rows = ids[: len(ids) // SEQUENCE * SEQUENCE].view(-1, SEQUENCE)
    found = []
    with torch.no_grad(), Hookpoints(find_blocks(model, 30), [0.5]).recording() as streams:
        for batch in rows.split(16):
            model(batch, logits_to_keep=1)
            found.append(streams["layer.15"].flatten(0, 1))
    return torch.cat(found)


# The trainers: each steps on a batch, and says in the end what it explains of what is held out, with how many latents


class Ours:
    def __init__(self, world: World, rate: float) -> None:
        generator = torch.Generator().manual_seed(0)
        first = world.vectors[:4096]
        variance = float((first - first.mean(0)).square().sum(1).mean())
        directions = torch.randn((world.latents, first.shape[1]), generator=generator)
        patience = world.steps * world.batch // 20
        self._sae = Sae(directions, geometric_median(first), variance=variance, patience=patience)
        self._world, self._rate = world, rate

    def step(self, number: int, x: torch.Tensor) -> None:
        world = self._world
        k = annealed(number, 2 * world.k, world.k, math.ceil(world.steps / 5))
        self._sae.step(x, k, self._rate * rate_factor(number, world.steps))

    def reached(self) -> tuple[float, float]:
        world = self._world
        threshold = firing_threshold(self._sae.preactivations, world.vectors[:16_384], world.k)
        weights = self._sae.weights(threshold)
        dictionary = Dictionary.build(kind="batchtopk", layer="", model="", k=world.k, scale=1.0, weights=weights)
        quality = measure(dictionary, world.held_out)
        return quality.explained, quality.active


class Theirs:
    """As its documentation has it, with warm-up and decay of the same shares as ours."""

    def __init__(self, world: World, rate: float | None) -> None:
        from dictionary_learning.trainers.batch_top_k import BatchTopKTrainer

        self._world = world
        self._trainer: Any = BatchTopKTrainer(
            steps=world.steps,
            activation_dim=world.vectors.shape[1],
            dict_size=world.latents,
            k=world.k,
            layer=0,
            lm_name="",
            lr=rate,
            warmup_steps=world.steps // 20,
            decay_start=world.steps * 4 // 5,
            threshold_beta=0.99,
            threshold_start_step=world.steps // 2,
            seed=0,
            device="cpu",
        )

    def step(self, number: int, x: torch.Tensor) -> None:
        self._trainer.update(number, x)

    @torch.no_grad()
    def reached(self) -> tuple[float, float]:
        x, missed, active = self._world.held_out, 0.0, 0.0
        for chunk in x.split(1024):
            decoded, latents = self._trainer.ae(chunk, output_features=True)
            missed += float((chunk - decoded).square().sum())
            active += float((latents > 0).sum())
        return 1 - missed / float((x - x.mean(0)).square().sum()), active / len(x)


def import_rival() -> None:
    """Puts the package where its trainers can be imported; what its own start imports (nnsight) is left out."""
    folder = CACHE / "rivals-sae"
    if not (folder / "dictionary_learning").is_dir():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*command, "--target", str(folder), RIVAL, "einops==0.8.2"], check=True)
    sys.path.append(str(folder))
    package = types.ModuleType("dictionary_learning")
    package.__path__ = [str(folder / "dictionary_learning")]
    sys.modules["dictionary_learning"] = package


def compare(world: World) -> list[list[str]]:
    """Rows of the table: seconds a step, their ratio, what is explained and how many latents fire."""
    rate = 1e-3 / math.sqrt(world.latents / 2**14)
    trainers = {"bvc": Ours(world, rate), "its own rate": Theirs(world, None), "bvc's rate": Theirs(world, rate)}
    seconds = dict.fromkeys(trainers, 0.0)
    for start in range(0, world.steps, _IN_TURN):
        for name, trainer in trainers.items():
            began = time.perf_counter()
            for step in range(start, min(start + _IN_TURN, world.steps)):
                trainer.step(step, world.at(step))
            seconds[name] += time.perf_counter() - began
    rows = []
    for name, trainer in trainers.items():
        explained, active = trainer.reached()
        who = name if name == "bvc" else f"dictionary-learning, {name}"
        each = f"{seconds[name] / world.steps * 1000:.0f} ms"
        ratio = f"{seconds[name] / seconds['bvc']:.1f}"
        rows.append([world.name, who, each, ratio, f"{explained:.3f}", f"{active:.1f} (k {world.k})"])
    return rows


class Endless:
    """Activations made as they are asked for, so that only the fit holds any."""

    width = 576

    def batches(self, skip_texts: int) -> Iterator[ActivationBatch]:
        for text in range(skip_texts, 1000):
            generator = torch.Generator().manual_seed(text)
            yield ActivationBatch(torch.randn((1024, self.width), generator=generator), 1)


def fit_with_buffer(vectors: int) -> None:
    """A short fit that fills, refills and saves a buffer: run in a process of its own and weighed."""
    plan = FitPlan(layer="", model="", latents=1024, k=8, tokens=12 * 512, batch=512, buffer=vectors, held_out=1024)
    with tempfile.TemporaryDirectory() as folder:
        fit_dictionary(Endless(), plan, Path(folder))


def memory() -> list[list[str]]:
    """Peak memory by size of the buffer, and how much of it each vector more has cost."""
    peaks = [once((sys.executable, "-m", "tests.bench.bench_sae", str(size))).peak for size in BUFFERS]
    rows = []
    for size, peak in zip(BUFFERS, peaks, strict=True):
        held = size * Endless.width * 4 / 2**20
        more = (peak - peaks[0]) / max(1e-9, held - BUFFERS[0] * Endless.width * 4 / 2**20)
        rows.append([f"{size:,}", f"{held:.0f} MiB", f"{peak:.0f} MiB", f"{more:.2f}" if size > BUFFERS[0] else ""])
    return rows


def encoding() -> str:
    """Milliseconds a token that a dictionary of 4,096 latents takes while a model is captured."""
    world = real()
    weights = Ours(world, 0.0)._sae.weights(3.0)
    dictionary = Dictionary.build(kind="batchtopk", layer="", model="", k=32, scale=1.0, weights=weights)
    encoder = DictionaryEncoder(dictionary)
    stream, held = world.vectors[: 16 * 64].view(16, 64, -1), torch.ones((16, 64), dtype=torch.bool)
    times = []
    for _ in range(9):
        began = time.perf_counter()
        encoder.encode(stream, held)
        times.append(time.perf_counter() - began)
    return f"{sorted(times)[len(times) // 2] / held.numel() * 1000:.3f} ms"


def main() -> None:
    """Everything, as Markdown."""
    weighed = memory()  # first: a child's peak is never less than what its parent holds
    import_rival()
    print(f"Threads: {torch.get_num_threads()}; torch {torch.__version__}.\n")
    rows = compare(toy()) + compare(real())
    print(table(["Activations", "Trainer", "A step", "÷ bvc", "Explained", "Latents a token"], rows))
    print()
    print(table(["Buffer, vectors", "Its size", "Peak of the fit", "Growth ÷ growth of the buffer"], weighed))
    print(f"\nEncoding at capture, 576 numbers to 4,096 latents: {encoding()} a token.")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        fit_with_buffer(int(sys.argv[1]))
    else:
        main()
