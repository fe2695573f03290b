"""A fit in a process of its own, saved after every step, to be killed at any time.

    python -m tests.features.fit_once FOLDER

Prints a line per step, and at its end the digest of the dictionary.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from bvc.features.fit import FitPlan, FitProgress, fit_dictionary
from tests.features.toy import ToySource

PLAN = FitPlan(
    layer="layer.01",
    model="m" * 64,
    corpus="c" * 64,
    latents=96,
    k=3,
    tokens=40 * 256,
    batch=256,
    buffer=2048,
    held_out=1000,
    patience=2048,
    save_seconds=0.0,
    report_steps=1,
)


def source() -> ToySource:
    """A corpus that the fit goes through three times."""
    return ToySource(texts=20, outliers=True)


def _report(progress: FitProgress) -> None:
    print(progress.step, flush=True)  # noqa: T201


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(fit_dictionary(source(), PLAN, Path(sys.argv[1]), _report).dictionary.spec.digest)  # noqa: T201
