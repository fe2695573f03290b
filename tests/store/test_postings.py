"""Posting lists: whatever may match is a candidate, whatever happened to the index."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import pytest
import regex
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bvc.store.postings import MOST, POSTINGS, Document, Postings
from bvc.store.store import Store
from bvc.store.trigrams import fold, text_slots, word_slots

LETTERS = "abkisABKISİıſK ßẞ\n\x1béÉ漢🙂\ud800"
TEXTS = st.lists(st.text(alphabet=LETTERS, max_size=24), min_size=1, max_size=3)
FILLED = 140
"""Records that make a segment large enough to have posting lists."""


def document(number: int, *texts: str) -> Document:
    return Document(number.to_bytes(20), texts)


def filler(count: int = FILLED) -> list[Document]:
    chooser = random.Random(5)
    return [document(1000 + n, "".join(chooser.choices("xyzw ", k=30)) + str(n)) for n in range(count)]


def found(
    postings: Postings, documents: Iterable[Document], words: Sequence[str], ignore_case: bool = False
) -> set[bytes]:
    branches = [word_slots(word, ignore_case=ignore_case) for word in words]
    wanted = {d.oid for d in documents}
    return {oid for oid, _ in postings.search(wanted, branches)}


@given(st.lists(TEXTS, min_size=1, max_size=8), st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_holds_the_words_is_a_candidate(store: Store, texts: list[list[str]], data: st.DataObject) -> None:
    documents = [document(n, *own) for n, own in enumerate(texts)]
    environment = store.index.environment
    environment.put([], [key for key, _ in environment.scan(POSTINGS)])
    postings = Postings(environment)
    postings.add([*filler(), *documents])
    assert dict(postings.search([d.oid for d in documents], None)) == dict(documents)
    said = data.draw(st.sampled_from([text for own in texts for text in own]))
    start = data.draw(st.integers(0, len(said)))
    word = said[start : data.draw(st.integers(start, len(said)))]
    assert {d.oid for d in documents if any(word in t for t in d.texts)} <= found(postings, documents, [word])
    loose = regex.compile(regex.escape(word), regex.IGNORECASE)
    assert {d.oid for d in documents if any(loose.search(t) for t in d.texts)} <= found(
        postings, documents, [word], ignore_case=True
    )


def test_what_lacks_the_words_is_not_looked_at(store: Store) -> None:
    postings = Postings(store.index.environment)
    rare = document(1, "a zebra")
    documents = [*filler(), rare, document(2, "a mule", "one more zebra")]
    postings.add(documents)
    assert found(postings, documents, ["zebra"]) == {documents[-1].oid, rare.oid}
    assert found(postings, documents, ["zebra", "mule"]) == {documents[-1].oid, rare.oid}
    assert found(postings, documents, ["a mule"]) == {documents[-1].oid}
    assert found(postings, documents, ["ZEBRA"], ignore_case=True) == {documents[-1].oid, rare.oid}
    assert found(postings, documents, ["gnu"]) == set()


def test_letters_beyond_ascii_decide_only_where_case_counts(store: Store) -> None:
    postings = Postings(store.index.environment)
    documents = [*filler(), document(1, "une ÉTÉ")]
    postings.add(documents)
    assert documents[-1].oid in found(postings, documents, ["été"], ignore_case=True)
    assert documents[-1].oid in found(postings, documents, ["ne É"], ignore_case=True)
    assert found(postings, documents, ["ÉTÉ"]) == {documents[-1].oid}
    assert found(postings, documents, ["été"]) == set()


def test_every_letter_that_stands_for_an_ascii_letter_is_folded_to_it() -> None:
    every = "".join(map(chr, range(0x110000)))
    for letter in every[:128]:
        partners = regex.findall(regex.escape(letter), every, regex.IGNORECASE)
        assert set(map(fold, partners)) == {letter.lower()}


def test_folding_goes_character_by_character() -> None:
    text = "".join(map(chr, range(0x3000)))
    assert fold(text) == "".join(map(fold, text))
    assert text_slots("AbC") == word_slots("aBc", ignore_case=False)


def test_new_records_join_small_segments(store: Store) -> None:
    environment = store.index.environment
    for number in range(300):
        Postings(environment).add([document(number, f"text {number}")])
        segments = [key for key, _ in environment.scan(POSTINGS + b"h")]
        assert len(segments) <= 12
    postings = Postings(environment)
    assert postings.known() == {document(n).oid for n in range(300)}
    assert dict(postings.search(postings.known(), None)) == {document(n).oid: (f"text {n}",) for n in range(300)}
    keys = {key for key, _ in environment.scan(POSTINGS)}
    assert {key[2:18] for key in keys} == {key[2:] for key in segments}


def test_a_segment_is_closed_when_it_is_full(store: Store) -> None:
    postings = Postings(store.index.environment)
    postings.add(document(n, str(n)) for n in range(MOST + 5))
    assert len(postings.known()) == MOST + 5
    assert len(store.index.environment.scan(POSTINGS + b"h")) == 2


@pytest.mark.parametrize("table", ["h", "t", "p"])
def test_lost_rows_cost_time_and_no_answer(store: Store, table: str) -> None:
    environment = store.index.environment
    documents = [*filler(), document(1, "a zebra")]
    Postings(environment).add(documents)
    environment.put([], [key for key, _ in environment.scan(POSTINGS + table.encode())])
    postings = Postings(environment)
    unknown = {d.oid for d in documents} - postings.known()
    candidates = dict(postings.search({d.oid for d in documents}, [word_slots("zebra", ignore_case=False)]))
    if table == "h":
        assert len(unknown) == len(documents)
    elif table == "t":
        assert candidates == {documents[-1].oid: None}
    else:
        assert candidates == dict(documents)


def test_two_writers_at_once_lose_nothing(store: Store) -> None:
    environment = store.index.environment
    first, second = Postings(environment), Postings(environment)
    assert first.known() == second.known() == set()
    shared = [document(n, f"said {n}") for n in range(6)]
    first.add(shared[:4])
    second.add(shared[2:])
    postings = Postings(environment)
    assert postings.known() == {d.oid for d in shared}
    assert sorted(postings.search(postings.known(), None)) == sorted(map(tuple, shared))


def test_a_stale_reader_finds_records_lost_rather_than_wrong(store: Store) -> None:
    environment = store.index.environment
    stale = Postings(environment)
    stale.add([document(1, "one")])
    assert stale.known() == {document(1).oid}
    Postings(environment).add([document(2, "two")])
    assert dict(stale.search([document(1).oid], None)) == {document(1).oid: None}
