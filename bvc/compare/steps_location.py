"""With which commit of a window a step came: the posterior over its single steps, given that there is one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bvc.compare.steps_windows import Floats, Lineage, Scale, Window, window

_BESIDE = 2
"""Steps on either side of a window that may be meant as well."""
_MOST = 255
"""Single steps that are weighed against each other."""
_PRIOR = 0.5
"""Weight that the typical volume of the steps has against a step's own."""
_LEAST = 0.5
"""Least volume of a step, in unit moves."""
_FLICKER = 0.45
"""Most that what comes with one step is taken to go with the next; at one half nothing would last."""
_SHOWN = 1e-3

Square = npt.NDArray[np.float64]


def located(
    lineage: Lineage, first: Scale, found: Window, apart: frozenset[int], unrest: float
) -> tuple[tuple[int, float], ...]:
    """The commits that may have brought the step of a window, with their probabilities, most probable first.

    The net moves of the single steps are taken for normal: one of them shifted by an unknown amount, all with the
    noise of their own units' moves. Noise that flickers comes with one step and goes with the next; how much of it does
    is measured. `apart` are steps of other windows, which are left out.
    """
    nodes = _nodes(lineage, found, apart)
    place = {int(node): row for row, node in enumerate(first.nodes)}
    moved = first.moved[[place[node] for node in nodes]].astype(float)
    net = moved.sum(1)
    evidence = _evidence(net, _covariance(lineage, nodes, moved) * unrest**2, float(np.sign(_lean(found, nodes, net))))
    weights = np.exp(evidence - evidence.max())
    weights /= weights.sum()
    order = np.argsort(-weights, kind="stable")
    kept = [i for i in order.tolist() if weights[i] >= _SHOWN] or [int(order[0])]
    return tuple((nodes[i], float(weights[i])) for i in kept)


def _nodes(lineage: Lineage, found: Window, apart: frozenset[int]) -> list[int]:
    """The window's steps and the nearest ones beside it, in the order of the lineage."""
    wider = window(lineage, found.node, min(found.width + _BESIDE, _MOST // 2)).steps
    return sorted(n for n in wider - apart if lineage.parents[n])


def _lean(found: Window, nodes: list[int], net: npt.NDArray[np.float64]) -> float:
    """Which way the window as a whole moved."""
    inside = [net[i] for i, node in enumerate(nodes) if node in found.steps]
    return float(np.sum(inside))


def _covariance(lineage: Lineage, nodes: list[int], moved: Floats) -> Square:
    """Of the net moves of single steps: each one's own volume, and between neighbors what goes again."""
    around = moved - moved.mean(1, keepdims=True)
    volumes = (around**2).sum(1)
    typical = max(float(np.median(volumes)), _LEAST)
    scales = np.sqrt((volumes + _PRIOR * typical) / (1 + _PRIOR))
    beside = [(i, nodes.index(p)) for i, n in enumerate(nodes) for p in lineage.parents[n] if p in nodes]
    together = sum(float(around[i] @ around[j]) for i, j in beside)
    own = sum(float(np.sqrt(volumes[i] * volumes[j])) for i, j in beside)
    flicker = min(_FLICKER, max(0.0, -together / own)) if own > 0 else 0.0
    out: Square = np.diag(np.ones(len(nodes)))
    for i, j in beside:
        out[i, j] = out[j, i] = -flicker
    out *= scales[:, None] * scales[None, :]
    return out


def _evidence(net: npt.NDArray[np.float64], covariance: Square, lean: float) -> npt.NDArray[np.float64]:
    """The log of how well a shift at each step, of unknown size, explains all moves."""
    inverse = np.linalg.inv(covariance + 1e-9 * np.eye(len(net)))
    pull, weight = inverse @ net, np.diag(inverse)
    size = max(float(np.abs(net).max()), 1.0) ** 2
    gain = pull**2 * size / (2 * (1 + size * weight)) - np.log1p(size * weight) / 2
    out: npt.NDArray[np.float64] = np.where(pull * lean > 0, gain, -np.log1p(size * weight) / 2)
    return out
