"""Does `bvc identify` name the right commit? Each commit of a real project in turn is taken for the unknown model.

    python -m tests.bench.bench_identify PROJECT
    python -m tests.bench.bench_identify --simulated

Itself: its captures are compared with all commits. Again: those of the few probes captured under another batch
layout too. Hidden: it is left out of those compared, the answer must be "new", and the nearest a parent or child. Text:
all of it once more with nothing but the greedy answers. No model is run. It needs a project (that of `bvc demo`, say),
so `make bench` leaves it out. With --simulated it needs none: models that draw words, in made-up lineages, are told by
their sampled answers (`bvc identify --outputs FILE --sampled`).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

import bvc
from bvc.api.identify import known_models, recorded_models, telling_probes
from bvc.api.identify_match import Known, Match, match
from bvc.api.identify_subject import Subject
from bvc.compare.draw_distance import draw_distance
from bvc.compare.identify import Posterior
from bvc.records import Capability
from bvc.repository.repository import Repository
from bvc.repository.snapshot_view import SnapshotView
from bvc.repository.snapshot_writer import Stored
from tests.compare.draw_worlds import Lineage, beside, sampled

SIZES = (4, 8, 16, 32)
SURE = 0.95
HEAD = "| question | probes | right | undecided | wrong | nearest is kin |\n| --- | --- | --- | --- | --- | --- |"


def stored_subject(view: SnapshotView, *, again: bool = False, text: bool = False) -> Subject:
    """A commit's captures as an unknown model's: of the other layout with `again`, the texts alone with `text`."""
    source = Stored(view, recaptures=again)
    sources = dict.fromkeys(source.probes, source)
    if text:
        return Subject(sources, None, Capability.TEXT)
    snapshot = view.snapshot
    assert snapshot.recipe is not None and snapshot.capability is not None
    recipe = snapshot.recipe.other_layout() if again else snapshot.recipe
    table = view.signatures.bucket_table()
    return Subject(sources, recipe, snapshot.capability, snapshot.model.tokenizer, table)


@dataclass
class Tally:
    """Of some questions: how many answers were right, wrong and `open`, and how often the nearest was next of kin."""

    right: int = 0
    wrong: int = 0
    open: int = 0
    kin: int = 0

    def add(self, found: Match, truth: str | None, family: Sequence[str]) -> None:
        best = found.candidates[0]
        said_new, said_same = found.none >= SURE, best.probability >= SURE
        right = said_new if truth is None else said_same and truth in best.commits
        self.right += right
        self.wrong += (said_new or said_same) and not right
        self.open += not (said_new or said_same)
        self.kin += found.nearest.commit.id in family

    def row(self, name: str, probes: object) -> str:
        return f"| {name} | {probes} | {self.right} | {self.open} | {self.wrong} | {self.kin} |"


def family(repository: Repository, commit: str, known: Sequence[Known]) -> list[str]:
    """Commits of the models next to a commit's, parents and children."""
    own = next(one for one in known if one.view.info.id == commit)
    parents = {one.view.info.id: _parents(repository, one) for one in known}
    return [
        one.view.info.id
        for one in known
        if parents[commit] & set(one.commits) or parents[one.view.info.id] & set(own.commits)
    ]


def _parents(repository: Repository, one: Known) -> set[str]:
    """The commits that any commit of a model has as its parent."""
    return {parent for commit in one.commits for parent in repository.store.history.info(commit).parents}


@dataclass(frozen=True)
class Questions:
    """All commits of a project, and what is asked of them."""

    repository: Repository
    known: Sequence[Known]
    text: bool

    def ask(self, one: Known, models: Sequence[Known], probes: Sequence[str], *, again: bool = False) -> Match:
        """What a commit's captures on `probes` are taken for among `models`."""
        return match(self.repository, stored_subject(one.view, again=again, text=self.text), models, probes, silent)

    def rows(self) -> Iterator[str]:
        """The rows of the table."""
        kind = "text" if self.text else "capture"
        again, most = Tally(), 0
        for one in self.known:
            recaptured = sorted(Stored(one.view, recaptures=True).probes)
            most = max(most, len(recaptured))
            again.add(self.ask(one, self.known, recaptured, again=True), one.view.info.id, [one.view.info.id])
        yield again.row(f"again, {kind}", most)
        total = len(self.known[0].view.order)
        for size in [*(s for s in SIZES if s < total), total]:
            yield from self.sized(kind, size)

    def sized(self, kind: str, size: int) -> Iterator[str]:
        """The rows for so many probes."""
        hidden, itself = Tally(), Tally()
        for one in self.known:
            rest = [other for other in self.known if other is not one]
            probes = telling_probes(self.repository, rest[0].view, list(one.view.order), size)
            kin = family(self.repository, one.view.info.id, self.known)
            hidden.add(self.ask(one, rest, probes), None, kin)
            itself.add(self.ask(one, self.known, probes), one.view.info.id, [one.view.info.id])
        yield itself.row(f"itself, {kind}", size)
        yield hidden.row(f"hidden, {kind}", size)


def silent(_: object) -> None:
    """Takes progress and shows nothing."""


LINEAGES, MODELS, ASKED, DRAWS = 20, 8, 32, 8
SIMULATED_HEAD = (
    "| step | answers a probe | question | right | undecided | wrong | likeliest model is right | none, on average |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- |"
)


@dataclass
class Told:
    """Of some simulated lineages: how many answers were right, wrong and `open`, how often the model of the answers was
    the likeliest one, and the probabilities of "none of these"."""

    right: int = 0
    wrong: int = 0
    open: int = 0
    first: int = 0
    none: float = 0.0

    def add(self, found: Posterior, truth: str | None) -> None:
        best = max(found.models, key=found.models.__getitem__)
        said = None if found.none >= SURE else best if found.models[best] >= SURE else ""
        self.right += said == truth
        self.open += said == ""
        self.wrong += said not in (truth, "")
        self.first += best == truth
        self.none += found.none / LINEAGES


def simulated() -> Iterator[str]:
    """The rows of the table of sampled answers."""
    for by in (0.3, 0.5):
        for answers in (1, 4, 8):
            itself, hidden, share = Told(), Told(), 0.0
            for seed in range(LINEAGES):
                rng = np.random.default_rng([seed, 1])
                line = Lineage.grown(rng, models=MODELS, probes=ASKED, draws=DRAWS, by=by)
                place = int(rng.integers(MODELS))
                given = sampled(rng, line.models[place], answers)
                itself.add(line.identify(given), str(place))
                hidden.add(line.identify(given, hidden=place), None)
                share += _share(rng, line) / LINEAGES
            for name, told in (("itself", itself), ("hidden", hidden)):
                likeliest = told.first if name == "itself" else ""
                yield (
                    f"| {share:.2f} | {answers} | {name} | {told.right} | {told.open} | {told.wrong} | {likeliest} "
                    f"| {told.none:.2f} |"
                )


def _share(rng: np.random.Generator, line: Lineage) -> float:
    """How far the first step of a lineage moves draws."""
    found = draw_distance(beside(sampled(rng, line.models[0], 40), sampled(rng, line.models[1], 40)))
    return 0.0 if found is None else found.share


def main(project: str) -> None:
    """Prints one table."""
    with bvc.open(project) as repo:
        known = known_models(repo.repository, recorded_models(repo.repository, ()))
        print(f"{len(known)} models\n\n{HEAD}", flush=True)
        for text in (False, True):
            for row in Questions(repo.repository, known, text).rows():
                print(row, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("project", metavar="PROJECT", nargs="?", help="a project whose commits were captured")
    parser.add_argument("--simulated", action="store_true", help="sampled answers of made-up models instead")
    given = parser.parse_args()
    if given.simulated:
        print(f"{LINEAGES} lineages of {MODELS} models, {ASKED} probes, {DRAWS} draws a commit\n\n{SIMULATED_HEAD}")
        for row in simulated():
            print(row, flush=True)
    elif given.project is None:
        parser.error("give a project, or --simulated")
    else:
        main(given.project)
