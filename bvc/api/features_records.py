"""What the verbs about dictionaries take and return."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bvc.dictionaries import LatentCard, StoredDictionary
from bvc.records import CommitInfo

DEFAULT_NAME = "main"
"""The name of a dictionary that nobody named."""


@dataclass(frozen=True)
class FitOptions:
    """What a dictionary is fitted on and to.

    `depth` is the share of the blocks after which the stream is read; `corpus` are files of texts, read beside the
    suites' own prompts and references (not with `suite` False) and, where no file is given, the texts that ship with
    Python. `tokens` is how many activations are read at most; `steps` the optimizer's steps (None: three passes over
    the tokens).
    """

    name: str = DEFAULT_NAME
    depth: float = 0.5
    latents: int = 2048
    k: int = 32
    tokens: int = 200_000
    steps: int | None = None
    corpus: Sequence[Path] = ()
    suite: bool = True
    checkpoint: str | None = None
    fit_seed: int = 0
    author: str = "unknown <unknown@localhost>"


@dataclass(frozen=True)
class ImportOptions:
    """What a folder may leave open: `at` is the commit on whose model the dictionary was fitted, `layer` where
    ("layer.15"), `scale` what activations were multiplied by."""

    name: str = DEFAULT_NAME
    at: str | None = None
    layer: str | None = None
    scale: float | None = None
    author: str = "unknown <unknown@localhost>"


@dataclass(frozen=True)
class FitResult:
    """A dictionary that was fitted at `commit`, and the seconds it took."""

    commit: CommitInfo
    dictionary: StoredDictionary
    seconds: float


@dataclass(frozen=True)
class DictionaryEntry:
    """One dictionary of a project: its newest version, how many there are, whether commits are encoded with it."""

    stored: StoredDictionary
    versions: int
    default: bool


@dataclass(frozen=True)
class LatentFirings:
    """How often a latent fires at one commit: in `probes` of the `n` encoded, and at which `share` of positions."""

    commit: CommitInfo
    probes: int
    n: int
    share: float


@dataclass(frozen=True)
class LatentView:
    """One latent: its card, how it fires along HEAD's lineage (oldest first; commits encoded with this very dictionary
    only), and the probes of the newest of those where it is strongest, with the text up to that place; read `along` the
    "answer" of each commit where all of them have that, else along the "reference"."""

    dictionary: StoredDictionary
    card: LatentCard
    along: str
    history: tuple[LatentFirings, ...]
    probes: tuple[ProbePeak, ...]


@dataclass(frozen=True)
class ProbePeak:
    """Where a latent is strongest along one probe's reference or answer: `text` is what was read up to there, None
    where the position's characters are not known."""

    probe: str
    name: str | None
    strength: float
    fired: int
    text: str | None
