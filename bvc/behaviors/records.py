"""What a behavior is, what is scored, and what a score says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bvc.ids import digest_value
from bvc.records import Json, Probe

TEXT_LIMIT = 100_000
"""Characters of an answer that are looked at: a hostile text must not cost more."""

VERSIONS: Mapping[str, int] = {
    **dict.fromkeys(("regex", "contains", "equals", "language", "json_valid", "length", "choice", "similarity"), 1),
    **dict.fromkeys(("latent", "python", "refusal", "answer", "agrees", "identity", "profanity", "format"), 1),
    **dict.fromkeys(("canary", "all", "any", "not"), 1),
}
"""The version of each kind of scorer. Raise it when the kind scores otherwise: older scores are then forgotten."""

LATENT = "latent"
"""The kind of scorer that reads features, not text."""
NO_FEATURES = "features are of the greedy answers of commits alone"

Span = tuple[int, int]


@dataclass(frozen=True)
class Score:
    """How far one answer shows a behavior: `value` in [0, 1], or None where it cannot be said and the answer is left
    out. `why` is a short phrase, `spans` the places in the text (start, end; characters) that decided. A score that a
    faster machine might find otherwise is not `lasting`."""

    value: float | None
    why: str
    spans: tuple[Span, ...] = ()
    lasting: bool = True


@dataclass(frozen=True)
class Latent:
    """A latent that a behavior asks for: its `number`, the name of its `dictionary` (None: the one that commits use),
    and the text that it is read `along`, "answer" or "reference"."""

    number: int
    dictionary: str | None
    along: str

    @property
    def label(self) -> str:
        """As it is written in `behaviors.toml`."""
        return f"{self.number}" if self.dictionary is None else f"{self.dictionary}:{self.number}"


@dataclass(frozen=True)
class Firing:
    """How a latent fires along one text: its largest value, at how many of the text's `positions`, and where it is
    largest: after so many characters of the answer, or at that position of the reference (0: the end of the prompt)."""

    strongest: float
    fired: int
    positions: int
    place: int


Firings = Callable[[Latent], Firing | str]
"""How a latent fires along a probe's greedy answer or reference, or a sentence that says why that is not known."""


@dataclass(frozen=True)
class Subject:
    """One answer to be scored; `tokens` is its length where the engine recorded it, `firings` what its features say:
    None for an answer that has none, as draws."""

    probe: Probe
    text: str
    tokens: int | None = None
    firings: Firings | None = None

    def firing(self, latent: Latent) -> Firing | str:
        """How a latent fires, or why that is not known."""
        return NO_FEATURES if self.firings is None else self.firings(latent)


Similarity = Callable[[str, str], float]
"""Two texts to their similarity in [0, 1]."""
Judge = Callable[[str, Probe, str], Any]
"""The name `module:function`, a probe and an answer to what that function returns."""


@dataclass(frozen=True)
class Tools:
    """What scorers need from outside. `similarity` replaces the built-in comparison of words; `judge` calls the
    project's own Python and is None unless the user allowed that."""

    similarity: Similarity | None = None
    judge: Judge | None = None


@dataclass(frozen=True)
class Scorer:
    """One scorer with its argument and options, or a combination of `parts` (kinds "all", "any", "not")."""

    kind: str
    value: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)
    parts: tuple[Scorer, ...] = ()

    def kinds(self) -> frozenset[str]:
        """The kinds of this scorer and of all its parts."""
        return frozenset({self.kind}).union(*(part.kinds() for part in self.parts))

    def latents(self) -> tuple[Latent, ...]:
        """The latents that this scorer and its parts ask for."""
        own: tuple[Latent, ...] = ()
        if self.kind == LATENT:
            name, _, number = str(self.value).rpartition(":")
            own = (Latent(int(number), name or None, self.options.get("along", "answer")),)
        return sum((part.latents() for part in self.parts), own)

    def to_json(self) -> Json:
        """Kind, argument, options and parts."""
        parts = [part.to_json() for part in self.parts]
        return {"kind": self.kind, "value": self.value, "options": dict(self.options), "parts": parts}


@dataclass(frozen=True)
class Behavior:
    """A named behavior of `behaviors.toml`. `on` selects probes (empty: all); `line` is where it is written."""

    name: str
    scorer: Scorer
    description: str = ""
    on: tuple[str, ...] = ()
    line: int | None = field(default=None, compare=False)

    @cached_property
    def latents(self) -> tuple[Latent, ...]:
        """The latents that decide. Where there are any, a probe's score is that of its greedy answer: draws have no
        features, and what they say of the other parts alone would not be the behavior's rate."""
        return self.scorer.latents()

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of all that the score of an answer depends on: not the name, the description or `on`."""
        versions = {kind: VERSIONS[kind] for kind in self.scorer.kinds()}
        return digest_value("behavior/1", {"scorer": self.scorer.to_json(), "versions": versions})
