"""Commits back to the checkpoints that they record: found where they were, or where the user says, and verified."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bvc.api.commit_records import CommitOptions, EngineChoice, Report, silent
from bvc.capture.identity import identify, tokenizer_folder
from bvc.capture.recipe import make_recipe
from bvc.errors import BadInput, EngineError
from bvc.records import CommitInfo, ModelIdentity, Recipe
from bvc.repository.repository import Repository
from bvc.results import Progress

if TYPE_CHECKING:
    from bvc.capture.engine import Engine, FeatureEncoder
    from bvc.capture.load import Loaded

_TRAILER = "Bvc-Location"


@dataclass(frozen=True)
class PairOptions:
    """How the checkpoints of two commits are found and loaded; None means what the commits and `bvc.toml` say.

    `checkpoint_a` and `checkpoint_b` are where they are now, `base` where the base of adapters is.
    """

    checkpoint_a: str | None = None
    checkpoint_b: str | None = None
    base: str | None = None
    dtype: str | None = None
    device: str | None = None
    batch_size: int | None = None
    seed: int | None = None
    hub_cache: Path | None = None
    allow_pickle: bool = False
    trust_remote_code: bool = False
    engine: EngineChoice | None = None
    progress: Report | None = None

    @property
    def report(self) -> Report:
        """Where progress goes."""
        return self.progress or silent

    def step(self, what: str, done: int, total: int) -> None:
        """Reports one step of work."""
        self.report(Progress(what, done, total))


W = TypeVar("W")


def divided(options: Mapping[str, Any], record: Callable[..., W]) -> tuple[W, PairOptions]:
    """Options by name as a record of what to do and the `PairOptions`; a name that both have goes to both.

    Raises TypeError for a name that none has.
    """
    known = [{f.name for f in fields(of)} for of in (record, PairOptions)]  # type: ignore[arg-type]
    if unknown := options.keys() - known[0] - known[1]:
        raise TypeError(f"unknown option {min(unknown)!r}")
    what, how = ({k: v for k, v in options.items() if k in names} for names in known)
    return record(**what), PairOptions(**how)


@dataclass(frozen=True)
class Checkpoint:
    """A commit and the checkpoint that it records, as found on disk."""

    commit: CommitInfo
    identity: ModelIdentity


def checkpoint_pair(repository: Repository, a: str, b: str, options: PairOptions) -> tuple[Checkpoint, Checkpoint]:
    """The checkpoints of commits `a` and `b` (full ids).

    Raises EngineError for a commit without a checkpoint, BadInput where the checkpoint is not found or is another one.
    """
    first = find_checkpoint(repository, a, options.checkpoint_a, "--checkpoint-a PATH", options)
    return first, find_checkpoint(repository, b, options.checkpoint_b, "--checkpoint-b PATH", options)


def find_checkpoint(
    repository: Repository, commit: str, given: str | None, option: str, options: PairOptions
) -> Checkpoint:
    """The checkpoint of a commit (full id), at `given` or where the commit says; `option` is what a hint names to say
    where it is now. Raises as `checkpoint_pair` does."""
    info = repository.store.history.info(commit)
    model = None if info.snapshot is None else info.snapshot.model
    if model is None or model.kind == "recorded":
        raise EngineError(
            f"commit {commit[:10]} holds recorded outputs: there is no checkpoint to run",
            hint="commit the checkpoint itself to explore it",
        )
    place = given or next(iter(info.trailers.get(_TRAILER, ())), None)
    if place is None:
        raise BadInput(f"commit {commit[:10]} does not say where its checkpoint is", hint=f"say where it is: {option}")
    found = _identify(repository, place, model, option, options)
    if found.fingerprint != model.fingerprint:
        raise BadInput(
            f"is not the checkpoint of commit {commit[:10]} ({model.name}): its weights or configuration differ",
            file=place,
            hint=f"say where that checkpoint is now: {option}",
        )
    return Checkpoint(info, found)


def read_identity(
    repository: Repository, checkpoint: str, base: str | None, options: PairOptions | CommitOptions
) -> ModelIdentity:
    """What a checkpoint is, with the digests of files that the repository has read before. Raises as
    `bvc.capture.identity.identify` does."""
    return identify(
        checkpoint,
        base=base,
        known=repository.store.index,
        allow_pickle=options.allow_pickle,
        hub_cache=options.hub_cache,
        progress=options.progress,
    )


def _identify(
    repository: Repository, place: str, model: ModelIdentity, option: str, options: PairOptions
) -> ModelIdentity:
    base = options.base or (None if model.base is None else _recorded_place(repository, model.base))
    try:
        return read_identity(repository, place, base if model.base is not None else None, options)
    except BadInput as error:
        raise BadInput(error.message, hint=error.hint or f"say where the checkpoint is now: {option}") from error


def _recorded_place(repository: Repository, model: ModelIdentity) -> str | None:
    """Where a commit of the base `model` says that it is, if it still is there."""
    store = repository.store
    tips = [commit for name in store.refs.all() if (commit := store.refs.peel(name)) is not None]
    for info in store.history.walk(tips):
        if info.snapshot is not None and info.snapshot.model.fingerprint == model.fingerprint:
            places = [p for p in info.trailers.get(_TRAILER, ()) if Path(p).is_dir()]
            if places:
                return places[0]
    return None


def pair_recipe(repository: Repository, model: ModelIdentity, options: PairOptions, **settings: Any) -> Recipe:
    """The recipe of `bvc.toml` with the options' and other `settings`; no activations are read."""
    overrides = {"dtype": options.dtype, "device": options.device, "seed": options.seed, **settings}
    recipe = make_recipe(repository.config, tokenizer_folder(model), overrides)
    recipe = replace(recipe, hookpoints=())
    return recipe if options.engine is None else replace(recipe, engine=options.engine.name)


@contextmanager
def loaded_model(repository: Repository, side: Checkpoint, options: PairOptions) -> Iterator[Loaded]:
    """The model of a checkpoint in memory, for what asks it directly. Raises as `bvc.capture.load.load` does."""
    from bvc.capture.load import Source, load

    options.step("loading the model", 0, 1)
    source = Source(side.identity, options.allow_pickle, options.trust_remote_code)
    loaded = load(source, pair_recipe(repository, side.identity, options))
    options.step("loading the model", 1, 1)
    try:
        yield loaded
    finally:
        loaded.release()


def opener(
    model: ModelIdentity,
    recipe: Recipe,
    options: PairOptions | CommitOptions,
    encoder: Callable[[], FeatureEncoder] | None = None,
) -> Callable[[], Engine]:
    """What loads a checkpoint when it is its turn, and with it the dictionary that `encoder` loads."""

    def open_() -> Engine:
        if options.engine is not None:
            return options.engine.load(model, recipe, encoder)
        from bvc.capture.transformers_engine import open_engine

        return open_engine(
            model,
            recipe,
            allow_pickle=options.allow_pickle,
            trust_remote_code=options.trust_remote_code,
            encoder=None if encoder is None else encoder(),
        )

    return open_
