"""`Repo`: an open project with one method per verb, gathered from the `handle_*` modules by what the verbs are for.

Each method loads the module of its verb on first use.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bvc.api.handle_capture import CaptureVerbs
from bvc.api.handle_compare import CompareVerbs
from bvc.api.handle_features import FeatureVerbs
from bvc.api.handle_history import HistoryVerbs
from bvc.api.handle_refs import RefVerbs
from bvc.api.handle_upkeep import UpkeepVerbs
from bvc.repository.repository import Repository, create_project


@dataclass(frozen=True)
class InitResult:
    """What `init` made and what it left as it was, as names relative to `root`."""

    root: Path
    created: tuple[str, ...]
    kept: tuple[str, ...]


def init(directory: str | Path = ".") -> InitResult:
    """Makes `directory` a bvc project with the starter suite and behaviors. Nothing that exists is overwritten."""
    from bvc.behaviors.starter import starter_behaviors
    from bvc.suites.starter import starter_bytes

    root = Path(directory)
    created, kept = create_project(root, starter_bytes(), starter_behaviors())
    return InitResult(root.resolve(), tuple(created), tuple(kept))


def open_repo(directory: str | Path = ".") -> Repo:
    """The project at `directory` or above it. Raises NoRepository."""
    return Repo(Repository.open(Path(directory)))


class Repo(CaptureVerbs, HistoryVerbs, CompareVerbs, FeatureVerbs, RefVerbs, UpkeepVerbs):
    """An open project. A context manager; methods return the records of `bvc.results`.

    Revisions are written as in Git. Long work takes `progress`, a function that is called with each
    `bvc.results.Progress`. Every method raises subclasses of `bvc.errors.BvcError`.
    """
