"""Features that only one of two language models has, of any two architectures, beside what null pairs give.

    python -m tests.bench.bench_exclusive MODEL MODEL [--corpus FILE]… [--tokens 60000] [--latents 768] [--seeds 3]

Both folders are registered in a project made for this and searched by `bvc features exclusive --no-suite`. It needs two
models, so `make bench` leaves it out. `--dialogues FOLDER FILE` writes a corpus from an unpacked `chatterbot-corpus`
package (YAML; nine languages in Latin letters), mixed with the texts that ship with Python, and ends.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import bvc
from bvc.render.exclusive import render_exclusive
from bvc.render.screen import Screen
from bvc.suites.corpus import builtin_texts

_LANGUAGES = ("english", "french", "german", "indonesian", "italian", "portuguese", "spanish", "swedish", "turkish")
_TALKS, _CHARACTERS = 6, 600


def main() -> None:
    """Prints the page of the search."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--dialogues", nargs=2, type=Path, metavar=("FOLDER", "FILE"))
    parser.add_argument("--corpus", action="append", type=Path, default=[])
    for name, value in (("tokens", 60_000), ("latents", 768), ("k", 24), ("seeds", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    if options.dialogues:
        write_dialogues(*options.dialogues)
        return
    if len(options.models) != 2:
        parser.error("two model folders are needed")
    with tempfile.TemporaryDirectory() as folder:
        search(Path(folder), options)


def search(folder: Path, options: argparse.Namespace) -> None:
    """Registers both models and looks for what only one of them has."""
    sizes = {name: getattr(options, name) for name in ("tokens", "latents", "k", "seeds", "corpus")}
    with bvc.init(folder) as repo:
        a, b = (repo.commit(model, message=model.name, capture=False).commit for model in options.models)
        result = repo.features_exclusive(a, b, suite=False, **sizes)
    print(*render_exclusive(result, Screen(width=100), everything=True), sep="\n")
    print(f"\n{result.search.seconds:.0f} s", file=sys.stderr)


def write_dialogues(folder: Path, target: Path) -> None:
    """Dialogues and documentation in one order that is always the same, a JSON line a text."""
    docs = [text[:_CHARACTERS] for text in builtin_texts()]
    texts = [*_dialogues(folder), *docs]
    random.Random(1).shuffle(texts)
    target.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")


def _dialogues(folder: Path) -> Iterator[str]:
    """Six conversations a text."""
    import yaml

    for path in sorted(folder.rglob("*.yml")):
        if path.parent.name not in _LANGUAGES:
            continue
        talks = _conversations(yaml.safe_load(path.read_text(encoding="utf-8")).get("conversations", ()))
        for start in range(0, len(talks), _TALKS):
            yield "\n\n".join(talks[start : start + _TALKS])[:_CHARACTERS]


def _conversations(rows: Sequence[Sequence[object]]) -> list[str]:
    return ["\n".join(map(str, row)) for row in rows]


if __name__ == "__main__":
    main()
