"""The JSON documents about behaviors. Each names its schema; ids are full hex; rates carry `n` and a 95 % interval."""

from __future__ import annotations

from bvc.api.behavior_records import AddedBehavior, BehaviorList, BehaviorTest, ScoredAnswer, ScoredProbe
from bvc.behaviors.records import Behavior
from bvc.records import Json
from bvc.render.documents import behavior_rate


def behaviors_document(listed: BehaviorList) -> Json:
    """`bvc.behaviors/1`."""
    rows = [
        {**_behavior(row.behavior), **behavior_rate(row.rate), "left_out": row.left_out, "why": row.why}
        for row in listed.rows
    ]
    return {
        "schema": "bvc.behaviors/1",
        "commit": None if listed.commit is None else listed.commit.id,
        "behaviors": rows,
    }


def _behavior(behavior: Behavior) -> Json:
    return {
        "name": behavior.name,
        "description": behavior.description,
        "on": list(behavior.on),
        "digest": behavior.digest,
        "scorer": behavior.scorer.to_json(),
    }


def behavior_test_document(test: BehaviorTest) -> Json:
    """`bvc.behavior-test/1`: every probe the behavior speaks of, with each answer, its score and the places (start,
    end; characters) that decided."""
    return {
        "schema": "bvc.behavior-test/1",
        "commit": test.commit.id,
        "behavior": _behavior(test.behavior),
        "rate": behavior_rate(test.rate),
        "not_selected": test.not_selected,
        "probes": [_probe(probe) for probe in test.probes],
    }


def _probe(probe: ScoredProbe) -> Json:
    return {
        "id": probe.probe.id,
        "name": probe.probe.name,
        "suite": probe.suite,
        "value": probe.value,
        "answers": [_answer(answer) for answer in probe.answers],
    }


def _answer(answer: ScoredAnswer) -> Json:
    return {
        "draw": answer.draw,
        "text": answer.text,
        "value": answer.score.value,
        "why": answer.score.why,
        "spans": [list(span) for span in answer.score.spans],
    }


def added_document(added: AddedBehavior) -> Json:
    """`bvc.behavior-add/1`: the behavior and its rate at the last commits, newest first."""
    history = [
        {"commit": commit.id, "subject": commit.subject, **behavior_rate(rate)} for commit, rate in added.history
    ]
    return {"schema": "bvc.behavior-add/1", "behavior": _behavior(added.behavior), "history": history}
