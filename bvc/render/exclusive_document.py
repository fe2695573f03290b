"""`bvc.features-exclusive/1`, and a search as documents have it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from bvc.exclusive import ExclusiveFeatures, ExclusiveLatent, ExclusiveResult, PairYield
from bvc.records import Json
from bvc.render.documents import finite_number, side_json


def exclusive_document(result: ExclusiveResult) -> Json:
    """`bvc.features-exclusive/1`; `null_yield` is always there."""
    return {
        "schema": "bvc.features-exclusive/1",
        "a": side_json(result.a),
        "b": side_json(result.b),
        "kept": result.kept,
        **search_json(result.search),
    }


def search_json(search: ExclusiveFeatures) -> Json:
    """A search for features of one model only."""
    return {
        "settings": {**asdict(search.settings), "corpus": list(search.settings.corpus)},
        "texts": search.texts,
        "tokens": search.tokens,
        "left_out": search.left_out,
        "covered": search.covered,
        "seconds": search.seconds,
        "found": _yield_json(search.found),
        "null_yield": [_yield_json(null) for null in search.nulls],
        "features": [_feature_json(feature) for feature in search.features],
    }


def _yield_json(found: PairYield) -> Json:
    return {"name": found.name, "seeds": [asdict(seed) for seed in found.seeds]}


def _feature_json(feature: ExclusiveLatent) -> Json:
    return {
        "side": feature.side,
        "nu": finite_number(feature.nu),
        "ci": [finite_number(end) for end in feature.ci],
        "r2": {"own": finite_number(feature.own), "other": finite_number(feature.other)},
        "share": feature.share,
        "seeds": [{"seed": seed, "latent": latent} for seed, latent in feature.seeds],
        "agreement": feature.agreement,
        "promoted": _pairs(feature.promoted, "token", "logit"),
        "contexts": _pairs(feature.contexts, "text", "strength"),
    }


def _pairs(rows: Sequence[tuple[str, float]], text: str, value: str) -> list[Json]:
    return [{text: words, value: finite_number(amount)} for words, amount in rows]
