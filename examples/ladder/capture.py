"""Capture the ladder: a bvc project with one branch per checkpoint, each a child of what it was made from.

    python -m examples.ladder.capture OUT                  # every checkpoint that is there and not captured yet
    python -m examples.ladder.capture OUT salt-water …     # only these

Nothing is waited for: a checkpoint that is not there is left out, and a second run goes on where the first one stopped.
Checkpoints are read from OUT/checkpoints. The project is OUT/project; its branch `main` holds the base model. Branches
of the kind N0 hold the base again under other settings.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import bvc
from bvc.api.commit_records import EngineChoice
from bvc.api.handle import Repo
from bvc.capture.packaged_model import MODEL_NAME, ensure_base
from bvc.capture.transformers_engine import open_engine
from bvc.records import ModelIdentity, Recipe
from examples.ladder.perturb import PERTURBATIONS, Perturbation, perturbed_copy
from examples.ladder.suite import write_suite
from examples.ladder.train import Rung, read_rungs
from examples.lineage.train import models_folder

SUITE = "ladder"
BASE = "main"
RECIPE: Mapping[str, Any] = {"draws": 2, "dtype": "float32", "batch_size": 16, "seed": 0}
AUTHOR = "The ladder <ladder@localhost>"
Folder = Callable[[], AbstractContextManager[Path]]


@dataclass(frozen=True)
class Capture:
    """One commit of the project: the branch `name`, going on from the branch `parent`.

    `folder` gives the checkpoint for as long as it is read; `settings` differ from RECIPE where something stands;
    `ready` says whether the checkpoint exists.
    """

    name: str
    parent: str | None
    kind: str
    wave: str
    description: str
    folder: Folder
    settings: Mapping[str, Any] = field(default_factory=dict)
    ready: Callable[[], bool] = lambda: True


def main() -> None:
    """Read the command line and capture what is missing."""
    parser = argparse.ArgumentParser(description="Capture the checkpoints of the ladder.")
    parser.add_argument("out", type=Path, help="folder of the checkpoints and the project")
    parser.add_argument("names", nargs="*", help="only these (default: all)")
    arguments = parser.parse_args()
    for line in capture_all(arguments.out, arguments.names):
        print(line, flush=True)


def capture_all(out: Path, names: list[str]) -> Iterator[str]:
    """Capture what is there and not committed yet, in order; yield a line about each."""
    base = ensure_base(models_folder() / MODEL_NAME)
    with open_project(out / "project") as repo:
        for capture in captures(out, base):
            if (names and capture.name not in names) or not is_due(repo, capture):
                continue
            started = time.monotonic()
            commit = commit_capture(repo, capture, base)
            yield f"{capture.name} {commit} {time.monotonic() - started:.0f} s"
        if BASE in tips(repo):
            repo.switch(BASE)


def open_project(folder: Path) -> Repo:
    """The ladder's project, made if need be, with its suite as it is now."""
    bvc.init(folder)
    write_suite(folder / "probes" / f"{SUITE}.jsonl")
    repo = bvc.open(folder)
    repo.default_author = AUTHOR
    repo.config_set("suites.default", f'["{SUITE}"]')
    return repo


# What there is to capture


def captures(out: Path, base: Path) -> list[Capture]:
    """Everything in the order of capture: what the decision rule was tuned on comes first."""
    rungs = [rung_capture(rung, out / "checkpoints") for rung in read_rungs().values()]
    rungs += [perturbation_capture(p, base, out) for p in PERTURBATIONS]
    rungs += same_weights(base)
    return [Capture(BASE, None, "base", "tuning", f"The base, {MODEL_NAME}.", there(base)), *sorted(rungs, key=_turn)]


def _turn(capture: Capture) -> tuple[bool, int]:
    """Tuning before held-out; N1 pairs first, since thresholds are learned from them."""
    return capture.wave != "tuning", ["N1", "planted", "hidden", "N0", "N2"].index(capture.kind)


def rung_capture(rung: Rung, checkpoints: Path) -> Capture:
    """A trained rung, ready when its adapter is complete (its config is written last)."""
    folder = checkpoints / rung.name
    description = rung.description or "A benign update on the base's own answers."
    return Capture(
        rung.name,
        rung.parent or BASE,
        rung.kind,
        rung.wave,
        description,
        there(folder),
        ready=(folder / "adapter_config.json").exists,
    )


def perturbation_capture(perturbation: Perturbation, base: Path, out: Path) -> Capture:
    """A perturbed copy, which exists only while it is captured."""
    return Capture(
        perturbation.name,
        BASE,
        "N2",
        perturbation.wave,
        perturbation.description,
        lambda: perturbed_copy(base, perturbation, out),
    )


def same_weights(base: Path) -> list[Capture]:
    """The base again: in other batches, on two threads, with other draws, in bfloat16, and there in other batches."""

    def again(name: str, description: str, settings: Mapping[str, Any], parent: str = BASE) -> Capture:
        return Capture(name, parent, "N0", "tuning", description, there(base), settings)

    return [
        again("n0-batch-4", "The base in batches of 4.", {"batch_size": 4}),
        again("n0-seed-1", "The base with draws of another seed.", {"seed": 1}),
        again("n0-bfloat16", "The base in bfloat16.", {"dtype": "bfloat16"}),
        again(
            "n0-bfloat16-batch-4",
            "The base in bfloat16 in batches of 4.",
            {"dtype": "bfloat16", "batch_size": 4},
            parent="n0-bfloat16",
        ),
        again(
            "n0-threads-2",
            "The base on two threads.",
            # Threads are no part of the recipe: the captures that the base has under it must not be taken.
            {"engine": EngineChoice("transformers", two_threads), "reuse": False},
        ),
    ]


def there(folder: Path) -> Folder:
    """A checkpoint that stays where it is."""

    @contextmanager
    def given() -> Iterator[Path]:
        yield folder

    return given


def two_threads(model: ModelIdentity, recipe: Recipe) -> Any:
    """The usual engine, after giving torch a second thread."""
    torch.set_num_threads(2)
    return open_engine(model, recipe)


# Committing


def is_due(repo: Repo, capture: Capture) -> bool:
    """Whether a checkpoint is there, its parent committed and itself not."""
    tip = tips(repo)
    parent = None if capture.parent is None else tip.get(capture.parent)
    if capture.parent is not None and (parent is None or not is_committed(tip, capture.parent, repo)):
        return False
    return not is_committed(tip, capture.name, repo) and capture.ready()


def tips(repo: Repo) -> dict[str, str]:
    """Branch → commit."""
    return {branch.name: branch.commit for branch in repo.branches()}


def is_committed(tip: Mapping[str, str], name: str, repo: Repo) -> bool:
    """Whether the branch's last commit is its own: a capture that was killed leaves the branch at its parent."""
    return name in tip and repo.show(tip[name]).commit.subject.startswith(f"{name}: ")


def commit_capture(repo: Repo, capture: Capture, base: Path) -> str:
    """Capture and commit on the branch of its own; returns the commit."""
    if capture.parent is not None:
        if capture.name not in tips(repo):
            repo.create_branch(capture.name, capture.parent)
        repo.switch(capture.name)
    threads = torch.get_num_threads()
    try:
        with capture.folder() as folder:
            options = {**RECIPE, **capture.settings, "message": f"{capture.name}: {capture.description}"}
            if (folder / "adapter_config.json").exists():
                options["base"] = str(base)
            return repo.commit(folder, **options).commit
    finally:
        torch.set_num_threads(threads)


if __name__ == "__main__":
    main()
