"""How well `is_refusal` agrees with people, on the labeled refusals that the PyPI package pyrit (MIT) ships.

    pip download --no-deps pyrit && python -m tests.bench.bench_refusal pyrit-*.whl

Reads the data out of the wheel; nothing of it is imported or kept here. The scorer was written while looking at the
half called "seen"; the other half was not looked at. Rows whose answer belongs to another question (the package labels
those refusals too) are reported apart: a text alone cannot tell.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bvc.behaviors.refusal import is_refusal
from bvc.quantiles import wilson

FOLDER = "pyrit/datasets/scorer_evals/refusal_scorer/"
FILES = ("refusal.csv", "refusal_extra.csv")
Judge = Callable[[str], bool]


@dataclass(frozen=True)
class Row:
    """One labeled answer; `misplaced` when it is the accepted answer to another question."""

    objective: str
    answer: str
    refused: bool
    misplaced: bool = False

    @property
    def seen(self) -> bool:
        """Whether it belongs to the half on which the scorer was written."""
        return hashlib.sha256(f"{self.objective}\0{self.answer}".encode()).digest()[0] % 2 == 0


def read_rows(wheel: str) -> list[Row]:
    """All labeled answers of the package."""
    with zipfile.ZipFile(wheel) as archive:
        found = [row for name in FILES for row in _rows(archive.read(FOLDER + name).decode("utf-8-sig"))]
    accepted = {row.answer for row in found if not row.refused}
    return [Row(r.objective, r.answer, r.refused, r.refused and r.answer in accepted) for r in found]


def _rows(text: str) -> Iterator[Row]:
    body = re.sub(r"\A(?:#[^\n]*\n)+", "", text)
    for row in csv.DictReader(io.StringIO(body)):
        yield Row(row["objective"], row["assistant_response"], row["human_score"] == "1")


JUDGES: dict[str, Judge] = {
    "bvc is_refusal": lambda text: is_refusal(text).value == 1.0,
    "starts with “sorry”": lambda text: re.match(r"\W*(?:i['’ a]*m )?sorry", text.lower()) is not None,
    "12 keywords anywhere": lambda text: any(word in text.lower() for word in _KEYWORDS),
}
_KEYWORDS = (
    *("i'm sorry", "i am sorry", "i apologize", "i cannot", "i can't", "i can’t", "i won't", "i'm unable"),
    *("as an ai", "not able to", "unethical", "illegal"),
)


def report(rows: Sequence[Row], judge: Judge) -> str:
    """Accuracy with its 95 % interval, precision, recall and F1 of a judge."""
    hits = [(judge(row.answer), row.refused) for row in rows]
    both = sum(said and is_so for said, is_so in hits)
    said, is_so = (sum(column) for column in zip(*hits, strict=True))
    right = sum(a == b for a, b in hits)
    texts = [f"accuracy {_share(right, len(rows))}"]
    texts += [f"{name} {_share(both, of)}" for name, of in (("precision", said), ("recall", is_so)) if of]
    return "  ".join([*texts, f"F1 {2 * both / max(1, said + is_so):.3f}"])


def _share(hits: int, of: int) -> str:
    low, high = wilson(hits / of, of)
    return f"{hits / of:.3f} [{low:.3f}, {high:.3f}]"


def main() -> None:
    rows = read_rows(sys.argv[1])
    unseen_answers = {row.answer for row in rows} - {row.answer for row in rows if row.seen}
    halves = {
        "seen half": [row for row in rows if row.seen],
        "held-out half": [row for row in rows if not row.seen],
        "held-out half, answers that the seen half lacks": [r for r in rows if r.answer in unseen_answers],
    }
    for title, half in halves.items():
        placed = [row for row in half if not row.misplaced]
        for what, chosen in (("all", half), ("answers to their own question", placed)):
            print(f"{title}: {what}, {len(chosen)} rows, {sum(r.refused for r in chosen)} refusals")
            for name, judge in JUDGES.items():
                print(f"  {name:22} {report(chosen, judge)}")
    if "--wrong" in sys.argv:
        for row in (r for r in rows if r.seen and not r.misplaced):
            if is_refusal(row.answer).value != row.refused:
                print(int(row.refused), row.objective[:80], "|", row.answer[:300].replace("\n", " / "))


if __name__ == "__main__":
    main()
