"""The shipped word vectors: near words are near, anything can be spelled, and nothing is unpickled."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bvc.compare.embedding import mean_vectors, word_vectors

WORDS = word_vectors()


def cosine(a: str, b: str) -> float:
    vectors, _ = WORDS.of([a, b])
    return float(vectors[0] @ vectors[1])


@pytest.mark.parametrize(
    ("word", "near", "far"),
    [
        ("movie", "film", "bread"),
        ("doctor", "physician", "river"),
        ("begin", "start", "purple"),
        ("salmonella", "bacteria", "guitar"),
        ("überall", "uberall", "guitar"),
        ("столица", "столицы", "кошка"),
        ("北", "北", "京"),
    ],
)
def test_near_words_are_nearer_than_others(word: str, near: str, far: str) -> None:
    assert cosine(word, near) > cosine(word, far) + 0.2


@given(st.lists(st.text(min_size=1, max_size=60), max_size=6))
def test_any_word_has_a_unit_vector_and_a_weight(words: list[str]) -> None:
    vectors, weights = WORDS.of(words)
    assert vectors.shape == (len(words), WORDS.vectors.shape[1])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert ((weights > 0) & (weights <= 1)).all()


def test_a_word_has_the_same_vector_in_any_company() -> None:
    alone, _ = WORDS.of(["unbelievableness"])
    among, _ = WORDS.of(["the", "unbelievableness", "日", "x" * 500])
    np.testing.assert_allclose(alone[0], among[1], atol=1e-6)


def test_rare_words_weigh_more_than_frequent_ones() -> None:
    _, weights = WORDS.of(["the", "city", "salmonella"])
    assert 2 * weights[0] < weights[1] < weights[2]


def test_sentence_vectors_are_weighted_means_and_zero_without_words() -> None:
    vectors, weights = WORDS.of(["lima", "peru"])
    means = mean_vectors(vectors, weights, [np.array([0, 1]), np.array([1]), np.array([], np.int64)])
    blend = weights @ vectors
    np.testing.assert_allclose(means[0], blend / np.linalg.norm(blend), atol=1e-6)
    np.testing.assert_allclose(means[1], vectors[1], atol=1e-6)
    assert not means[2].any()


def test_the_shipped_files_are_small_and_belong_together() -> None:
    folder = files("bvc.compare").joinpath("data")
    sizes = {name: len(folder.joinpath(name).read_bytes()) for name in ("vectors.npy", "vocabulary.txt")}
    assert sum(sizes.values()) < 2_500_000
    assert WORDS.vectors.dtype == np.int8
    assert len(WORDS.ids) == len(WORDS.vectors) == len(WORDS.weights) > 20_000
