"""`bvc.toml`: a project's settings, read strictly and changed without losing its comments.

Every key has a default and a documented line in `DEFAULT_TEXT`; an unknown key, a wrong type or a value out of
range is refused with its line. Layer 0: the standard library only, and `tomlkit` where a file is changed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bvc.errors import BadInput, UsageError
from bvc.files import write_atomic
from bvc.tomlfile import decode_text, line_of, parse_toml
from bvc.wording import nearest, printable

MAX_NEW_TOKENS = 32768
"""The most tokens that one answer may be allowed, in a project's recipe and in a probe."""

DTYPES = ("auto", "float32", "bfloat16", "float16")
SUBSTANCE_METHODS = ("builtin", "minilm", "endpoint")

DEFAULT_TEXT = """\
# Settings of this bvc project. Every key is optional; the values below are the defaults.
# `bvc config` prints what is in force, `bvc config KEY VALUE` changes one key and keeps these comments.

# Who commits, as "Name <mail>". Without it, what GIT_AUTHOR_NAME and GIT_AUTHOR_EMAIL say.
# author = "Ada Lovelace <ada@example.org>"

[suites]
# Names of the suites (probes/NAME.jsonl) that `bvc commit` captures. Empty: all of probes/.
default = []

[recipe]
# Number type of the forward passes: "float32", "bfloat16", "float16", or "auto" (float32 on a CPU, else bfloat16).
dtype = "auto"
# Where the model runs: "cpu", "cuda", "cuda:1", "mps", or "auto" (the first accelerator, else the CPU).
device = "auto"
# Probes that share a forward pass, 1 to 1024. Memory grows with it, not with the suite.
batch_rows = 16
# Longest answer in tokens, 1 to 32768, for probes that set none of their own.
max_new_tokens = 48
# Sampled answers per probe beside the greedy one, 0 to 1000.
draws = 0
# Sampling temperature of the draws, 0.01 to 10.
temperature = 1.0
# Seed of the draws, 0 or more. Commits under different seeds do not compare draw by draw.
seed = 0
# Where activations are read, as fractions of depth, above 0 and up to 1 (1.0 is after the last block); ascending.
hookpoints = [0.25, 0.5, 0.75, 1.0]
# Prompts are padded to the next of these lengths in tokens, longer ones to a multiple of the last; ascending.
prompt_buckets = [32, 48, 64, 96, 128, 192, 256, 384, 512]

[noise]
# Share of the probes, 0 to 1, that each commit captures again in other batches to measure numeric noise.
recapture = 0.1

[features]
# The dictionary (its name, or the first digits of its digest) with which each commit records features. Empty: the only
# one there is, none where there are several; "none": no features.
dictionary = ""

[substance]
# What tells a change of meaning from one of wording: "builtin" (word vectors that ship with bvc), "minilm" (the
# sentence model all-MiniLM-L6-v2) or "endpoint" (a model behind an OpenAI-compatible server); see docs/substance.md.
method = "builtin"
# For "minilm" the folder of the model (empty: the installed package), for "endpoint" the name of the judging model.
model = ""
# For "endpoint": where the server is, such as "http://localhost:8000/v1".
endpoint = ""
# For "endpoint": the environment variable that holds the server's key. Its name starts with BVC_.
key_variable = "BVC_JUDGE_KEY"
# For "endpoint": seconds to wait for one answer, 1 to 3600.
timeout = 60

[behaviors]
# Differences of a behavior's rate up to this, 0 to 1, count as the same.
band = 0.05
"""


@dataclass(frozen=True)
class Config:
    """All settings of a project.

    `default_suites` empty means every suite; `dtype` and `device` may be "auto"; `hookpoints` are fractions of depth
    in (0, 1]; `prompt_buckets` are lengths in tokens; `recapture` is a share of the probes; `band` a
    difference of rates.
    """

    author: str | None = None
    default_suites: tuple[str, ...] = ()
    dtype: str = "auto"
    device: str = "auto"
    batch_rows: int = 16
    max_new_tokens: int = 48
    draws: int = 0
    temperature: float = 1.0
    seed: int = 0
    hookpoints: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    prompt_buckets: tuple[int, ...] = (32, 48, 64, 96, 128, 192, 256, 384, 512)
    recapture: float = 0.1
    features_dictionary: str = ""
    substance_method: str = "builtin"
    substance_model: str = ""
    substance_endpoint: str = ""
    substance_key_variable: str = "BVC_JUDGE_KEY"
    substance_timeout: int = 60
    band: float = 0.05


def is_suite_name(name: str) -> bool:
    """Whether `name` can name a suite: ASCII letters, digits, `_`, `.` and `-`, no `.` or `-` first, no `.` last.

    Such a name is safe as a file and as a folder of a commit's tree.
    """
    return re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", name) is not None and not name.endswith(".")


def load_config(path: Path) -> Config:
    """The settings in the file at `path`; the defaults when there is none. Raises BadInput with the line."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Config()
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", file=str(path)) from error
    return parse_config(data, file=str(path))


def parse_config(data: bytes, *, file: str = "bvc.toml") -> Config:
    """The settings in the TOML document `data`. Raises BadInput naming `file` and the line."""
    text = decode_text(data, file)
    config = Config()
    for path, value in _leaves(parse_toml(text, file)):
        key = ".".join(path)
        try:
            setting = _setting(key)
            config = replace(config, **{setting.attribute: setting.check(value)})
        except UsageError as error:
            raise BadInput(error.message, file=file, line=line_of(text, path), hint=error.hint) from error
        except ValueError as error:
            raise BadInput(f"{key} {error}", file=file, line=line_of(text, path)) from error
    return config


def as_dict(config: Config) -> dict[str, Any]:
    """Every dotted key with its value, in the order of the file; lists are lists."""
    return {key: get(config, key) for key in _SETTINGS}


def get(config: Config, key: str) -> Any:
    """The value of a dotted key such as `recipe.dtype`. Raises UsageError for an unknown one."""
    value = getattr(config, _setting(key).attribute)
    return list(value) if isinstance(value, tuple) else value


def set_value(path: Path, key: str, value: str) -> Config:
    """Set dotted `key` in the file at `path`, keep all else including comments, and return what is then in force.

    `value` is a TOML value, or bare words for a string, or `a, b` for a list. The file is replaced atomically; where
    there is none, it starts as `DEFAULT_TEXT`. Raises UsageError for an unknown key or a value that does not fit, and
    BadInput when the file was not valid before; nothing is changed then.
    """
    import tomlkit

    setting = _setting(key)
    new = _typed(setting, value)
    try:
        setting.check(new)
    except ValueError as error:
        raise UsageError(f"{key} {error}") from error
    load_config(path)
    document = tomlkit.parse(path.read_bytes().decode("utf-8-sig") if path.exists() else DEFAULT_TEXT)
    *tables, name = key.split(".")
    target: Any = document
    for table in tables:
        target = target.setdefault(table, tomlkit.table())
    target[name] = new
    content = tomlkit.dumps(document).encode()
    config = parse_config(content, file=str(path))
    write_atomic(path, content)
    return config


def _setting(key: str) -> _Setting:
    if key in _TABLES:
        raise UsageError(f"{key} is a table, not a value", hint=f"its keys are: {', '.join(_keys_of(key))}")
    if key not in _SETTINGS:
        raise UsageError(f"unknown key '{printable(key)}'", hint=_key_hint(key))
    return _SETTINGS[key]


def _typed(setting: _Setting, text: str) -> Any:
    """The value that a person means by `text` on a command line."""
    value = _toml_value(text)
    if setting.is_list and not isinstance(value, list):
        return [_toml_value(part.strip()) for part in text.split(",") if part.strip()]
    return value


def _toml_value(text: str) -> Any:
    import tomllib

    try:
        value = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return value["value"] if list(value) == ["value"] else text


def _leaves(table: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every key path with its value; a table that stands where no table belongs is a value too."""
    for name, value in table.items():
        path = (*above, name)
        is_table = isinstance(value, dict) and ".".join(path) in _TABLES
        yield from _leaves(value, path) if is_table else [(path, value)]


def _key_hint(key: str) -> str:
    by_name = {known.rpartition(".")[2]: known for known in _SETTINGS}
    close = nearest(key.rpartition(".")[2], by_name)
    return f"did you mean '{by_name[close]}'?" if close else f"keys are: {', '.join(_SETTINGS)}"


def _keys_of(table: str) -> list[str]:
    return [key for key in _SETTINGS if key.startswith(f"{table}.")]


@dataclass(frozen=True)
class _Setting:
    """One key: the attribute of `Config` that holds it, and the check that returns its value or raises ValueError."""

    attribute: str
    check: Callable[[Any], Any]
    is_list: bool = False


def _author(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[^<>\x00-\x1f]*[^<>\x00-\x20] <[^<>\x00-\x1f]*>", value):
        raise ValueError('must be of the form "Name <mail>"')
    return value.strip()


def _suite_names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and is_suite_name(item) for item in value):
        raise ValueError('must be a list of suite names, such as ["starter"]')
    if len(set(value)) < len(value):
        raise ValueError("names a suite twice")
    return tuple(value)


def _dtype(value: Any) -> str:
    if value not in DTYPES:
        raise ValueError(f"must be one of {', '.join(DTYPES)}, not {_shown(value)}")
    return str(value)


def _device(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"auto|cpu|mps|cuda(:(0|[1-9][0-9]{0,2}))?", value):
        raise ValueError(f"must be auto, cpu, cuda, cuda:N or mps, not {_shown(value)}")
    return value


def _substance_method(value: Any) -> str:
    if value not in SUBSTANCE_METHODS:
        raise ValueError(f"must be one of {', '.join(SUBSTANCE_METHODS)}, not {_shown(value)}")
    return str(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable() or len(value) > 1000:
        raise ValueError(f"must be text on one line, not {_shown(value)}")
    return value


def _endpoint(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"(https?://[!-~]{1,1000})?", value):
        raise ValueError(f"must be an address such as http://localhost:8000/v1, not {_shown(value)}")
    return value.rstrip("/")


def _key_variable(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"BVC_[A-Z0-9_]{1,60}", value):
        raise ValueError("must be the name of an environment variable that starts with BVC_")
    return value


def _whole(least: int, most: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"must be a whole number from {least} to {most}, not {_shown(value)}")
        return value

    return check


def _number(least: float, most: float) -> Callable[[Any], float]:
    def check(value: Any) -> float:
        if type(value) not in (int, float) or not least <= value <= most:
            raise ValueError(f"must be a number from {least:g} to {most:g}, not {_shown(value)}")
        return float(value)

    return check


def _hookpoints(value: Any) -> tuple[float, ...]:
    if not _ascending(value, (int, float)) or not (value[0] > 0 and value[-1] <= 1):
        raise ValueError("must be an ascending list of fractions above 0 and up to 1, such as [0.5, 1.0]")
    return tuple(float(item) for item in value)


def _prompt_buckets(value: Any) -> tuple[int, ...]:
    if not _ascending(value, (int,)) or value[0] < 1 or value[-1] > 1 << 20:
        raise ValueError("must be an ascending list of lengths in tokens, such as [64, 128, 256]")
    return tuple(value)


def _ascending(value: Any, types: tuple[type, ...]) -> bool:
    if not isinstance(value, list) or not value or any(type(item) not in types for item in value):
        return False
    return not any(math.isnan(item) for item in value) and list(value) == sorted(set(value))


def _shown(value: Any) -> str:
    return printable(repr(value))


_SETTINGS: dict[str, _Setting] = {
    "author": _Setting("author", _author),
    "suites.default": _Setting("default_suites", _suite_names, is_list=True),
    "recipe.dtype": _Setting("dtype", _dtype),
    "recipe.device": _Setting("device", _device),
    "recipe.batch_rows": _Setting("batch_rows", _whole(1, 1024)),
    "recipe.max_new_tokens": _Setting("max_new_tokens", _whole(1, MAX_NEW_TOKENS)),
    "recipe.draws": _Setting("draws", _whole(0, 1000)),
    "recipe.temperature": _Setting("temperature", _number(0.01, 10)),
    "recipe.seed": _Setting("seed", _whole(0, 2**63 - 1)),
    "recipe.hookpoints": _Setting("hookpoints", _hookpoints, is_list=True),
    "recipe.prompt_buckets": _Setting("prompt_buckets", _prompt_buckets, is_list=True),
    "noise.recapture": _Setting("recapture", _number(0, 1)),
    "features.dictionary": _Setting("features_dictionary", _text),
    "substance.method": _Setting("substance_method", _substance_method),
    "substance.model": _Setting("substance_model", _text),
    "substance.endpoint": _Setting("substance_endpoint", _endpoint),
    "substance.key_variable": _Setting("substance_key_variable", _key_variable),
    "substance.timeout": _Setting("substance_timeout", _whole(1, 3600)),
    "behaviors.band": _Setting("band", _number(0, 1)),
}
_TABLES = {key.partition(".")[0] for key in _SETTINGS if "." in key}
