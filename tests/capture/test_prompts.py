"""Probes to tokens: templates, their absence, first and last special tokens, references."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from bvc.capture.engine import ProbeRequest
from bvc.capture.prompts import Prompts, describe, given_reference, own_reference
from bvc.errors import EngineError
from bvc.records import Message, Probe, Reference
from tests.engines import chat
from tests.tiny_models import CHATML, tiny_tokenizer

BOS, START, END = 0, 1, 2
STRICT = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{{ bos_token }}" + CHATML
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokenizers")


def prompts(folder: Path, name: str, *stops: int, **settings: Any) -> tuple[Prompts, Any]:
    place = folder / name
    place.mkdir(exist_ok=True)
    tiny_tokenizer(place, **settings)
    tokenizer = AutoTokenizer.from_pretrained(place)
    return Prompts(tokenizer, stops), tokenizer


def test_messages_go_through_the_template(folder: Path) -> None:
    encoder, tokenizer = prompts(folder, "chat")
    ids = encoder.encode(Probe(messages=(Message("system", "Be brief."), Message("user", "Hi"))))
    expected = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.decode(ids) == expected


def test_a_template_that_prints_the_date_gives_the_same_tokens_every_day(folder: Path) -> None:
    dated = "{{ strftime_now('%d %B %Y') }}: " + CHATML
    encoder, tokenizer = prompts(folder, "dated", template=dated)
    assert tokenizer.decode(encoder.encode(chat("Hi"))).startswith("01 January 2024: <|im_start|>user")


def test_raw_prompts_get_no_template(folder: Path) -> None:
    encoder, tokenizer = prompts(folder, "chat")
    assert tokenizer.decode(encoder.encode(Probe(prompt="Paris is"))) == "Paris is"


def test_the_first_token_is_added_once(folder: Path) -> None:
    encoder, tokenizer = prompts(folder, "strict", template=STRICT, bos=True)
    for probe in (chat("Hi"), Probe(prompt="Hi"), Probe(prompt="<|endoftext|>Hi")):
        ids = encoder.encode(probe)
        assert ids[0] == BOS and ids[1] != BOS
    assert tokenizer.decode(encoder.encode(chat("Hi"))).startswith("<|endoftext|><|im_start|>user\nHi")


def test_a_closing_token_that_the_tokenizer_adds_is_left_out(folder: Path) -> None:
    from tokenizers import processors

    encoder, tokenizer = prompts(folder, "closing")
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <|im_end|>", special_tokens=[("<|im_end|>", END)]
    )
    assert tokenizer("Hi")["input_ids"][-1] == END
    assert END not in encoder.encode(Probe(prompt="Hi"))
    assert encoder.encode(Probe(prompt="Hi<|im_end|>"))[-1] == END


def test_a_template_that_refuses_system_messages_gets_them_in_the_first_turn(folder: Path) -> None:
    encoder, tokenizer = prompts(folder, "strict", template=STRICT, bos=True)
    ids = encoder.encode(Probe(messages=(Message("system", "Be brief."), Message("user", "Hi"))))
    assert "<|im_start|>user\nBe brief.\n\nHi<|im_end|>" in tokenizer.decode(ids)


def test_messages_that_no_template_takes_are_an_error_naming_the_probe(folder: Path) -> None:
    encoder, _ = prompts(folder, "strict", template=STRICT, bos=True)
    probe = Probe(messages=(Message("system", "Be brief."),), name="only-system")
    with pytest.raises(EngineError, match=r"refuses probe 'only-system' .*System role not supported"):
        encoder.encode(probe)


def test_without_a_template_contents_are_joined(folder: Path) -> None:
    encoder, tokenizer = prompts(folder, "base", template=None, bos=True)
    ids = encoder.encode(Probe(messages=(Message("system", "Be brief."), Message("user", "Hi"))))
    assert not encoder.has_template
    assert tokenizer.decode(ids) == "<|endoftext|>Be brief.\n\nHi"


def test_an_empty_prompt_starts_from_a_special_token(folder: Path) -> None:
    encoder, _ = prompts(folder, "chat")
    assert encoder.encode(Probe(prompt="")) == [END]


def test_lone_surrogates_are_replaced(folder: Path) -> None:
    encoder, tokenizer = prompts(folder, "chat")
    assert tokenizer.decode(encoder.encode(Probe(prompt="a\ud800b"))) == "a\ufffdb"
    assert encoder.encode_reference(Reference("\udfff"), chat=True).text


def test_ends_of_turn_come_from_template_generation_settings_and_tokenizer(folder: Path) -> None:
    encoder, _ = prompts(folder, "chat", 0)
    assert encoder.ends.stops == {BOS, END}
    assert (encoder.ends.chat, encoder.ends.raw) == (END, END)
    base, _ = prompts(folder, "base", template=None, bos=True)
    assert (base.ends.stops, base.ends.chat, base.ends.raw) == ({BOS}, BOS, BOS)


def test_the_templates_own_end_is_found_where_settings_do_not_say_it(folder: Path) -> None:
    encoder, tokenizer = prompts(folder, "hidden")
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(BOS)
    again = Prompts(tokenizer, [])
    assert again.ends.stops == {BOS, END} and again.ends.chat == END and again.ends.raw == BOS
    assert encoder.ends.chat == END


def test_a_reference_and_the_characters_of_its_tokens(folder: Path) -> None:
    encoder, tokenizer = prompts(folder, "chat")
    path = encoder.encode_reference(Reference("naïve 今天 dog", end=True), chat=True)
    assert tokenizer.decode(path.text) == "naïve 今天 dog"
    assert path.scored == [*path.text, END] and path.read == list(path.text)
    assert sum(path.characters) == len("naïve 今天 dog") and path.covered[-1] == 0
    assert len(path.covered) == len(path.scored)


@given(st.text(max_size=40))
def test_characters_always_sum_to_the_text(text: str) -> None:
    encoder = _shared()
    path = encoder.encode_reference(Reference(text), chat=True)
    assert sum(path.characters) == (len(text) if path.text else 0) and min(path.characters, default=0) >= 0


_CACHE: list[Prompts] = []


def _shared() -> Prompts:
    if not _CACHE:
        import tempfile

        with tempfile.TemporaryDirectory() as place:
            _CACHE.append(prompts(Path(place), "shared")[0])
    return _CACHE[0]


def test_empty_references(folder: Path) -> None:
    encoder, _ = prompts(folder, "chat")
    nothing = encoder.encode_reference(Reference(""), chat=True)
    ended = encoder.encode_reference(Reference("", end=True), chat=True)
    assert (nothing.scored, nothing.read) == ([], [])
    assert (ended.scored, ended.read) == ([END], [END])


def test_an_answer_cut_within_a_character_becomes_a_clean_reference() -> None:
    assert own_reference("caf\ufffd\ufffd", finished=False) == Reference("caf")
    assert own_reference("caf\ufffd", finished=True) == Reference("caf\ufffd", end=True)


def test_which_reference_a_request_brings() -> None:
    fixed = Reference("frozen", end=True)
    assert given_reference(ProbeRequest(chat("Hi", reference="own"), fixed)) == fixed
    assert given_reference(ProbeRequest(chat("Hi", reference="own"))) == Reference("own", end=True)
    assert given_reference(ProbeRequest(Probe(prompt="Hi", reference="own"))) == Reference("own")
    assert given_reference(ProbeRequest(chat("Hi"))) is None


def test_how_probes_are_named() -> None:
    named, plain = chat("Hi", name="greeting"), chat("Hi")
    assert describe(named) == f"'greeting' ({named.id[:10]})"
    assert describe(plain) == plain.id[:10]
