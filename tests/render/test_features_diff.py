"""The page and document of `bvc features diff`: the null yield is always there, hostile texts, the schema."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bvc.dictionaries import LatentCard
from bvc.feature_results import EnergyDiff, EnergyProbe, FeatureDiff, LatentDiff, LatentProbe, LatentRate, LatentYield
from bvc.render.diff import render_diff
from bvc.render.diff_document import diff_document
from bvc.render.features_diff import render_features_diff
from bvc.render.features_diff_document import features_diff_document
from bvc.render.screen import Screen
from bvc.render.text import cells
from tests.cli.test_documents import validate
from tests.render.samples import HOSTILE, commit, rich_diff

NEVER = LatentRate(0.0, 0, 0.0, (0.0, 0.06), None)
OFTEN = LatentRate(0.04, 14, 14 / 60, (0.14, 0.36), 3.2)
PROBE = LatentProbe("a" * 64, "weather-03", 0.0, 0.4, "The weather in", "It rains.", "Il pleut.")
CARD = LatentCard(7, 0.01, 2.0, (("so it was Oslo", 3.0),), ((" Oslo", 1.5),))
LATENT = LatentDiff(
    7, "b", True, 0.049, NEVER, OFTEN, 0.04, (0.02, 0.06), 2e-4, 0.01, 9.3, 4e-4, True, (PROBE,), CARD
)  # fmt: skip
WEAK = replace(LATENT, latent=9, side="a", only=False, bound=None, a=OFTEN, score=-1.2, beyond=1.0, stands_out=False)
ENERGY = EnergyDiff(0.12, 0.14, 0.02, (0.01, 0.03), 2e-4, (0.001,), (EnergyProbe("b" * 64, None, 0.1, 0.4, 0.01),))
A, B = commit(3, 2, subject="travel answers"), commit(4, 3, subject="French on weather")


def sample(*nulls: LatentYield) -> FeatureDiff:
    found = LatentYield("", A.id, B.id, 60, 12, 1, 0, 2)
    return FeatureDiff(
        A, B, "answer", "d" * 64, None, 4096, 60, 55, 2, 1, 812, found, nulls, "1 benign pair", (LATENT, WEAK), ENERGY
    )  # fmt: skip


NULL = LatentYield("N1", "5" * 40, "6" * 40, 60, 9, 0, 1, 0)


def page(result: FeatureDiff, width: int = 110, *, everything: bool = False) -> str:
    return "\n".join(render_features_diff(result, Screen(width=width), everything=everything))


def test_the_page_says_counts_yields_latents_and_energy() -> None:
    text = page(sample(NULL))
    for part in (
        "60 common probes in 55 clusters, 4,096 latents of dictionary dddddddddd",
        "2 probes left out: other references",
        "812 latents are active in enough prompts",
        "1  stands out of 1 benign pair",
        "5555555555 → 6666666666      60       9          0       0       1  N1 trusted",
        "latent 7  only in b (in a at most 5 % of prompts)  score 9.3  q < 0.001",
        "prompts 0 (0 %, 0 to 6) → 14 (23 %, 14 to 36)",
        "strength none → 3.2",
        '" Oslo"',
        "fires at  so it was Oslo",
        "weather-03  0 → 0.4  at The weather in",
        "b  Il pleut.",
        "unexplained energy 12 → 14 %  (+2 points, +1 to +3)",
        "rose beyond the others in bbbbbbbbbb (10 to 40 %)",
        "bvc features show 7",
    ):
        assert part in text
    assert "latent 9" not in text
    assert "latent 9  less in b" in page(sample(NULL), everything=True)


@pytest.mark.parametrize("width", [40, 60, 80, 140])
def test_the_yield_of_null_pairs_is_on_every_page(width: int) -> None:
    assert "N1 trusted" in page(sample(NULL), width)
    assert "no measured false yield" in " ".join(page(sample(), width).split())


def test_latents_that_do_not_stand_out_are_shown_where_none_does() -> None:
    result = replace(sample(NULL), latents=(WEAK,))
    assert "Differ most, but do not stand out" in page(result)


def test_hostile_texts_are_harmless() -> None:
    probe = replace(PROBE, name=HOSTILE, text=HOSTILE, answer_a=HOSTILE, answer_b=HOSTILE * 50)
    card = LatentCard(7, 0.0, 0.0, ((HOSTILE, 1.0),), ((HOSTILE, 1.0),))
    result = replace(sample(NULL), latents=(replace(LATENT, probes=(probe,), card=card),), against="x")
    text = page(result, 80)
    assert all(line.isprintable() for line in text.split("\n"))
    assert max(cells(line) for line in text.split("\n")) <= 80


def test_documents_keep_their_schema() -> None:
    for result in (sample(), sample(NULL), replace(sample(NULL), latents=(replace(LATENT, card=None, score=None),))):
        validate(features_diff_document(result))
    document = features_diff_document(sample(NULL))
    assert [row["stand_out"] for row in document["null_yield"]] == [0]
    assert document["latents"][0]["a"]["strength"] is None


def test_a_diff_names_latents_beside_the_yield_of_null_pairs() -> None:
    found = LatentYield("", A.id, B.id, 60, 12, 1, 0, 2)
    result = replace(rich_diff(), latents=(LATENT,), latent_yield=(found, NULL))
    text = "\n".join(render_diff(result, Screen(width=160)))
    assert "latents that stand out; on null pairs the same rule lists 0 (N1)" in text
    assert "+ latent 7  only in b  prompts 0 → 14  q < 0.001" in text
    assert "no null pair says" in "\n".join(render_diff(replace(result, latent_yield=(found,)), Screen(width=160)))
    document = diff_document(result)
    validate(document)
    assert (document["latents"][0]["latent"], len(document["latent_yield"])) == (7, 2)
