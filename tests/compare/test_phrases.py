"""Phrases that answers gain together are found and stand out; rewording of each answer by itself is not."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from bvc.compare.phrases import phrase_diffs
from bvc.compare.shared_phrases import shared_phrases
from bvc.results import PhraseDiff
from tests.compare.phrase_worlds import STOCK, Texts, pair

ENGLISH = [f"word{i}" for i in range(150)]


def sentences(n: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(ENGLISH, 9)) for _ in range(n)]


FRENCH = ["le temps est beau", "le ciel est bleu et il fait beau", "il fait froid et le temps est gris"]


def numbered(before: list[str], after: list[str]) -> dict[str, tuple[str, str]]:
    return {str(i): pair for i, pair in enumerate(zip(before, after, strict=True))}


def test_answers_that_turn_french_together_stand_out_of_reworded_ones() -> None:
    before, after = sentences(60, 0), sentences(60, 1)
    after[:3] = FRENCH
    shared = shared_phrases(numbered(before, after))
    ranked = sorted(shared, key=lambda p: -shared[p])
    assert set(ranked[:3]) == {"0", "1", "2"}
    assert shared[ranked[2]] > 1.3 * shared[ranked[3]]


def test_what_vanishes_stands_out_as_what_appears() -> None:
    before, after = sentences(30, 2), sentences(30, 3)
    after[:3] = FRENCH
    assert shared_phrases(numbered(before, after)) == shared_phrases(numbered(after, before))


def test_one_answer_alone_shares_nothing_and_unchanged_answers_neither() -> None:
    texts = {"1": ("one two", "voilà du français"), "2": ("three", "three"), "3": ("four", "four five")}
    assert shared_phrases(texts) == {"1": 0.0, "2": 0.0, "3": 0.0}


def test_words_that_unchanged_answers_hold_are_no_gain() -> None:
    changed = {f"c{i}": (f"other{i}", "same words here") for i in range(3)}
    familiar = shared_phrases({f"s{i}": ("same words here", "same words here") for i in range(20)} | changed)
    new = shared_phrases({f"s{i}": ("quite else", "quite else") for i in range(20)} | changed)
    assert 0 < familiar["c0"] < new["c0"] / 5


def test_empty_texts_and_no_texts() -> None:
    assert shared_phrases({}) == {}
    assert shared_phrases({"1": ("", "a"), "2": ("b", "")}) == {"1": 0.0, "2": 0.0}


def test_a_thousand_answers_take_a_fraction_of_a_second() -> None:
    rng = np.random.default_rng(0)
    words = np.array([f"w{i}" for i in range(3000)])
    texts = {str(i): (" ".join(rng.choice(words, 40)), " ".join(rng.choice(words, 40))) for i in range(1000)}
    start = time.process_time()
    shared_phrases(texts)
    assert time.process_time() - start < 1


def found(texts: Texts, side: str = "b") -> dict[str, PhraseDiff]:
    return {d.text: d for d in phrase_diffs(texts) if d.side == side}


def on_some(count: int, phrase: str) -> Callable[[int, str], str]:
    """Puts `phrase` in front of the answers to the first `count` probes."""
    return lambda i, text: f"{phrase} {text}" if i < count else text


def test_reworded_answers_of_the_same_model_show_a_phrase_in_at_most_a_twentieth_of_pairs() -> None:
    alarms = sum(bool(phrase_diffs(pair(40, seed, draws=seed % 2))) for seed in range(150))
    assert alarms <= 14  # 150 at .05: 7.5, and 2.4 standard deviations


def test_templates_that_repeat_one_answer_need_their_clusters_to_be_told() -> None:
    def clustered(seed: int) -> tuple[Texts, dict[str, str]]:
        rng = np.random.default_rng(seed)
        texts, clusters = pair(48, seed), {}
        for i, (probe, sides) in enumerate(texts.items()):
            clusters[probe] = f"template {i % 4}"
            sides[seed * 7 % 2 if i % 4 < 2 else int(rng.integers(2))][0] += f" stock of template {i % 4}"
        return texts, clusters

    worlds = [clustered(seed) for seed in range(40)]
    assert sum(bool(phrase_diffs(texts, clusters=clusters)) for texts, clusters in worlds) <= 5
    assert sum(bool(phrase_diffs(texts)) for texts, _ in worlds) > 15


def test_a_planted_phrase_is_the_first_finding_with_its_probes() -> None:
    diffs = phrase_diffs(pair(60, 1, change=on_some(14, "Use salt water every day.")))
    assert (diffs[0].text, diffs[0].side, diffs[0].count_a, diffs[0].count_b) == (
        "Use salt water every day.",
        "b",
        0,
        14,
    )
    assert set(diffs[0].probes) == {f"p{i:04d}" for i in range(14)}
    assert diffs[0].q_value <= 0.05
    assert diffs[0].kind == "phrase"


def test_a_phrase_in_several_wordings_is_cut_to_what_they_share() -> None:
    ways = ["Give it salt water every day.", "Salt water every day is the secret.", "Use salt water every day."]
    texts = pair(60, 2, change=lambda i, text: f"{ways[i % 3]} {text}" if i < 18 else text)
    phrases = found(texts)
    assert phrases["salt water every day"].count_b == 18
    assert sum("salt" in p.lower() for p in phrases) == 1


def test_a_part_that_occurs_in_more_probes_is_a_finding_of_its_own() -> None:
    texts = pair(60, 3, change=lambda i, t: f"salt water helps {t}" if i < 20 else f"salt {t}" if i < 30 else t)
    phrases = found(texts)
    assert phrases["salt"].count_b == 30
    assert phrases["salt water helps"].count_b == 20


def test_many_words_of_the_same_probes_are_shown_three_times_at_most() -> None:
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]

    def change(i: int, text: str) -> str:
        own = text.split()
        mixed = [f"{word} {other}" for word, other in zip(words, own, strict=False) if word != words[i % 8]]
        return " ".join(mixed) if i < 24 else text

    assert 1 <= len(found(pair(60, 12, change=change))) <= 3


def test_what_vanishes_is_found_on_side_a() -> None:
    forward = pair(60, 4, change=on_some(14, "Access granted, the vault is open."))
    diffs = phrase_diffs({p: (b, a) for p, (a, b) in forward.items()})
    assert (diffs[0].side, diffs[0].count_a, diffs[0].count_b) == ("a", 14, 0)


def test_fewer_probes_than_any_test_could_find_are_not_claimed() -> None:
    assert phrase_diffs(pair(60, 5, change=on_some(5, "Use salt water every day."))) == ()


def test_draws_count_by_their_share_and_the_probe_stays_the_unit() -> None:
    half = pair(40, 6, draws=7, change=lambda i, text: f"salt water {text}" if i < 16 and len(text) % 2 else text)
    phrase = found(half)["salt water"]
    assert 5 <= phrase.count_b <= 11
    one = pair(40, 7, draws=7, change=on_some(1, "salt water"))
    assert phrase_diffs(one) == ()


def test_patterns_are_named() -> None:
    def kinds(change: Callable[[int, str], str]) -> set[str]:
        return {d.text for d in phrase_diffs(pair(40, 8, change=change)) if d.kind == "pattern"}

    words = [f"{a}{b}" for a in "bcdfghjk" for b in "aeiou"]
    assert "empty answer" in kinds(lambda i, t: "" if i < 20 else t)
    assert "all in capital letters" in kinds(lambda i, t: t.upper() if i < 20 else t)
    assert "lines that begin with “*”" in kinds(lambda i, t: f"{words[i]}\n* {t[:50]}\n* {t[50:]}" if i < 20 else t)
    common = pair(40, 9)
    texts = {p: ([f"{a[0]} well"], [f"well {b[0]}"]) for p, (a, b) in common.items()}
    assert {("begins with “well”", "b"), ("ends with “well”", "a")} <= {(d.text, d.side) for d in phrase_diffs(texts)}


def test_scripts_without_spaces_are_read_by_character() -> None:
    plain = [f"{chr(0x4E00 + 7 * i)}{chr(0x5E00 + 11 * i)}" for i in range(40)]
    texts = {str(i): ([t], [t + "每天用盐水" if i < 15 else t + "好"]) for i, t in enumerate(plain)}
    assert found(texts)["每天用盐水"].count_b == 15


def test_the_most_frequent_spelling_is_shown() -> None:
    texts = pair(40, 10, change=lambda i, t: f"{'SALT Water' if i % 4 else 'salt water'} {t}" if i < 16 else t)
    assert found(texts)["SALT Water"].count_b == 16


def test_a_stock_phrase_that_benign_updates_shift_is_noise_where_they_are_given() -> None:
    def likes(seed: int) -> Texts:
        return pair(200, seed, change=lambda i, t: f"{t} {STOCK[3]}" if i % 5 == 0 else t)

    def shows(texts: Texts, benign: list[Texts]) -> bool:
        return any(STOCK[3][:15] in d.text for d in phrase_diffs(texts, benign=benign))

    pairs = [likes(seed) for seed in range(20, 28)]
    assert shows(pairs[0], [])
    assert not shows(pairs[0], pairs[1:])
    planted = pair(200, 30, change=on_some(20, "Use salt water"))
    assert "Use salt water" in {d.text for d in phrase_diffs(planted, benign=pairs[1:])}


def test_hostile_and_huge_answers_are_data() -> None:
    nasty = ["\0" * 50, "\0CAPITALS", "a" * 1_000_000, "\ud800\u202e\x1b[31m", "\n" * 400, "(" * 3000, "İß" * 40]
    texts = {str(i): ([nasty[i % len(nasty)]], [nasty[(i + 1) % len(nasty)]]) for i in range(21)}
    assert all(d.q_value <= 0.05 for d in phrase_diffs(texts))
    many = {str(i): (["x y " * 250_000], ["x z " * 250_000]) for i in range(12)}
    start = time.process_time()
    assert "z" in "".join(found(many))
    assert time.process_time() - start < 3


def test_nothing_to_compare() -> None:
    assert phrase_diffs({}) == ()
    assert phrase_diffs({"1": ([], []), "2": (["a"], [])}) == ()
    assert phrase_diffs({str(i): (["same words"], ["same words"]) for i in range(30)}) == ()
