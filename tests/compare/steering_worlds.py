"""Worlds of steered answers whose effects are known: directions that move log odds at random, one of them more."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bvc.compare.steering import Effect, Pushed, steering_effects

Values = npt.NDArray[np.float64]
PROBES, ANSWERS, DIRECTIONS = 24, 5, 4


def world(
    rng: np.random.Generator,
    effects: Values,
    *,
    base: float = 0.3,
    between: float = 1.0,
    own: float = 0.5,
) -> tuple[Values, Values]:
    """Scores of unsteered answers [n, k] and under directions [c, n, k], noise shared by all (coupled draws).

    `effects` [c] move the logit of the rate everywhere, on each probe by a random amount of deviation `own` more.
    """
    logits = np.log(base / (1 - base)) + between * rng.normal(size=PROBES)
    noise = rng.logistic(size=(PROBES, ANSWERS))
    moved = logits + effects[:, None] + own * np.abs(effects)[:, None] * rng.normal(size=(len(effects), PROBES))
    return (noise < logits[:, None]).astype(float), (noise < moved[:, :, None]).astype(float)


def pushed(scores: Values) -> Pushed:
    none = np.zeros(scores.shape, bool)
    return Pushed(scores[0], scores[1:], none[0], none[1:])


def judged(
    rng: np.random.Generator,
    strengths: Values,
    shift: float = 0.0,
    *,
    directions: int = DIRECTIONS,
    scatter: float = 0.3,
    **settings: float,
) -> list[Effect]:
    """Effects at several strengths of directions whose effects are random, the first one's `shift` larger."""
    slopes = rng.normal(size=1 + directions) * scatter
    slopes[0] += shift
    worlds = [world(rng, slopes * strength, **settings) for strength in strengths]
    return steering_effects(worlds[0][0], [pushed(scores) for _, scores in worlds])
