"""Tokenizers are named by what they do: saving one again is no change, another template or vocabulary is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bvc.capture.tokenizer_files import chat_template, chat_template_digest, has_tokenizer, tokenizer_digest
from bvc.capture.weights import MemoryDigestCache
from bvc.errors import BadInput
from tests.tiny_models import CHATML, tiny_tokenizer


def digest(folder: Path) -> str | None:
    return tokenizer_digest(folder, MemoryDigestCache())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    tiny_tokenizer(folder)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "tokenizer"))


def edit(path: Path, **changes: Any) -> None:
    value = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({k: v for k, v in {**value, **changes}.items() if v != "DROP"}))


def old_form(folder: Path) -> None:
    """As libraries wrote it in 2023: merges as strings, tokens as objects, the template in the config, more files."""
    state = json.loads((folder / "tokenizer.json").read_text())
    state["model"]["merges"] = [" ".join(pair) for pair in state["model"]["merges"]]
    state["model"] |= {"end_of_word_suffix": "", "continuing_subword_prefix": "", "fuse_unk": False}
    state["model"].pop("ignore_merges", None)
    state["truncation"] = {"max_length": 512, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    (folder / "tokenizer.json").write_text(json.dumps(state, indent=2))
    template = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").unlink()
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config["eos_token"] = {"content": config["eos_token"], "lstrip": False, "__type": "AddedToken"}
    config["backend"] = "DROP"
    edit(folder / "tokenizer_config.json", **config, chat_template=template, added_tokens_decoder={})
    edit(folder / "special_tokens_map.json", eos_token=config["eos_token"])
    (folder / "vocab.json").write_text(json.dumps(state["model"]["vocab"]))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(state["model"]["merges"]))


def test_saving_again_is_no_change(made: Path, folder: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    AutoTokenizer.from_pretrained(made).save_pretrained(tmp_path / "again")
    assert digest(tmp_path / "again") == digest(made)
    old_form(folder)
    assert digest(folder) == digest(made)
    AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path / "from old")
    assert digest(tmp_path / "from old") == digest(made)


def _another_token(folder: Path) -> None:
    state = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = state["model"]["vocab"]
    first, second, *_ = vocabulary
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    (folder / "tokenizer.json").write_text(json.dumps(state))


@pytest.mark.parametrize(
    "change",
    [
        _another_token,
        lambda f: (f / "chat_template.jinja").write_text(CHATML + " "),
        lambda f: (f / "chat_template.jinja").unlink(),
        lambda f: edit(f / "tokenizer_config.json", eos_token="<|endoftext|>"),  # noqa: S106 - no password
        lambda f: edit(f / "tokenizer_config.json", add_bos_token=True),
    ],
)
def test_what_makes_another_tokenizer(folder: Path, made: Path, change: Callable[[Path], object]) -> None:
    change(folder)
    assert digest(folder) != digest(made)


@pytest.mark.parametrize(
    "settings",
    [
        {"model_max_length": 17, "name_or_path": "/x", "is_local": True, "tokenizer_class": "Other"},
        {"padding_side": "left", "pad_token": "<|im_end|>"},
    ],
)
def test_what_does_not_make_another_tokenizer(folder: Path, made: Path, settings: dict[str, Any]) -> None:
    edit(folder / "tokenizer_config.json", **settings)
    assert digest(folder) == digest(made)


def test_a_tokenizer_without_the_fast_file(tmp_path: Path) -> None:
    assert not has_tokenizer(tmp_path) and digest(tmp_path) is None
    (tmp_path / "tokenizer.model").write_bytes(b"\x0apieces")
    assert has_tokenizer(tmp_path)
    first = digest(tmp_path)
    (tmp_path / "tokenizer.model").write_bytes(b"\x0bpieces")
    assert first is not None and digest(tmp_path) != first


def test_the_template_is_taken_where_transformers_takes_it(tmp_path: Path) -> None:
    assert chat_template(tmp_path) is None and chat_template_digest(tmp_path) == "none"
    edit(tmp_path / "tokenizer_config.json", chat_template="from config")
    assert chat_template(tmp_path) == "from config"
    named = [{"name": "tool_use", "template": "tools"}, {"name": "default", "template": "named"}]
    edit(tmp_path / "tokenizer_config.json", chat_template=named)
    assert chat_template(tmp_path) == "named"
    edit(tmp_path / "chat_template.json", chat_template="from json")
    assert chat_template(tmp_path) == "from json"
    (tmp_path / "chat_template.jinja").write_text("from jinja")
    assert chat_template(tmp_path) == "from jinja"


@pytest.mark.parametrize("template", [7, [], [3], {"other": "x"}, [{"name": "default"}]])
def test_a_template_of_another_kind_is_none(tmp_path: Path, template: Any) -> None:
    edit(tmp_path / "tokenizer_config.json", chat_template=template)
    assert chat_template(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_a_tokenizer_file_that_is_not_json(folder: Path, content: bytes) -> None:
    (folder / "tokenizer.json").write_bytes(content)
    with pytest.raises(BadInput, match=r"tokenizer.json: is not"):
        digest(folder)


def test_a_template_that_is_not_text(folder: Path) -> None:
    (folder / "chat_template.jinja").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match=r"chat_template.jinja: cannot be read as text"):
        digest(folder)
