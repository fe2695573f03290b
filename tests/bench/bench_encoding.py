"""What recording features adds to a capture, and what adding them to an earlier capture takes.

    python -m tests.bench.bench_encoding [--probes 60] [--latents 4096] [--k 32] [--pairs 3]

The demo's base model with a random dictionary of its middle layer, whose threshold lets `k` latents fire at a token. A
batch is captured without and with it in turn, so that a busy machine slows both alike. Prints Markdown.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from bvc.capture.engine import Batch, ProbeCapture, ProbeRequest
from bvc.capture.packaged_model import MODEL_NAME, ensure_base
from bvc.capture.transformers_engine import open_engine
from bvc.features.dictionary import Dictionary
from bvc.features.encoder import DictionaryEncoder
from bvc.features.quality import firing_threshold
from bvc.records import ModelIdentity, Recipe
from tests.bench.bench_capture import probes
from tests.bench.measure import table
from tests.dictionaries import random_dictionary
from tests.real_model import models_folder

WIDTH, LAYER = 576, "layer.15"
_LOOKED_AT = 20


class _Watched:
    """An encoder that keeps what it was given, and counts the seconds it took."""

    def __init__(self, dictionary: Dictionary) -> None:
        self.dictionary = dictionary
        self._encoder = DictionaryEncoder(dictionary)
        self.layer, self.digest = self._encoder.layer, self._encoder.digest
        self.seen: list[torch.Tensor] = []
        self.seconds = 0.0

    def encode(self, stream: torch.Tensor, held: torch.Tensor) -> Any:
        self.seen.append(stream[held].clone())
        started = time.process_time()
        found = self._encoder.encode(stream, held)
        self.seconds += time.process_time() - started
        return found


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--probes", type=int, default=60)
    parser.add_argument("--latents", type=int, default=4096)
    parser.add_argument("--k", type=float, default=32.0)
    parser.add_argument("--pairs", type=int, default=3)
    options = parser.parse_args()
    recipe = Recipe("transformers")
    folder = ensure_base(models_folder() / MODEL_NAME)
    identity = ModelIdentity(folder.name, "bench", "hf", location=str(folder))
    plain = open_engine(identity, recipe)
    requests = [ProbeRequest(p) for p in probes(options.probes)]
    batches = plain.plan(requests, recipe)
    watched = _Watched(_dictionary(identity, recipe, batches[0], options.latents, options.k))
    encoding: Any = open_engine(identity, recipe, encoder=watched)
    without, having, made = [], [], {}
    for _ in range(options.pairs):
        watched.seconds = 0.0
        costs = [(_cost(plain, batch, {}), _cost(encoding, batch, made)) for batch in batches]
        without.append(sum(a for a, _ in costs))
        having.append(sum(b for _, b in costs))
    again = [_at_hand(request, made[request.probe.id]) for batch in batches for request in batch.requests]
    started = time.process_time()
    for batch in encoding.plan(again, recipe):
        encoding.encode(batch)
    added = time.process_time() - started
    ratios = sorted(b / a for a, b in zip(without, having, strict=True))
    base = statistics.median(without)
    rows = [
        ["capture without features", f"{base:.1f} s", "1.00"],
        [
            "with features",
            f"{statistics.median(having):.1f} s",
            f"**{statistics.median(ratios):.3f}** ({ratios[0]:.3f} to {ratios[-1]:.3f})",
        ],
        ["of it encoding", f"{watched.seconds:.2f} s", f"{watched.seconds / base:.4f}"],
        ["adding features to a capture at hand", f"{added:.1f} s", f"{added / base:.2f}"],
    ]
    shape = f"{options.probes} probes, {options.latents:,} latents, {_active(watched):.0f} active at a token"
    print(f"{folder.name}, float32, {torch.get_num_threads()} threads: {shape}; processor time\n")
    print(table(["", "CPU", "of a capture"], rows))


def _active(watched: _Watched) -> float:
    """Mean number of latents that fire at a token, over some of those seen."""
    seen = torch.cat(watched.seen[:_LOOKED_AT])
    return float((watched.dictionary.encode(seen) > 0).sum()) / len(seen)


def _at_hand(request: ProbeRequest, capture: ProbeCapture) -> ProbeRequest:
    """What is asked for the features of a capture that was made without."""
    return replace(request, reference=capture.reference, answer=capture.outputs.greedy)


def _cost(engine: Any, batch: Batch, made: dict[str, ProbeCapture]) -> float:
    """Seconds of processor time to capture a batch; the captures go to `made`."""
    started = time.process_time()
    captures = engine.run(batch)
    spent = time.process_time() - started
    made |= {capture.probe_id: capture for capture in captures}
    return spent


def _dictionary(identity: ModelIdentity, recipe: Recipe, batch: Batch, latents: int, k: float) -> Dictionary:
    """Random directions with a threshold above which `k` of them fire at a token of `batch`."""
    start = _Watched(random_dictionary(width=WIDTH, latents=latents, layer=LAYER))
    open_engine(identity, recipe, encoder=start).run(batch)
    made = random_dictionary(width=WIDTH, latents=latents, layer=LAYER)
    threshold = _least(made, start.seen, k)
    weights = {**made.weights, "threshold": torch.full((latents,), threshold)}
    return Dictionary.build(kind="jumprelu", layer=LAYER, model="f" * 64, k=k, scale=1.0, weights=weights)


def _least(dictionary: Dictionary, seen: Sequence[torch.Tensor], k: float) -> float:
    return firing_threshold(dictionary.preactivations, torch.cat(list(seen)), k)


if __name__ == "__main__":
    main()
