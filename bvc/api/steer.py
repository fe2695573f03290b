"""features steer: does a direction of the residual stream cause a behavior, beside random directions as long?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from bvc.api.behaviors import find_behavior
from bvc.api.checkpoints import PairOptions, find_checkpoint, read_identity
from bvc.api.steer_direction import find_direction, lengths
from bvc.api.steer_records import (
    EVERYWHERE,
    LATENT_STRENGTHS,
    STREAM_STRENGTHS,
    Direction,
    SteerOptions,
    SteerResult,
)
from bvc.api.steer_report import Judge, Report
from bvc.api.suites import selected_suites
from bvc.behaviors.patterns import check_pattern
from bvc.behaviors.records import Behavior, Scorer, Tools
from bvc.behaviors.score import selected
from bvc.capture.identity import tokenizer_folder
from bvc.capture.recipe import make_recipe
from bvc.errors import UsageError
from bvc.ids import digest
from bvc.records import CommitInfo, ModelIdentity, Outputs, Probe, Recipe
from bvc.repository.repository import Repository
from bvc.repository.revisions import find_probe, resolve
from bvc.repository.snapshot_view import SnapshotView

if TYPE_CHECKING:
    from bvc.capture.steering import SteeredProbe, SteeredRun


def steer(
    repository: Repository,
    target: int | str | Direction,
    what: SteerOptions | None = None,
    options: PairOptions | None = None,
    tools: Tools | None = None,
) -> SteerResult:
    """Generates with a latent's direction (its number, or `NAME:NUMBER`) or any `Direction` added to the stream at
    several strengths, and with random directions as long, and says whether a behavior moves more than by those.

    Nothing is written. Raises UsageError for a target or options that name nothing, UnknownRevision for a dictionary,
    NotComparable where the direction does not fit the model or no probe can be scored, and what `find_checkpoint` and
    the engine raise.
    """
    what, options = what or SteerOptions(), options or PairOptions()
    judge = Judge(_behavior(repository, what), tools or Tools())
    direction, known = find_direction(repository, target, what.dictionary)
    place = _find_place(repository, what, options)
    probes, notes = _probes(repository, place.view, judge.behavior, what)
    if known is not None:
        known.check(place.model)
    strengths = _strengths(what, direction)
    recipe = _recipe(repository, place, what, options)
    run, norms, stream = _run(_Work(place, recipe, what, options), direction, probes, strengths)
    return Report(judge, what, strengths, probes, run).result(
        layer=direction.layer,
        name=direction.name,
        units="stream" if direction.unit is None else "latent",
        commit=place.commit,
        model=place.model,
        recipe=recipe,
        dictionary=None if known is None else known.name,
        latent=direction.latent,
        promoted=() if known is None else known.promoted,
        norms=norms,
        stream_norm=stream,
        recorded=_recorded(place, recipe, probes, run.unsteered, what),
        notes=notes + (() if known is None else known.notes),
    )


@dataclass(frozen=True)
class _Place:
    """The checkpoint that runs, and the commit (if any) whose probes it is asked; `own` says whether it is the
    commit's."""

    model: ModelIdentity
    commit: CommitInfo | None
    view: SnapshotView | None
    own: bool


def _find_place(repository: Repository, what: SteerOptions, options: PairOptions) -> _Place:
    unborn = what.at == "HEAD" and repository.store.refs.head().commit is None
    if what.checkpoint is None and unborn:
        raise UsageError("there is no commit yet whose checkpoint could be steered", hint="name one: --checkpoint DIR")
    view = None if unborn else repository.snapshot(resolve(repository, what.at))
    if what.checkpoint is None and view is not None:
        found = find_checkpoint(repository, view.info.id, None, "--checkpoint DIR", options)
        return _Place(found.identity, found.commit, view, True)
    model = read_identity(repository, what.checkpoint or "", options.base, options)
    recorded = None if view is None or view.info.snapshot is None else view.snapshot.model.fingerprint
    own = recorded == model.fingerprint
    return _Place(model, view.info if own and view is not None else None, view, own)


def _behavior(repository: Repository, what: SteerOptions) -> Behavior | None:
    if what.behavior is not None:
        behavior = find_behavior(repository, what.behavior)
        if behavior.latents:
            raise UsageError(
                f"behavior {behavior.name} asks for a latent, and steered answers record no features",
                hint="score them by their text: another behavior, or --pattern",
            )
        return behavior
    if what.pattern is None:
        return None
    try:
        check_pattern(what.pattern)
    except ValueError as error:
        raise UsageError(f"the pattern {error}") from None
    return Behavior(f"/{what.pattern}/", Scorer("regex", what.pattern))


def _probes(
    repository: Repository, view: SnapshotView | None, behavior: Behavior | None, what: SteerOptions
) -> tuple[list[Probe], tuple[str, ...]]:
    """The probes that are asked, each once, and remarks about the choice. Raises UsageError where there is none."""
    if what.probes:
        if view is None:
            raise UsageError("there is no commit whose probes could be named", hint="name a suite")
        named = [view.probe(find_probe(view, name)) for name in what.probes]
        return list({probe.id: probe for probe in named}.values()), ()
    rows = _rows(repository, view, what.suite)
    speaks = behavior is not None and what.suite is None
    found = {p.id: p for suite, p in rows if not speaks or (behavior is not None and selected(behavior, suite, p))}
    if not found:
        raise UsageError("there is no probe to ask", hint="see `on` of the behavior, and `bvc suite show`")
    if what.limit is None or len(found) <= what.limit:
        return list(found.values()), ()
    kept = sorted(found, key=lambda probe: digest("steer", probe.encode()))[: what.limit]
    note = f"{what.limit} of {len(found)} probes were asked, chosen by their ids"
    return [found[probe] for probe in found if probe in set(kept)], (note,)


def _rows(repository: Repository, view: SnapshotView | None, suite: str | None) -> Iterable[tuple[str, Probe]]:
    """(suite, probe) of the commit, or of suite files where it does not hold them."""
    recorded = [] if view is None or view.info.snapshot is None else view.probes()
    rows = [(name, probe) for name, probe in recorded if suite is None or name == suite]
    if rows:
        return rows
    files = selected_suites(repository, () if suite is None else (suite,))
    return [(one.name, probe) for one in files for probe in one.probes]


def _strengths(what: SteerOptions, direction: Direction) -> tuple[float, ...]:
    """The strengths in their order, 0 among them."""
    usual = STREAM_STRENGTHS if direction.unit is None else LATENT_STRENGTHS
    return tuple(sorted({0.0, *map(float, what.strengths or usual)}))


def _recipe(repository: Repository, place: _Place, what: SteerOptions, options: PairOptions) -> Recipe:
    """The recipe of the commit's captures with what the options say otherwise, so that unsteered answers are those that
    it recorded; else that of `bvc.toml`."""
    stored = None if place.view is None or place.view.info.snapshot is None else place.view.snapshot.recipe
    given = {
        "dtype": options.dtype,
        "device": options.device,
        "batch_rows": options.batch_size,
        "seed": what.seed,
        "max_new_tokens": what.max_new_tokens,
    }
    like = {} if stored is None or stored.engine != "transformers" else _settings(stored)
    settings = like | {key: value for key, value in given.items() if value is not None} | {"draws": what.draws}
    return make_recipe(repository.config, tokenizer_folder(place.model), settings)


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {f.name: getattr(recipe, f.name) for f in fields(Recipe) if f.name not in ("engine", "environment")}


@dataclass(frozen=True)
class _Work:
    """What runs, and how."""

    place: _Place
    recipe: Recipe
    what: SteerOptions
    options: PairOptions


def _run(
    work: _Work, direction: Direction, probes: Sequence[Probe], strengths: Sequence[float]
) -> tuple[SteeredRun, list[float], float]:
    """All answers, the length of the vector added at each strength as a share of the stream's, and that length."""
    from bvc.capture.load import Source
    from bvc.capture.steering import open_steerer

    what, options = work.what, work.options
    source = Source(work.place.model, options.allow_pickle, options.trust_remote_code)
    longest = work.what.max_new_tokens
    asked = [p if longest is None else replace(p, max_new_tokens=longest) for p in probes]
    options.step("loading the checkpoint", 0, 1)
    with open_steerer(source, work.recipe, direction.layer) as steerer:
        options.step("loading the checkpoint", 1, 1)
        stream = steerer.stream_norm(asked)
        ways, norms = lengths(direction, stream, what.directions, what.seed or 0)
        pushes = [way * strength for strength in strengths if strength for way in ways]
        found = steerer.run(
            asked,
            pushes,
            everywhere=what.positions == EVERYWHERE,
            done=lambda done, total: options.step("probes answered while steered", done, total),
        )
        return found, [abs(strength) * norms for strength in strengths], stream


def _recorded(
    place: _Place, recipe: Recipe, probes: Sequence[Probe], unsteered: Sequence[SteeredProbe], what: SteerOptions
) -> tuple[int, int] | None:
    """How many probes' unsteered answers are the recorded ones (as many draws as both have), of how many."""
    view = place.view if place.own else None
    stored = None if view is None else view.snapshot.recipe
    if view is None or stored is None or stored.digest != recipe.digest or what.max_new_tokens is not None:
        return None
    held = view.output_blobs
    pairs = [(view.outputs(p.id), now.outputs) for p, now in zip(probes, unsteered, strict=True) if p.id in held]
    return sum(_same(a, b) for a, b in pairs), len(pairs)


def _same(a: Outputs, b: Outputs) -> bool:
    return a.greedy == b.greedy and all(one == other for one, other in zip(a.draws, b.draws, strict=False))
