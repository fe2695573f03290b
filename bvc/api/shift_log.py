"""The shift of hidden states that `log --stat` shows of each commit, remembered in the index under the trees of the two
snapshots. Losing the index loses only time. Where a shift is known, nothing here loads numpy."""

from __future__ import annotations

import json

from bvc.errors import BvcError, NotComparable
from bvc.records import Capability, CommitInfo, LogShift
from bvc.repository.repository import Repository
from bvc.repository.snapshot_view import SnapshotView
from bvc.store.index import score_key

_MEASURED = "1"
"""Changes whenever the same two snapshots give another shift than before, so that older ones are forgotten."""


def logged_shift(repository: Repository, info: CommitInfo) -> LogShift | None:
    """The mean shift of a commit against its first parent; None where one of them holds no activations, their arrays
    are not at hand, or too few prompts are shared to say anything."""
    if not info.parents:
        return None
    left, right = repository.snapshot(info.parents[0]), repository.view(info)
    if not (_holds(left) and _holds(right)):
        return None
    environment = repository.store.index.environment
    key = score_key("shift", _MEASURED, left.tree, right.tree)
    known = environment.get(key)
    if known is not None:
        return _unpacked(known)
    try:
        found = _measured(left, right)
    except NotComparable:
        found = None
    except BvcError:  # a clone holds no arrays: it shows the rest of its log, and may get them
        return None
    environment.remember([(key, _packed(found))])
    return found


def _holds(view: SnapshotView) -> bool:
    return view.info.snapshot is not None and view.snapshot.capability is Capability.ACTIVATIONS


def _measured(left: SnapshotView, right: SnapshotView) -> LogShift | None:
    from bvc.api.shift import site_shifts, states
    from bvc.compare.shift import beyond_noise, leading

    found = site_shifts(states(left, right), spectrum=False)
    p_values, one = beyond_noise(found), leading(found)
    if not p_values:
        return None
    if one is None:
        return LogShift(None, None, None, min(p_values.values()), len(p_values))
    return LogShift(one.site, one.relative, one.relative_ci, p_values[one.site], len(p_values))


def _packed(found: LogShift | None) -> bytes:
    values = None if found is None else [found.site, found.relative, found.ci, found.p_value, found.sites]
    return json.dumps(values).encode()


def _unpacked(row: bytes) -> LogShift | None:
    values = json.loads(row)
    if values is None:
        return None
    site, relative, ci, p_value, sites = values
    return LogShift(site, relative, None if ci is None else (ci[0], ci[1]), p_value, sites)
