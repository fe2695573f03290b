"""What a bisect by stored captures costs: 1,000 commits of 200 probes, in 60 of which a word appears at a known commit.

    python -m tests.bench.bench_bisect_stored

Prints Markdown: `bvc bisect run` on a fresh copy each time, so that nothing is scored yet (first call), again when
scores are remembered (second call), `bvc log` beside it, and whether torch or a model was loaded. Exits with 1 where
another commit is named than the one that brought the word.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.bench.measure import BVC, Cost, once, table, verdict
from tests.bench.repositories import CACHE

COMMITS, PROBES, CULPRIT, MARKED = 1_000, 200, 617, 60
WORD = "saltwater"
RUNS = 5
BEHAVIOR = f'[behavior.salt]\ncontains = "{WORD}"\n'
BAR = 1.0
"""Seconds of wall clock in which the second call answers."""


def repository() -> Path:
    """The history, built once: 1 % of the answers change at each commit, and from the culprit on some end in a word."""
    place = CACHE / f"bisect-{COMMITS}x{PROBES}at{CULPRIT}"
    if not (place / "behaviors.toml").is_file() or not (place / "built").is_file():
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run([sys.executable, "-c", _BUILD, str(place)], check=True)
        (place / "behaviors.toml").write_text(BEHAVIOR, encoding="utf-8")
        (place / "built").touch()
    return place


_BUILD = f"""
import sys
from pathlib import Path
from bvc.records import Generation, Outputs
from tests.bench.repositories import Shape, changes
from tests.bench.synthetic import Captured, History

class Marked(History):
    def captured(self, index):
        found = super().captured(index)
        if self.count < {CULPRIT} or index >= {MARKED}:
            return found
        text = found.outputs.greedy.text + " {WORD}"
        return Captured(Outputs(Generation(text, "stop", 41)), found.reference, found.evidence)

history = Marked(Path(sys.argv[1]), {PROBES}, 0)
for number in range({COMMITS}):
    history.commit(changes(Shape({COMMITS}, {PROBES}), number))
history.repository.close()
"""


def command(folder: Path) -> list[str]:
    """The command that is measured."""
    ends = ["--good", f"HEAD~{COMMITS - 1}", "--bad", "HEAD"]
    return [BVC, "-C", str(folder), "bisect", "run", *ends, "--behavior", "salt", "--json"]


def calls(source: Path, work: Path) -> Mapping[str, list[Cost]]:
    """First and second calls, on fresh copies, beside `log`."""
    found: dict[str, list[Cost]] = {"first": [], "second": [], "log": []}
    for _ in range(RUNS):
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(source, work)
        found["first"].append(once(command(work)))
        found["second"].append(once(command(work)))
        found["log"].append(once([BVC, "-C", str(work), "log"]))
    return found


def check(work: Path) -> str:
    """What the command names, and the heavy modules that it loads. Exits where it names another commit."""
    done = subprocess.run(command(work), capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    subject = {c["commit"]: c["subject"] for c in result["candidates"]}.get(result["first_bad"])
    if subject != f"Step {CULPRIT}" or result["loads"]:
        sys.exit(f"wrong: {result['status']} {subject}, {result['loads']} loads")
    loaded = subprocess.run(
        [sys.executable, "-c", _LOADED, *command(work)[1:]], capture_output=True, text=True, check=True
    ).stderr.splitlines()[-1]
    return f"Named: `{subject}`, {result['confidence']:.3f} sure, 0 loads; torch or transformers loaded: {loaded}."


_LOADED = """
import sys
from bvc.cli.program import run
run(sys.argv[1:])
sys.stderr.write("\\n" + (", ".join(sorted({"torch", "transformers", "peft"} & set(sys.modules))) or "none") + "\\n")
"""


def main() -> None:
    """Prints the report."""
    source, work = repository(), CACHE / "bisect-work"
    found = calls(source, work)
    middle = {name: statistics.median(cost.wall for cost in costs) for name, costs in found.items()}
    cpu = {name: statistics.median(cost.cpu for cost in costs) for name, costs in found.items()}
    peak = {name: max(cost.peak for cost in costs) for name, costs in found.items()}
    print(f"## Bisecting stored captures: {COMMITS:,} commits of {PROBES} probes\n")
    print(check(work) + "\n")
    names = {
        "first": "`bvc bisect run`, nothing scored yet",
        "second": "`bvc bisect run`, scores remembered",
        "log": "`bvc log` (all commits)",
    }
    rows = [
        [shown, f"{middle[name]:.2f} s", f"{cpu[name]:.2f} s", f"{peak[name]:.0f} MiB",
         f"{BAR:g} s" if name != "log" else "", verdict(middle[name], BAR) if name != "log" else ""]
        for name, shown in names.items()
    ]  # fmt: skip
    print(table(("", "wall", "CPU", "peak memory", "bar (wall)", ""), rows))
    shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
