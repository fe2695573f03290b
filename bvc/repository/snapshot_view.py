"""Reading one commit's snapshot: text records from Git, arrays from packs, only what is asked for. Layer 2."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

from bvc import codec
from bvc.errors import DamagedObject, UnknownRevision
from bvc.ids import is_digest
from bvc.records import CommitInfo, Outputs, Probe, Reference, Snapshot
from bvc.store.store import Store

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bvc.evidence import Evidence
    from bvc.repository.manifest import Manifest

_T = TypeVar("_T")
_FSCK = "run `bvc fsck` to see what else is damaged"


class SnapshotView:
    """A commit's tree, read lazily. All ids are full probe ids.

    `tree` is that of captures attached to the commit later (then `info.snapshot` is theirs); default the commit's own.
    Shards of records that are as in the view `beside` are not read again where that has read them.
    """

    def __init__(
        self, store: Store, info: CommitInfo, tree: str | None = None, beside: SnapshotView | None = None
    ) -> None:
        self.store = store
        self.info = info
        self.tree = info.tree if tree is None else tree
        self._shards: dict[str, dict[str, str]] = {}
        self._known_shards = {} if beside is None else beside._shards

    @property
    def snapshot(self) -> Snapshot:
        """The summary record `snapshot.json`."""
        if self.info.snapshot is None:
            raise DamagedObject(f"commit {self.info.id} has no snapshot.json", hint="it was not made by bvc")
        return self.info.snapshot

    @cached_property
    def _root(self) -> Mapping[str, str]:
        return self._listing(self.tree)

    def _listing(self, tree: str) -> dict[str, str]:
        return {entry.name: entry.oid for entry in self.store.objects.tree(tree)}

    def folder(self, name: str) -> str | None:
        """The tree id of a top-level folder, for comparing two commits without reading them."""
        return self._root.get(name)

    def below(self, path: str) -> Mapping[str, str]:
        """`{name: object id}` of the folder at `path`; empty where there is none."""
        listing: Mapping[str, str] = self._root
        for part in path.split("/"):
            if part not in listing:
                return {}
            listing = self._listing(listing[part])
        return listing

    def _records(self, kind: str) -> dict[str, dict[str, str]]:
        """`{suite: {probe id: blob id}}` of one kind of record."""
        return {entry.name: self.probe_files(f"{kind}/{entry.name}") for entry in self.snapshot.suites}

    def probe_files(self, path: str) -> dict[str, str]:
        """`{probe id: blob id}` of all files in the shards at `path`. Raises DamagedObject for one of another name."""
        shards = self.below(path).values()
        self.store.objects.expect(shard for shard in shards if shard not in self._known_shards)
        for shard in shards:
            self._shards[shard] = self._known_shards.get(shard) or records_in(self.store, shard)
        return {probe: oid for shard in shards for probe, oid in self._shards[shard].items()}

    @cached_property
    def probe_blobs(self) -> dict[str, dict[str, str]]:
        """`{suite: {probe id: blob id}}` of the probes as they were asked."""
        return self._records("probes")

    @cached_property
    def output_blobs(self) -> dict[str, str]:
        """`{probe id: blob id}` of the outputs."""
        return {probe: oid for records in self._records("outputs").values() for probe, oid in records.items()}

    @cached_property
    def reference_blobs(self) -> dict[str, str]:
        """`{probe id: blob id}` of the references."""
        return {probe: oid for records in self._records("references").values() for probe, oid in records.items()}

    def probe_ids(self) -> frozenset[str]:
        """All probes of the snapshot."""
        return frozenset(probe for records in self.probe_blobs.values() for probe in records)

    def probes(self) -> list[tuple[str, Probe]]:
        """(suite, probe) of every probe, suites in the order of the snapshot, probes in suite order."""
        position = {probe: i for i, probe in enumerate(self.order)}
        return [
            (suite, self.probe(probe, suite))
            for suite, records in self.probe_blobs.items()
            for probe in sorted(records, key=lambda p: position.get(p, len(position)))
        ]

    def probe(self, probe: str, suite: str | None = None) -> Probe:
        """The probe as it was asked. Raises UnknownRevision when the snapshot has none of that id."""
        suite = self.suite_of(probe) if suite is None else suite
        oid = self._blob_of(self.probe_blobs.get(suite, {}), probe, "record")
        found = self.read_probe(oid)
        if found.id != probe:
            raise DamagedObject(f"object {oid} is probe {found.id}, not {probe}", hint=_FSCK)
        return found

    def read_probe(self, oid: str) -> Probe:
        """The record of a probe as it was asked. Raises DamagedObject for another object."""
        from bvc.repository.decode import probe_of

        return self.decode(oid, "a probe", probe_of)

    def suite_of(self, probe: str) -> str:
        """The first suite that holds a probe."""
        for suite, records in self.probe_blobs.items():
            if probe in records:
                return suite
        raise UnknownRevision(f"commit {self.info.id[:10]} has no probe {probe}")

    def output_blob(self, probe: str) -> str:
        """The blob id of a probe's outputs."""
        return self._blob_of(self.output_blobs, probe, "outputs")

    def outputs(self, probe: str) -> Outputs:
        """The greedy text and draws of one probe."""
        return self.read_outputs(self.output_blob(probe))

    def read_outputs(self, oid: str) -> Outputs:
        """The record of a greedy text and draws. Raises DamagedObject for another object."""
        from bvc.repository.decode import outputs_of

        return self.decode(oid, "an output", outputs_of)

    def reference(self, probe: str) -> Reference | None:
        """The continuation the probe was teacher-forced along; None for text-only snapshots."""
        oid = self.reference_blobs.get(probe)
        return None if oid is None else self.read_reference(oid)

    def read_reference(self, oid: str) -> Reference:
        """The record of a reference. Raises DamagedObject for another object."""
        from bvc.repository.decode import reference_of

        return self.decode(oid, "a reference", reference_of)

    def _blob_of(self, blobs: Mapping[str, str], probe: str, what: str) -> str:
        if probe not in blobs:
            raise UnknownRevision(f"commit {self.info.id[:10]} holds no {what} of probe {probe[:10]}")
        return blobs[probe]

    def decode(self, oid: str, what: str, make: Callable[[Any], _T]) -> _T:
        """What `make` makes of a stored JSON record. Raises DamagedObject where it is not one of that kind."""
        try:
            return make(codec.parse(self.store.objects.blob(oid)))
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise DamagedObject(f"object {oid} is not {what}", hint=_FSCK) from error

    @cached_property
    def signatures(self) -> Signatures:
        """The numeric channels of the snapshot."""
        return Signatures(self, "signatures")

    @cached_property
    def recaptures(self) -> Recaptures | None:
        """The N0 re-captures, or None where none were made."""
        return Recaptures(self) if "recaptures" in self._root else None

    @property
    def order(self) -> tuple[str, ...]:
        """Probe ids in capture order: suites in order, without repeats."""
        return self.signatures.order


def records_in(store: Store, shard: str) -> dict[str, str]:
    """`{probe id: blob id}` of one shard, by its tree's id. Raises DamagedObject for a file of another name."""
    found = {entry.name.removesuffix(".json"): entry.oid for entry in store.objects.tree(shard)}
    for probe in found:
        if not is_digest(probe):
            raise DamagedObject(f"tree {shard} holds a record named {probe!r}", hint=_FSCK)
    return found


class Signatures:
    """The tile grids under one `signatures/` folder."""

    def __init__(self, view: SnapshotView, path: str) -> None:
        self.view = view
        self.store = view.store
        self.files = view.below(path)

    @property
    def order_blob(self) -> str | None:
        """The blob id of the probe order: equal ids mean equal grids."""
        return self.files.get("probes.json")

    @cached_property
    def order(self) -> tuple[str, ...]:
        """Probe ids in the order of the tiles' rows."""
        from bvc.repository.decode import order_of

        return () if self.order_blob is None else self.view.decode(self.order_blob, "a probe order", order_of)

    @cached_property
    def position(self) -> Mapping[str, int]:
        """Place of each probe in the order."""
        return {probe: i for i, probe in enumerate(self.order)}

    def place(self, probe: str) -> tuple[int, int]:
        """Block and row of a probe. Raises DamagedObject when the grid lacks it."""
        from bvc.repository.manifest import BLOCK

        if probe not in self.position:
            raise DamagedObject(f"commit {self.view.info.id} has no signature of probe {probe}", hint=_FSCK)
        return divmod(self.position[probe], BLOCK)

    @cached_property
    def manifests(self) -> Mapping[str, Manifest]:
        """The manifests of the captured channels. Raises DamagedObject for those that do not fit the probe order."""
        from bvc.repository.decode import manifest_of
        from bvc.repository.manifest import CHANNELS

        probes = len(self.order)
        return {
            channel: self.view.decode(
                self.files[f"{channel}.json"], f"a {channel} signature", partial(manifest_of, channel, probes)
            )
            for channel in CHANNELS
            if f"{channel}.json" in self.files
        }

    @property
    def dictionary(self) -> str | None:
        """The digest of the dictionary whose features are held, along references and answers; None without features,
        or without those along answers, which commits of older versions lack."""
        from bvc.repository.manifest import FEATURES

        held = self.manifests
        found = {held[channel].dictionary if channel in held else None for channel in FEATURES}
        return found.pop() if len(found) == 1 else None

    def bucket_table(self) -> npt.NDArray[np.uint8] | None:
        """[vocab] uint8: the mass bucket of each token id, or None without log-probs."""
        manifest = self.manifests.get("logprob")
        if manifest is None or manifest.bucket_table is None:
            return None
        table = self.store.chunks.get(manifest.bucket_table)
        if table.dtype.str != "|u1" or table.ndim != 1:
            raise DamagedObject(f"chunk {manifest.bucket_table} is not a table of mass buckets", hint=_FSCK)
        return table

    def packed_texts(self) -> npt.NDArray[np.uint8] | None:
        """What `bvc.evidence.pack_texts` made of the texts of all tokens; None in commits that were made without."""
        manifest = self.manifests.get("logprob")
        if manifest is None or manifest.token_texts is None:
            return None
        packed = self.store.chunks.get(manifest.token_texts)
        if packed.dtype.str != "|u1" or packed.ndim != 1:
            raise DamagedObject(f"chunk {manifest.token_texts} does not hold token texts", hint=_FSCK)
        return packed

    def token_texts(self) -> list[str] | None:
        """The text of each token id, as far as the vocabulary goes; None where the commit does not hold them."""
        from bvc.evidence import unpack_texts

        packed = self.packed_texts()
        try:
            return None if packed is None else unpack_texts(packed)
        except ValueError as error:
            raise DamagedObject("the chunk of token texts does not hold any", hint=_FSCK) from error

    def block(self, index: int, channels: Collection[str] | None = None) -> Evidence:
        """All channels of probe block `index`, or some, each tile's checksum verified."""
        from bvc.repository.tiles import read_block

        manifests = {c: m for c, m in self.manifests.items() if channels is None or c in channels}
        return read_block(self.store.chunks, manifests, index, len(self.order))


class Recaptures:
    """The N0 re-captures of a snapshot: some probes once more, under another batch layout."""

    def __init__(self, view: SnapshotView) -> None:
        self.view = view
        self.signatures = Signatures(view, "recaptures/signatures")
        self.output_blobs = view.probe_files("recaptures/outputs")

    def outputs(self, probe: str) -> Outputs:
        """The texts of the second layout."""
        return self.view.read_outputs(self.output_blobs[probe])
