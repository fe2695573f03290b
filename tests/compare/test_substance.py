"""Wording or substance: known pairs, facts, what must not count, error rates on labelled pairs, and hostile text."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bvc.compare.contrast import SIGNS, contrast
from bvc.compare.reading import read
from bvc.compare.substance import THRESHOLD, Facts, builtin, substance_distances, substances
from bvc.compare.text import text_distance
from bvc.results import Kind, Substance
from tests.bench.bench_substance import auc, fit
from tests.compare.substance_truth import all_pairs

UNKNOWN = Facts()
ANY_TEXT = st.text(alphabet=st.sampled_from("ab not 12.,\n\t日é\U0001f600\u0e01\x00\ud800IL"), max_size=40)
PERU = "The capital of Peru is Lima."


def substance(a: str, b: str, *, facts_a: Facts = UNKNOWN, facts_b: Facts = UNKNOWN) -> Substance:
    """One pair's."""
    return substances([(a, b)], facts=[(facts_a, facts_b)])[0]


@pytest.mark.parametrize(
    ("a", "b", "kind"),
    [
        ("It is safe", "It is not safe", Kind.MEANING),
        ("It is safe.", "It is dangerous.", Kind.MEANING),
        ("7 + 5 = 12", "7 + 5 = 13", Kind.MEANING),
        ("Sure! The capital of Peru is Lima.", "Lima is Peru's capital city.", Kind.WORDING),
        (PERU, "The capital of Peru is Cusco.", Kind.MEANING),
        (PERU, "Cats sleep most of the day.", Kind.MEANING),
        ("Yes.", "No.", Kind.MEANING),
        ("Yes, you can.", "Yes, you can!", Kind.WORDING),
        ("I agree with the plan.", "I disagree with the plan.", Kind.MEANING),
        ("I recommend this phone.", "I do not recommend this phone.", Kind.MEANING),
        ("It took twenty-five minutes.", "It took 25 minutes.", Kind.WORDING),
        ("About 1,000 people came.", "About 1000 people came.", Kind.WORDING),
        ("About 1,000 people came.", "About 10,000 people came.", Kind.MEANING),
        ("The park is 5 km away.", "The park is 5 kilometers away.", Kind.WORDING),
        ("The park is 5 km away.", "The park is 5 miles away.", Kind.MEANING),
        ("Light is faster than sound.", "Sound is slower than light.", Kind.WORDING),
        ("Light is faster than sound.", "Sound is faster than light.", Kind.MEANING),
        ("1. Mix the flour.\n2. Bake it.", "- Mix the flour.\n- Bake it.", Kind.WORDING),
        ("**Lima** is the capital.", "Lima is the capital.", Kind.WORDING),
        ("", PERU, Kind.MEANING),
        ("北京是中国的首都。", "中国的首都是北京。", Kind.WORDING),
        ("北京是中国的首都。", "今天天气很好。", Kind.MEANING),
    ],
)
def test_known_pairs(a: str, b: str, kind: Kind) -> None:
    assert substance(a, b).kind is kind
    assert substance(b, a).kind is kind


def test_each_sign_answers_to_its_change() -> None:
    pairs = {
        "topic": (PERU, "My cat sleeps."),
        "conflict": (PERU, "My cat sleeps."),
        "slot": ("Vaccines do not cause autism at all.", "Vaccines do not cause diabetes at all."),
        "swap": ("The dog bit the man in the park.", "The man bit the dog in the park."),
        "opposite": ("The water is hot.", "The water is cold."),
        "denial": ("It rains.", "It does not rain."),
        "number": ("He is 7.", "He is 8."),
        "numbers_extra": ("He is old.", "He is old: 98."),
        "name": ("I met Anna there.", "I met Peter there."),
        "names_extra": ("I met her there.", "I met her there with Peter."),
    }
    assert tuple(pairs) == SIGNS
    found = contrast(list(pairs.values()), [(None, None)] * len(pairs))
    assert (np.diag(found) > 0.2).all(), np.diag(found)
    assert not contrast([(a, a) for a, _ in pairs.values()], [(None, None)] * len(pairs)).any()


@pytest.mark.parametrize(
    ("a", "b", "kind", "reason"),
    [
        (Facts(right=True), Facts(right=False), Kind.ANSWER, "right to wrong"),
        (Facts(right=False, refuses=True), Facts(right=True, refuses=False), Kind.ANSWER, "wrong to right"),
        (Facts(refuses=False), Facts(refuses=True, language="French"), Kind.REFUSAL, "refuses now"),
        (Facts(refuses=True), Facts(refuses=False), Kind.REFUSAL, "answers now"),
        (Facts(language="English"), Facts(language="French"), Kind.LANGUAGE, "English to French"),
        (Facts(language="English", right=True), Facts(right=None), Kind.MEANING, ""),
        (Facts(), Facts(refuses=True), Kind.MEANING, ""),
    ],
)
def test_a_changed_fact_decides(a: Facts, b: Facts, kind: Kind, reason: str) -> None:
    found = substance(PERU, "Je ne peux pas vous aider.", facts_a=a, facts_b=b)
    assert (found.kind, found.reason) == (kind, reason)
    assert found.distance >= (0.9 if reason else THRESHOLD)


def test_equal_texts_are_identical_whatever_the_facts() -> None:
    assert substance(PERU, PERU, facts_a=Facts(right=True), facts_b=Facts(right=False)) == Substance(
        Kind.IDENTICAL, 0.0
    )


def test_a_language_detectors_slip_on_nearly_equal_texts_does_not_count() -> None:
    found = substance("Paris, Lyon, Nice.", "Paris, Lyon, Nice!", facts_a=Facts("French"), facts_b=Facts("English"))
    assert found.kind is Kind.WORDING


def test_a_cut_is_no_change_but_a_change_before_it_is() -> None:
    whole = (
        "Water your houseplants when the soil feels dry. Most of them like bright light. In winter they need less "
        "water because they grow more slowly."
    )
    cut = Facts(cut=True)
    for end in range(60, len(whole), 10):
        assert substance(whole, whole[:end], facts_b=cut).kind is Kind.WORDING, whole[:end]
    other = whole.replace("houseplants", "dog").replace("soil", "fur").replace("light", "toys")
    assert substance(whole, other[:90], facts_b=cut).distance > 2 * substance(whole, whole[:90], facts_b=cut).distance
    unrelated = "The stock market fell by three percent on Monday after the bank raised interest ra"
    assert substance(whole, unrelated, facts_b=cut).kind is Kind.MEANING
    assert substance(PERU, PERU + " It has 10 million inhabitants", facts_a=cut).distance < 0.3


def test_error_rates_and_rank_on_labelled_pairs() -> None:
    """Held-out figures of docs/substance.md with a margin: half of these groups chose nothing."""
    pairs = [pair for pair in all_pairs() if pair.half == "held out"]
    truth = np.array([pair.changed for pair in pairs])
    texts = [(pair.a, pair.b) for pair in pairs]
    distances = substance_distances(texts)
    assert auc(distances, truth) > 0.89
    assert auc(distances, truth) > auc(np.array([text_distance(a, b) for a, b in texts]), truth) + 0.2
    assert (distances[truth] < THRESHOLD).mean() < 0.15
    assert (distances[~truth] >= THRESHOLD).mean() < 0.17


def test_each_group_is_in_one_half_and_both_halves_hold_both_truths() -> None:
    halves = {pair.group: pair.half for pair in all_pairs()}
    assert all(halves[pair.group] == pair.half for pair in all_pairs())
    assert len({(pair.half, pair.changed) for pair in all_pairs()}) == 4


@given(ANY_TEXT, ANY_TEXT)
def test_distances_are_symmetric_bounded_and_zero_for_equal_texts_only(a: str, b: str) -> None:
    there, back = substance(a, b), substance(b, a)
    assert there.distance == pytest.approx(back.distance, abs=1e-6)
    assert 0 <= there.distance <= 1
    assert (there.distance == 0) == (a == b) == (there.kind is Kind.IDENTICAL)


def test_a_pair_is_judged_the_same_in_any_company() -> None:
    pairs = [(pair.a, pair.b) for pair in all_pairs()[:60]]
    alone = [substance(a, b).distance for a, b in pairs]
    assert [found.distance for found in substances(pairs)] == pytest.approx(alone, abs=1e-5)
    assert substances([]) == []


def test_more_changed_facts_never_lower_the_distance() -> None:
    steps = ["He is 7 and has 3 cats.", "He is 8 and has 3 cats.", "He is 8 and has 4 cats.", "He is 8 and has 4 dogs."]
    distances = [substance(steps[0], step).distance for step in steps]
    assert distances == sorted(distances)


def test_the_weights_are_those_fitted_on_the_development_half() -> None:
    pairs = [pair for pair in all_pairs() if pair.half == "development"]
    signs = contrast([(pair.a, pair.b) for pair in pairs], [(None, None)] * len(pairs))
    assert fit(signs, np.array([pair.changed for pair in pairs])) == pytest.approx(builtin.weights, abs=0.03)


def test_courtesies_at_both_ends_are_no_content() -> None:
    plain, polite = read("Lima is big."), read("Sure! Here is the answer: Lima is big. Let me know if you need more.")
    assert plain.words == polite.words
    assert read("Sure!").sequence == ["sure"]


HOSTILE = {
    "spaces": (" " * 1_000_000, " " * 999_999 + "x"),
    "many words": (" ".join(map(str, range(150_000))), " ".join(f"w{i}" for i in range(150_000))),
    "different words": (
        " ".join(f"{chr(97 + i % 26)}{chr(97 + i // 26 % 26)}{i:x}k" for i in range(9_000)),
        " ".join(f"{chr(97 + i % 26)}{chr(97 + i // 26 % 26)}{i:x}z" for i in range(9_000)),
    ),
    "one long word": ("a" * 1_000_000, "a" * 999_999 + "b"),
    "a long number": ("9" * 1_000_000, "8" * 1_000_000),
    "capitals": ("A B " * 250_000, "B A A " * 160_000),
    "ideographs": ("中文字" * 333_000, "中字文" * 333_000),
    "lines": ("\n" * 1_000_000, "1. \n" * 250_000),
    "courtesies": ("let me know if " * 70_000, "here is " * 120_000),
    "surrogates": ("\ud800" * 100_000, "\udfff\x00" * 100_000),
    "commas": ("1,000" * 200_000, "1,00," * 200_000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_megabyte_of_hostile_text_takes_bounded_time(name: str) -> None:
    a, b = HOSTILE[name]
    start = time.process_time()
    assert 0 < substance(a, b).distance <= 1
    assert time.process_time() - start < 4


def test_two_thousand_pairs_take_a_fraction_of_a_second() -> None:
    pairs = [(f"{pair.a} {i}", pair.b) for i, pair in enumerate(all_pairs() * 3)][:2000]
    substances(pairs[:1])
    start = time.process_time()
    substances(pairs)
    assert time.process_time() - start < 2  # 0.2 s on an idle core
