"""Writing one snapshot's tree and tiles, streaming: at most one block of probes is held at a time. Layer 2."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from bvc.codec import canonical
from bvc.dictionaries import DictionarySpec
from bvc.errors import DamagedObject
from bvc.ids import shard
from bvc.records import FORMAT_VERSION, Generation, Outputs, Reference, Snapshot, Suite
from bvc.repository.manifest import BLOCK, FEATURES, LOGPROB, Field, Manifest, blocks
from bvc.repository.snapshot_view import Signatures, SnapshotView
from bvc.store.objects import FILE_MODE, TREE_MODE, TreeEntry
from bvc.store.transaction import Transaction

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bvc.evidence import Evidence, Features
    from bvc.repository.pairs import RowReader

Folder = dict[str, "Folder | str"]
"""A tree to be written: names to blob ids or to further folders."""


class Captured(Protocol):
    """What a capture of one probe gives to be stored."""

    @property
    def outputs(self) -> Outputs: ...
    @property
    def reference(self) -> Reference | None: ...
    @property
    def evidence(self) -> Evidence: ...


class Fresh:
    """Captures made now, read one by one from where they were kept (the journal)."""

    signatures: Signatures | None = None

    def __init__(self, read: Callable[[str], Captured]) -> None:
        self._read = read
        self._last: tuple[str, Captured] | None = None

    def _capture(self, probe: str) -> Captured:
        """One capture; the last is kept, since its parts are asked for one after the other."""
        if self._last is None or self._last[0] != probe:
            self._last = probe, self._read(probe)
        return self._last[1]

    def outputs(self, probe: str) -> Outputs:
        """The probe's texts."""
        return self._capture(probe).outputs

    def reference(self, probe: str) -> Reference | None:
        """The continuation the probe was teacher-forced along, None without one."""
        return self._capture(probe).reference

    def output_blob(self, transaction: Transaction, probe: str) -> str:
        """The blob id of the probe's outputs."""
        return transaction.blob(canonical(self.outputs(probe).to_json()))

    def reference_blob(self, transaction: Transaction, probe: str) -> str | None:
        """The blob id of the probe's reference, None without one."""
        reference = self.reference(probe)
        return None if reference is None else transaction.blob(canonical(reference.to_json()))

    def evidence(self, probe: str) -> Evidence:
        """The probe's numeric channels, as a block of one."""
        return self._capture(probe).evidence


class Stored:
    """Captures that an earlier commit holds; `recaptures` takes its second layout instead of its first.

    `draws` is how many draws of each probe to take (None: all); what a commit has beyond that is left out.
    """

    def __init__(self, view: SnapshotView, *, recaptures: bool = False, draws: int | None = None) -> None:
        self.view = view
        again = view.recaptures if recaptures else None
        self.signatures: Signatures = view.signatures if again is None else again.signatures
        self.reference = view.reference
        self._outputs = view.output_blobs if again is None else again.output_blobs
        recipe = view.snapshot.recipe
        self._draws = None if draws is None or recipe is None or recipe.draws <= draws else draws
        self._rows: RowReader | None = None

    @property
    def probes(self) -> frozenset[str]:
        """The probes whose captures are held."""
        return frozenset(self._outputs.keys() & self.signatures.position.keys())

    @property
    def dictionary(self) -> str | None:
        """The digest of the dictionary whose features are held, as `Signatures.dictionary`."""
        return self.signatures.dictionary

    def outputs(self, probe: str) -> Outputs:
        """The probe's texts."""
        found = self.view.read_outputs(self._outputs[probe])
        return found if self._draws is None else replace(found, draws=found.draws[: self._draws])

    def output_blob(self, transaction: Transaction, probe: str) -> str:
        """The blob id of the probe's outputs."""
        if self._draws is None:
            return self._outputs[probe]
        return transaction.blob(canonical(self.outputs(probe).to_json()))

    def reference_blob(self, transaction: Transaction, probe: str) -> str | None:  # noqa: ARG002 - as Fresh has it
        """The blob id of the probe's reference, None without one."""
        return self.view.reference_blobs.get(probe)

    def evidence(self, probe: str) -> Evidence:
        """The probe's numeric channels, as a block of one."""
        if self._rows is None:
            from bvc.repository.pairs import RowReader

            self._rows = RowReader(self.signatures)
        return self._rows.row(probe)


class Encoded:
    """Captures whose features are those that `features` gives for each probe, whatever `base` has."""

    signatures: Signatures | None = None

    def __init__(self, base: Fresh | Stored, features: Callable[[str], Features]) -> None:
        self.base = base
        self.outputs = base.outputs
        self.output_blob = base.output_blob
        self.reference = base.reference
        self.reference_blob = base.reference_blob
        self._features = features

    def evidence(self, probe: str) -> Evidence:
        """The probe's numeric channels, as a block of one."""
        features = self._features(probe)
        return replace(self.base.evidence(probe), feature=features.reference, answer_feature=features.answer)


class Extended:
    """Captures with more draws than `base` has: `more` gives for some probes the draws that follow."""

    def __init__(self, base: Fresh | Stored | Encoded, more: Callable[[str], tuple[Generation, ...]]) -> None:
        self.base = base
        self.signatures = base.signatures
        self.reference = base.reference
        self.reference_blob = base.reference_blob
        self.evidence = base.evidence
        self._more = more

    def outputs(self, probe: str) -> Outputs:
        """The probe's texts, further draws last."""
        found = self.base.outputs(probe)
        return replace(found, draws=(*found.draws, *self._more(probe)))

    def output_blob(self, transaction: Transaction, probe: str) -> str:
        """The blob id of the probe's outputs."""
        return transaction.blob(canonical(self.outputs(probe).to_json()))


Source = Fresh | Stored | Extended | Encoded


@dataclass(frozen=True)
class SnapshotDraft:
    """All that a snapshot's tree is made of. `sources` says for each probe id where its capture is; `recaptures` the
    same for the probes captured again. `bucket_table` ([vocab] uint8) goes with log-probs, and `token_texts`, packed as
    `bvc.evidence.pack_texts` does. With a `dictionary` all sources have features of it; without one, no features are
    stored."""

    snapshot: Snapshot
    suites: tuple[Suite, ...]
    sources: Mapping[str, Source]
    recaptures: Mapping[str, Source] = field(default_factory=dict)
    bucket_table: npt.NDArray[np.uint8] | None = None
    behaviors: bytes | None = None
    token_texts: npt.NDArray[np.uint8] | None = None
    dictionary: DictionarySpec | None = None


def write_snapshot(transaction: Transaction, draft: SnapshotDraft) -> str:
    """Writes everything of `draft` but the commit; returns the tree id."""
    root: Folder = {"snapshot.json": transaction.blob(canonical(draft.snapshot.to_json()))}
    if draft.behaviors is not None:
        root["behaviors.toml"] = transaction.blob(draft.behaviors)
    root["probes"] = _probe_folder(transaction, draft.suites)
    if draft.sources:
        root["outputs"], references = _text_folders(transaction, draft)
        if references:
            root["references"] = references
        root["signatures"] = _grid(transaction, draft, draft.sources)
    if draft.recaptures:
        root["recaptures"] = _recapture_folder(transaction, draft)
    return _write_folder(transaction, root)


def _write_folder(transaction: Transaction, folder: Folder) -> str:
    entries = [
        TreeEntry(name, FILE_MODE, child)
        if isinstance(child, str)
        else TreeEntry(name, TREE_MODE, _write_folder(transaction, child))
        for name, child in folder.items()
    ]
    return transaction.tree(entries)


def _file(folder: Folder, path: Sequence[str], blob: str) -> None:
    for part in path[:-1]:
        inner = folder.setdefault(part, {})
        assert isinstance(inner, dict)  # noqa: S101 - two-digit shards never meet file names
        folder = inner
    folder[path[-1]] = blob


def _probe_folder(transaction: Transaction, suites: Sequence[Suite]) -> Folder:
    out: Folder = {}
    for suite in suites:
        for probe in suite.probes:
            blob = transaction.blob(canonical(probe.to_json()))
            _file(out, (suite.name, shard(probe.id), f"{probe.id}.json"), blob)
    return out


def _text_folders(transaction: Transaction, draft: SnapshotDraft) -> tuple[Folder, Folder]:
    outputs: Folder = {}
    references: Folder = {}
    suites_of: dict[str, list[str]] = {}
    for suite in draft.suites:
        for asked in suite.probes:
            suites_of.setdefault(asked.id, []).append(suite.name)
    for probe, source in draft.sources.items():
        output, reference = source.output_blob(transaction, probe), source.reference_blob(transaction, probe)
        for name in suites_of[probe]:
            _file(outputs, (name, shard(probe), f"{probe}.json"), output)
            if reference is not None:
                _file(references, (name, shard(probe), probe), reference)
    return outputs, references


def _recapture_folder(transaction: Transaction, draft: SnapshotDraft) -> Folder:
    outputs: Folder = {}
    for probe, source in draft.recaptures.items():
        _file(outputs, (shard(probe), f"{probe}.json"), source.output_blob(transaction, probe))
    return {
        "outputs": outputs,
        "signatures": _grid(transaction, draft, draft.recaptures),
    }


@dataclass
class _Grid:
    """The tile grid of one `signatures/` folder while it is written."""

    specs: dict[str, dict[str, Field]] = field(default_factory=dict)
    tiles: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    lengths: dict[str, list[int]] = field(default_factory=dict)
    bucket_table: str | None = None
    token_texts: str | None = None
    dictionary: DictionarySpec | None = None

    @property
    def digest(self) -> str | None:
        """That of the dictionary whose features the grid has."""
        return None if self.dictionary is None else self.dictionary.digest

    def takes(self, channel: str, manifest: Manifest) -> bool:
        """Whether the tiles that a stored grid has of a channel may stand in this one."""
        return channel not in FEATURES or (self.dictionary is not None and manifest.dictionary == self.digest)

    def add(self, channel: str, name: str, spec: Field, tile: str) -> None:
        known = self.specs.setdefault(channel, {}).setdefault(name, replace(spec, tiles=()))
        if (known.dtype, known.shape) != (spec.dtype, spec.shape):
            raise DamagedObject(f"captures of {channel}/{name} have unlike shapes: {known.shape} and {spec.shape}")
        self.tiles.setdefault(channel, {}).setdefault(name, []).append(tile)

    def grow(self, channel: str, lengths: Iterable[int]) -> None:
        """Takes over the rows per probe of a channel in which they vary."""
        self.lengths.setdefault(channel, []).extend(lengths)

    def manifests(self, probes: int) -> dict[str, Manifest]:
        """The finished manifests. Raises DamagedObject where some of the captures lack a field that others have."""
        return {channel: self._manifest(channel, probes) for channel in self.specs}

    def _manifest(self, channel: str, probes: int) -> Manifest:
        tiles, is_logprob = self.tiles[channel], channel == LOGPROB
        dictionary = self.dictionary if channel in FEATURES else None
        made = Manifest(
            channel,
            BLOCK,
            {name: replace(spec, tiles=tuple(tiles[name])) for name, spec in self.specs[channel].items()},
            lengths=tuple(self.lengths.get(channel, ())),
            bucket_table=self.bucket_table if is_logprob else None,
            token_texts=self.token_texts if is_logprob else None,
            dictionary=None if dictionary is None else dictionary.digest,
            latents=0 if dictionary is None else dictionary.latents,
        )
        try:
            made.check(channel, probes)
        except ValueError as error:
            raise DamagedObject(f"the captures do not fit together: in channel {channel}, {error}") from error
        return made


def _grid(transaction: Transaction, draft: SnapshotDraft, sources: Mapping[str, Source]) -> Folder:
    """The `signatures/` folder for the probes of `sources`: tiles of an unchanged block are named, not written."""
    order = list(sources)
    tables = (draft.bucket_table, draft.token_texts)
    bucket_table, token_texts = (None if table is None else transaction.chunk(table) for table in tables)
    grid = _Grid(bucket_table=bucket_table, token_texts=token_texts, dictionary=draft.dictionary)
    for block in blocks(order, BLOCK):
        held = _held_block(block, [sources[probe] for probe in block])
        if held is not None:
            _reuse_block(grid, *held, len(block))
        else:
            _write_block(transaction, grid, [sources[probe].evidence(probe) for probe in block])
    files: Folder = {
        f"{channel}.json": transaction.blob(canonical(manifest.to_json()))
        for channel, manifest in grid.manifests(len(order)).items()
    }
    files["probes.json"] = transaction.blob(canonical({"version": FORMAT_VERSION, "probes": order}))
    return files


def _held_block(block: Sequence[str], sources: Sequence[Source]) -> tuple[Signatures, int] | None:
    """The stored grid and block index that hold exactly the probes of `block`, if one does."""
    held = sources[0].signatures
    if held is None or any(source.signatures is not held for source in sources):
        return None
    index, row = held.place(block[0])
    same = row == 0 and tuple(held.order[index * BLOCK : (index + 1) * BLOCK]) == tuple(block)
    return (held, index) if same else None


def _reuse_block(grid: _Grid, held: Signatures, index: int, count: int) -> None:
    for channel, manifest in held.manifests.items():
        if not grid.takes(channel, manifest):
            continue
        for name, spec in manifest.fields.items():
            grid.add(channel, name, spec, spec.tiles[index])
        grid.grow(channel, manifest.lengths[index * BLOCK : index * BLOCK + count])
        if manifest.bucket_table is not None:
            grid.bucket_table = manifest.bucket_table
        if manifest.token_texts is not None:
            grid.token_texts = manifest.token_texts


def _write_block(transaction: Transaction, grid: _Grid, parts: list[Evidence]) -> None:
    from bvc.repository.tiles import channel_arrays, concatenate, field_spec, latents_of

    evidence = concatenate(parts)
    if grid.dictionary is None:
        evidence = replace(evidence, feature=None, answer_feature=None)
    for channel, arrays in channel_arrays(evidence).items():
        for name, array in arrays.items():
            grid.add(channel, name, field_spec(array, ()), transaction.chunk(array))
    if evidence.logprob is not None:
        grid.grow(LOGPROB, map(int, evidence.logprob.lengths))
    for channel, block in latents_of(evidence).items():
        grid.grow(channel, map(int, block.lengths))
