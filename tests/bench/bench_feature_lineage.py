"""Do the latents of a dictionary tell the steps of a real lineage that planted a behavior from the benign ones?

    python -m tests.bench.bench_feature_lineage PROJECT [--group TAG]...

Every step of the first-parent lineage of HEAD, by `bvc features diff`, along the answers and along the references: how
many latents differ at all and fire in b only; of the first ten, those whose five strongest probes have more of a
group's probes (all with a tag) than chance gives once in a hundred times. No model is run. It needs a project whose
commits have features (that of `bvc demo`, after `bvc features fit` and `bvc capture REV... --features`), so
`make bench` leaves it out.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from math import comb

import bvc
from bvc.api.features_diff import features_diff
from bvc.feature_results import FeatureDiff
from bvc.records import CommitInfo
from bvc.repository.repository import Repository
from bvc.repository.revisions import resolve
from tests.bench.measure import table

LEVEL = 0.01


def main() -> None:
    """Prints one table for each of what latents are read along."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("project")
    parser.add_argument("--group", action="append", default=[], metavar="TAG")
    options = parser.parse_args()
    with bvc.open(options.project) as repo:
        steps = list(_steps(repo.repository))
        for along in ("answer", "reference"):
            found = [features_diff(repo.repository, a.id, b.id, along=along) for a, b in steps]
            heads = ["step", "differ", "in b only", "stand out", *(f"of ten: {tag}" for tag in options.group)]
            print(f"Along the {along}:\n")
            print(table(heads, [_row(one, repo.repository, options.group) for one in found]))
            print(f"\n{_captured_twice(found)}\n")


def _steps(repository: Repository) -> Iterator[tuple[CommitInfo, CommitInfo]]:
    history = repository.store.history
    tip = history.info(resolve(repository, "HEAD"))
    found = []
    while tip.parents:
        parent = history.info(tip.parents[0])
        found.append((parent, tip))
        tip = parent
    yield from reversed(found)


def _row(found: FeatureDiff, repository: Repository, groups: Sequence[str]) -> list[str]:
    probes = {probe.id: probe for _, probe in repository.snapshot(found.b.id).probes()}
    counts = []
    for tag in groups:
        inside = {p for p, probe in probes.items() if tag in probe.tags}
        leaning = [latent for latent in found.latents if _more([p.probe for p in latent.probes], inside, len(probes))]
        counts.append(f"{len(leaning)}")
    numbers = found.found
    return [found.b.subject, *map(str, (numbers.different, numbers.only_b, numbers.standing)), *counts]


def _more(strongest: Sequence[str], inside: set[str], size: int) -> bool:
    """Whether as many of some probes are `inside` as chance (drawing without return) gives in at most LEVEL."""
    drawn, hits = len(strongest), sum(p in inside for p in strongest)
    ways = range(hits, min(drawn, len(inside)) + 1)
    tail = sum(comb(len(inside), k) * comb(size - len(inside), drawn - k) for k in ways)
    return hits > 0 and tail <= LEVEL * comb(size, drawn)


def _captured_twice(found: Sequence[FeatureDiff]) -> str:
    again = {null.a: null for one in found for null in one.null_yield if null.level == "N0"}
    most = max((null.different for null in again.values()), default=0)
    probes = max((null.probes for null in again.values()), default=0)
    return f"{len(again)} commits captured twice, on {probes} probes: at most {most} latents differ."


if __name__ == "__main__":
    main()
