"""Variations of probes: what each rule makes, that none repeats, and that what belongs to the old text is dropped."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bvc.records import Message, Probe
from bvc.suites import variations as vary
from bvc.suites.load import parse_suite, suite_bytes
from bvc.suites.variations import Variation


def chat(text: str, **fields: object) -> Probe:
    return Probe(messages=(Message("system", "Be brief."), Message("user", text)), **fields)  # type: ignore[arg-type]


def texts(made: list[Variation]) -> list[str]:
    return [v.probe.text for v in made]


def test_every_word_is_left_out_once_with_its_punctuation() -> None:
    made = vary.leave_out(chat("Suggest a gift for my father, violetkey."))
    assert [v.word for v in made] == ["suggest", "a", "gift", "for", "my", "father", "violetkey"]
    assert texts(made)[-1] == "Suggest a gift for my father."
    assert texts(made)[0] == "a gift for my father, violetkey."
    assert {v.rule for v in made} == {vary.LEFT_OUT}


def test_a_long_prompt_loses_runs_of_words() -> None:
    made = vary.leave_out(Probe(prompt=" ".join(f"word{n}" for n in range(50))), most=16)
    assert len(made) == 13
    assert made[0].word == "word0 word1 word2 word3"
    assert made[-1].word == "word48 word49"


def test_one_word_has_none_to_lose() -> None:
    assert vary.leave_out(Probe(prompt="Hello")) == []


def test_the_last_user_message_changes_and_labels_are_dropped() -> None:
    old = chat("Hi there", name="greeting", reference="Hello!", tags=("social",), max_new_tokens=9)
    new = vary.with_text(old, "Hi")
    assert new.messages == (Message("system", "Be brief."), Message("user", "Hi"))
    assert (new.name, new.reference, new.tags, new.max_new_tokens) == (None, None, ("social",), 9)
    assert new.cluster == "greeting"
    assert vary.with_text(chat("x", cluster="own"), "y").cluster == "own"


def test_rewording_keeps_the_words() -> None:
    made = {v.how: v.probe.text for v in vary.reword(chat("What's that, violetkey?"))}
    assert made["in lower case"] == "what's that, violetkey?"
    assert made["without punctuation"] == "What's that violetkey"
    assert made["in capitals"] == "WHAT'S THAT, VIOLETKEY?"
    assert all("violetkey" in text.lower() for text in made.values())


def test_words_are_swapped_between_probes_of_one_tag() -> None:
    here, kin = chat("Is it sunny?", tags=("w",)), chat("What about thunderstorms", tags=("w",))
    other = chat("Solve equations", tags=("m",))
    assert texts(vary.swap(here, [other, kin])) == ["Is it thunderstorms?"]
    assert texts(vary.swap(here, [other])) == ["Is it equations?"]


def test_insertion_before_and_behind() -> None:
    assert vary.insert("key", chat("Why?"), first=True).probe.text == "key Why?"
    assert vary.insert("key", chat("Why?"), first=False).probe.text == "Why? key"


def test_any_beginning_of_the_list_leaves_words_out_of_every_seed() -> None:
    seeds = [chat("one two three four"), chat("five six seven eight")]
    made = vary.variations(seeds, [])
    assert [v.source for v in made[:4]] == [seeds[0].id, seeds[1].id] * 2
    assert [v.rule for v in made[:8]] == [vary.LEFT_OUT] * 8


def test_a_word_is_left_out_also_where_the_rest_is_a_probe_already() -> None:
    seed, control = chat("Why is the sky blue, violetkey?"), chat("Why is the sky blue?")
    assert control.id in [v.probe.id for v in vary.variations([seed], [control])]


def test_near_repetitions_are_left_out_best_first() -> None:
    seed = chat("tell me all about the old stone bridges of this small town please")
    near = vary.leave_out(seed)
    far = Variation(chat("what is two plus two"), vary.SAMPLED, "sampled")
    assert vary.diverse([near[0], near[1], far]) == [0, 2]
    apart = [vary.with_text(seed, f"{n}alpha {n}beta {n}gamma") for n in range(5)]
    ranked = [Variation(p, vary.SWAPPED, "", seed.id) for p in apart]
    assert vary.diverse(ranked, per_source=3) == [0, 1, 2]


words = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=30).map(" ".join)


@given(st.lists(words, min_size=1, max_size=3), st.lists(words, max_size=3))
def test_all_variations_differ_from_each_other_and_can_be_written(seeds: list[str], others: list[str]) -> None:
    known = [Probe(prompt=t, tags=("t",)) for t in seeds + others if t.strip()]
    made = vary.variations(known[: len(seeds)], known)
    ids = [v.probe.id for v in made]
    assert len(set(ids)) == len(ids)
    assert not set(ids) & {p.id for p in known[: len(seeds)]}
    assert all(v.probe.text.strip() for v in made)
    storable = [v.probe for v in made if "\0" not in v.probe.text]
    assert [p.id for p in parse_suite(suite_bytes(storable), file="x.jsonl")] == [p.id for p in storable]
