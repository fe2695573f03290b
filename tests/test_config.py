"""bvc.toml: defaults, strict reading with lines, and changes that keep the user's comments."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bvc import config
from bvc.config import DEFAULT_TEXT, Config, as_dict, get, load_config, parse_config, set_value
from bvc.errors import BadInput, BvcError, UsageError


def test_the_documented_text_is_the_defaults() -> None:
    assert parse_config(DEFAULT_TEXT.encode()) == Config()


def test_every_key_is_documented_and_every_attribute_has_a_key() -> None:
    for key in as_dict(Config()):
        table, _, name = key.rpartition(".")
        section = DEFAULT_TEXT.partition(f"[{table}]")[2] if table else DEFAULT_TEXT
        line = next(i for i, text in enumerate(section.split("\n")) if text.startswith((f"{name} =", f"# {name} =")))
        assert section.split("\n")[line - 1].startswith("# ")
    assert len(as_dict(Config())) == len(dataclasses.fields(Config))


def test_a_missing_file_means_defaults_and_a_folder_is_an_error(tmp_path: Path) -> None:
    assert load_config(tmp_path / "bvc.toml") == Config()
    with pytest.raises(BadInput, match="cannot be read"):
        load_config(tmp_path)


def test_values_are_read() -> None:
    text = 'author = "Ada <a@b>"\nrecipe.device = "cuda:1"\n[suites]\ndefault = ["a", "b"]\n[noise]\nrecapture = 1\n'
    read = parse_config(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert read == Config(author="Ada <a@b>", device="cuda:1", default_suites=("a", "b"), recapture=1.0)
    assert get(read, "suites.default") == ["a", "b"]
    assert type(read.recapture) is float


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[recipe]\n\nbatchrows = 1", 3, "unknown key 'recipe.batchrows'"),
        ("recipe = 3", 1, "recipe is a table"),
        ("[[recipe]]\nseed = 1", 1, "recipe is a table"),
        ('\n\nrecipe.dtype = "int4"', 3, "must be one of auto, float32, bfloat16, float16, not 'int4'"),
        ("recipe.dtype = 16", 1, "must be one of"),
        ('[recipe]\ndevice = "gpu"', 2, "must be auto, cpu, cuda, cuda:N or mps"),
        ('[recipe]\ndevice = "cuda:01"', 2, "cuda:N"),
        ("[recipe]\ndraws = true", 2, "whole number from 0 to 1000, not True"),
        ("[recipe]\ndraws = 1.0", 2, "whole number"),
        ("[recipe]\nbatch_rows = 0", 2, "from 1 to 1024"),
        ("[recipe]\nmax_new_tokens = 40000", 2, "from 1 to 32768"),
        ("[recipe]\ntemperature = 0", 2, "from 0.01 to 10"),
        ("[recipe]\ntemperature = nan", 2, "not nan"),
        ("[recipe]\nseed = -1", 2, "must be a whole number"),
        ("[recipe]\nhookpoints = []", 2, "ascending list of fractions"),
        ("[recipe]\nhookpoints = [0.0, 0.5]", 2, "ascending list of fractions"),
        ("[recipe]\nhookpoints = [0.5, 1.1]", 2, "ascending list of fractions"),
        ("[recipe]\nhookpoints = [0.5, 0.5]", 2, "ascending list of fractions"),
        ("[recipe]\nhookpoints = [nan]", 2, "ascending list of fractions"),
        ("[recipe]\nprompt_buckets = [64, 32]", 2, "ascending list of lengths"),
        ("[recipe]\nprompt_buckets = [0, 32]", 2, "ascending list of lengths"),
        ("[recipe]\nprompt_buckets = 32", 2, "ascending list of lengths"),
        ("[noise]\n# half\nrecapture = 1.5", 3, "from 0 to 1"),
        ('suites.default = "starter"', 1, "must be a list of suite names"),
        ('suites.default = ["../a"]', 1, "must be a list of suite names"),
        ('suites.default = ["a", "a"]', 1, "names a suite twice"),
        ("[suites.default]\nx = 1", 1, "must be a list of suite names"),
        ('author = "Ada"', 1, "Name <mail>"),
        ('author = "Ada <a>\\n<b>"', 1, "Name <mail>"),
        ("[new.table]\nx = 1", 1, "unknown key 'new'"),
        ("a = 1\na = 2", 2, "is not TOML"),
        ("[recipe]\nseed = ", 2, "is not TOML"),
        ('x = "abc', 1, "is not TOML"),
    ],
)
def test_mistakes_are_named_with_their_line(text: str, line: int, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_config(text.encode())
    assert words in caught.value.message
    assert caught.value.message.startswith(f"bvc.toml:{line}: ")


def test_text_that_is_not_utf8_is_named_with_its_line() -> None:
    with pytest.raises(BadInput, match=r"bvc.toml:2: is not UTF-8"):
        parse_config(b"# fine\nauthor = '\xff'\n")


@pytest.mark.parametrize(
    ("key", "meant"),
    [("recipe.drawz", "recipe.draws"), ("dtype", "recipe.dtype"), ("noise.seed", "recipe.seed")],
)
def test_unknown_keys_get_a_suggestion(key: str, meant: str) -> None:
    with pytest.raises(UsageError) as caught:
        get(Config(), key)
    assert caught.value.hint == f"did you mean '{meant}'?"


def test_setting_a_value_keeps_comments_and_everything_else(tmp_path: Path) -> None:
    path = tmp_path / "bvc.toml"
    path.write_bytes(DEFAULT_TEXT.encode().replace(b"draws = 0\n", b"draws = 0  # none yet\n"))
    assert set_value(path, "recipe.draws", "4").draws == 4
    expected = DEFAULT_TEXT.replace("draws = 0\n", "draws = 4  # none yet\n")
    assert path.read_text(encoding="utf-8") == expected
    assert set_value(path, "author", "Ada <a@b>").author == "Ada <a@b>"
    kept = [line for line in path.read_text(encoding="utf-8").split("\n") if line != 'author = "Ada <a@b>"']
    assert kept == expected.split("\n")


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("recipe.dtype", "bfloat16", "bfloat16"),
        ("recipe.dtype", '"bfloat16"', "bfloat16"),
        ("suites.default", "starter, mine", ["starter", "mine"]),
        ("suites.default", '["starter"]', ["starter"]),
        ("suites.default", "[]", []),
        ("recipe.hookpoints", "0.5,1.0", [0.5, 1.0]),
        ("recipe.hookpoints", "1.0", [1.0]),
        ("recipe.prompt_buckets", "[64, 128]", [64, 128]),
        ("noise.recapture", "0", 0.0),
        ("recipe.device", "cuda:1", "cuda:1"),
        ("author", "Ada <a@b>", "Ada <a@b>"),
    ],
)
def test_values_as_a_person_types_them(tmp_path: Path, key: str, text: str, value: object) -> None:
    path = tmp_path / "bvc.toml"
    assert get(set_value(path, key, text), key) == value
    assert get(load_config(path), key) == value


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("recipe.draws", "many"),
        ("recipe.draws", "1\nseed = 2"),
        ("recipe.nothing", "1"),
        ("recipe", "{}"),
        ("author", 'x"\nseed = 1'),
    ],
)
def test_a_value_that_does_not_fit_changes_nothing(tmp_path: Path, key: str, text: str) -> None:
    path = tmp_path / "bvc.toml"
    path.write_text(DEFAULT_TEXT, encoding="utf-8")
    with pytest.raises(UsageError):
        set_value(path, key, text)
    assert path.read_text(encoding="utf-8") == DEFAULT_TEXT
    assert [entry.name for entry in tmp_path.iterdir()] == ["bvc.toml"]


def test_a_broken_file_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "bvc.toml"
    path.write_text("[recipe]\nseed = oops\n", encoding="utf-8")
    with pytest.raises(BadInput, match=r"bvc\.toml:2"):
        set_value(path, "recipe.draws", "1")
    assert path.read_text(encoding="utf-8") == "[recipe]\nseed = oops\n"


def test_a_folder_that_does_not_exist_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(BvcError, match="cannot write"):
        set_value(tmp_path / "none" / "bvc.toml", "recipe.draws", "1")


VALUES = {
    "author": st.just("Zoë Q. <z@q>"),
    "suites.default": st.lists(st.sampled_from(["starter", "a-b", "x_1"]), unique=True),
    "recipe.dtype": st.sampled_from(config.DTYPES),
    "recipe.device": st.sampled_from(["auto", "cpu", "mps", "cuda", "cuda:3"]),
    "recipe.batch_rows": st.integers(1, 1024),
    "recipe.max_new_tokens": st.integers(1, config.MAX_NEW_TOKENS),
    "recipe.draws": st.integers(0, 1000),
    "recipe.temperature": st.floats(0.01, 10),
    "recipe.seed": st.integers(0, 2**63 - 1),
    "recipe.hookpoints": st.lists(st.floats(1e-6, 1), unique=True, min_size=1).map(sorted),
    "recipe.prompt_buckets": st.lists(st.integers(1, 1 << 20), unique=True, min_size=1).map(sorted),
    "noise.recapture": st.floats(0, 1),
}


@given(st.fixed_dictionaries({}, optional=VALUES))
def test_any_values_in_range_survive_writing_and_reading(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, object]
) -> None:
    path = tmp_path_factory.mktemp("config") / "bvc.toml"
    for key, value in values.items():
        set_value(path, key, str(value))
    assert as_dict(load_config(path)) == {**as_dict(Config()), **values}


@given(st.binary(max_size=60))
def test_any_bytes_are_settings_or_one_error(data: bytes) -> None:
    try:
        assert isinstance(parse_config(data), Config)
    except BadInput as error:
        assert error.message.startswith("bvc.toml:")
        assert "\n" not in error.message
