"""features: the dictionaries of a project listed, shown, exported and imported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bvc.api.features_records import DictionaryEntry, ImportOptions, LatentFirings, LatentView, ProbePeak
from bvc.dictionaries import DictionaryCard, LatentCard, StoredDictionary
from bvc.errors import BadInput, UsageError
from bvc.files import write_atomic
from bvc.records import CommitInfo
from bvc.repository.dictionaries import (
    check_dictionary_name,
    chosen_dictionary,
    default_dictionary,
    dictionaries,
    dictionary_versions,
    feature_dictionary,
    find_dictionary,
    put_dictionary,
    read_arrays,
    read_cards,
)
from bvc.repository.manifest import ANSWER_FEATURE, FEATURE
from bvc.repository.repository import Repository
from bvc.repository.revisions import resolve
from bvc.repository.snapshot_view import SnapshotView

if TYPE_CHECKING:
    from bvc.evidence import FeatureBlock
    from bvc.features.dictionary import Dictionary

_SHOWN_PROBES = 8


def list_dictionaries(repository: Repository) -> list[DictionaryEntry]:
    """All dictionaries by name. Loads neither numpy nor torch."""
    default = default_dictionary(repository)
    chosen = None if default is None else default.spec.digest
    return [
        DictionaryEntry(stored, len(dictionary_versions(repository, stored.name)), stored.spec.digest == chosen)
        for stored in dictionaries(repository)
    ]


def latent_card(stored: StoredDictionary, cards: Sequence[LatentCard], latent: int) -> LatentCard:
    """The card of one latent; an empty one where the dictionary came without. Raises UsageError for a number that is no
    latent's."""
    if not 0 <= latent < stored.spec.latents:
        raise UsageError(
            f"{stored.name} has no latent {latent}", hint=f"its latents are 0 to {stored.spec.latents - 1}"
        )
    return next((card for card in cards if card.latent == latent), LatentCard(latent, 0.0, 0.0))


def show_latent(repository: Repository, latent: int, name: str | None = None) -> LatentView:
    """One latent and how it fires along the lineage of HEAD. Raises as `chosen_dictionary` and `latent_card` do."""
    stored = chosen_dictionary(repository, name)
    card = latent_card(stored, read_cards(repository, stored), latent)
    history = []
    peaks: list[ProbePeak] = []
    encoded = list(_encoded(repository, stored))
    answers = all(feature_dictionary(view, ANSWER_FEATURE) == stored.spec.digest for _, view in encoded)
    for info, view in encoded:
        rate, peaks = _rate(info, view, latent, ANSWER_FEATURE if answers else FEATURE)
        history.append(rate)
    return LatentView(stored, card, "answer" if answers else "reference", tuple(history), tuple(peaks))


def load_dictionary(repository: Repository, stored: StoredDictionary) -> Dictionary:
    """A stored dictionary with its weights, ready for use. Loads torch. Raises DamagedObject where the weights are not
    those that it names."""
    from bvc.features.arrays import from_arrays

    return from_arrays(stored.spec, read_arrays(repository, stored))


def store_dictionary(
    repository: Repository, stored: StoredDictionary, dictionary: Dictionary, cards: Sequence[LatentCard], author: str
) -> StoredDictionary:
    """Puts a dictionary into the repository as the newest version of its name, and returns it as it now stands."""
    from bvc.features.arrays import to_arrays

    put_dictionary(repository, stored.name, stored.spec, stored.card, cards, to_arrays(dictionary), author)
    return find_dictionary(repository, stored.name)


def export_dictionary(repository: Repository, name: str | None, path: Path) -> StoredDictionary:
    """Writes the weights of a dictionary as one safetensors file, or where `path` has no suffix as a folder in
    SAELens' format. Raises BadInput where something is there already, or it cannot be written."""
    from bvc.features.files import write_dictionary
    from bvc.features.sae_lens import write_sae_lens

    stored = chosen_dictionary(repository, name)
    dictionary = load_dictionary(repository, stored)
    if not path.suffix:
        write_sae_lens(dictionary, path)
    elif path.exists():
        raise BadInput("is there already: nothing was written", file=str(path))
    else:
        write_atomic(path, write_dictionary(dictionary))
    return stored


def import_dictionary(repository: Repository, folder: Path, what: ImportOptions) -> StoredDictionary:
    """Stores the dictionary of a SAELens folder. Raises BadInput for a folder that cannot be read as one, and for
    details that it does not say and nobody gave."""
    from bvc.features.sae_lens import read_sae_lens

    check_dictionary_name(what.name)
    model = None if what.at is None else repository.store.history.info(resolve(repository, what.at)).snapshot
    identity = None if model is None else model.model
    dictionary = read_sae_lens(
        folder,
        model=None if identity is None else identity.fingerprint,
        layer=what.layer,
        architecture=None if identity is None else identity.architecture,
        scale=what.scale,
    )
    facts = {"imported": "from a folder in SAELens' format; its quality was not measured here"}
    card = DictionaryCard(what.name, 0.0, 0.0, 0, 0, fit=facts, source=folder.name)
    return store_dictionary(repository, StoredDictionary(what.name, dictionary.spec, card), dictionary, (), what.author)


def _encoded(repository: Repository, stored: StoredDictionary) -> Iterator[tuple[CommitInfo, SnapshotView]]:
    """The commits of HEAD's lineage that were encoded with a dictionary, oldest first."""
    if repository.store.refs.head().commit is None:
        return
    history = list(repository.store.history.walk([resolve(repository, "HEAD")]))
    for info in reversed(history):
        if info.snapshot is None or info.snapshot.capability is None:
            continue
        view = repository.snapshot(info.id)
        if feature_dictionary(view) == stored.spec.digest:
            yield info, view


def _rate(info: CommitInfo, view: SnapshotView, latent: int, channel: str) -> tuple[LatentFirings, list[ProbePeak]]:
    from bvc.api.features_pairs import feature_blocks

    probes = fired = positions = 0
    found: list[tuple[float, int, int, str]] = []
    order = view.signatures.order
    for start, block in feature_blocks(view.signatures, channel):
        positions += int(block.positions.sum())
        for row, strongest, times, place in firings(block, latent):
            probes, fired = probes + 1, fired + times
            found.append((strongest, times, place, order[start + row]))
    best = sorted(found, key=lambda item: -item[0])[:_SHOWN_PROBES]
    peaks = [
        ProbePeak(probe, view.probe(probe).name, strength, times, text_before(view, probe, place, channel))
        for strength, times, place, probe in best
    ]
    return LatentFirings(info, probes, len(order), fired / max(1, positions)), peaks


def firings(block: FeatureBlock, latent: int) -> Iterator[tuple[int, float, int, int]]:
    """Probe, strongest value, positions fired and place of the strongest (as `text_before` takes it), for each probe
    where a latent fires."""
    import numpy as np

    from bvc.evidence import AnswerFeatures

    ends = np.cumsum(block.lengths)
    places = block.reached if isinstance(block, AnswerFeatures) else block.peak
    for at in np.nonzero(block.latent == latent)[0].tolist():
        row = int(np.searchsorted(ends, at, side="right"))
        yield row, float(block.strongest[at]), int(block.fired[at]), int(places[at])


def text_before(view: SnapshotView, probe: str, place: int, channel: str) -> str | None:
    """What a latent of a feature channel has read of a text at a place: of a probe's greedy answer so many characters,
    of its reference those before that position (position 0 has read none of it). None where it is not known which
    characters a token covers."""
    if channel == ANSWER_FEATURE:
        return view.outputs(probe).greedy.text[:place]
    reference = view.reference(probe)
    block, row = view.signatures.place(probe)
    sketch = view.signatures.block(block).logprob
    if reference is None or sketch is None:
        return None
    covered: Any = sketch.rows(row, row + 1).characters[:place]
    return reference.text[: int(covered.sum())]
