"""Literals that a pattern requires: each text in which it is found has those of one of its branches."""

from __future__ import annotations

import re

import pytest
import regex
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from bvc.behaviors.literals import required_literals

ATOMS = st.one_of(
    st.sampled_from("abc-]~ \n,é"),
    st.sampled_from([".", "^", "$", r"\d", r"\w", r"\b", r"\.", r"\[", r"\\", "[ab]", "[^a]", "[]a]", r"[\]b]", r"\t"]),
    st.sampled_from(
        ["a{2}", "b{,2}", "c{0,1}", "a{1,}", "{", "}", "(?i)", "(?=a)", r"\x61", "[[:alpha:]]", r"\Qa", "(*F)"]
    ),
)
PATTERNS = st.recursive(
    st.lists(ATOMS, max_size=5).map("".join),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{0}", "{2}", "*?", "++", "{1,2}?"])).map(
            lambda pair: f"({pair[0]}){pair[1]}"
        ),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "+?", ""])).map("".join),
        st.tuples(inner, inner).map("|".join),
        st.tuples(inner, inner).map("".join),
        inner.map("(?:{})".format),
    ),
    max_leaves=6,
)


@given(PATTERNS, st.lists(st.text(alphabet="abcABC-]~ \n,é.[\\{}1", max_size=12), max_size=6))
@settings(max_examples=600, deadline=None)
def test_what_matches_has_the_literals_of_a_branch(pattern: str, texts: list[str]) -> None:
    branches = required_literals(pattern)
    try:
        compiled = regex.compile(pattern)
    except regex.error:
        return
    for text in texts:
        if branches is not None and compiled.search(text, timeout=5):
            assert any(all(literal in text for literal in branch) for branch in branches), (pattern, text)


@pytest.mark.filterwarnings("ignore:Possible nested set")
@given(PATTERNS, st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
def test_texts_made_to_match_have_the_literals_of_a_branch(pattern: str, data: st.DataObject) -> None:
    branches = required_literals(pattern)
    try:
        texts = st.from_regex(re.compile(pattern), alphabet="abcABC-]~ \n,é.[\\{}1")
        compiled = regex.compile(pattern)
    except (re.error, regex.error):
        return
    try:
        text = data.draw(texts)
    except InvalidArgument:  # nothing of this alphabet matches
        return
    if branches is not None and compiled.search(text, timeout=5):
        assert any(all(literal in text for literal in branch) for branch in branches), (pattern, text)


@pytest.mark.parametrize(
    ("pattern", "branches"),
    [
        ("sorry", [("sorry",)]),
        (r"\bI am sorry\b\.", [("I am sorry", ".")]),
        ("Paris|London", [("Paris",), ("London",)]),
        (r"colou?r", [("colo", "r")]),
        ("ab+c", [("ab", "c")]),
        ("go{2,3}gle", [("go", "gle")]),
        ("(as|like) an AI", [(" an AI",)]),
        ("[a-z]+ing", [("ing",)]),
        ("", [()]),
        ("a.*", [("a",)]),
        (r"1\+1=2", [("1+1=2",)]),
    ],
)
def test_plain_parts_are_found(pattern: str, branches: list[tuple[str, ...]]) -> None:
    assert required_literals(pattern) == tuple(branches)


@pytest.mark.parametrize(
    "pattern",
    ["(?i)sorry", "(?x) a b", r"\x61bc", "foo{e<=1}", "(?|a|b)c", "[[:alpha:]]bc", r"\N{DIGIT ONE}bc", "(?<=a)bcd",
     "(abc", "a)bc"],
)  # fmt: skip
def test_what_is_not_understood_requires_nothing(pattern: str) -> None:
    assert required_literals(pattern) is None
