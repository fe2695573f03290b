"""`bvc identify`: which recorded commit a model is, as text and as the document `bvc.identify/1`."""

from __future__ import annotations

from collections.abc import Iterator

from bvc.api.identify_records import (
    BY_OUTPUTS,
    BY_WEIGHTS,
    CLOSER,
    FARTHER,
    NEW,
    SAME,
    STEP,
    UPDATE,
    Candidate,
    IdentifyResult,
    Kin,
)
from bvc.compare.pairing import ACTIVATION, DRAWS, LOGPROB, TEXT
from bvc.records import CommitInfo, Json
from bvc.render.commits import plural
from bvc.render.numbers import number, p_text, share
from bvc.render.screen import Screen
from bvc.render.table import columns
from bvc.render.text import clean, wrap

_SHOWN = 10
"""Commits that are listed."""
_UNITS = {LOGPROB: " nats", TEXT: " of words", DRAWS: " of spread"}
_BY = {
    ACTIVATION: "by what moved each prompt apart",
    TEXT: "by the wording of the answers",
    DRAWS: "by the wording of sampled answers",
}
_HEAD = ("probability", "commit", "distance", "equal answers", "subject")
_RELATIONS = {
    CLOSER: "closer than {} are",
    UPDATE: "as far as {} go",
    STEP: "as far as {} go",
    FARTHER: "farther than {} go",
}
_LEVELS = {"N1": "the benign updates that you trust", "steps": "the steps of this lineage"}


def render_identify(result: IdentifyResult, screen: Screen) -> Iterator[str]:
    """The answer, what it rests on, the commits by probability, and the nearest."""
    yield from (screen.paint("bold", line) for line in wrap(_answer(result), screen.width))
    yield from wrap(_grounds(result), screen.width)
    if result.method != BY_WEIGHTS:
        yield ""
        yield from _table(result, screen)
    if result.nearest is not None and result.answer != SAME:
        yield ""
        yield from wrap(_nearest(result.nearest), screen.width)
    for note in result.notes:
        yield from (screen.paint("dim", line) for line in wrap(f"note: {clean(note)}", screen.width))


def _answer(result: IdentifyResult) -> str:
    name = clean(result.name)
    if result.answer == SAME:
        sure = "" if result.method == BY_WEIGHTS else f" (probability {_probability(result.confidence)})"
        named = ", ".join(_named(commit) for commit in result.commits[:3])
        more = f" and {len(result.commits) - 3} more" if len(result.commits) > 3 else ""
        return f"{name} is {named}{more}{sure}"
    if result.answer == NEW:
        return f"{name} is none of the recorded models (probability {_probability(result.none)})"
    best = result.candidates[0]
    odds = f"{_named(best.commit)} with probability {_probability(best.probability)}"
    return f"{name} cannot be told: {odds}, none of these with {_probability(result.none)}"


def _named(commit: CommitInfo) -> str:
    return f"{commit.id[:10]} “{clean(commit.subject)}”"


def _probability(value: float) -> str:
    """Never a rounded certainty."""
    return "> 0.999" if value > 0.999 else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _grounds(result: IdentifyResult) -> str:
    if result.method == BY_WEIGHTS:
        return "by the fingerprint of its weights; no model was run"
    most = max(candidate.probes for candidate in result.candidates)
    models = plural(len(result.candidates), "recorded model")
    if result.method == BY_OUTPUTS:
        answers = "sampled answers" if result.candidates[0].channel == DRAWS else "answers"
        return f"by its {answers} to {plural(most, 'probe')}, against {models}"
    how = f"{result.asked} of them captured now" if result.asked else "all of them captured before"
    return f"by its behavior on {plural(most, 'probe')} ({how}), against {models}"


def _table(result: IdentifyResult, screen: Screen) -> Iterator[str]:
    shown = result.candidates[:_SHOWN]
    rows = [_HEAD, *map(_row, shown), (_probability(result.none), "none", "", "", "none of these")]
    yield from columns(rows, screen, right=(0, 2, 3), styles=("", "yellow"))
    if len(result.candidates) > len(shown):
        rest = len(result.candidates) - len(shown)
        yield screen.paint("dim", f"{rest} less likely are left out (--json has all)")


def _row(candidate: Candidate) -> tuple[str, ...]:
    distance = "" if candidate.distance is None else number(candidate.distance) + _UNITS[candidate.channel or TEXT]
    equal = "" if candidate.equal is None else f"{share(candidate.equal)} %"
    commit = candidate.commit
    return _probability(candidate.probability), commit.id[:10], distance, equal, clean(commit.subject)


def _nearest(kin: Kin) -> str:
    sure = f"in {share(kin.confidence)} % of resamples of the probes"
    text = f"nearest: {_named(kin.commit)}, {sure}, {_BY[kin.by]}"
    if kin.relation is None or kin.level is None or kin.p_value is None:
        return text
    return f"{text}; {_RELATIONS[kin.relation].format(_LEVELS[kin.level])} ({p_text(kin.p_value)})"


def identify_document(result: IdentifyResult) -> Json:
    """`bvc.identify/1`."""
    return {
        "schema": "bvc.identify/1",
        "model": {
            "name": result.name,
            "kind": result.kind,
            "fingerprint": result.fingerprint,
            "location": result.location,
        },
        "method": result.method,
        "answer": result.answer,
        "confidence": result.confidence,
        "commits": [commit.id for commit in result.commits],
        "none": result.none,
        "asked": result.asked,
        "candidates": [_candidate(candidate) for candidate in result.candidates],
        "nearest": None if result.nearest is None else _kin(result.nearest),
        "notes": list(result.notes),
    }


def _candidate(candidate: Candidate) -> Json:
    return {
        "commit": candidate.commit.id,
        "commits": list(candidate.commits),
        "subject": candidate.commit.subject,
        "probability": candidate.probability,
        "channel": candidate.channel,
        "distance": candidate.distance,
        "equal": candidate.equal,
        "kinship": candidate.kinship,
        "direction": candidate.direction,
        "probes": candidate.probes,
    }


def _kin(kin: Kin) -> Json:
    return {
        "commit": kin.commit.id,
        "confidence": kin.confidence,
        "by": kin.by,
        "relation": kin.relation,
        "level": kin.level,
        "p_value": kin.p_value,
    }
