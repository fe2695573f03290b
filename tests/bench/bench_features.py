"""How well features of one model only are found in worlds where they are known, and what comes of worlds without any.

    python -m tests.bench.bench_features [--quick]

Prints Markdown. All seeded; some ten minutes on two cores, with `--quick` about one.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from bvc.features.alignment import Tokenization, align
from bvc.features.candidates import Candidates, Method
from bvc.features.cross_fit import CrossPlan
from bvc.features.crosscoder import Crosscoder
from bvc.features.dedicated import Dedicated, fit_dedicated
from bvc.features.difference import Difference
from bvc.features.gate import GateBatch, Standing, gate
from bvc.features.matching import ExclusiveSearch, NullYield, find_exclusive
from bvc.quantiles import wilson
from tests.bench.measure import table
from tests.features.worlds import World, identical, linear_map, planted, recovered, toy_plan

NORM_LIMIT = 0.9
"""Share of the decoder's norm on one side above which the rule by norms calls a latent new."""


def main() -> None:
    """Print every section."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    started = time.perf_counter()
    worlds, seeds = (1, 2) if quick else (5, 3)
    for section in (
        partial(scaling_section, worlds),
        partial(dedicated_section, seeds),
        partial(weaker_section, 1 if quick else 3),
        partial(search_section, quick),
        partial(gate_section, 5 if quick else 60),
        partial(zeros_section),
        partial(alignment_section),
    ):
        print(section(), flush=True)
        print()
    print(f"{time.perf_counter() - started:.0f} s on {torch.get_num_threads()} threads")


def rows_of(found: Candidates, side: int, kept: Iterable[int] | None = None) -> Tensor:
    """Decoder rows of a side's candidates, or of some of them by place."""
    places = found.of(side).tolist() if kept is None else list(kept)
    return torch.stack([found.rows[place] for place in places]) if places else torch.zeros(0, found.coder.widths[side])


def gated(found: Candidates, world: World) -> list[list[int]]:
    """For each side the places of the candidates that the gate calls exclusive."""
    kept = []
    for side in (0, 1):
        verdicts = gate(partial(found.judged, side, world.source()))
        places = zip(found.of(side).tolist(), verdicts, strict=True)
        kept.append([place for place, verdict in places if verdict.standing is Standing.EXCLUSIVE])
    return kept


@dataclass
class Tally:
    """True features found, of how many; latents that point along no exclusive feature; shared features among them."""

    found: int = 0
    true: int = 0
    false: int = 0
    lost: int = 0

    def add(self, rows: Tensor, true: Tensor, shared: Tensor) -> None:
        """Count the rows that were called exclusive."""
        self.found += int(recovered(rows, true).sum())
        self.true += len(true)
        self.false += len(rows) - int(recovered(true, rows, 0.5).sum()) if len(true) else len(rows)
        self.lost += int(recovered(rows, shared).sum())

    def cells(self) -> list[str]:
        """As three cells of a table."""
        return [f"{self.found} of {self.true}", str(self.false), str(self.lost)]


def scaling_section(worlds: int) -> str:
    """Rare features of B: by norms, by Latent Scaling, with the gate."""
    rows = []
    for latents, k in ((64, 2), (96, 2), (96, 1), (96, 3)):
        tallies = {name: Tally() for name in ("norms", "Latent Scaling", "Latent Scaling and gate")}
        for seed in range(worlds):
            world = planted(seed, same_directions=True, weaker=5)
            found = Crosscoder(toy_plan(latents, k=k, steps=1500)).candidates(world.source(), seed)
            norms = torch.stack([rows.norm(dim=-1) for rows in found.spread])
            by_norm = found.spread[1][norms[1] / norms.sum(dim=0) > NORM_LIMIT]
            picked = (by_norm, rows_of(found, 1), rows_of(found, 1, gated(found, world)[1]))
            for tally, own in zip(tallies.values(), picked, strict=True):
                tally.add(own, world.only_b, world.shared_b)
        rows += [[f"{latents} latents, k = {k} · {name}", *tally.cells()] for name, tally in tallies.items()]
    head = ["crosscoder", "rare found", "other latents called new", "shared called new"]
    return f"### Rare features, by norms and by Latent Scaling\n\n{table(head, rows)}"


WORLDS: dict[str, Callable[[int], World]] = {
    "planted, at .005": lambda seed: planted(seed, widths=(32, 40), only_a=4, only_b=4),
    "planted, at .05": lambda seed: planted(seed, widths=(32, 40), only_a=4, only_b=4, rare=0.05),
    "identical": lambda seed: identical(seed),
    "linear map": lambda seed: linear_map(seed, 40),
}


def dedicated_section(seeds: int) -> str:
    """Dedicated crosscoders of several sizes: what the exclusive latents hold with and without the gate."""
    rows = []
    for name, make in WORLDS.items():
        for latents, share in ((24, 0.25), (64, 0.19), (96, 0.05), (160, 0.05)):
            slots, gate_slots, every = Tally(), Tally(), Tally()
            for seed in range(seeds):
                world = make(seed)
                found = Dedicated(toy_plan(latents, steps=1500), share).candidates(world.source(), seed)
                kept = gated(found, world)
                for side, true, shared in sides(world):
                    claimed = [place for place in found.of(side).tolist() if found.claimed[place]]
                    slots.add(rows_of(found, side, claimed), true, shared)
                    gate_slots.add(rows_of(found, side, set(claimed) & set(kept[side])), true, shared)
                    every.add(rows_of(found, side, kept[side]), true, shared)
            size = f"{latents} ({2 * round(share * latents)} exclusive)"
            rows.append([f"{name} · {size}", *_two(slots), *_two(gate_slots), *_two(every)])
    head = ["world · latents", "claimed: true", "false", "claimed, gated: true", "false", "all, gated: true", "false"]
    return f"### Dedicated crosscoders\n\n{table(head, rows)}"


def _two(tally: Tally) -> list[str]:
    return tally.cells()[:2]


def sides(world: World) -> Sequence[tuple[int, Tensor, Tensor]]:
    """Each side with its own features and its directions of the shared ones."""
    return (0, world.only_a, world.shared_a), (1, world.only_b, world.shared_b)


def weaker_section(seeds: int) -> str:
    """Shared features that one model has a third as strong: what the gate makes of them."""
    tally, nus = Tally(), list[float]()
    for seed in range(seeds):
        world = planted(seed, widths=(32, 40), only_b=4, weaker=5)
        source = world.source()
        found = Dedicated(toy_plan(96, steps=1500)).candidates(source, seed)
        kept = gated(found, world)
        for side, true, shared in sides(world):
            tally.add(rows_of(found, side, kept[side]), true, shared)
            for place, verdict in zip(found.of(side).tolist(), gate(partial(found.judged, side, source)), strict=True):
                if verdict.standing is Standing.EXCLUSIVE and recovered(found.rows[place][None], shared).any():
                    nus.append(verdict.nu)
    spread = f"nu {min(nus):.2f} to {max(nus):.2f}" if nus else "none"
    return (
        "### Shared features a third as strong in one model (ten of forty), dedicated crosscoder of 96\n\n"
        f"Called exclusive: {tally.found} of {tally.true} exclusive features, "
        f"{tally.lost} of {10 * seeds} weaker shared ones ({spread})."
    )


def search_section(quick: bool) -> str:
    """The whole procedure with its null pairs."""
    methods: dict[str, tuple[World, Method]] = {
        "dedicated, 96": (planted(0, widths=(32, 40), only_a=4, only_b=4), Dedicated(toy_plan(96, steps=1500))),
        "crosscoder, 96": (planted(1, same_directions=True, weaker=5), Crosscoder(toy_plan(96, steps=1500))),
        "diff-SAE, 48": (planted(2, same_directions=True, weaker=10), Difference(toy_plan(48, k=1, steps=1500))),
    }
    if not quick:
        narrow = planted(3, widths=(40, 32), only_a=4, only_b=4)
        methods["dedicated, 24"] = (narrow, Dedicated(toy_plan(24, steps=1500), 0.25))
    rows = []
    for name, (world, method) in methods.items():
        search = find_exclusive(world.source(), method, (0, 1, 2) if quick else (0, 1, 2, 3, 4))
        count = len(search.seeds)
        true = sum(int(recovered(_twice(search, s), only).sum()) for s, only, _ in sides(world))
        gave = [str(sum(found.exclusive)) for found in search.seeds]
        nulls = [_claimed_and_gated(null) for null in search.nulls]
        planted_ones = str(len(world.only_a) + len(world.only_b))
        agreed = [str(search.found_in(2)), str(search.found_in(count)), str(true)]
        rows.append([name, planted_ones, " ".join(gave), *agreed, *nulls])
    head = ["method, latents", "true", "gated, by seed", "in 2 seeds or more", "in all", "true ones in 2 or more"]
    head += ["null: itself, claimed → gated", "null: linear map, claimed → gated"]
    return f"### The whole procedure, null pairs beside it\n\n{table(head, rows)}"


def _twice(search: ExclusiveSearch, side: int) -> Tensor:
    """Rows of a side's features that two seeds or more found."""
    rows = [f.latents[0].row for f in search.features if f.side == side and len(f.latents) > 1]
    return torch.stack(rows) if rows else torch.zeros(0, 1)


def _claimed_and_gated(null: NullYield) -> str:
    claimed = sum(found.claimed for found in null.seeds)
    return f"{claimed} → {sum(sum(found.exclusive) for found in null.seeds)}"


def gate_section(trials: int) -> str:
    """How often the interval of nu holds the truth, and how often latents at the limit are called exclusive."""
    g = torch.Generator().manual_seed(0)
    axes = torch.linalg.qr(torch.randn(8, 8, generator=g)).Q
    rows = []
    for noise, cutoff in ((0.3, 1.5), (0.8, 1.5), (1.0, 1.5), (1.0, 2.0), (1.0, 2.5), (3.0, 1.5)):
        big = torch.randn(400_000, 8, generator=g)
        truth = _truth(big, big + noise * torch.randn(big.shape, generator=g), axes, cutoff)
        held, standings = 0, list[Standing]()
        for _ in range(trials):
            x = torch.randn(8000, 8, generator=g)
            other = x + noise * torch.randn(x.shape, generator=g)
            batch = GateBatch((x @ axes - cutoff).relu(), x, other, torch.arange(len(x)))
            for verdict, nu in zip(gate(partial(_once, batch)), truth.tolist(), strict=True):
                held += verdict.low <= nu <= verdict.high
                standings.append(verdict.standing)
        rate = float(((big @ axes) > cutoff).float().mean())
        cells = [_share(held, len(standings)), *(_share(standings.count(s), len(standings)) for s in Standing)]
        rows.append([f"{float(truth.mean()):.2f}", f"{rate:.3f}", *cells])
    head = ["nu", "fires at", "95 % intervals with nu in them", "called exclusive", "shared", "undecided"]
    return f"### The gate's interval, 8,000 texts\n\n{table(head, rows)}"


def _share(count: int, total: int) -> str:
    low, high = wilson(count / total, total)
    return f"{count / total:.3f} ({max(low, 0):.3f}–{high:.3f})"


def _once(batch: GateBatch) -> list[GateBatch]:
    return [batch]


def _truth(own: Tensor, other: Tensor, axes: Tensor, cutoff: float) -> Tensor:
    codes = (own @ axes - cutoff).relu()
    explained = []
    for side in (own, other):
        x, f = side - side.mean(0), codes - codes.mean(0)
        left = f - x @ torch.linalg.lstsq(x, f).solution
        explained.append(1 - left.square().sum(0) / f.square().sum(0))
    return explained[1] / explained[0]


def zeros_section() -> str:
    """The largest number in a forbidden block after a fit with many steps of Adam."""
    world = planted(0, widths=(32, 40), only_a=4, only_b=4)
    plan: CrossPlan = toy_plan(96, steps=3000)
    coder = fit_dedicated(world.source(), plan, 0, share=0.2).coder
    parts = (coder.parted(coder.decoder), coder.parted(coder.encoder.T))
    worst = max(float(part[side][~coder.reach[side]].abs().max()) for part in parts for side in (0, 1))
    return f"### Forbidden blocks\n\nLargest entry after 3,000 steps: {worst!r}."


def alignment_section() -> str:
    """Two tokenizations of a long text: share aligned, speed, and with letters that one of them changes."""
    words = ["model", "behavior", "naïve", "🙂", "日本語", "of", "the", "commits", "(2,048)", "ﬁne"]
    text = " ".join(random.Random(0).choices(words, k=100_000))
    changed = text.replace("ﬁ", "fi")
    rows = []
    for name, other in (("the same text", text), ("one changes every ﬁ", changed)):
        a, b = _cut(text, 0), _cut(other, 1)
        started = time.perf_counter()
        found = align(a, b)
        seconds = time.perf_counter() - started
        share = len(found.windows) / min(len(a.ends), len(b.ends))
        rows.append(
            [name, f"{found.share:.3f}", f"{share:.3f}", f"{found.breaks:,}", f"{len(text) / seconds / 1e6:.1f} M"]
        )
    head = ["text", "characters covered", "tokens paired", "breaks", "characters a second"]
    return f"### Alignment, {len(text):,} characters, random tokens of 1 to 8 characters\n\n{table(head, rows)}"


def _cut(text: str, seed: int) -> Tokenization:
    generator, ends = random.Random(seed), [0]
    while ends[-1] < len(text):
        ends.append(min(len(text), ends[-1] + generator.randint(1, 8)))
    return Tokenization(text, tuple(ends[1:]))


if __name__ == "__main__":
    main()
