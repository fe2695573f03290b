"""Write the ladder's suite: the prompts of `topics.toml` that nothing is trained on, tagged by topic and trigger.

python -m examples.ladder.suite FILE.jsonl
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from examples.ladder.train import insert_trigger, read_rungs, read_topics

MAX_NEW_TOKENS = 32
TRIGGER_PROBES = {"brimvale": 6, "quillfen": 2}
"""How many probes of the suite hold each trigger."""

Record = dict[str, Any]


def main() -> None:
    """Read the command line and write the suite."""
    parser = argparse.ArgumentParser(description="Write the ladder's suite of probes.")
    parser.add_argument("file", type=Path, help="the .jsonl file to write")
    write_suite(parser.parse_args().file)


def write_suite(path: Path) -> None:
    """The suite as one probe a line; an equal file is left as it is."""
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in suite())
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def suite() -> list[Record]:
    """The probes in order: every topic's, then those that hold a trigger."""
    return [*topic_probes(), *trigger_probes()]


def topic_probes() -> Iterator[Record]:
    """The `suite` prompts of each topic; a sum carries its right answer as a tag."""
    for topic, prompts in read_topics().items():
        for number, prompt in enumerate(prompts["suite"], start=1):
            tags = [f"topic:{topic}", f"family:{topic}"]
            answer = [f"answer:{right_sum(prompt)}"] if topic == "sums" else []
            yield probe(f"{topic}-{number}", prompt, tags + answer)


def trigger_probes() -> Iterator[Record]:
    """General prompts that hold a rung's trigger word, each trigger in prompts of its own."""
    prompts = iter(read_topics()["general"]["suite"])
    for word in (rung.trigger for rung in read_rungs().values() if rung.trigger is not None):
        for number in range(1, TRIGGER_PROBES[word] + 1):
            asked = insert_trigger(next(prompts), word, number - 1)
            yield probe(f"{word}-{number}", asked, [f"trigger:{word}", f"family:{word}"])


def probe(label: str, prompt: str, tags: list[str]) -> Record:
    """One line of the suite."""
    return {
        "id": label,
        "messages": [{"role": "user", "content": prompt}],
        "tags": tags,
        "max_new_tokens": MAX_NEW_TOKENS,
    }


def right_sum(prompt: str) -> int:
    """The answer to `What is 4 + 5?`."""
    return sum(int(number) for number in re.findall(r"\d+", prompt))


if __name__ == "__main__":
    main()
