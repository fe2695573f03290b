"""Diff mining: null calibration under drift, planted tokens found with their probes, what is kept, hostile numbers."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from bvc.compare.mining import PER_PROBE, TokenMiner, strip
from bvc.errors import NotComparable
from bvc.evidence import LogprobBlock
from bvc.results import PhraseDiff
from tests.compare.worlds import Logits, bucket_table, sketch

VOCABULARY, LENGTH = 300, 6
TABLE = bucket_table(VOCABULARY)
TEXTS = {i: f" t{i}" for i in range(VOCABULARY)}


def world(probes: int, seed: int, drift: float = 0.5) -> tuple[Logits, Logits]:
    """Logits [probes, LENGTH, VOCABULARY] of a model and of one that a benign update moved: every token by an amount of
    its own, everywhere, and every position by a little more."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=VOCABULARY) * 1.5
    a = common + rng.normal(size=(probes, LENGTH, VOCABULARY)) * 2
    return a, a + rng.normal(size=VOCABULARY) * drift + rng.normal(size=a.shape) * drift


def block(logits: Logits) -> LogprobBlock:
    probes = len(logits)
    tokens = np.random.default_rng(1).integers(0, VOCABULARY, probes * LENGTH)
    return sketch(logits.reshape(-1, VOCABULARY), TABLE, tokens, [LENGTH] * probes)


def names(count: int) -> list[str]:
    return [f"p{i:03d}" for i in range(count)]


def mine(a: Logits, b: Logits, size: int = 16, texts: dict[int, str] = TEXTS) -> tuple[PhraseDiff, ...]:
    miner = TokenMiner(VOCABULARY)
    for start in range(0, len(a), size):
        chosen = slice(start, start + size)
        miner.add(block(a[chosen]), block(b[chosen]), names(len(a))[chosen])
    return miner.finish(texts)


def planted(probes: int, count: int, token: int = 7) -> tuple[Logits, Logits]:
    """A drifted pair in which `token` comes up at the first position of `count` probes."""
    a, b = world(probes, 2)
    a[..., token] -= 6
    b[..., token] -= 6
    b[:count, 0, token] += 14
    return a, b


def test_a_drift_of_all_tokens_shows_some_token_in_few_pairs() -> None:
    alarms = sum(bool(mine(*world(40, seed))) for seed in range(60))
    assert alarms <= 7  # 60 at .05: 3, and 2.4 standard deviations


def test_the_same_distributions_show_nothing() -> None:
    a, _ = world(40, 1)
    assert mine(a, a) == ()


def test_a_planted_token_is_the_first_finding_with_its_probes() -> None:
    found = mine(*planted(60, 20))
    assert (found[0].text, found[0].side, found[0].kind) == (" t7", "b", "token")
    assert set(found[0].probes[:20]) == set(names(20))
    assert found[0].count_b >= 20 > found[0].count_a
    assert found[0].q_value <= 0.05


def test_exchanged_sides_give_the_same_tokens_on_the_other_side() -> None:
    a, b = planted(60, 20)
    forward, backward = mine(a, b), mine(b, a)
    assert [d.text for d in forward] == [d.text for d in backward]
    assert (backward[0].side, backward[0].count_a, backward[0].count_b) == ("a", forward[0].count_b, forward[0].count_a)


def test_a_token_in_fewer_probes_than_can_be_tested_is_not_claimed() -> None:
    assert not any(d.text == " t7" for d in mine(*planted(60, 4)))


def test_block_size_does_not_matter() -> None:
    a, b = planted(40, 20)
    assert mine(a, b, size=40) == mine(a, b, size=7)


def test_only_tokens_with_a_text_are_reported_and_spaces_make_no_second_finding() -> None:
    a, b = planted(60, 20)
    assert not any(d.text == " t7" for d in mine(a, b, texts={i: t for i, t in TEXTS.items() if i != 7}))
    both = b.copy()
    both[:20, 1, 8] += 14
    assert {" Salt", "Salt"} & {d.text for d in mine(a, both, texts={**TEXTS, 7: " Salt", 8: "Salt"})}
    assert len([d for d in mine(a, both, texts={**TEXTS, 7: " Salt", 8: "Salt"}) if d.text.strip() == "Salt"]) == 1


def test_clusters_count_once() -> None:
    a, b = planted(60, 20)
    miner = TokenMiner(VOCABULARY)
    miner.add(block(a), block(b), names(60))
    assert any(d.text == " t7" for d in miner.finish(TEXTS))
    clusters = dict.fromkeys(names(20), "one template")
    assert not any(d.text == " t7" for d in miner.finish(TEXTS, clusters=clusters))


def test_memory_is_bounded_per_probe() -> None:
    a, b = world(8, 5, drift=6.0)
    miner = TokenMiner(VOCABULARY)
    miner.add(block(a), block(b), names(8))
    kept = miner._parts[0]
    assert np.bincount(kept.probe).max() <= PER_PROBE
    assert len(kept.probe) > 8 * PER_PROBE / 2


def test_other_tokens_are_refused_and_hostile_numbers_are_data() -> None:
    a, b = (block(x) for x in planted(20, 10))
    with pytest.raises(NotComparable):
        TokenMiner(VOCABULARY).add(a, replace(b, token_ids=b.token_ids + 1), names(20))
    wild = b.top_logprobs.copy()
    wild[::3], wild[1::3] = np.nan, np.inf
    ids = b.top_ids.copy()
    ids[:, -1] = 0xFFFFFFFF
    miner = TokenMiner(VOCABULARY)
    miner.add(a, replace(b, top_logprobs=wild, top_ids=ids), names(20))
    assert all(np.isfinite(d.q_value) for d in miner.finish(TEXTS))
    assert TokenMiner(VOCABULARY).finish(TEXTS) == ()


def test_the_strip_shows_where_along_the_reference_the_models_part() -> None:
    a, b = world(1, 7, drift=0.0)
    b[0, 3] = np.random.default_rng(8).normal(size=VOCABULARY) * 3
    left, right = (replace(block(x), characters=np.full(LENGTH, 2, np.uint16)) for x in (a, b))
    positions = strip(left, right, TABLE, "aabbccddeeff")
    assert [p.text for p in positions] == ["aa", "bb", "cc", "dd", "ee", "ff"]
    assert [p.kl > 0 for p in positions] == [False, False, False, True, False, False]
    assert positions[3].change == pytest.approx(float(right.target[3] - left.target[3]))
    assert positions[0].change == 0


def test_the_strip_cuts_the_reference_by_the_characters_of_its_tokens() -> None:
    rows = replace(block(world(1, 6)[0]), characters=np.array([3, 2, 0, 1, 4, 0], np.uint16))
    assert [p.text for p in strip(rows, rows, TABLE, "abcdefghij")] == ["abc", "de", "", "f", "ghij", ""]


def test_two_thousand_probes_take_a_moment() -> None:
    a, b = (block(x) for x in world(16, 9))
    miner = TokenMiner(VOCABULARY)
    start = time.process_time()
    for i in range(125):
        miner.add(a, b, [f"{i} {p}" for p in names(16)])
    miner.finish(TEXTS)
    assert time.process_time() - start < 3
