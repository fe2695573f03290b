"""What has to be run for a commit and what earlier commits already hold."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from bvc.api.references import Known
from bvc.capture.engine import ProbeRequest
from bvc.capture.prompts import own_reference
from bvc.errors import DamagedObject
from bvc.records import ModelIdentity, Probe, Recipe
from bvc.repository.repository import Repository
from bvc.repository.snapshot_view import SnapshotView
from bvc.repository.snapshot_writer import Stored
from bvc.store.index import capture_key


@dataclass(frozen=True)
class Plan:
    """For each probe in suite order: held by an earlier commit, or to be run with the reference of `references`
    (none there: along the model's own greedy text)."""

    probes: Mapping[str, Probe]
    references: Mapping[str, Known]
    held: Mapping[str, Stored]

    def requests(self) -> list[ProbeRequest]:
        """All probes in order, with their references read."""
        return [
            ProbeRequest(probe, None if (known := self.references.get(identifier)) is None else known.read())
            for identifier, probe in self.probes.items()
        ]


def recaptured_ids(probes: Sequence[str], share: float) -> list[str]:
    """The probes of the N0 re-capture: `share` of them (at least 4 where there are as many), those with the smallest
    ids, which is a choice that has nothing to do with what they ask."""
    if share <= 0:
        return []
    count = min(len(probes), max(4, math.ceil(share * len(probes))))
    return sorted(probes)[:count]


def key_of(model: ModelIdentity, recipe: Recipe) -> bytes:
    """The capture cache's key of a model under a recipe."""
    return capture_key(model.fingerprint, model.tokenizer or "", recipe.digest)


def shrunk_key(model: ModelIdentity, recipe: Recipe) -> bytes:
    """The key of commits of this model for which the recipe was asked for and memory did not suffice."""
    return capture_key(model.fingerprint, model.tokenizer or "", f"shrunk:{recipe.digest}")


def shrunk_recipe(repository: Repository, model: ModelIdentity, recipe: Recipe) -> Recipe | None:
    """The recipe with smaller batches under which this model was captured when `recipe` did not fit into memory."""
    for view in _views(repository, shrunk_key(model, recipe)):
        if view.snapshot.recipe is not None:
            return replace(view.snapshot.recipe, draws=recipe.draws)
    return None


def plan(
    repository: Repository,
    probes: Mapping[str, Probe],
    references: Mapping[str, Known],
    model: ModelIdentity,
    recipe: Recipe,
    *,
    recaptures: bool = False,
    near: Sequence[SnapshotView] = (),
    reuse: bool = True,
) -> Plan:
    """Looks each probe up in the snapshots `near`, then in the commits that hold captures of this model under this
    recipe, newest first; without `reuse` nowhere, so that every probe is to be run."""
    held: dict[str, Stored] = {}
    for view in chain(near, _views(repository, key_of(model, recipe))) if reuse else ():
        source = _source(view, recipe, recaptures=recaptures)
        if source is None:
            continue
        usable = source.probes & probes.keys() - held.keys()
        held |= {p: source for p in usable if _same_reference(view, p, references.get(p), recaptures=recaptures)}
        if len(held) == len(probes):
            break
    return Plan(probes, references, held)


def _views(repository: Repository, key: bytes) -> Iterator[SnapshotView]:
    """The snapshots noted under a key of the cache, newest first; those that are gone or damaged are passed over,
    since the cache only saves time."""
    for commit in reversed(repository.store.index.capture_sources(key)):
        try:
            view = repository.snapshot(commit)
        except DamagedObject:
            continue
        if view.info.snapshot is not None:
            yield view


def _source(view: SnapshotView, recipe: Recipe, *, recaptures: bool) -> Stored | None:
    """A snapshot's captures where they have at least as many draws as wanted; those of the second layout have none."""
    stored = view.snapshot.recipe
    if stored is None or view.snapshot.capability is None or stored.digest != recipe.digest:
        return None  # the last: noted by a process that was killed before it had attached its captures
    if recaptures:
        return None if view.recaptures is None else Stored(view, recaptures=True)
    return Stored(view, draws=recipe.draws) if stored.draws >= recipe.draws else None


def _same_reference(view: SnapshotView, probe: str, wanted: Known | None, *, recaptures: bool) -> bool:
    """Whether the capture runs along the reference wanted: the one known, or (None) its own greedy text."""
    if wanted is not None:
        return view.reference_blobs.get(probe) == wanted.blob
    if recaptures or probe not in view.reference_blobs:
        return False
    greedy = view.outputs(probe).greedy
    return view.reference(probe) == own_reference(greedy.text, finished=greedy.finish == "stop")
