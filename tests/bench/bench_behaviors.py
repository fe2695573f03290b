"""How long it takes to score a history: `python -m tests.bench.bench_behaviors [COMMITS] [PROBES]`.

Every commit answers a tenth of its probes otherwise than the one before. Printed is the processor time of the starter
behaviors over the whole history, first scored and then remembered, and of one behavior that was added later.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from pathlib import Path

import bvc
from bvc.api.handle import Repo
from tests.starter import starter_suite

WORDS = ("the", "a", "of", "water", "train", "house", "green", "small", "you", "can", "is", "not", "for", "help")


def build(folder: Path, commits: int, probes: int) -> Repo:
    """A project with a history of recorded answers of about 35 words."""
    bvc.init(folder)
    (folder / "probes" / "starter.jsonl").unlink()
    asked = starter_suite().probes
    rows = [
        {"id": f"p{i}", "prompt": f"{i}: {asked[i % len(asked)].text}", "tags": list(asked[i % len(asked)].tags)}
        for i in range(probes)
    ]
    (folder / "probes" / "s.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    repo = bvc.open(folder)
    generator = random.Random(1)
    answers = [_answer(generator) for _ in rows]
    for number in range(commits):
        for place in generator.sample(range(probes), probes // 10):
            answers[place] = _answer(generator)
        lines = [json.dumps({"id": f"p{i}", "output": answer}) + "\n" for i, answer in enumerate(answers)]
        (folder / "o.jsonl").write_text("".join(lines))
        repo.commit(outputs=folder / "o.jsonl", model=f"m{number}")
    return repo


def _answer(generator: random.Random) -> str:
    return " ".join(generator.choices(WORDS, k=35)).capitalize() + "."


def main() -> None:
    commits, probes = (int(value) for value in (sys.argv[1:] + ["100", "200"][len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as folder:
        repo = build(Path(folder), commits, probes)
        for what in ("first", "again"):
            started = time.process_time()
            for name in repo.behavior_names():
                list(repo.log(behavior=name))
            print(f"{len(repo.behavior_names())} behaviors, {what}: {time.process_time() - started:.2f} s")
        started = time.process_time()
        repo.behavior_add("water", {"contains": "water"})
        list(repo.log(behavior="water"))
        print(f"a new one over the history: {time.process_time() - started:.2f} s")
        started = time.process_time()
        list(repo.log(behavior="water"))
        print(f"a log of it: {time.process_time() - started:.3f} s")


if __name__ == "__main__":
    main()
