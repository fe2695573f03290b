"""The probes of a whole history: their records, and those that a user names."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import cached_property

from bvc.api.search_changes import ChangeHistory
from bvc.errors import AmbiguousId, UnknownRevision
from bvc.ids import looks_like_id
from bvc.records import Probe
from bvc.repository.repository import Repository
from bvc.repository.snapshot_view import SnapshotView
from bvc.wording import printable, some_of


@dataclass
class HistoryProbes:
    """The probes that the commits of a history ask; of one that several ask, the newest record."""

    repository: Repository
    history: ChangeHistory
    _probes: dict[bytes, Probe | None] = field(default_factory=dict)

    @cached_property
    def records(self) -> dict[bytes, tuple[str, str]]:
        """(suite, id of its record) by probe id (32 bytes)."""
        wanted = self.history.probes()
        found: dict[bytes, tuple[str, str]] = {}
        seen: set[str | None] = set()
        for commit in self.history.order:
            if len(found) >= len(wanted):
                break
            if commit not in self.history.edges:
                continue
            view = self.repository.snapshot(commit)
            folder = view.folder("probes")
            if folder not in seen:
                seen.add(folder)
                self._add(view, found)
        return found

    @staticmethod
    def _add(view: SnapshotView, found: dict[bytes, tuple[str, str]]) -> None:
        for suite, records in view.probe_blobs.items():
            for probe, oid in records.items():
                found.setdefault(bytes.fromhex(probe), (suite, oid))

    @cached_property
    def view(self) -> SnapshotView:
        """Some view, to read records with."""
        return self.repository.snapshot(self.history.order[0])

    def probe(self, probe: bytes) -> Probe | None:
        """The newest record of a probe; None where answers stand without one."""
        if probe not in self._probes:
            place = self.records.get(probe)
            self._probes[probe] = None if place is None else self.view.read_probe(place[1])
        return self._probes[probe]

    def suite(self, probe: bytes) -> str:
        """The suite of a probe's newest record; empty without one."""
        return self.records.get(probe, ("", ""))[0]

    def named(self, names: Iterable[str]) -> set[bytes]:
        """The ids of the probes that `names` name: full ids, labels (of all that ever had one) or abbreviated ids.

        Raises UnknownRevision, AmbiguousId.
        """
        return {probe for name in names for probe in self._named(name)}

    def _named(self, name: str) -> Collection[bytes]:
        known = self.history.probes()
        wanted = name.lower()
        exact = {probe for probe in known if probe.hex() == wanted}
        labeled = exact or {probe for probe in known if self._label(probe) == name}
        if labeled:
            return labeled
        found = sorted(p.hex() for p in known if p.hex().startswith(wanted)) if looks_like_id(wanted) else []
        if len(found) > 1:
            shown = some_of([probe[:12] for probe in found], 5)
            raise AmbiguousId(f"{name} fits {len(found)} probes: {shown}", hint="give more digits of the id")
        if not found:
            hint = "`bvc suite show NAME` lists a suite's probes"
            raise UnknownRevision(f"no commit here has a probe {printable(name)}", hint=hint)
        return [bytes.fromhex(found[0])]

    def tagged(self, tags: Collection[str]) -> set[bytes]:
        """The ids of the probes that have one of `tags`."""
        found = ((probe, self.probe(probe)) for probe in self.history.probes())
        return {probe for probe, record in found if record is not None and not set(tags).isdisjoint(record.tags)}

    def _label(self, probe: bytes) -> str | None:
        record = self.probe(probe)
        return None if record is None else record.name
