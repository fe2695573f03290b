"""How well changes are found on real model pairs with known truth, by bvc and by other rules on the same captures.

    python -m tests.bench.bench_ladder [--waves tuning held-out] [--no-build] [--again]

Makes what is missing first (examples/ladder), then scores every pair and prints Markdown. The scores of the other rules
are kept in .bench/ladder/scores.json by the two commits; bvc's diff is always run.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from tests.bench.ladder_report import report
from tests.bench.ladder_score import Table, score_pairs

OUT = Path(".bench/ladder")
RIVALS = Path(".bench/rivals")
WAVES = ("tuning", "held-out")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=OUT, help="where checkpoints, captures and scores are")
    parser.add_argument("--waves", nargs="+", default=WAVES, choices=WAVES, help="only these pairs")
    parser.add_argument("--no-build", action="store_true", help="train and capture nothing, score what is there")
    parser.add_argument("--again", action="store_true", help="forget the kept scores of the other rules")
    options = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    base = base_model()
    if not options.no_build:
        build(options.out, base)
    print(report(evaluate(options, base)))


def base_model() -> Path:
    """The base model's folder, made on first use."""
    from bvc.capture.packaged_model import MODEL_NAME, ensure_base
    from examples.lineage.train import models_folder

    return ensure_base(models_folder() / MODEL_NAME)


def build(out: Path, base: Path) -> None:
    """Train and capture what is missing, after saying how long that takes."""
    import torch

    from examples.ladder.capture import capture_all, captures
    from examples.ladder.train import make, read_rungs

    torch.set_num_threads(1)
    folder = out / "checkpoints"
    untrained = [rung for rung in read_rungs().values() if not (folder / rung.name / "adapter_config.json").exists()]
    if untrained:
        print(f"training {len(untrained)} checkpoints, about 2 minutes each on one core", flush=True)
    for rung in untrained:
        make(rung, folder)
    print(f"capturing what is missing of {len(captures(out, base))} checkpoints, about 2 minutes each", flush=True)
    for line in capture_all(out, []):
        print(line, flush=True)


def evaluate(options: Any, base: Path) -> Table:
    """Every captured pair's scores by all rules."""
    from transformers import AutoTokenizer

    from tests.bench.ladder_packages import packaged_rules
    from tests.bench.ladder_pairs import read_pairs
    from tests.bench.rivals import RULES

    tokenizer = AutoTokenizer.from_pretrained(base)
    rules = {**RULES, **packaged_rules(RIVALS, tokenizer)}
    pairs = read_pairs(options.out, base, options.waves)
    if not pairs:
        sys.exit(f"no pair is captured in {options.out}")
    if options.again:
        (options.out / "scores.json").unlink(missing_ok=True)
    return score_pairs(options.out, pairs, rules)


if __name__ == "__main__":
    main()
