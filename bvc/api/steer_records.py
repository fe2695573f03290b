"""What `steer` is asked and what it returns. Loads neither numpy nor torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bvc.errors import UsageError
from bvc.records import CommitInfo, ModelIdentity, Outputs, Probe, Recipe

if TYPE_CHECKING:
    from bvc.compare.steering import Effect

LATENT_STRENGTHS = (-4.0, 0.0, 2.0, 4.0, 8.0)
"""Strengths unless the user names others, in units of what the latent adds where it fires."""
STREAM_STRENGTHS = (-0.25, 0.0, 0.125, 0.25, 0.5)
"""The same in units of the residual stream's own length."""
EVERYWHERE, GENERATED = "all", "generated"
"""Positions at which the direction is added: of prompt and answer, or those that predict the answer."""
FEWEST_DIRECTIONS = 2


@dataclass(frozen=True)
class SteerOptions:
    """What to steer and how it is judged.

    A `behavior` of behaviors.toml or a `pattern` (regular expression) is scored; without either, whether an answer is
    another than the unsteered one. `dictionary` is the one that holds the latent (None: the only one there is).
    `strengths` None means the defaults. The probes are `probes` (ids, labels), those of `suite`, else those that the
    behavior speaks of, `limit` of them at most. `draws` a probe beside the greedy answer; `directions` random ones as
    control; `at` is the commit whose checkpoint runs, unless `checkpoint` is another one; `seed` is that of the draws
    and of the random directions (None: the recorded one, and 0).
    """

    dictionary: str | None = None
    behavior: str | None = None
    pattern: str | None = None
    strengths: tuple[float, ...] | None = None
    probes: tuple[str, ...] = ()
    suite: str | None = None
    limit: int | None = 48
    draws: int = 4
    directions: int = 4
    positions: str = EVERYWHERE
    at: str = "HEAD"
    checkpoint: str | None = None
    max_new_tokens: int | None = None
    seed: int | None = None
    allow_python: bool = False

    def __post_init__(self) -> None:
        """Raises UsageError for options that contradict each other or make no sense."""
        if self.behavior is not None and self.pattern is not None:
            raise UsageError("give a behavior or a pattern, not both")
        if self.positions not in (EVERYWHERE, GENERATED):
            raise UsageError(f"positions must be '{EVERYWHERE}' or '{GENERATED}', not {self.positions!r}")
        if self.directions < FEWEST_DIRECTIONS:
            raise UsageError(f"at least {FEWEST_DIRECTIONS} random directions are needed, to know how they scatter")
        if self.draws < 0:
            raise UsageError("the number of draws cannot be negative")
        if self.limit is not None and self.limit < 1:
            raise UsageError("the limit must be at least 1 probe")
        for strength in self.strengths or ():
            if not -1000 <= strength <= 1000:  # NaN is not either
                raise UsageError(f"a strength must be a number between -1000 and 1000, not {strength}")
        if self.strengths is not None and not any(self.strengths):
            raise UsageError("give at least one strength other than 0")


@dataclass(frozen=True)
class Direction:
    """A direction of the residual stream: `vector` [d] (a tensor, an array or numbers) at `layer` ("layer.15").

    At strength 1 `unit` times the vector is added; None means that strengths are shares of the stream's mean length,
    whatever the vector's own. `latent` is its number where it is a dictionary's.
    """

    vector: Any
    layer: str
    name: str
    unit: float | None = None
    latent: int | None = None


@dataclass(frozen=True)
class Damage:
    """What a push broke, of the direction and of the random ones in the mean: `own`, the mean log-probability (nats per
    token) of the model's own unsteered greedy answers; `repetition`, the mean share of phrases of 4 tokens said before;
    None where no answer has a token."""

    own: float | None
    random_own: float | None
    repetition: float
    random_repetition: float


@dataclass(frozen=True)
class SteeredStrength:
    """One strength: `norm` is how long the added vector is, as a share of the stream's mean length; `example` is what
    the example probe is answered, `effect` None at strength 0."""

    strength: float
    norm: float
    rate: float
    ci: tuple[float, float]
    damage: Damage
    example: str
    effect: Effect | None = None


@dataclass(frozen=True)
class SteerResult:
    """`bvc.features-steer/1`.

    `score` names what is scored; `units` is "latent" (what the latent adds where it fires) or "stream" (the stream's
    mean length, `stream_norm`). `probes` were scored, `left_out` could not be. `recorded` says how many of the probes'
    unsteered answers are those that the commit recorded, of how many; None where nothing comparable is recorded.
    `example` is the probe of the examples, and which of its answers they are (0: the greedy one). `answers` are the
    direction's answers by strength, then by probe, in the order of `probes`.
    """

    name: str
    layer: str
    units: str
    score: str
    commit: CommitInfo | None
    model: ModelIdentity
    recipe: Recipe
    dictionary: str | None
    latent: int | None
    promoted: tuple[str, ...]
    positions: str
    directions: int
    seed: int
    stream_norm: float
    band: float
    probes: tuple[Probe, ...]
    left_out: int
    strengths: tuple[SteeredStrength, ...]
    example: tuple[Probe, int]
    answers: tuple[tuple[Outputs, ...], ...]
    recorded: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()
