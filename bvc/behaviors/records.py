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
class Subject:
    """One answer to be scored; `tokens` is its length where the engine recorded it."""

    probe: Probe
    text: str
    tokens: int | None = None


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
    def digest(self) -> str:
        """SHA-256 (hex) of all that the score of an answer depends on: not the name, the description or `on`."""
        versions = {kind: VERSIONS[kind] for kind in self.scorer.kinds()}
        return digest_value("behavior/1", {"scorer": self.scorer.to_json(), "versions": versions})
