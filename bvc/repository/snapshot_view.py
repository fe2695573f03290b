"""Reading one commit's snapshot: text records from Git, arrays from packs, only what is asked for. Layer 2."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bvc import codec
from bvc.errors import DamagedObject, UnknownRevision
from bvc.records import CommitInfo, Outputs, Probe, Reference, Snapshot
from bvc.store.store import Store

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bvc.evidence import Evidence
    from bvc.repository.manifest import Manifest

CHANNELS = ("logprob", "activation")


class SnapshotView:
    """A commit's tree, read lazily. All ids are full probe ids."""

    def __init__(self, store: Store, info: CommitInfo) -> None:
        self.store = store
        self.info = info

    @property
    def snapshot(self) -> Snapshot:
        """The summary record `snapshot.json`."""
        if self.info.snapshot is None:
            raise DamagedObject(f"commit {self.info.id} has no snapshot.json", hint="it was not made by bvc")
        return self.info.snapshot

    @cached_property
    def _root(self) -> Mapping[str, str]:
        return self._listing(self.info.tree)

    def _listing(self, tree: str) -> dict[str, str]:
        return {entry.name: entry.oid for entry in self.store.objects.tree(tree)}

    def folder(self, name: str) -> str | None:
        """The tree id of a top-level folder, for comparing two commits without reading them."""
        return self._root.get(name)

    def shards(self, kind: str, suite: str) -> Mapping[str, str]:
        """`{aa: tree id}` of one suite's folder under `kind` ("probes", "outputs" or "references")."""
        top = self._root.get(kind)
        suites = {} if top is None else self._listing(top)
        return self._listing(suites[suite]) if suite in suites else {}

    def _records(self, kind: str) -> dict[str, dict[str, str]]:
        """`{suite: {probe id: blob id}}` of one kind of record."""
        return {
            entry.name: {
                name.removesuffix(".json"): oid
                for tree in self.shards(kind, entry.name).values()
                for name, oid in self._listing(tree).items()
            }
            for entry in self.snapshot.suites
        }

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
        return Probe.from_json(self._json(self.probe_blobs[suite][probe]))

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
        return Outputs.from_json(self._record(self.output_blob(probe), "an output"))

    def reference(self, probe: str) -> Reference | None:
        """The continuation the probe was teacher-forced along; None for text-only snapshots."""
        oid = self.reference_blobs.get(probe)
        return None if oid is None else Reference.from_json(self._json(oid))

    def _blob_of(self, blobs: Mapping[str, str], probe: str, what: str) -> str:
        if probe not in blobs:
            raise UnknownRevision(f"commit {self.info.id[:10]} holds no {what} of probe {probe[:10]}")
        return blobs[probe]

    def _json(self, oid: str) -> Any:
        try:
            return codec.parse(self.store.objects.blob(oid))
        except (ValueError, RecursionError) as error:
            raise DamagedObject(f"object {oid} is not the JSON record it should be", hint="run `bvc fsck`") from error

    def _record(self, oid: str, what: str) -> Any:
        from bvc.repository.manifest import check_version

        data = self._json(oid)
        check_version(data, what)
        return data

    @cached_property
    def _main(self) -> Signatures:
        return Signatures(self, "signatures")

    @property
    def signatures(self) -> Signatures:
        """The numeric channels of the snapshot."""
        return self._main

    @cached_property
    def recaptures(self) -> Recaptures | None:
        """The N0 re-captures, or None where none were made."""
        return Recaptures(self) if "recaptures" in self._root else None

    @property
    def order(self) -> tuple[str, ...]:
        """Probe ids in capture order: suites in order, without repeats."""
        return self.signatures.order


class Signatures:
    """The tile grids under one `signatures/` folder."""

    def __init__(self, view: SnapshotView, path: str) -> None:
        self.view = view
        self.store = view.store
        tree: str | None = view.info.tree
        for part in path.split("/"):
            tree = None if tree is None else view._listing(tree).get(part)
        self.files = {} if tree is None else view._listing(tree)

    @property
    def order_blob(self) -> str | None:
        """The blob id of the probe order: equal ids mean equal grids."""
        return self.files.get("probes.json")

    @cached_property
    def order(self) -> tuple[str, ...]:
        """Probe ids in the order of the tiles' rows."""
        return () if self.order_blob is None else tuple(self.view._record(self.order_blob, "a probe order")["probes"])

    @cached_property
    def position(self) -> Mapping[str, int]:
        """Place of each probe in the order."""
        return {probe: i for i, probe in enumerate(self.order)}

    @cached_property
    def manifests(self) -> Mapping[str, Manifest]:
        """The manifests of the captured channels."""
        from bvc.repository.manifest import Manifest

        return {
            channel: Manifest.from_json(self.view._json(self.files[f"{channel}.json"]))
            for channel in CHANNELS
            if f"{channel}.json" in self.files
        }

    def bucket_table(self) -> npt.NDArray[np.uint8] | None:
        """[vocab] uint8: the mass bucket of each token id, or None without log-probs."""
        manifest = self.manifests.get("logprob")
        return (
            None if manifest is None or manifest.bucket_table is None else self.store.chunks.get(manifest.bucket_table)
        )

    def block(self, index: int) -> Evidence:
        """All channels of probe block `index`, each tile's checksum verified."""
        from bvc.repository.tiles import read_block

        return read_block(self.store.chunks, self.manifests, index, len(self.order))


class Recaptures:
    """The N0 re-captures of a snapshot: some probes once more, under another batch layout."""

    def __init__(self, view: SnapshotView) -> None:
        self.view = view
        self.signatures = Signatures(view, "recaptures/signatures")
        outputs = view._listing(view._root["recaptures"]).get("outputs")
        shards = {} if outputs is None else view._listing(outputs)
        self.output_blobs = {
            name.removesuffix(".json"): oid for tree in shards.values() for name, oid in view._listing(tree).items()
        }

    def outputs(self, probe: str) -> Outputs:
        """The texts of the second layout."""
        return Outputs.from_json(self.view._record(self.output_blobs[probe], "an output"))
