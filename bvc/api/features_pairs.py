"""Latents of two snapshots and of the null pairs around them, read block by block and compared. Loads numpy.

Latents are read along the references, which are the same on both sides, or along what each side answers by itself: a
channel each. In a reference an answer that is new does not occur.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from bvc.api.bands import benign_pairs
from bvc.compare.feature_pairs import FeatureGather, FeaturePair
from bvc.compare.features import STEP, FeatureComparison, NullPair, compare_features, null_pair
from bvc.compare.tolerance import N0
from bvc.errors import BvcError, DamagedObject, NotComparable
from bvc.evidence import FeatureBlock
from bvc.repository.dictionaries import feature_dictionary
from bvc.repository.manifest import ANSWER_FEATURE, BLOCK, FEATURE, blocks
from bvc.repository.repository import Repository
from bvc.repository.snapshot_view import Signatures, SnapshotView
from bvc.repository.tiles import latents_of, read_block

STEPS = 6
"""Steps of the lineage that are looked at: each costs as much as the pair itself."""
FEW_STEPS = 3
"""Those that a diff looks at, which has other things to do."""


def standing_latents(
    repository: Repository, left: SnapshotView, right: SnapshotView, most: int
) -> FeatureComparison | None:
    """What `features_diff` says of two snapshots, with the first `most` of the latents that stand out and without
    texts; None where they do not both have features of one dictionary, or nothing can be compared."""
    digest = feature_dictionary(left)
    if digest is None or digest != feature_dictionary(right):
        return None
    try:
        compared, _ = compared_pair(repository, left, right, usual_channel(left, right), most, FEW_STEPS)
    except NotComparable:
        return None
    return replace(compared, latents=tuple(latent for latent in compared.latents if latent.stands_out))


def usual_channel(left: SnapshotView, right: SnapshotView) -> str:
    """Which features of two snapshots are compared where nobody says: those along the answers, where both have them."""
    digests = {feature_dictionary(view, channel) for view in (left, right) for channel in (FEATURE, ANSWER_FEATURE)}
    return ANSWER_FEATURE if len(digests) == 1 else FEATURE


def compared_pair(
    repository: Repository, left: SnapshotView, right: SnapshotView, channel: str, most: int, steps: int = STEPS
) -> tuple[FeatureComparison, FeaturePair]:
    """Compares two snapshots that both have features of one dictionary in `channel`; the pair as well. Raises
    NotComparable where no probe can be compared."""
    probes = {probe.id: probe for _, probe in right.probes()}
    clusters = {p: probe.cluster for p, probe in probes.items() if probe.cluster is not None}
    read = _Reading(channel, feature_dictionary(right, channel), clusters)
    pair = read.pair(left, right)
    nulls = list(_nulls(repository, left, right, read, steps))
    compared = compare_features(pair, nulls, names={p: probe.name for p, probe in probes.items()}, most=most)
    return replace(compared, found=replace(compared.found, a=left.info.id, b=right.info.id)), pair


@dataclass(frozen=True)
class _Reading:
    """What is read of snapshots: a feature channel, with latents of the dictionary `digest`. `clusters` are those of
    probes, by id."""

    channel: str
    digest: str | None
    clusters: Mapping[str, str]

    def has(self, signatures: Signatures) -> bool:
        """Whether a grid has such latents."""
        manifest = signatures.manifests.get(self.channel)
        return manifest is not None and manifest.dictionary == self.digest

    def pair(self, left: SnapshotView, right: SnapshotView) -> FeaturePair:
        """The latents of two snapshots; along references, on the probes that have the same one in both."""
        a, b = left.reference_blobs, right.reference_blobs
        grids = _Grid(left.signatures, self.channel), _Grid(right.signatures, self.channel)
        common = grids[0].position.keys() & grids[1].position.keys()
        along = {p for p in common if self.channel == ANSWER_FEATURE or (p in a and a[p] == b.get(p))}
        return self._gathered(*grids, along, len(common) - len(along))

    def again(self, view: SnapshotView) -> FeaturePair | None:
        """The probes of a snapshot that were captured twice; None where features were not."""
        again = view.recaptures
        if again is None or not self.has(again.signatures):
            return None
        grids = _Grid(view.signatures, self.channel), _Grid(again.signatures, self.channel)
        return self._gathered(*grids, grids[0].position.keys() & grids[1].position.keys(), 0)

    def _gathered(self, a: _Grid, b: _Grid, along: set[str], apart: int) -> FeaturePair:
        gather = FeatureGather(b.latents)
        gather.leave_out(apart)
        for index, block in enumerate(blocks(b.order, BLOCK)):
            ids = [probe for probe in block if probe in along]
            if ids:
                gather.add(ids, a.rows(ids), b.rows(ids, index))
        return gather.finish(self.clusters)


def _nulls(
    repository: Repository, left: SnapshotView, right: SnapshotView, read: _Reading, steps: int
) -> Iterator[NullPair]:
    """Every null pair at hand: re-captures of both sides, pairs that the user trusts, steps of the lineage. One that
    cannot be read, or has no features of this dictionary, tells nothing."""
    for view in (left, right):
        with suppress(BvcError):
            again = read.again(view)
            if again is not None:
                yield null_pair(N0, view.info.id, view.info.id, again)
    known = benign_pairs(repository, left.info.id, right.info.id, steps)
    trusted = {(a, b) for _, a, b in known.learned}
    for level, a, b in (*known.learned, *((STEP, *step) for step in known.steps if step not in trusted)):
        with suppress(BvcError):
            one, other = repository.snapshot(a), repository.snapshot(b)
            if read.has(one.signatures) and read.has(other.signatures):
                yield null_pair(level, a, b, read.pair(one, other))


class _Grid:
    """A feature channel of one tile grid; nothing else of a block is read."""

    def __init__(self, signatures: Signatures, channel: str) -> None:
        self._signatures = signatures
        self._channel = channel
        self._block: tuple[int, FeatureBlock] | None = None
        self.order = signatures.order
        self.position = signatures.position
        self.latents = signatures.manifests[channel].latents

    def rows(self, ids: list[str], index: int | None = None) -> FeatureBlock:
        """The probes `ids` in that order; those of a whole block, by its `index`, as they lie."""
        if index is not None and tuple(ids) == self.order[index * BLOCK : (index + 1) * BLOCK]:
            return self._read(index)
        places = [divmod(self.position[probe], BLOCK) for probe in ids]
        rows = [self._read(block).rows(row, row + 1) for block, row in places]
        return type(rows[0]).concatenate(rows)

    def _read(self, index: int) -> FeatureBlock:
        if self._block is None or self._block[0] != index:
            self._block = index, _feature_block(self._signatures, index, self._channel)
        return self._block[1]


def feature_blocks(signatures: Signatures, channel: str = FEATURE) -> Iterator[tuple[int, FeatureBlock]]:
    """The blocks of a snapshot that has features, each with the place of its first probe in the order."""
    for index in range(-(-len(signatures.order) // BLOCK)):
        yield index * BLOCK, _feature_block(signatures, index, channel)


def _feature_block(signatures: Signatures, index: int, channel: str) -> FeatureBlock:
    """One block of a feature channel; the other channels are not read."""
    manifest = {channel: signatures.manifests[channel]}
    found = latents_of(read_block(signatures.store.chunks, manifest, index, len(signatures.order))).get(channel)
    if found is None:
        raise DamagedObject("a feature signature holds no features", hint="run `bvc fsck`")
    return found
