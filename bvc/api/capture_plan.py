"""What has to be run for a commit and what earlier commits already hold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bvc.records import Capability, ModelIdentity, Probe, Recipe, Reference
from bvc.repository.repository import Repository
from bvc.repository.snapshot_view import SnapshotView
from bvc.repository.snapshot_writer import Stored
from bvc.store.index import capture_key


@dataclass(frozen=True)
class Plan:
    """For each probe in suite order: held by an earlier commit, or to be run with the reference of `references`
    (None there: along the model's own greedy text)."""

    probes: Mapping[str, Probe]
    references: Mapping[str, Reference]
    held: Mapping[str, Stored]

    @property
    def missing(self) -> list[Probe]:
        """The probes to be run, in suite order."""
        return [probe for identifier, probe in self.probes.items() if identifier not in self.held]


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


def plan(
    repository: Repository,
    probes: Mapping[str, Probe],
    references: Mapping[str, Reference],
    model: ModelIdentity,
    recipe: Recipe,
    *,
    recaptures: bool = False,
) -> Plan:
    """Looks each probe up in the commits that hold captures of this model under this recipe, newest first."""
    held: dict[str, Stored] = {}
    for commit in reversed(repository.store.index.capture_sources(key_of(model, recipe))):
        if len(held) == len(probes):
            break
        if not repository.store.objects.exists(commit):
            continue
        view = repository.snapshot(commit)
        source = _source(view, recipe, recaptures=recaptures)
        if source is None:
            continue
        usable = source.output_ids & probes.keys() - held.keys()
        held |= {p: source for p in usable if _same_reference(view, p, references.get(p), recaptures=recaptures)}
    return Plan(probes, references, held)


def _source(view: SnapshotView, recipe: Recipe, *, recaptures: bool) -> Stored | None:
    stored = view.snapshot.recipe
    if stored is None or view.snapshot.capability is not Capability.ACTIVATIONS:
        return None
    if recaptures:
        return None if view.recaptures is None else Stored(view, recaptures=True)
    return Stored(view) if stored.draws == recipe.draws else None


def _same_reference(view: SnapshotView, probe: str, wanted: Reference | None, *, recaptures: bool) -> bool:
    held = view.reference(probe)
    if held is None:
        return False
    if wanted is not None:
        return held == wanted
    greedy = view.outputs(probe).greedy
    return not recaptures and held == Reference(greedy.text, greedy.finish == "stop")
