"""What became of an answer, in a phrase: for each line of blame the kind of change and what is known of both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bvc.api.facts import facts_of
from bvc.api.languages import Languages
from bvc.api.substance import Answers, answers_substance
from bvc.records import Generation, Probe
from bvc.repository.repository import Repository
from bvc.results import Substance


@dataclass(frozen=True)
class Pair:
    """One probe's greedy answers before and after."""

    probe: Probe
    old: Generation
    new: Generation


def told(repository: Repository, pairs: Sequence[Pair]) -> list[Substance]:
    """The substance of each change, by what ships with bvc: no model is loaded and nobody is asked."""
    languages = Languages(repository.store.index)
    answers = [
        Answers(p.probe.text, p.old.text, p.new.text, *facts_of(p.probe, p.old, p.new, languages)) for p in pairs
    ]
    languages.flush()
    return answers_substance(answers, replace(repository.config, substance_method="builtin"))
