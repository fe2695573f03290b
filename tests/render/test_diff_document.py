"""`bvc.diff/1` to the letter of the contract and of its schema: with everything, with nothing, with odd values."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from bvc.codec import pretty
from bvc.render.diff_document import diff_document
from bvc.results import DiffResult, ProbeDetail
from tests.render.samples import HOSTILE, bare_diff, detail, diff, rich_diff
from tests.render.test_hostile import hostile_detail, hostile_diff

SCHEMA = json.loads((Path(__file__).resolve().parents[2] / "docs/schemas/diff.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)
NAN, INF = float("nan"), float("inf")


def checked(document: dict[str, Any]) -> dict[str, Any]:
    """The document as a reader gets it, after it was found to follow the schema."""
    VALIDATOR.validate(document)
    text = pretty(document)
    assert text.isascii()
    read: dict[str, Any] = json.loads(text)
    return read


@pytest.mark.parametrize("made", [rich_diff, bare_diff, diff])
def test_documents_follow_the_schema(made: Callable[[], DiffResult]) -> None:
    result = made()
    checked(diff_document(result))
    checked(diff_document(result, [], behaviors=[], detail=ProbeDetail()))
    checked(diff_document(result, [result.probes[0]], detail=detail()))


def test_fields_of_the_contract() -> None:
    result = rich_diff()
    document = checked(diff_document(result, detail=detail()))
    assert document["summary"] == {
        "probes": 40, "same": 5, "changed": 32, "undecided": 3, "identical_text": 5, "outliers": 10,
        "right_to_wrong": 3, "wrong_to_right": 1,
    }  # fmt: skip
    assert document["overall"] == {
        "p_value": 0.0004, "verdict": "changed", "drift": 0.23, "drift_percentile": 83.0, "steps": 6,
        "ci": [0.19, 0.28], "tests": {"drift beyond N1": 0.02, "dense": 0.0004, "sparse": 0.002}, "against": "N1",
        "smallest": {"text": 0.35, "logprob": 0.4, "drift": 0.05},
    }  # fmt: skip
    behavior = document["behaviors"][0]
    ids = [p.probe.id for p in result.probes]
    assert behavior["a"] == {"rate": 0.025, "n": 40, "ci": [0.004, 0.13]}
    assert (behavior["gained"], behavior["lost"]) == (ids[:12], ids[12:13])
    assert behavior["probes"] == ids[:13]
    assert document["phrases"][4] == {
        "text": " Le", "kind": "token", "side": "b", "count_a": 2, "count_b": 14, "q_value": 0.0008, "probes": ids[:14],
    }  # fmt: skip
    assert document["layers"][1]["probes"] == ids[:5]
    assert document["latents"] == []
    assert document["null_sources"]["N0"] == "re-captures of both commits"
    assert document["probes"][0]["substance"] == {"kind": "language", "distance": 0.8, "reason": "English to French"}
    assert document["probes"][21]["more_draws"] == 16
    assert document["probes"][21]["reason"].startswith("the interval of text")
    assert document["detail"]["tokens"][0] == {"text": "The", "delta": -6.42, "kl": 3.9}
    assert document["detail"]["draws"]["b"][3] == ""
    assert "detail" not in diff_document(result)


def test_one_behavior_alone() -> None:
    result = rich_diff()
    document = checked(diff_document(result, result.probes[:2], behaviors=result.behaviors[1:2]))
    assert [b["name"] for b in document["behaviors"]] == ["agrees-with-user"]
    assert [p["rank"] for p in document["probes"]] == [1, 2]


@pytest.mark.parametrize("odd", [NAN, INF, -INF])
def test_numbers_that_json_lacks_become_null(odd: float) -> None:
    result = rich_diff()
    rate = replace(result.behaviors[0].a, rate=odd, ci=(odd, odd))
    behavior = replace(
        result.behaviors[0], a=rate, difference=odd, ci=(odd, 1.0), p_value=odd, q_value=odd, smallest=odd
    )
    probe = replace(result.probes[0], score=odd, q_value=odd)
    probe = replace(probe, substance=replace(result.probes[0].substance, distance=odd))  # type: ignore[type-var]
    overall = replace(
        result.overall, drift=odd, ci=(odd, odd), tests={"dense": odd}, smallest={"text": odd}, drift_percentile=odd
    )
    strange = replace(
        result,
        probes=(probe,),
        behaviors=(behavior,),
        overall=overall,
        phrases=(replace(result.phrases[0], q_value=odd),),
        layers=(replace(result.layers[0], distance=odd, band=odd),),
        families=(replace(result.families[0], p_value=odd, q_value=odd),),
        null={"N1": {"text": {"band": odd}}},
    )
    document = checked(diff_document(strange, detail=ProbeDetail(("x",), (odd,), (odd,))))
    assert document["behaviors"][0]["ci"] == [None, 1.0]
    assert document["overall"]["tests"] == {"dense": None}
    assert document["null"]["N1"]["text"]["band"] is None
    assert document["detail"]["tokens"] == [{"text": "x", "delta": None, "kl": None}]


def test_hostile_text_stays_itself() -> None:
    result = replace(hostile_diff(HOSTILE), only_a=(), behaviors=rich_diff().behaviors, layers=rich_diff().layers)
    result = replace(result, phrases=(replace(rich_diff().phrases[0], text=HOSTILE),))
    result = replace(result, probes=tuple(replace(p, exceeds=None) for p in result.probes))
    result = replace(result, overall=replace(result.overall, against=None))
    document = checked(diff_document(result, detail=hostile_detail(HOSTILE)))
    assert document["phrases"][0]["text"] == HOSTILE
    assert document["families"][0]["name"] == HOSTILE


@pytest.mark.parametrize(
    "path",
    [
        ("overall", "against"), ("summary", "outliers"), ("behaviors", 0, "a", "n"), ("behaviors", 0, "verdict"),
        ("phrases", 0, "side"), ("phrases", 0, "probes"), ("layers", 0, "probes"), ("families", 0, "kind"),
        ("probes", 0, "substance", "kind"), ("probes", 0, "more_draws"), ("detail", "tokens", 0, "delta"),
    ],
)  # fmt: skip
def test_schema_refuses_what_is_wrong_or_missing(path: tuple[str | int, ...]) -> None:
    for change in ("wrong", "missing"):
        document = json.loads(json.dumps(diff_document(rich_diff(), detail=detail())))
        place = document
        for step in path[:-1]:
            place = place[step]
        if change == "wrong":
            place[path[-1]] = {"not": "this"}
        else:
            del place[path[-1]]
        with pytest.raises(ValidationError):
            VALIDATOR.validate(document)


def test_schema_is_sound() -> None:
    Draft202012Validator.check_schema(SCHEMA)
