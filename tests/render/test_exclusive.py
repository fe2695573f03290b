"""The page and document of `bvc features exclusive`, and what a diff says of it: null pairs always, hostile texts."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bvc.codec import canonical
from bvc.exclusive import (
    ExclusiveFeatures,
    ExclusiveLatent,
    ExclusiveResult,
    ExclusiveSettings,
    PairYield,
    SeedCount,
)
from bvc.render.diff import render_diff
from bvc.render.diff_document import diff_document
from bvc.render.exclusive import render_exclusive
from bvc.render.exclusive_document import exclusive_document
from bvc.render.screen import Screen
from bvc.render.text import cells
from tests.cli.test_documents import validate
from tests.render.samples import HOSTILE, commit, rich_diff

A, B = commit(3, 2, subject="base"), commit(4, 3, subject="other")
SETTINGS = ExclusiveSettings(
    "f" * 64, "0" * 64, "layer.15", "layer.09", "dedicated", ("python-docs",), 60000, 768, 24, 9, 3
)  # fmt: skip
TWICE = ExclusiveLatent(
    "b", 0.12, (0.05, 0.3), 0.8, 0.1, 0.004, ((0, 17), (2, 5)), 0.91, ((" Oslo", 4.0),), (("so it was Oslo", 3.0),)
)
ONCE = ExclusiveLatent("a", 0.4, (0.2, None), 0.2, 0.08, 0.02, ((1, 99),), 1.0, ((" fjord", 2.0),), (("a fjord", 1.0),))


def _counts(*found: tuple[int, int]) -> tuple[SeedCount, ...]:
    return tuple(SeedCount(seed, 50, 700, a, b, 650, 50 - a - b) for seed, (a, b) in enumerate(found))


def sample(*features: ExclusiveLatent, null: int = 0) -> ExclusiveResult:
    pair = PairYield("the pair", _counts((0, 1), (1, 0), (0, 1)))
    nulls = (PairYield("a re-capture of the first", _counts((null, 0), (0, 0), (0, 0))),)
    found = ExclusiveFeatures(A.id, B.id, SETTINGS, 500, 60000, 11, 0.98, pair, nulls, features or (TWICE, ONCE), 60.0)
    return ExclusiveResult(A, B, found, kept=False)


def _page(result: ExclusiveResult, width: int = 80, **options: bool) -> str:
    return "\n".join(render_exclusive(result, Screen(width=width), **options))


def test_null_pairs_stand_beside_what_was_found() -> None:
    page = _page(sample())
    assert page.index("a read again") < page.index("Only in b")
    assert "only in b: 1 in all, 1 from two seeds or more, 0 from all 3" in page
    assert "may be false" not in page
    assert "gave up to 2 in a seed" in " ".join(_page(sample(null=2)).split())


def test_a_record_without_null_pairs_of_the_same_seeds_cannot_be_made() -> None:
    found = sample().search
    with pytest.raises(ValueError, match="null pairs"):
        replace(found, nulls=())
    with pytest.raises(ValueError, match="null pairs"):
        replace(found, nulls=(PairYield("one seed", _counts((0, 0))),))


def test_the_record_comes_back_from_its_json_and_turns_round() -> None:
    found = sample().search
    assert ExclusiveFeatures.from_json(json.loads(canonical(found.to_json()))) == found
    turned = found.turned()
    assert (turned.a, turned.b) == (B.id, A.id) and [f.side for f in turned.features] == ["a", "b"]
    assert (turned.found_in(2, "a"), turned.found_in(2, "b")) == (1, 0)
    assert turned.turned() == found
    with pytest.raises(ValueError, match="method"):
        ExclusiveFeatures.from_json(replace(found, settings=replace(SETTINGS, method=HOSTILE)).to_json())


def test_a_diff_names_what_two_seeds_found() -> None:
    result = replace(rich_diff(), exclusive=sample().search)
    page = "\n".join(render_diff(result, Screen()))
    assert "from 2 seeds or more: 0 only in a, 1 only in b" in " ".join(page.split())
    assert '" Oslo"' in page and "fjord" not in page
    validate(diff_document(result))


@pytest.mark.parametrize("width", [80, 200])
def test_texts_from_models_steer_no_terminal(width: int) -> None:
    bad = replace(TWICE, promoted=((HOSTILE, 1.0),), contexts=((HOSTILE * 9, 2.0),))
    result = sample(bad, replace(bad, side="a"))
    settings = replace(SETTINGS, layer_a=HOSTILE, method=HOSTILE)
    nulls = (replace(result.search.nulls[0], name=HOSTILE),)
    result = replace(result, search=replace(result.search, settings=settings, nulls=nulls))
    for line in render_exclusive(result, Screen(width=width), everything=True):
        assert line.isprintable()
        assert cells(line) <= width
    validate(exclusive_document(sample()))
