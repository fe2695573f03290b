"""features diff over stored commits: what is read, which null pairs are found, texts and cards, errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bvc.api.features_diff import features_diff
from bvc.api.features_pairs import standing_latents
from bvc.dictionaries import LatentCard
from bvc.errors import NotComparable, UsageError
from tests.api.feature_histories import FeatureHistory, dictionary
from tests.compare.feature_worlds import POSITIONS, Counts, World

WORLD = World(2, latents=256, probes=60, per=2)
CHOSEN = 7


@pytest.fixture
def history(tmp_path: Path) -> Iterator[FeatureHistory]:
    made = FeatureHistory(tmp_path / "project", WORLD)
    yield made
    made.repo.close()


def drifted(seed: int) -> Counts:
    return WORLD.pair(seed, drift=0.1)


def planted(counts: Counts) -> Counts:
    """Latent CHOSEN fires in the first 20 probes on side b alone."""
    counts.fired[:, :, CHOSEN], counts.total[:, :, CHOSEN] = 0, 0
    counts.fired[1, :20, CHOSEN], counts.total[1, :20, CHOSEN] = 4, 12
    return counts


def test_a_planted_latent_with_its_card_probes_and_answers(history: FeatureHistory) -> None:
    history.store_dictionary([LatentCard(CHOSEN, 0.01, 2.0, (("so it was Oslo", 3.0),), ((" Oslo", 1.5),))])
    counts = planted(drifted(1))
    a, b = (history.commit(counts.fired[s], counts.total[s]) for s in (0, 1))
    found = features_diff(history.repo.repository, a, b)
    assert (found.a.id, found.b.id, found.probes, found.clusters, found.size) == (a, b, 60, 30, 256)
    assert found.stored is not None
    assert (found.stored.name, found.dictionary) == ("lineage", history.spec.digest)
    assert (found.found.a, found.found.b, found.found.standing >= 1) == (a, b, True)
    latent = found.latents[0]
    assert (latent.latent, latent.side, latent.only, latent.stands_out) == (CHOSEN, "b", True, True)
    assert latent.card is not None
    assert latent.card.promoted == ((" Oslo", 1.5),)
    first = latent.probes[0]
    assert first.name in {f"q{i}" for i in range(20)}
    assert (first.text, first.answer_a, first.answer_b) == (
        "abc", f"answer 0 to {first.name}", f"answer 1 to {first.name}",
    )  # fmt: skip
    assert "no benign update is known" in found.against
    assert found.null_yield == ()


def test_what_shows_in_the_answers_alone_is_found_there(history: FeatureHistory) -> None:
    """The sides answer at unlike length; nothing changes along the references."""
    counts = planted(drifted(1))
    a, b = (
        history.commit(counts.fired[0], counts.total[0], answers=(counts.fired[s], counts.total[s])) for s in (0, 1)
    )
    repository = history.repo.repository
    found = features_diff(repository, a, b)
    assert (found.along, found.probes, found.apart, found.broken) == ("answer", 60, 0, 0)
    latent = found.latents[0]
    assert (latent.latent, latent.only, latent.stands_out) == (CHOSEN, True, True)
    assert latent.b.rate == pytest.approx(20 * 4 / (60 * (POSITIONS + 1)))
    assert (latent.probes[0].text, latent.probes[0].answer_b[:6]) == ("answer", "answer")
    assert features_diff(repository, a, b, along="answer") == found
    along = features_diff(repository, a, b, along="reference")
    assert (along.along, along.found.different, along.latents) == ("reference", 0, ())
    compared = standing_latents(repository, *(repository.snapshot(c) for c in (a, b)), 5)
    assert compared is not None and compared.latents[0].latent == CHOSEN


def test_a_side_without_features_along_its_answers_is_compared_along_references(history: FeatureHistory) -> None:
    counts = planted(drifted(1))
    a = history.commit(counts.fired[0], counts.total[0])
    b = history.commit(counts.fired[1], counts.total[1], answers=(counts.fired[1], counts.total[1]))
    repository = history.repo.repository
    assert features_diff(repository, a, b).along == "reference"
    with pytest.raises(NotComparable, match=f"{a[:10]} has no features along its answers"):
        features_diff(repository, a, b, along="answer")
    with pytest.raises(UsageError, match="not 'draws'"):
        features_diff(repository, a, b, along="draws")


def test_without_the_dictionary_itself_latents_have_no_cards(history: FeatureHistory) -> None:
    counts = planted(drifted(1))
    a, b = (history.commit(counts.fired[s], counts.total[s]) for s in (0, 1))
    found = features_diff(history.repo.repository, a, b)
    assert found.stored is None
    assert found.latents[0].card is None
    assert found.latents[0].latent == CHOSEN


def test_null_pairs_are_recaptures_trusted_pairs_and_steps(history: FeatureHistory) -> None:
    counts = planted(drifted(1))
    made = [history.commit(c.fired[1], c.total[1]) for c in (drifted(s) for s in range(3))]
    a = history.commit(counts.fired[0], counts.total[0], again=(counts.fired[0][:20], counts.total[0][:20]))
    b = history.commit(counts.fired[1], counts.total[1])
    found = features_diff(history.repo.repository, a, b)
    assert [(y.level, y.a, y.b, y.probes) for y in found.null_yield] == [
        ("N0", a, a, 20), ("step", made[2], a, 60), ("step", made[1], made[2], 60), ("step", made[0], made[1], 60),
    ]  # fmt: skip
    assert found.null_yield[0].different == 0
    assert found.against == "3 steps of this lineage"
    history.repo.noise_learn([(made[0], made[1])])
    found = features_diff(history.repo.repository, a, b)
    assert [y.level for y in found.null_yield] == ["N0", "N1", "step", "step"]
    assert found.against == "1 benign pair"
    assert found.latents[0].latent == CHOSEN


def test_commits_without_features_and_with_other_dictionaries_say_what_to_do(history: FeatureHistory) -> None:
    counts = drifted(1)
    bare = history.commit(None)
    a = history.commit(counts.fired[0], counts.total[0])
    other = history.commit(counts.fired[1], counts.total[1], spec=dictionary(256, seed=5)[0])
    with pytest.raises(NotComparable, match=f"commit {bare[:10]} has no features") as error:
        features_diff(history.repo.repository, bare, a)
    assert "bvc features fit" in str(error.value.hint)
    history.store_dictionary()
    with pytest.raises(NotComparable, match=f"commit {bare[:10]} has no features") as error:
        features_diff(history.repo.repository, a, bare)
    assert f"bvc capture {bare[:10]} --features" in str(error.value.hint)
    with pytest.raises(NotComparable, match="two dictionaries") as error:
        features_diff(history.repo.repository, a, other)
    assert "lineage" in error.value.message
    views = [history.repo.repository.snapshot(c) for c in (a, bare, other)]
    assert standing_latents(history.repo.repository, views[0], views[1], 5) is None
    assert standing_latents(history.repo.repository, views[0], views[2], 5) is None


def test_steps_with_other_features_tell_nothing(history: FeatureHistory) -> None:
    history.commit(None)
    counts = drifted(1)
    history.commit(counts.fired[1], counts.total[1], spec=dictionary(256, seed=5)[0])
    a, b = (history.commit(counts.fired[s], counts.total[s]) for s in (0, 1))
    assert features_diff(history.repo.repository, a, b).null_yield == ()


def test_probes_whose_references_differ_are_left_out(history: FeatureHistory) -> None:
    counts = planted(drifted(1))
    a = history.commit(counts.fired[0], counts.total[0])
    b = history.commit(counts.fired[1], counts.total[1], other_references=9)
    found = features_diff(history.repo.repository, a, b)
    assert (found.probes, found.apart) == (51, 9)
    none = history.commit(counts.fired[1], counts.total[1], other_references=60)
    with pytest.raises(NotComparable, match="no probe has features along the same reference"):
        features_diff(history.repo.repository, a, none)


def test_equal_commits_differ_in_nothing(history: FeatureHistory) -> None:
    counts = drifted(1)
    a, b = (history.commit(counts.fired[0], counts.total[0]) for _ in range(2))
    found = features_diff(history.repo.repository, a, b)
    assert (found.latents, found.found.different, found.found.only_a, found.found.only_b) == ((), 0, 0, 0)
    assert found.tested > 50
    assert found.energy.difference == 0


def test_standing_latents_are_the_same_without_texts(history: FeatureHistory) -> None:
    counts = planted(drifted(1))
    views = [history.repo.repository.snapshot(history.commit(counts.fired[s], counts.total[s])) for s in (0, 1)]
    compared = standing_latents(history.repo.repository, views[0], views[1], 3)
    assert compared is not None
    found = compared.latents
    full = features_diff(history.repo.repository, views[0].info.id, views[1].info.id).latents
    assert found[0].latent == CHOSEN == full[0].latent
    assert np.allclose([x.score or 0 for x in found], [x.score or 0 for x in full if x.stands_out][: len(found)])
