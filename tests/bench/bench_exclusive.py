"""Features that only one of two language models has, of any two architectures, beside what null pairs give.

    python -m tests.bench.bench_exclusive MODEL MODEL [--tokens 60000] [--latents 512] [--steps 800] [--seeds 3]

Both folders are read over the corpus that ships with Python, after half of their blocks; tokens that have read the same
text are paired. The rest is `bvc.features.matching.find_exclusive` with dedicated crosscoders; the null pairs are the
first model read once more with other batches, and a linear map of it. It needs two models, so `make bench` leaves it
out.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from bvc.capture.corpus import CorpusReader
from bvc.capture.hookpoints import blocks_passed, layer_name
from bvc.capture.load import Source, forget_models, load
from bvc.features.alignment import Tokenization, align
from bvc.features.cross_fit import CrossPlan
from bvc.features.dedicated import Dedicated
from bvc.features.matching import ExclusiveFeature, ExclusiveSearch, SeedYield, find_exclusive
from bvc.features.paired import PairedActivations
from bvc.records import ModelIdentity, Recipe
from bvc.suites.corpus import builtin_texts
from tests.bench.measure import table

CHARACTERS, ROWS, SHOWN, CONTEXTS = 600, 16, 10, 5


@dataclass(frozen=True)
class Pairs:
    """Tokens that have read the same text: text `text[i]`, of which each side has read `ends[i]` characters at its
    token `at[side][i]`; `share` is the part of all characters that windows cover."""

    texts: Sequence[str]
    text: torch.Tensor
    ends: Sequence[int]
    at: tuple[torch.Tensor, torch.Tensor]
    share: float

    def context(self, row: int) -> str:
        """The text up to a pair."""
        return self.texts[int(self.text[row])][: self.ends[row]][-60:]


class Side:
    """One model: its tokens of the texts, and its stream at chosen ones."""

    def __init__(self, folder: Path, texts: Sequence[str]) -> None:
        self.name = folder.name
        self._source = Source(ModelIdentity(folder.name, "bench", "hf", location=str(folder)))
        self._open()
        read = [self._loaded.tokenizer(text, return_offsets_mapping=True) for text in texts]
        self.ids = [tuple(one["input_ids"]) for one in read]
        self.tokens = [Tokenization.from_offsets(t, o["offset_mapping"]) for t, o in zip(texts, read, strict=True)]

    def _open(self) -> None:
        self._loaded: Any = load(self._source, Recipe("transformers"))
        depth = int(self._loaded.core.config.get_text_config().num_hidden_layers)
        self.layer = layer_name(blocks_passed(0.5, depth))

    def streams(self, pairs: Pairs, side: int, rows: int = ROWS) -> torch.Tensor:
        """The stream [pairs, width] at the paired tokens."""
        reader = CorpusReader(self._loaded, self.layer, rows=rows)
        place = {key: row for row, key in enumerate(zip(pairs.text.tolist(), pairs.at[side].tolist(), strict=True))}
        out = torch.zeros(len(pairs.text), reader.width)
        for batch in reader.read(self.ids):
            keys = list(zip(batch.window.tolist(), batch.position.tolist(), strict=True))
            wanted = [(i, place[key]) for i, key in enumerate(keys) if key in place]
            out[[row for _, row in wanted]] = batch.vectors[[i for i, _ in wanted]]
        return out

    def promoted(self, direction: torch.Tensor) -> list[tuple[str, float]]:
        """The tokens that a direction raises most."""
        return CorpusReader(self._loaded, self.layer).promoted(direction[None], 6)[0]

    def close(self) -> None:
        """Frees the model."""
        self._loaded.release()
        forget_models()


def main() -> None:
    """Prints the yields and the features found from most seeds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs=2, type=Path)
    for name, value in (("tokens", 60_000), ("latents", 512), ("k", 24), ("steps", 800), ("seeds", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    started = time.monotonic()
    texts = list(_texts(options.tokens * 3))
    sides = [Side(folder, texts) for folder in options.models]
    pairs = paired(sides, texts)
    a, b = (side.streams(pairs, i) for i, side in enumerate(sides))
    again = sides[0].streams(pairs, 0, rows=ROWS // 2)
    source = PairedActivations((a, b), pairs.text, batch=1024)
    steps = options.steps
    plan = CrossPlan(options.latents, options.k, 4 * options.k, steps // 5, steps, rate=1e-3, dead_after=20_000)
    search = find_exclusive(
        source, Dedicated(plan), range(options.seeds), recapture=PairedActivations((a, again), pairs.text, batch=1024)
    )
    names = [f"{side.name} at {side.layer}" for side in sides]
    print(f"{names[0]} against {names[1]}: {len(pairs.text):,} paired tokens of {len(texts):,} texts; windows cover "
          f"{100 * pairs.share:.1f} % of the characters. {options.latents} latents, k {options.k}, {steps} steps, "
          f"{time.monotonic() - started:.0f} s.\n")  # fmt: skip
    print(yields(search, [side.name for side in sides]))
    print(found(search, source, pairs, sides))
    for side in sides:
        side.close()


def _texts(characters: int) -> Iterator[str]:
    """Pieces of the corpus, so many characters in all."""
    left = characters
    for text in builtin_texts():
        for start in range(0, len(text), CHARACTERS):
            if left > 0 and text[start : start + CHARACTERS].strip():
                yield text[start : start + CHARACTERS]
                left -= CHARACTERS


def paired(sides: Sequence[Side], texts: Sequence[str]) -> Pairs:
    """The pairs of all texts, but for the first token of a text on either side, which is not read."""
    rows: list[tuple[int, int, int, int]] = []
    covered = 0.0
    for number, (one, other) in enumerate(zip(sides[0].tokens, sides[1].tokens, strict=True)):
        found = align(one, other)
        covered += found.share * len(texts[number])
        rows += [(number, w.text_a[1], *w.pair) for w in found.windows if min(w.pair) > 0]
    text, ends, first, second = (list(column) for column in zip(*rows, strict=True))
    at = torch.tensor(first), torch.tensor(second)
    return Pairs(texts, torch.tensor(text), ends, at, covered / sum(map(len, texts)))


def yields(search: ExclusiveSearch, names: Sequence[str]) -> str:
    """What each seed gave, for the pair and for each null pair."""
    head = ["", "seed", "claimed", "latents judged", *(f"only {name}" for name in names), "shared", "undecided"]
    rows = [["the pair", *_numbers(given)] for given in search.seeds]
    rows += [[null.name, *_numbers(given)] for null in search.nulls for given in null.seeds]
    matched = "; ".join(
        f"{names[side]}: {search.found_in(1, side)} in all, {search.found_in(2, side)} in two seeds or more, "
        f"{search.found_in(len(search.seeds), side)} in every one"
        for side in (0, 1)
    )
    return f"{table(head, rows)}\n\nFeatures of one model only. {matched}.\n"


def _numbers(given: SeedYield) -> list[str]:
    numbers = (given.seed, given.claimed, given.candidates, *given.exclusive, given.shared, given.undecided)
    return [str(number) for number in numbers]


def found(search: ExclusiveSearch, source: PairedActivations, pairs: Pairs, sides: Sequence[Side]) -> str:
    """The first features: nu, where they fire most, what they promote."""
    out = []
    for feature in islice(search.features, SHOWN):
        best = feature.latents[0]
        code = torch.cat([search.coders[best.seed].encode(b.sides)[:, best.latent] for b in source.batches(None)])
        tokens = ", ".join(f"{token!r}" for token, _ in sides[feature.side].promoted(best.row))
        out += [f"{_headline(feature, sides)}; fires at {100 * float((code > 0).float().mean()):.2f} %", ""]
        out += [f"    {float(code[row]):6.2f}  {pairs.context(row)!r}" for row in code.topk(CONTEXTS).indices.tolist()]
        out += [f"    promotes {tokens}", ""]
    return "\n".join(out)


def _headline(feature: ExclusiveFeature, sides: Sequence[Side]) -> str:
    gated = feature.latents[0].gated
    seeds = ", ".join(f"{latent.seed}:{latent.latent}" for latent in feature.latents)
    return (
        f"only {sides[feature.side].name}: nu {gated.nu:.2f} ({gated.low:.2f} to {gated.high:.2f}), R2 {gated.own:.2f} "
        f"and {gated.other:.2f}, seed:latent {seeds}, agreement {feature.agreement:.2f}"
    )


if __name__ == "__main__":
    main()
