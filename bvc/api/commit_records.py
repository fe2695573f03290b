"""What a commit is asked to do and what its captures bring together: shared by the kinds of commit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bvc.api.suites import selected_suites
from bvc.capture.engine import Engine, FeatureEncoder
from bvc.dictionaries import DictionarySpec
from bvc.records import ModelIdentity, Probe, Recipe, Snapshot, Suite, SuiteEntry
from bvc.repository.repository import Repository
from bvc.repository.snapshot_writer import Source
from bvc.results import Progress

Report = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """Takes progress and shows nothing."""


@dataclass(frozen=True)
class EngineChoice:
    """Another engine than transformers: `name` stands in the recipe, `open` loads a checkpoint to capture under it, and
    `open_encoding` one that records the features of a dictionary too (None: it cannot)."""

    name: str
    open: Callable[[ModelIdentity, Recipe], Engine]
    open_encoding: Callable[[ModelIdentity, Recipe, FeatureEncoder], Engine] | None = None

    def load(self, model: ModelIdentity, recipe: Recipe, encoder: Callable[[], FeatureEncoder] | None) -> Engine:
        """The engine, with a dictionary where one is given and it takes one."""
        if encoder is None or self.open_encoding is None:
            return self.open(model, recipe)
        return self.open_encoding(model, recipe, encoder())


@dataclass(frozen=True)
class CommitOptions:
    """What a commit is asked to do; None means what `bvc.toml` says.

    Either `checkpoint` (a Hugging Face folder, a PEFT adapter folder or a hub id) or `outputs` (a file of recorded
    outputs of the model called `model`). `parents` are revisions; without them the tip of the branch is the parent.
    Without `reuse` every probe is run, also where an earlier commit holds this model's captures under this recipe.
    """

    checkpoint: str | None = None
    outputs: Path | None = None
    model: str | None = None
    message: str | None = None
    parents: Sequence[str] = ()
    suites: Sequence[str] = ()
    draws: int | None = None
    max_new_tokens: int | None = None
    capture: bool = True
    reuse: bool = True
    dtype: str | None = None
    device: str | None = None
    batch_size: int | None = None
    seed: int | None = None
    base: str | None = None
    hub_cache: Path | None = None
    allow_pickle: bool = False
    trust_remote_code: bool = False
    engine: EngineChoice | None = None
    author: str = "unknown <unknown@localhost>"
    progress: Report | None = None

    @property
    def report(self) -> Report:
        """Where progress goes."""
        return self.progress or silent


@dataclass(frozen=True)
class Target:
    """Where a commit goes: the ref that moves, the tip seen when the work began, and the parents."""

    ref: str
    branch: str | None
    tip: str | None
    parents: tuple[str, ...]
    explicit: bool


@dataclass(frozen=True)
class Captures:
    """What a capture brought together, ready to be written. `finish(done)` ends the capture: with True it clears what
    was kept for resuming, since the commit holds it now; with False it keeps it. `keys` are those of the capture cache
    under which the commit is to be found beside the one of its recipe; `dictionary` is what its features are of."""

    snapshot: Snapshot
    suites: tuple[Suite, ...]
    sources: Mapping[str, Source]
    captured: int = 0
    recaptures: Mapping[str, Source] = field(default_factory=dict)
    bucket_table: Any = None
    token_texts: Any = None
    keys: tuple[bytes, ...] = ()
    notes: tuple[str, ...] = ()
    dictionary: DictionarySpec | None = None
    finish: Callable[[bool], None] = lambda _: None


def suite_entries(suites: Sequence[Suite]) -> tuple[SuiteEntry, ...]:
    """The suites as `snapshot.json` lists them."""
    return tuple(SuiteEntry(s.name, s.digest, len(s.probes)) for s in suites)


def named_suites(repository: Repository, options: CommitOptions) -> tuple[Suite, ...]:
    """The suites of this commit, read from the project."""
    return selected_suites(repository, options.suites)


def unique_probes(suites: Sequence[Suite]) -> dict[str, Probe]:
    """`{id: probe}` over all suites in order, a probe that stands in several once."""
    return {probe.id: probe for suite in suites for probe in suite.probes}
