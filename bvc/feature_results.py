"""What `bvc features diff` says of two commits: latents that moved, the yield of null pairs, energy out of dictionary.

Layer 0, standard library only. Side "a" is the first commit; intervals are 95 %.
"""

from __future__ import annotations

from dataclasses import dataclass

from bvc.dictionaries import LatentCard, StoredDictionary
from bvc.records import CommitInfo

Interval = tuple[float, float]


@dataclass(frozen=True)
class LatentRate:
    """How often a latent fires on one side: `rate` is its share of positions (mean over probes), `fires` the number of
    probes with a position at which it fires, `share` that of all probes with the interval `ci` (clusters count once);
    `strength` its mean where it fires, None where it never does."""

    rate: float
    fires: int
    share: float
    ci: Interval
    strength: float | None


@dataclass(frozen=True)
class LatentProbe:
    """One probe in which a latent differs: its mean strength per position on both sides, the text of the reference
    (or of the answer) up to the position where it is strongest (empty: the end of the prompt; None: not known), and
    what both sides answer."""

    probe: str
    name: str | None
    a: float
    b: float
    text: str | None = None
    answer_a: str = ""
    answer_b: str = ""


@dataclass(frozen=True)
class LatentDiff:
    """One latent on both sides.

    `side` is the one on which it is more active; `only`: it never fires on the other, whose share of prompts is then
    below `bound` with 95 % confidence. `difference` is b's share of positions less a's, paired. `p_value` and `q_value`
    (false discovery rate) answer "is it different at all", `score` (robust standard deviations, signed) and `beyond`
    (false discovery rate) "does it stand out from what benign updates do", None where no bulk says. `stands_out`: the
    rule of what counts as found.
    """

    latent: int
    side: str
    only: bool
    bound: float | None
    a: LatentRate
    b: LatentRate
    difference: float
    ci: Interval
    p_value: float
    q_value: float
    score: float | None
    beyond: float | None
    stands_out: bool
    probes: tuple[LatentProbe, ...] = ()
    card: LatentCard | None = None


@dataclass(frozen=True)
class LatentYield:
    """How many latents one procedure lists on a pair: `different` at all, those that stand out (`standing`), and of
    those active in enough prompts the ones that never fire on the other side (`only_a`, `only_b`). `level` is "N0" (one
    model captured twice), "N1" or "N2" (pairs that the user trusts), "step" (of the lineage), or "" for the pair asked
    about; `probes` are those compared."""

    level: str
    a: str
    b: str
    probes: int
    different: int
    standing: int
    only_a: int
    only_b: int


@dataclass(frozen=True)
class EnergyProbe:
    """A probe whose activations left the dictionary's span: shares unexplained on both sides, and the false discovery
    rate of "it rose no further than the others"."""

    probe: str
    name: str | None
    a: float
    b: float
    q_value: float


@dataclass(frozen=True)
class EnergyDiff:
    """Share of the activations' energy that the dictionary does not explain, on both sides (means over probes), with
    the paired `difference` (b less a), its interval and p-value; `benign` are the differences of benign pairs, `probes`
    those where it rose beyond the bulk, most first."""

    a: float
    b: float
    difference: float
    ci: Interval
    p_value: float
    benign: tuple[float, ...] = ()
    probes: tuple[EnergyProbe, ...] = ()


@dataclass(frozen=True)
class FeatureDiff:
    """`bvc.features-diff/1`: the latents of one dictionary in two commits, read `along` the "answer" of each side or
    the "reference" that both have.

    `dictionary` is its digest, `stored` what the repository knows of it (None: only its digest); `probes` and
    `clusters` are those compared, `apart` probes have other references on the two sides, `broken` numbers that cannot
    be: both are left out. `tested` latents are active in enough clusters. `found` is the yield of this pair,
    `null_yield` that of the same procedure on each null pair at hand; `against` says what standing out is measured
    against. `latents` are ranked.
    """

    a: CommitInfo
    b: CommitInfo
    along: str
    dictionary: str
    stored: StoredDictionary | None
    size: int
    probes: int
    clusters: int
    apart: int
    broken: int
    tested: int
    found: LatentYield
    null_yield: tuple[LatentYield, ...]
    against: str
    latents: tuple[LatentDiff, ...]
    energy: EnergyDiff
