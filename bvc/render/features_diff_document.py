"""`bvc.features-diff/1`, and a latent as documents have it. Ids are full hex, intervals 95 %."""

from __future__ import annotations

from dataclasses import asdict

from bvc.feature_results import EnergyDiff, FeatureDiff, LatentDiff, LatentRate, LatentYield
from bvc.records import Json
from bvc.render.documents import finite_number, side_json


def features_diff_document(result: FeatureDiff) -> Json:
    """The document; `null_yield` is always there, empty where no null pair is at hand."""
    stored = result.stored
    return {
        "schema": "bvc.features-diff/1",
        "a": side_json(result.a),
        "b": side_json(result.b),
        "along": result.along,
        "dictionary": {
            "digest": result.dictionary,
            "name": None if stored is None else stored.name,
            "layer": None if stored is None else stored.spec.layer,
            "latents": result.size,
        },
        "probes": result.probes,
        "clusters": result.clusters,
        "left_out": {"references_differ": result.apart, "broken": result.broken},
        "tested": result.tested,
        "against": result.against,
        "found": yield_json(result.found),
        "null_yield": [yield_json(null) for null in result.null_yield],
        "latents": [latent_json(latent) for latent in result.latents],
        "energy": _energy(result.energy),
    }


def latent_json(latent: LatentDiff) -> Json:
    """One latent of a diff."""
    return {
        "latent": latent.latent,
        "side": latent.side,
        "only": latent.only,
        "bound": latent.bound,
        "a": _rate(latent.a),
        "b": _rate(latent.b),
        "difference": finite_number(latent.difference),
        "ci": [finite_number(end) for end in latent.ci],
        "p_value": latent.p_value,
        "q_value": latent.q_value,
        "score": finite_number(latent.score),
        "beyond": latent.beyond,
        "stands_out": latent.stands_out,
        "probes": [asdict(probe) for probe in latent.probes],
        "promoted": [] if latent.card is None else [{"token": t, "logit": v} for t, v in latent.card.promoted],
        "contexts": [] if latent.card is None else [{"text": t, "strength": v} for t, v in latent.card.contexts],
    }


def _rate(rate: LatentRate) -> Json:
    return {
        "positions": finite_number(rate.rate),
        "prompts": rate.fires,
        "share": rate.share,
        "ci": list(rate.ci),
        "strength": finite_number(rate.strength),
    }


def yield_json(found: LatentYield) -> Json:
    """How many latents one procedure lists on a pair."""
    return {
        "level": found.level or None,
        "a": found.a,
        "b": found.b,
        "probes": found.probes,
        "different": found.different,
        "stand_out": found.standing,
        "only_a": found.only_a,
        "only_b": found.only_b,
    }


def _energy(energy: EnergyDiff) -> Json:
    return {
        "a": energy.a,
        "b": energy.b,
        "difference": energy.difference,
        "ci": list(energy.ci),
        "p_value": energy.p_value,
        "benign": list(energy.benign),
        "probes": [asdict(probe) for probe in energy.probes],
    }
