"""Features that only one of several models has: found from several starts, gated, matched, and never without the yield
of the same procedure where there is nothing to find.

`find_exclusive` is the way in. Fits from other seeds find other latents, and a coder fills the room that it has; so
what counts is what comes back from several seeds, and how much of it comes from a model against itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import log10

import torch
from torch import Tensor

from bvc.errors import UsageError
from bvc.features.candidates import Candidates, Method
from bvc.features.cross_fit import CrossCoder, Progress
from bvc.features.gate import Gated, GatePlan, Standing, gate
from bvc.features.paired import ChangedSource, PairedSource
from bvc.features.runs import FoundLatent, KeptRuns, Run, SeedYield

LEAST_SEEDS = 3
LEAST_COSINE = 0.7
"""Decoder rows of two seeds are never taken for one feature below this cosine, nor below that of chance."""
CHANCE_DRAWS = 200
CONDITION = 10.0
"""Ratio of the largest to the smallest factor by which the linear map of the null pair stretches a direction."""


@dataclass(frozen=True)
class NullYield:
    """What the same procedure gave on a pair in which neither has anything of its own."""

    name: str
    seeds: tuple[SeedYield, ...]

    @property
    def most(self) -> int:
        """The largest number of latents that passed the gate in one seed."""
        return max(sum(found.exclusive) for found in self.seeds)


@dataclass(frozen=True)
class ExclusiveFeature:
    """The same latent found from one seed or more, strongest evidence (lowest upper end of nu) first. `agreement` is
    the least cosine between two of its rows (1 for a single one)."""

    side: int
    latents: tuple[FoundLatent, ...]
    agreement: float


@dataclass(frozen=True)
class ExclusiveSearch:
    """Features of one model only, those found from most seeds first, beside the null pairs' yield.

    Raises UsageError when made without null pairs that had the same seeds: features are not to be had without them.
    """

    features: tuple[ExclusiveFeature, ...]
    seeds: tuple[SeedYield, ...]
    nulls: tuple[NullYield, ...]
    coders: dict[int, CrossCoder]
    """The fitted coder of each seed, to encode other text with."""

    def __post_init__(self) -> None:
        ran = [found.seed for found in self.seeds]
        if len(ran) < LEAST_SEEDS or not self.nulls or any([s.seed for s in n.seeds] != ran for n in self.nulls):
            raise UsageError(f"exclusive features need {LEAST_SEEDS} seeds, and null pairs with the same seeds")

    def found_in(self, seeds: int, side: int | None = None) -> int:
        """How many features (of one side) were found from `seeds` seeds or more."""
        return sum(len(f.latents) >= seeds and side in (None, f.side) for f in self.features)

    @property
    def null_yield(self) -> int:
        """The largest number of latents that passed the gate in one seed of a null pair: to be 0."""
        return max(null.most for null in self.nulls)


def find_exclusive(
    source: PairedSource,
    method: Method,
    seeds: Sequence[int] = (0, 1, 2),
    *,
    plan: GatePlan | None = None,
    recapture: PairedSource | None = None,
    progress: Progress | None = None,
    kept: KeptRuns | None = None,
) -> ExclusiveSearch:
    """Look for features of one side only: from each seed a fit, the gate, a match over seeds; the same on null pairs.

    The null pairs are the first model against `recapture` (its activations and those of a second capture of it, as two
    sides; without it, against itself) and against a random linear map of itself. `progress` hears of the steps of all
    fits; runs in `kept` are not made again. Raises UsageError for fewer than three seeds, or activations that cannot be
    used.
    """
    if len(set(seeds)) < LEAST_SEEDS or len(set(seeds)) != len(seeds):
        raise UsageError(f"exclusive features need {LEAST_SEEDS} different seeds or more")
    pairs = {"": source, **null_pairs(source, recapture)}
    heard = _shared_progress(progress, len(pairs) * len(seeds))
    runs = {
        name: [_kept_run(kept, name, pair, method, seed, plan or GatePlan(), next(heard)) for seed in seeds]
        for name, pair in pairs.items()
    }
    real = runs.pop("")
    return ExclusiveSearch(
        match([latent for run in real for latent in run.found], [run.spread for run in real]),
        tuple(run.given for run in real),
        tuple(NullYield(name, tuple(run.given for run in found)) for name, found in runs.items()),
        {run.given.seed: run.coder for run in real if run.coder is not None},
    )


def _kept_run(
    kept: KeptRuns | None,
    name: str,
    pair: PairedSource,
    method: Method,
    seed: int,
    plan: GatePlan,
    progress: Progress | None,
) -> Run:
    """The run that was kept, else a new one, which is then kept."""
    run = None if kept is None else kept.get(name, seed)
    if run is None:
        run = _run(pair, method, seed, plan, progress)
        if kept is not None:
            kept.put(name, seed, run)
    return run


def null_pairs(source: PairedSource, recapture: PairedSource | None = None) -> dict[str, PairedSource]:
    """Pairs made of the first side alone, by name: in neither does one side have what the other lacks."""
    count, width = len(source.widths), source.widths[0]
    maps = [_random_map(width, max(width, other), seed) for seed, other in enumerate(source.widths[1:])]
    itself = recapture or ChangedSource(source, (width,) * count, partial(_repeated, count))
    mapped = ChangedSource(source, (width, *(m.shape[1] for m in maps)), partial(_mapped, maps))
    return {"a re-capture of the first" if recapture else "the first itself": itself, "a linear map of it": mapped}


def _repeated(count: int, sides: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return sides[:1] * count


def _mapped(maps: Sequence[Tensor], sides: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    first = sides[0].float()
    return (first, *(first @ m.to(first.device) for m in maps))


def _random_map(width: int, other: int, seed: int) -> Tensor:
    """A map [width, other] with random directions and singular values from 1 to CONDITION; other >= width."""
    g = torch.Generator().manual_seed(seed)
    left = torch.linalg.qr(torch.randn(width, width, generator=g)).Q
    right = torch.linalg.qr(torch.randn(other, width, generator=g)).Q
    mapping: Tensor = (left * torch.logspace(0, log10(CONDITION), width)) @ right.T
    return mapping


def _shared_progress(progress: Progress | None, runs: int) -> Iterator[Progress | None]:
    """For each run a callback that tells of its steps as a part of all."""
    for run in range(runs):
        yield None if progress is None else partial(_tell, progress, run, runs)


def _tell(progress: Progress, run: int, runs: int, step: int, steps: int) -> None:
    progress(run * steps + step, runs * steps)


def _run(source: PairedSource, method: Method, seed: int, plan: GatePlan, progress: Progress | None) -> Run:
    sides = range(len(source.widths))
    offered = method.candidates(source, seed, progress)
    if offered is None:
        return Run(SeedYield(seed, 0, 0, (0,) * len(sides), 0, 0), (), (), None)
    verdicts = {side: gate(partial(offered.judged, side, source), plan) for side in sides if len(offered.of(side))}
    standings = [verdict.standing for found in verdicts.values() for verdict in found]
    latents = tuple(_passed(offered, verdicts, seed))
    given = SeedYield(
        seed,
        int(offered.claimed.sum()),
        len(offered.latents),
        tuple(sum(latent.side == side for latent in latents) for side in sides),
        standings.count(Standing.SHARED),
        standings.count(Standing.UNDECIDED),
    )
    return Run(given, latents, offered.spread, offered.coder)


def _passed(offered: Candidates, verdicts: dict[int, list[Gated]], seed: int) -> Iterator[FoundLatent]:
    for side, judged in verdicts.items():
        for place, verdict in zip(offered.of(side).tolist(), judged, strict=True):
            if verdict.standing is Standing.EXCLUSIVE:
                yield FoundLatent(seed, side, int(offered.latents[place]), verdict, offered.rows[place])


def match(latents: Sequence[FoundLatent], spread: Sequence[tuple[Tensor, ...]]) -> tuple[ExclusiveFeature, ...]:
    """Put the latents of several seeds together that point the same way.

    Two latents of one side match where each is the other's best among the two seeds and their cosine is above
    LEAST_COSINE and above chance; pairs are joined from the closest on, never two latents of one seed. `spread` has for
    each seed the decoder rows of its living latents on each side, from which chance is taken.
    """
    found: list[ExclusiveFeature] = []
    for side in sorted({latent.side for latent in latents}):
        own = [latent for latent in latents if latent.side == side]
        rows = _unit(torch.stack([latent.row for latent in own]))
        seeds = [latent.seed for latent in own]
        most = max(seeds.count(seed) for seed in seeds)
        floor = max(LEAST_COSINE, chance_cosine(torch.cat([every[side] for every in spread if every]), most))
        groups = _joined(rows @ rows.T, seeds, floor)
        found += [_feature(side, [own[i] for i in group], rows[group]) for group in groups]
    return tuple(sorted(found, key=lambda f: (-len(f.latents), f.latents[0].gated.high)))


def chance_cosine(rows: Tensor, count: int) -> float:
    """The cosine that the closest two of two sets of `count` random directions exceed once in a hundred times, where
    the directions spread as `rows` [k, d] do (normal, with their second moments)."""
    g = torch.Generator().manual_seed(0)
    unit = _unit(rows).cpu()
    best = []
    for _ in range(CHANCE_DRAWS):
        one, other = (_unit(torch.randn(count, len(unit), generator=g) @ unit) for _ in range(2))
        best.append((one @ other.T).max())
    return float(torch.stack(best).quantile(0.99))


def _unit(rows: Tensor) -> Tensor:
    unit: Tensor = rows / rows.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(rows.dtype).tiny)
    return unit


def _joined(cosines: Tensor, seeds: Sequence[int], floor: float) -> list[list[int]]:
    """Groups of places whose pairs are mutual best across seeds; every place is in one."""
    group = {place: [place] for place in range(len(seeds))}
    for i, j in sorted(_mutual(cosines, torch.tensor(seeds), floor), key=lambda pair: -float(cosines[pair])):
        merged = group[i] + group[j]
        if len({seeds[place] for place in merged}) == len(merged):
            for place in merged:
                group[place] = merged
    return [members for place, members in group.items() if members[0] == place]


def _mutual(cosines: Tensor, seeds: Tensor, floor: float) -> list[tuple[int, int]]:
    """Pairs of different seeds, at `floor` or above, each of which is the other's best among the other's seed."""
    seeds = seeds.to(cosines.device)
    best = torch.zeros_like(cosines)
    for seed in torch.unique(seeds):
        own = seeds == seed
        best[:, own] = cosines[:, own].max(dim=1, keepdim=True).values
    good = (cosines >= best) & (cosines >= best.T) & (cosines >= floor) & (seeds[:, None] != seeds)
    return [(i, j) for i, j in good.triu(1).nonzero().tolist()]


def _feature(side: int, latents: Sequence[FoundLatent], rows: Tensor) -> ExclusiveFeature:
    ordered = tuple(sorted(latents, key=lambda latent: latent.gated.high))
    return ExclusiveFeature(side, ordered, float((rows @ rows.T).min()) if len(ordered) > 1 else 1.0)
