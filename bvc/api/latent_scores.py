"""What latents of a dictionary do along the answers of a commit, for behaviors that ask for them.

A score of a latent follows from the commit's features, so what is remembered of it is remembered under the snapshot's
tree and under the dictionaries that the behavior's names mean now. numpy is loaded where features are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from bvc.api.features import firings, latent_card
from bvc.behaviors.records import Behavior, Firing, Firings, Latent
from bvc.dictionaries import StoredDictionary
from bvc.errors import AmbiguousId, BadInput, BvcError, UnknownRevision, UsageError
from bvc.ids import short
from bvc.repository.dictionaries import chosen_dictionary, default_dictionary
from bvc.repository.manifest import ANSWER_FEATURE, FEATURE
from bvc.repository.repository import BEHAVIORS_FILE, Repository
from bvc.repository.snapshot_view import Signatures, SnapshotView
from bvc.tomlfile import line_of

_CHANNELS = {"answer": ANSWER_FEATURE, "reference": FEATURE}

Read = Mapping[str, Mapping[Latent, Firing]]
"""How latents fire, by probe."""


@dataclass
class LatentReader:
    """Reads the latents that behaviors ask for; what the names of dictionaries mean is looked up once."""

    repository: Repository
    _known: dict[Latent, StoredDictionary | BvcError] = field(default_factory=dict)
    _last: tuple[object, Read] | None = None

    def names(self, behavior: Behavior) -> tuple[str, ...]:
        """The digests of the dictionaries that the behavior's latents are of; what is wrong where there is none."""
        found = (self._dictionary(latent) for latent in behavior.latents)
        return tuple(one.message if isinstance(one, BvcError) else one.spec.digest for one in found)

    def problem(self, behavior: Behavior) -> BvcError | None:
        """Why the behavior cannot be scored at any commit: a dictionary or a latent that is not there."""
        found = (self._dictionary(latent) for latent in behavior.latents)
        return next((one for one in found if isinstance(one, BvcError)), None)

    def captured_by_commits(self, behavior: Behavior) -> bool:
        """Whether captures that are made now record all latents that the behavior asks for."""
        return set(self.names(behavior)) == {self._usual}

    def why_not(self, view: SnapshotView, behavior: Behavior) -> str | None:
        """Why the behavior cannot be scored at a commit; None where it can, and of one that asks for no latent."""
        return self._lack(view, view.signatures, behavior)

    def of(self, view: SnapshotView, behavior: Behavior, probe: str, *, again: bool = False) -> Firings | None:
        """How the behavior's latents fire in one probe of a commit, or `again` in its re-captures; None for a behavior
        that asks for none."""
        if not behavior.latents:
            return None
        signatures = view.recaptures.signatures if again and view.recaptures is not None else view.signatures
        lack = self._lack(view, signatures, behavior)
        if lack is not None:
            return lambda _latent: lack
        row = self._read(view, signatures, behavior).get(probe, {})
        return lambda latent: row.get(latent, f"commit {short(view.info.id)} has no features of this probe")

    @cached_property
    def _usual(self) -> str | None:
        """The digest of the dictionary with which commits record features."""
        with suppress(BvcError):
            stored = default_dictionary(self.repository)
            return None if stored is None else stored.spec.digest
        return None

    def _dictionary(self, latent: Latent) -> StoredDictionary | BvcError:
        if latent not in self._known:
            try:
                found = chosen_dictionary(self.repository, latent.dictionary, "`bvc config features.dictionary NAME`")
                latent_card(found, (), latent.number)
                self._known[latent] = found
            except (UsageError, UnknownRevision, AmbiguousId) as error:
                self._known[latent] = error
        return self._known[latent]

    def _lack(self, view: SnapshotView, signatures: Signatures, behavior: Behavior) -> str | None:
        for latent in behavior.latents:
            stored = self._dictionary(latent)
            if isinstance(stored, BvcError):
                return stored.message
            manifest = signatures.manifests.get(_CHANNELS[latent.along])
            held = None if manifest is None else manifest.dictionary
            if held != stored.spec.digest:
                return self._lacking(view, stored, latent.along, other=held is not None)
        return None

    def _lacking(self, view: SnapshotView, stored: StoredDictionary, along: str, *, other: bool) -> str:
        commit = short(view.info.id)
        if view.snapshot.model.kind == "recorded":
            return f"commit {commit} holds recorded outputs, which have no features"
        what = f"its features are not of dictionary {stored.name}" if other else f"no features along its {along}s"
        how = f" (`bvc capture {commit} --features` adds them)" if stored.spec.digest == self._usual else ""
        return f"commit {commit}: {what}{how}"

    def _read(self, view: SnapshotView, signatures: Signatures, behavior: Behavior) -> Read:
        """The latents of all probes, kept until others are asked for."""
        key = view.tree, signatures is view.signatures, behavior.latents
        if self._last is None or self._last[0] != key:
            self._last = key, _firings_of(signatures, behavior)
        return self._last[1]


def check_latents(repository: Repository, behavior: Behavior, file: Path | None = None) -> None:
    """Raises for a behavior that asks for a dictionary or a latent that is not there: BadInput with the line of `file`
    where it is written there, else UsageError."""
    problem = LatentReader(repository).problem(behavior)
    if problem is None:
        return
    said = f"behavior {behavior.name} cannot be scored: {problem.message}"
    if file is None:
        raise UsageError(said, hint=problem.hint)
    raise BadInput(said, file=str(file), line=_line(file, behavior), hint=problem.hint)


def behaviors_path(repository: Repository) -> Path:
    """Where the project's behaviors are written."""
    return repository.root / BEHAVIORS_FILE


def _line(file: Path, behavior: Behavior) -> int | None:
    """The line of the latent, or where others combine it that of the behavior."""
    try:
        return line_of(file.read_text(encoding="utf-8-sig"), ("behavior", behavior.name, behavior.scorer.kind))
    except (OSError, ValueError):
        return behavior.line


def _firings_of(signatures: Signatures, behavior: Behavior) -> Read:
    """How latents fire along the texts of all probes, channel by channel: a block of probes at a time."""
    from bvc.api.features_pairs import feature_blocks

    order = signatures.order
    out: dict[str, dict[Latent, Firing]] = {probe: {} for probe in order}
    for along, channel in _CHANNELS.items():
        asked = [latent for latent in dict.fromkeys(behavior.latents) if latent.along == along]
        for start, block in feature_blocks(signatures, channel) if asked else ():
            positions = block.positions.tolist()
            for latent in asked:
                for row, count in enumerate(positions):
                    out[order[start + row]][latent] = Firing(0.0, 0, count, 0)
                for row, strongest, times, place in firings(block, latent.number):
                    out[order[start + row]][latent] = Firing(strongest, times, positions[row], place)
    return out
