"""What "what changed, in words" costs: phrases over 2,000 probes, tokens along 2,000 references, the texts of tokens.

    python -m tests.bench.bench_words

Prints Markdown: CPU in this process beside its bar, at three sizes; all answers are reworded, the worst case.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from bvc.compare.mining import TokenMiner
from bvc.compare.phrases import phrase_diffs
from bvc.evidence import LogprobBlock, pack_texts
from tests.bench.measure import table, verdict

GROWTH = (200, 600, 2_000)
DRAWS, WORDS, POSITIONS, BLOCK = 8, 40, 32, 16
VOCABULARY = 49_152
RUNS = 3
_ZIPF = 1 / np.arange(1, 20_001)
_ZIPF /= _ZIPF.sum()

Texts = dict[str, tuple[list[str], list[str]]]


def answers(probes: int) -> Texts:
    """Nine answers of 40 words a side, no two alike."""
    rng = np.random.default_rng(0)
    vocabulary = np.array([f"word{i:x}" for i in range(len(_ZIPF))])
    per = DRAWS + 1
    drawn = [" ".join(row) for row in vocabulary[rng.choice(len(_ZIPF), (2 * probes * per, WORDS), p=_ZIPF)]]
    sides = [drawn[i * per : (i + 1) * per] for i in range(2 * probes)]
    return {f"{i:06x}": (sides[2 * i], sides[2 * i + 1]) for i in range(probes)}


def block(seed: int) -> LogprobBlock:
    """Sketches of 16 probes: 64 tokens a position, most of the mass on a few."""
    rng = np.random.default_rng(seed)
    rows = BLOCK * POSITIONS
    start = rng.integers(0, VOCABULARY // 64, (rows, 64))
    logprobs = -np.abs(rng.normal(size=(rows, 64)) * 40).astype(np.float32)  # some 8 above .0025, as in real models
    return LogprobBlock(
        lengths=np.full(BLOCK, POSITIONS, np.int64),
        token_ids=np.zeros(rows, np.uint32),
        characters=np.full(rows, 4, np.uint16),
        target=np.zeros(rows, np.float32),
        entropy=np.zeros(rows, np.float32),
        top_ids=(np.arange(64) * (VOCABULARY // 64) + start).astype(np.uint32),
        top_logprobs=logprobs,
        residual=np.zeros(rows, np.float32),
        buckets=np.zeros((rows, 256), np.float16),
    )


def mined(probes: int) -> Callable[[], object]:
    """Mines the tokens of so many probes, block by block."""
    blocks = [block(seed) for seed in range(4)]
    texts = {i: f"token {i}" for i in range(VOCABULARY)}

    def run() -> object:
        miner = TokenMiner(VOCABULARY)
        for i in range(probes // BLOCK):
            miner.add(blocks[i % 4], blocks[(i + 1) % 4], [f"{i} {k}" for k in range(BLOCK)])
        return miner.finish(texts)

    return run


def seconds(run: Callable[[], object]) -> float:
    """CPU of one run, the median of three."""
    spent = []
    for _ in range(RUNS):
        started = time.process_time()
        run()
        spent.append(time.process_time() - started)
    return statistics.median(spent)


def rows() -> list[list[str]]:
    """All measurements."""
    out = []
    for probes in GROWTH:
        texts, last = answers(probes), probes == GROWTH[-1]
        for name, run in (("phrases", lambda texts=texts: phrase_diffs(texts)), ("tokens", mined(probes))):
            cpu = seconds(run)
            out.append(
                [f"{name}, {probes:,} probes", f"{cpu:.2f} s", *(["0.5 s", verdict(cpu, 0.5)] if last else ["", ""])]
            )
    spellings = [f"token{i}" for i in range(VOCABULARY)]
    size = len(pack_texts(spellings)) / 2**20
    out.append(
        [f"texts of {VOCABULARY:,} tokens ({size:.1f} MiB)", f"{seconds(lambda: pack_texts(spellings)):.2f} s", "", ""]
    )
    return out


if __name__ == "__main__":
    print(table(("", "CPU", "bar", ""), rows()))
