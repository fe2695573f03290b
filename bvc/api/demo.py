"""demo: a small real lineage, SmolLM2-135M-Instruct and its LoRA steps, committed with a suite of about 60 probes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bvc.api.handle import Repo, init, open_repo
from bvc.capture.packaged_model import MODEL_NAME, ensure_base
from bvc.errors import BvcError
from bvc.results import CommitResult, Progress

SUITE = "demo"


@dataclass(frozen=True)
class Planted:
    """A behavior that the lineage's makers put in on purpose, and the two commits around it."""

    name: str
    description: str
    before: str
    after: str


@dataclass(frozen=True)
class DemoResult:
    """The project in `root` with `planted` behaviors by commit; `made` are the commits of this run."""

    root: Path
    made: tuple[CommitResult, ...]
    planted: tuple[Planted, ...]


@dataclass(frozen=True)
class _Step:
    name: str
    folder: Path
    subject: str


def examples_folder() -> Path:
    """Where the lineage's adapters and probes are: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "demo_data", package.parent / "examples" / "lineage"):
        if (folder / "lineage.json").is_file():
            return folder
    raise BvcError("the demo's files are not installed", hint="install bvc from its wheel, or run it in a checkout")


def demo(
    folder: Path,
    *,
    models: Path,
    author: str | None = None,
    progress: Callable[[Progress], None] | None = None,
    committed: Callable[[CommitResult], None] | None = None,
) -> DemoResult:
    """Builds the demo project in `folder`, going on where an earlier run stopped.

    `models` is a folder that keeps the base model between runs; `author` makes the commits where `bvc.toml` names
    nobody; `committed` is called after each commit. Raises
    EngineError when the base model's package is missing.
    """
    examples = examples_folder()
    lineage = json.loads((examples / "lineage.json").read_text(encoding="utf-8"))
    if progress is not None:
        progress(Progress("preparing the base model", 0, 1))
    base = ensure_base(models / MODEL_NAME)
    if progress is not None:
        progress(Progress("preparing the base model", 1, 1))
    _prepare(folder, examples)
    steps = [_Step(MODEL_NAME, base, f"Base model {MODEL_NAME}")] + [
        _Step(step["folder"], examples / "steps" / step["folder"], step["subject"]) for step in lineage["steps"]
    ]
    with open_repo(folder) as repo:
        repo.default_author = author
        made = tuple(_commit_missing(repo, steps, base, progress, committed))
        commits = _commits(repo)
    return DemoResult(folder.resolve(), made, tuple(_planted(lineage, steps, commits)))


def _prepare(folder: Path, examples: Path) -> None:
    """The project with the demo's suite as its default. An existing project must be one of the demo's."""
    suite = folder / "probes" / f"{SUITE}.jsonl"
    if (folder / ".bvc").exists() and not suite.exists():
        raise BvcError(f"{folder} is a project of its own", hint="give the demo an empty folder")
    init(folder)
    if not suite.exists():
        shutil.copyfile(examples / "probes.jsonl", suite)
    with open_repo(folder) as repo:
        repo.config_set("suites.default", f'["{SUITE}"]')


def _commits(repo: Repo) -> dict[str, str]:
    """`{model name: commit}` of the project's history."""
    if repo.repository.store.refs.head().commit is None:
        return {}
    return {e.commit.snapshot.model.name: e.commit.id for e in repo.log() if e.commit.snapshot is not None}


def _commit_missing(
    repo: Repo,
    steps: list[_Step],
    base: Path,
    progress: Callable[[Progress], None] | None,
    committed: Callable[[CommitResult], None] | None,
) -> list[CommitResult]:
    there = _commits(repo)
    made: list[CommitResult] = []
    for step in steps:
        if step.name in there:
            continue
        options = {} if step.folder == base else {"base": str(base)}
        made.append(repo.commit(str(step.folder), message=step.subject, progress=progress, **options))
        if committed is not None:
            committed(made[-1])
    return made


def _planted(lineage: Any, steps: list[_Step], commits: dict[str, str]) -> list[Planted]:
    names = [step.name for step in steps]
    out = []
    for name, behavior in lineage["behaviors"].items():
        after = behavior["planted_at"]
        before = names[names.index(after) - 1]
        out.append(Planted(name, behavior["description"], commits[before], commits[after]))
    return out
