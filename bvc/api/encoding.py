"""The features of a capture: which dictionary a checkpoint is encoded with, and which captures lack its features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from bvc.api.commit_records import EngineChoice
from bvc.capture.journal import Journal
from bvc.capture.runner import EncodeRequest
from bvc.capture.shape import stream_shape
from bvc.dictionaries import StoredDictionary
from bvc.errors import DamagedObject, NotComparable
from bvc.records import ModelIdentity, Probe, Reference
from bvc.repository.dictionaries import chosen_dictionary, default_dictionary
from bvc.repository.repository import Repository
from bvc.repository.snapshot_writer import Encoded, Source, Stored

if TYPE_CHECKING:
    from bvc.capture.engine import FeatureEncoder
    from bvc.evidence import Features

OpenEncoder = Callable[[], "FeatureEncoder"]


def usual_dictionary(
    repository: Repository, model: ModelIdentity, engine: EngineChoice | None
) -> tuple[StoredDictionary | None, tuple[str, ...]]:
    """The dictionary with which captures of a model (found on disk) are encoded, None without one; with a remark where
    there is one that does not fit the model or its engine."""
    stored = default_dictionary(repository)
    if stored is None:
        return None, ()
    why = misfit(stored, model, engine)
    return (stored, ()) if why is None else (None, (f"no features of the dictionary: {why}",))


def needed_dictionary(repository: Repository) -> StoredDictionary:
    """The dictionary with which commits record features. Raises UsageError where there is none, or none is chosen."""
    return chosen_dictionary(repository, None, "`bvc config features.dictionary NAME`")


def fitting_dictionary(repository: Repository, model: ModelIdentity, engine: EngineChoice | None) -> StoredDictionary:
    """`needed_dictionary` for a model (found on disk). Raises NotComparable where it does not fit."""
    stored = needed_dictionary(repository)
    why = misfit(stored, model, engine)
    if why is not None:
        raise NotComparable(f"its features cannot be read: {why}", hint="choose another: `bvc features ls`")
    return stored


def misfit(stored: StoredDictionary, model: ModelIdentity, engine: EngineChoice | None) -> str | None:
    """Why a model (found on disk) cannot be encoded with a dictionary; None where it can."""
    if engine is not None and engine.open_encoding is None:
        return f"the engine {engine.name} does not read a dictionary"
    spec, shape = stored.spec, stream_shape(model)
    layer = int(spec.layer.rpartition(".")[2])
    if shape.width is not None and shape.width != spec.width:
        return f"{stored.name} reads streams of {spec.width} numbers, those of {model.name} have {shape.width}"
    if shape.depth is not None and shape.depth < layer:
        return f"{stored.name} reads {spec.layer}, and {model.name} has {shape.depth} blocks"
    if None not in (spec.architecture, model.architecture) and spec.architecture != model.architecture:
        return f"{stored.name} is for {spec.architecture}, {model.name} is {model.architecture}"
    return None


def encoder_of(repository: Repository, stored: StoredDictionary | None) -> OpenEncoder | None:
    """What loads a dictionary when the model that it reads is loaded."""
    if stored is None:
        return None

    def open_() -> FeatureEncoder:
        from bvc.api.features import load_dictionary
        from bvc.features.encoder import DictionaryEncoder

        return DictionaryEncoder(load_dictionary(repository, stored))

    return open_


def lacking(
    probes: Mapping[str, Probe], held: Mapping[str, Stored], stored: StoredDictionary | None, *, again: bool
) -> list[EncodeRequest]:
    """The features that captures at hand (of one layout) lack."""
    if stored is None:
        return []
    without = [p for p in probes if p in held and held[p].dictionary != stored.spec.digest]
    return [EncodeRequest(probes[p], _along(held[p], p), held[p].outputs(p).greedy, again) for p in without]


def encoded(
    sources: Mapping[str, Source], journal: Journal, stored: StoredDictionary | None, *, again: bool
) -> dict[str, Source]:
    """The sources of one layout with the features that the run gave to those that lacked them."""
    if stored is None:
        return dict(sources)
    wrapped: dict[int, Encoded] = {}

    def complete(source: Source) -> Source:
        if not isinstance(source, Stored) or source.dictionary == stored.spec.digest:
            return source

        def features(probe: str) -> Features:
            return journal.read_features(probe, _along(source, probe), again=again)

        return wrapped.setdefault(id(source), Encoded(source, features))

    return {probe: complete(source) for probe, source in sources.items()}


def with_features_of(chosen: Source, other: Source, stored: StoredDictionary | None) -> Source:
    """`chosen` with the features that `other` has of the same probe, where it has none of the dictionary."""
    if stored is None or not isinstance(chosen, Stored) or chosen.dictionary == stored.spec.digest:
        return chosen

    def features(probe: str) -> Features:
        from bvc.evidence import Features

        found = other.evidence(probe)
        if found.feature is None or found.answer_feature is None:
            raise DamagedObject(f"the features of probe {probe} are missing", hint="run `bvc fsck`")
        return Features(found.feature, found.answer_feature)

    return Encoded(chosen, features)


def _along(source: Stored, probe: str) -> Reference:
    reference = source.reference(probe)
    if reference is None:
        raise DamagedObject(f"commit {source.view.info.id} has no reference of probe {probe}", hint="run `bvc fsck`")
    return reference
