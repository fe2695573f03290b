"""`bvc.diff/1`: a diff as the JSON document of the public contract. Ids are full hex, intervals 95 %."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bvc.records import Json
from bvc.render.documents import finite, finite_number, input_json, side_json
from bvc.render.exclusive_document import search_json
from bvc.render.features_diff_document import latent_json, yield_json
from bvc.results import (
    BehaviorDiff,
    ChannelDistance,
    DiffResult,
    DiffSummary,
    FamilyDiff,
    Interval,
    LayerDistance,
    Overall,
    PhraseDiff,
    ProbeDetail,
    ProbeDiff,
    Rate,
    Substance,
)


def diff_document(
    result: DiffResult,
    probes: Sequence[ProbeDiff] | None = None,
    *,
    behaviors: Sequence[BehaviorDiff] | None = None,
    detail: ProbeDetail | None = None,
) -> Json:
    """The document; `probes` and `behaviors` replace the result's own where only some were asked for, `detail` is that
    of the one probe that was."""
    chosen = result.probes if probes is None else probes
    out: Json = {
        "schema": "bvc.diff/1",
        "a": side_json(result.a),
        "b": side_json(result.b),
        "capability": str(result.capability),
        "comparable": result.comparable,
        "reasons": list(result.reasons),
        "null": finite(dict(result.null)),
        "null_sources": dict(result.null_sources),
        "summary": _summary(result.summary),
        "overall": _overall(result.overall),
        "logprob_unit": result.logprob_unit,
        "probes": [_probe_diff(probe) for probe in sorted(chosen, key=lambda p: p.rank)],
        "behaviors": [_behavior(b) for b in (result.behaviors if behaviors is None else behaviors)],
        "unscored": [{"name": name, "why": why} for name, why in result.unscored],
        "phrases": [_phrase(phrase) for phrase in result.phrases],
        "families": [_family(family) for family in result.families],
        "layers": [_layer(layer) for layer in result.layers],
        "latents": [latent_json(latent) for latent in result.latents],
        "latent_yield": [yield_json(found) for found in result.latent_yield],
        "exclusive": None if result.exclusive is None else search_json(result.exclusive),
        "only_a": list(result.only_a),
        "only_b": list(result.only_b),
    }
    if detail is not None:
        out["detail"] = _detail(detail)
    return out


def _summary(summary: DiffSummary) -> Json:
    return {
        "probes": summary.probes,
        "same": summary.same,
        "changed": summary.changed,
        "undecided": summary.undecided,
        "identical_text": summary.identical_text,
        "outliers": summary.outliers,
        "right_to_wrong": summary.right_to_wrong,
        "wrong_to_right": summary.wrong_to_right,
    }


def _overall(overall: Overall) -> Json:
    return {
        "p_value": finite_number(overall.p_value),
        "verdict": str(overall.verdict),
        "drift": finite_number(overall.drift),
        "drift_percentile": finite_number(overall.drift_percentile),
        "steps": overall.steps,
        "ci": None if overall.ci is None else _interval(overall.ci),
        "tests": _numbers(overall.tests),
        "against": overall.against,
        "smallest": _numbers(overall.smallest),
    }


def _numbers(values: Mapping[str, float]) -> Json:
    return {name: finite_number(value) for name, value in values.items()}


def _interval(interval: Interval) -> list[float | None]:
    return [finite_number(end) for end in interval]


def _probe_diff(diff: ProbeDiff) -> Json:
    return {
        "id": diff.probe.id,
        "name": diff.probe.name,
        "suite": diff.suite,
        "tags": list(diff.probe.tags),
        "input": input_json(diff.probe.to_json()),
        "verdict": str(diff.verdict),
        "exceeds": diff.exceeds,
        "rank": diff.rank,
        "score": finite_number(diff.score),
        "q_value": finite_number(diff.q_value),
        "channels": {name: _channel(channel) for name, channel in diff.channels.items()},
        "text": {"a": diff.text.a, "b": diff.text.b, "first_difference": diff.text.first_difference},
        "substance": None if diff.substance is None else _substance(diff.substance),
        "reason": diff.reason,
        "more_draws": diff.more_draws,
    }


def _channel(channel: ChannelDistance) -> Json:
    return {
        "distance": finite_number(channel.distance),
        "ci": _interval(channel.ci),
        "band": finite_number(channel.band),
    }


def _substance(substance: Substance) -> Json:
    return {
        "kind": str(substance.kind),
        "distance": finite_number(substance.distance),
        "reason": substance.reason,
    }


def _behavior(behavior: BehaviorDiff) -> Json:
    """`probes` are those that gained the behavior, then those that lost it."""
    return {
        "name": behavior.name,
        "description": behavior.description,
        "a": _rate(behavior.a),
        "b": _rate(behavior.b),
        "difference": finite_number(behavior.difference),
        "ci": _interval(behavior.ci),
        "p_value": finite_number(behavior.p_value),
        "q_value": finite_number(behavior.q_value),
        "verdict": str(behavior.verdict),
        "smallest": finite_number(behavior.smallest),
        "probes": [*behavior.gained, *behavior.lost],
        "gained": list(behavior.gained),
        "lost": list(behavior.lost),
    }


def _rate(rate: Rate) -> Json:
    return {"rate": finite_number(rate.rate), "n": rate.n, "ci": _interval(rate.ci)}


def _phrase(phrase: PhraseDiff) -> Json:
    return {
        "text": phrase.text,
        "kind": phrase.kind,
        "side": phrase.side,
        "count_a": phrase.count_a,
        "count_b": phrase.count_b,
        "q_value": finite_number(phrase.q_value),
        "probes": list(phrase.probes),
    }


def _family(family: FamilyDiff) -> Json:
    return {
        "kind": family.kind,
        "name": family.name,
        "outliers": family.outliers,
        "all_outliers": family.all_outliers,
        "probes": family.probes,
        "all_probes": family.all_probes,
        "p_value": finite_number(family.p_value),
        "q_value": finite_number(family.q_value),
    }


def _layer(layer: LayerDistance) -> Json:
    return {
        "hookpoint": layer.hookpoint,
        "distance": finite_number(layer.distance),
        "band": finite_number(layer.band),
        "probes": list(layer.probes),
    }


def _detail(detail: ProbeDetail) -> Json:
    """The strip, a row per token of the reference, and the draws of both sides."""
    rows = zip(detail.tokens, detail.delta, detail.kl, strict=False)
    return {
        "tokens": [{"text": t, "delta": finite_number(d), "kl": finite_number(k)} for t, d, k in rows],
        "draws": {"a": list(detail.draws_a), "b": list(detail.draws_b)},
    }
