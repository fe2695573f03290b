"""Latents of two snapshots and of the null pairs around them, read block by block and compared. Loads numpy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace

from bvc.api.bands import benign_pairs
from bvc.compare.feature_pairs import FeatureGather, FeaturePair
from bvc.compare.features import STEP, FeatureComparison, NullPair, compare_features, null_pair
from bvc.compare.tolerance import N0
from bvc.errors import BvcError, DamagedObject, NotComparable
from bvc.evidence import FeatureBlock
from bvc.repository.dictionaries import feature_dictionary
from bvc.repository.manifest import BLOCK, FEATURE, blocks
from bvc.repository.repository import Repository
from bvc.repository.snapshot_view import Signatures, SnapshotView
from bvc.repository.tiles import read_block

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
        compared, _ = compared_pair(repository, left, right, digest, most, FEW_STEPS)
    except NotComparable:
        return None
    return replace(compared, latents=tuple(latent for latent in compared.latents if latent.stands_out))


def compared_pair(
    repository: Repository, left: SnapshotView, right: SnapshotView, digest: str, most: int, steps: int = STEPS
) -> tuple[FeatureComparison, FeaturePair]:
    """Compares two snapshots that both have features of the dictionary `digest`; the pair as well. Raises NotComparable
    where no probe has the same reference on both sides."""
    probes = {probe.id: probe for _, probe in right.probes()}
    clusters = {p: probe.cluster for p, probe in probes.items() if probe.cluster is not None}
    pair = _read_pair(left, right, clusters)
    nulls = list(_nulls(repository, left, right, digest, clusters, steps))
    compared = compare_features(pair, nulls, names={p: probe.name for p, probe in probes.items()}, most=most)
    return replace(compared, found=replace(compared.found, a=left.info.id, b=right.info.id)), pair


def _nulls(
    repository: Repository,
    left: SnapshotView,
    right: SnapshotView,
    digest: str,
    clusters: Mapping[str, str],
    steps: int,
) -> Iterator[NullPair]:
    """Every null pair at hand: re-captures of both sides, pairs that the user trusts, steps of the lineage. One that
    cannot be read, or has no features of this dictionary, tells nothing."""
    for view in (left, right):
        with suppress(BvcError):
            again = _read_again(view, digest, clusters)
            if again is not None:
                yield null_pair(N0, view.info.id, view.info.id, again)
    known = benign_pairs(repository, left.info.id, right.info.id, steps)
    trusted = {(a, b) for _, a, b in known.learned}
    for level, a, b in (*known.learned, *((STEP, *step) for step in known.steps if step not in trusted)):
        with suppress(BvcError):
            one, other = repository.snapshot(a), repository.snapshot(b)
            if feature_dictionary(one) == digest == feature_dictionary(other):
                yield null_pair(level, a, b, _read_pair(one, other, clusters))


def _read_pair(left: SnapshotView, right: SnapshotView, clusters: Mapping[str, str]) -> FeaturePair:
    """The latents of two snapshots on the probes that have the same reference in both."""
    a, b = left.reference_blobs, right.reference_blobs
    grids = _Grid(left.signatures), _Grid(right.signatures)
    along = {p for p in grids[1].position if p in grids[0].position and p in a and a[p] == b.get(p)}
    apart = sum(p in grids[0].position for p in grids[1].position) - len(along)
    return _gathered(*grids, along, apart, clusters)


def _read_again(view: SnapshotView, digest: str, clusters: Mapping[str, str]) -> FeaturePair | None:
    """The probes of a snapshot that were captured twice; None where features were not."""
    again = view.recaptures
    manifest = None if again is None else again.signatures.manifests.get(FEATURE)
    if again is None or manifest is None or manifest.dictionary != digest:
        return None
    grids = _Grid(view.signatures), _Grid(again.signatures)
    return _gathered(*grids, grids[0].position.keys() & grids[1].position.keys(), 0, clusters)


def _gathered(a: _Grid, b: _Grid, along: set[str], apart: int, clusters: Mapping[str, str]) -> FeaturePair:
    gather = FeatureGather(b.latents)
    gather.leave_out(apart)
    for index, block in enumerate(blocks(b.order, BLOCK)):
        ids = [probe for probe in block if probe in along]
        if ids:
            gather.add(ids, a.rows(ids), b.rows(ids, index))
    return gather.finish(clusters)


class _Grid:
    """The feature channel of one tile grid; nothing else of a block is read."""

    def __init__(self, signatures: Signatures) -> None:
        self._signatures = signatures
        self._manifest = signatures.manifests[FEATURE]
        self._block: tuple[int, FeatureBlock] | None = None
        self.order = signatures.order
        self.position = signatures.position
        self.latents = self._manifest.latents

    def rows(self, ids: list[str], index: int | None = None) -> FeatureBlock:
        """The probes `ids` in that order; those of a whole block, by its `index`, as they lie."""
        if index is not None and tuple(ids) == self.order[index * BLOCK : (index + 1) * BLOCK]:
            return self._read(index)
        places = [divmod(self.position[probe], BLOCK) for probe in ids]
        return FeatureBlock.concatenate([self._read(block).rows(row, row + 1) for block, row in places])

    def _read(self, index: int) -> FeatureBlock:
        if self._block is None or self._block[0] != index:
            self._block = index, _feature_block(self._signatures, index)
        return self._block[1]


def feature_blocks(signatures: Signatures) -> Iterator[tuple[int, FeatureBlock]]:
    """The blocks of a snapshot that has features, each with the place of its first probe in the order."""
    for index in range(-(-len(signatures.order) // BLOCK)):
        yield index * BLOCK, _feature_block(signatures, index)


def _feature_block(signatures: Signatures, index: int) -> FeatureBlock:
    """One block of the feature channel; the other channels are not read."""
    channel = {FEATURE: signatures.manifests[FEATURE]}
    found = read_block(signatures.store.chunks, channel, index, len(signatures.order)).feature
    if found is None:
        raise DamagedObject("a feature signature holds no features", hint="run `bvc fsck`")
    return found
