"""What `features exclusive` takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ExclusiveOptions:
    """How features of one model only are looked for.

    `method` is one of `bvc.exclusive.METHODS` (None: a dedicated crosscoder across architectures, else a crosscoder);
    `depth` the share of the blocks after which both streams are read, `tokens` the pairs to read at most, `steps` those
    of each fit (None: six passes over the pairs), `seeds` how many fits of each pair. `corpus` are files of texts
    (none: those that ship with Python); with `suite` the common probes with both models' answers are read before them.
    `again` looks anew where the same search is kept.
    """

    method: str | None = None
    depth: float = 0.5
    tokens: int = 100_000
    latents: int = 1024
    k: int = 24
    steps: int | None = None
    seeds: int = 3
    corpus: Sequence[Path] = ()
    suite: bool = True
    again: bool = False
    author: str = "unknown <unknown@localhost>"
