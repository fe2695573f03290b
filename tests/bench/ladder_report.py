"""The ladder's tables in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median

from tests.bench.ladder_measures import TOP, auc, first_rank, precision_at_top, shown, wilson
from tests.bench.ladder_pairs import NULLS, TOLD, Pair
from tests.bench.ladder_score import BVC, Scored, Table
from tests.bench.measure import table
from tests.bench.rivals import LEVEL, beyond

CELLS = ("N0", "N1", "N2", "planted", "hidden")
NOTHING = "–"


def report(found: Table) -> str:
    """All tables, for each wave that has pairs."""
    waves = list(dict.fromkeys(pair.wave for pair in found.pairs))
    parts = [thresholds(found)]
    for wave in waves:
        rows = {name: [row for row in rows if row.pair.wave == wave] for name, rows in found.rules.items()}
        parts += [f"### {wave.capitalize()} pairs", called_changed(rows), called_beyond_benign(rows, found.limits)]
        there = [kind for kind in TOLD if any(pair.kind == kind and pair.wave == wave for pair in found.pairs)]
        parts += [separation(found, wave), *(localization(rows, kind) for kind in there)]
        parts += [by_pair(found, wave)] if there else []
    parts += ["### Cost", cost(found)]
    return "\n\n".join(parts)


def thresholds(found: Table) -> str:
    """Which thresholds were learned, and from how many pairs."""
    benign = [pair.name for pair in found.pairs if pair.kind == "N1" and pair.wave == "tuning"]
    named = ", ".join(f"{name} {value:.3g}" for name, value in found.thresholds.items()) or "none"
    return f"Thresholds (the highest score of the {len(benign)} benign tuning pairs): {named}."


def called_changed(rows: dict[str, list[Scored]]) -> str:
    """Share of pairs that each rule calls changed by its own decision, in each cell, with Wilson's interval."""
    head = f"Called changed (a p-value of at most {LEVEL}, bvc's verdict, or above the threshold):"
    return f"{head}\n\n" + _shares(rows, lambda _, row: row.changed)


def called_beyond_benign(rows: dict[str, list[Scored]], limits: Mapping[str, float]) -> str:
    """The same where every rule's score must exceed its highest on the benign tuning pairs."""
    head = "Called changed when the score must exceed the rule's highest on the benign tuning pairs:"
    return f"{head}\n\n" + _shares(rows, lambda rule, row: beyond(row.score, limits.get(rule)))


def _shares(rows: dict[str, list[Scored]], decide: Callable[[str, Scored], bool | None]) -> str:
    decisions = {name: [(row.pair.kind, decide(name, row)) for row in scored] for name, scored in rows.items()}
    body = [[name, *(_share(decided, kind) for kind in CELLS)] for name, decided in decisions.items()]
    return table(["rule", *CELLS], body)


def _share(decisions: Sequence[tuple[str, bool | None]], kind: str) -> str:
    decided = [changed for found, changed in decisions if found == kind and changed is not None]
    if not decided:
        return NOTHING
    low, high = wilson(sum(decided), len(decided))
    return f"{sum(decided)}/{len(decided)} ({low:.2f}–{high:.2f})"


def separation(found: Table, wave: str) -> str:
    """Area under the ROC curve of the pair's score, the wave's pairs of a kind against all null pairs."""
    body = [[name, *(_separation(scored, kind, wave) for kind in CELLS[2:])] for name, scored in found.rules.items()]
    nulls = sum(pair.kind in NULLS for pair in found.pairs)
    head = f"ROC AUC of the pair's score against the {nulls} null pairs (N0 and N1), and pairs above all of those:"
    return f"{head}\n\n" + table(["rule", *CELLS[2:]], body)


def _separation(scored: Sequence[Scored], kind: str, wave: str) -> str:
    chosen = [r for r in scored if r.pair.kind in NULLS or (r.pair.kind == kind and r.pair.wave == wave)]
    value = auc([row.score.pair for row in chosen], [row.pair.kind == kind for row in chosen])
    if value is None:
        return NOTHING
    highest = max(row.score.pair for row in chosen if row.pair.kind in NULLS)
    above = [row.score.pair > highest for row in chosen if row.pair.kind == kind]
    return f"{value:.3f} ({sum(above)}/{len(above)})"


def localization(rows: dict[str, list[Scored]], kind: str) -> str:
    """How well the affected probes are found, over the pairs of a kind whose affected probes are known."""
    body = [[name, *_localized(scored, kind)] for name, scored in rows.items()]
    head = ["rule", "AUC of probes, median", "first affected at rank 1", f"precision of the top {TOP}, mean"]
    return f"Affected probes of the {kind} pairs:\n\n" + table(head, [row for row in body if len(row) > 1])


def _localized(scored: Sequence[Scored], kind: str) -> list[str]:
    known = [_probe_measures(row) for row in scored if row.pair.kind == kind and row.score.probes is not None]
    if not known:
        return []
    areas, ranks, precisions = zip(*known, strict=True)
    first = sum(rank < 1.5 for rank in ranks)  # an expected rank, where scores tie
    return [f"{median(areas):.3f}", f"{first}/{len(ranks)}", f"{sum(precisions) / len(precisions):.2f}"]


def _probe_measures(row: Scored) -> tuple[float, float, float]:
    """AUC, rank of the first affected probe, precision of the top."""
    scores, truth = row.score.probes or (), _truth(row.pair)
    return auc(scores, truth) or 0.0, first_rank(scores, truth), precision_at_top(scores, truth)


def _truth(pair: Pair) -> list[bool]:
    affected = set(pair.affected)
    return [place in affected for place in range(len(pair.b.probes))]


def by_pair(found: Table, wave: str) -> str:
    """bvc on each planted pair, beside the best of the others on that pair."""
    head = [
        "pair",
        "affected",
        "taught words in affected, others",
        "verdict",
        "first at rank",
        "precision",
        "AUC",
    ]
    head += ["best other precision", "told in words"]
    body = [_pair_row(found, row) for row in found.rules[BVC] if row.pair.kind in TOLD and row.pair.wave == wave]
    return "bvc pair by pair:\n\n" + table(head, body)


def _pair_row(found: Table, row: Scored) -> list[str]:
    area, rank, precision = _probe_measures(row)
    best, name = max(_others(found, row.pair, lambda measures: measures[2]))
    told = "yes" if shown(row.pair.shows, found.words[row.pair.name]) else "no"
    verdict = "changed" if row.changed else "not changed"
    figures = [f"{rank:.0f}", f"{precision:.2f}", f"{area:.3f}", f"{best:.2f} ({name})"]
    return [row.pair.name, str(len(row.pair.affected)), _prevalence(row.pair), verdict, *figures, told]


def _prevalence(pair: Pair) -> str:
    """How far the behavior took: share of B's answers, greedy and drawn, with a word that shows it."""
    affected = set(pair.affected)
    held: dict[bool, list[bool]] = {True: [], False: []}
    for place, (greedy, draws) in enumerate(zip(pair.b.greedy, pair.b.draws, strict=True)):
        held[place in affected] += [shown(pair.shows, [text]) for text in (greedy, *draws)]
    return ", ".join(f"{sum(answers) / len(answers):.2f}" for answers in held.values())


def _others(
    found: Table, pair: Pair, measure: Callable[[tuple[float, float, float]], float]
) -> Iterator[tuple[float, str]]:
    for name, scored in found.rules.items():
        for row in scored:
            if name != BVC and row.pair.name == pair.name and row.score.probes is not None:
                yield measure(_probe_measures(row)), name


def cost(found: Table) -> str:
    """Seconds for one pair, captures read."""
    body = [[name, f"{median(row.seconds for row in scored):.2f}"] for name, scored in found.rules.items()]
    return table(["rule", "seconds a pair, median"], body)
