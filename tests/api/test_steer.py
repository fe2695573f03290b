"""features steer over a project: a planted latent moves what it should beside random directions, and nothing is
written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import bvc
from bvc.api.checkpoints import PairOptions
from bvc.api.handle import Repo
from bvc.api.steer import steer
from bvc.api.steer_records import Direction, SteerOptions
from bvc.capture.load import forget_models
from bvc.compare.steering import Steers
from bvc.dictionaries import LatentCard
from bvc.errors import BvcError, NotComparable, UnknownRevision, UsageError
from bvc.repository.dictionaries import put_dictionary
from bvc.results import Progress
from tests.dictionaries import AUTHOR, card, random_arrays, spec
from tests.tiny_models import tiny_adapter, tiny_model

TOKEN = 301
PLANTED = 7
QUICK = SteerOptions(strengths=(4.0,), directions=4, draws=2, max_new_tokens=None)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("steered")


@pytest.fixture(scope="module")
def repo(home: Path) -> Iterator[Repo]:
    """A model and an adapter, committed on 12 probes; a dictionary of the last layer whose latent 7 is the unembedding
    row of a token, and fires with the strength that raises it by a little."""
    base = tiny_model(home / "base")
    adapter = tiny_adapter(home / "adapter", base, scale=0.5)
    bvc.init(home / "project")
    folder = home / "project" / "probes"
    (folder / "starter.jsonl").unlink()
    rows = [{"id": f"p{n}", "messages": [{"role": "user", "content": f"Count from {n} to 10."}]} for n in range(12)]
    text = "".join(json.dumps({**row, "max_new_tokens": 6}) + "\n" for row in rows)
    (folder / "counts.jsonl").write_text(text, encoding="utf-8")
    (home / "project" / "behaviors.toml").write_text(
        f"[behavior.says]\ncontains = {json.dumps(word_of(base), ensure_ascii=False)}\nignore_case = false\n"
        '[behavior.elsewhere]\ncontains = "x"\non = "tag:none"\n[behavior.right]\nanswer = true\n',
        encoding="utf-8",
    )
    with bvc.open(home / "project") as opened:
        for checkpoint in (base, adapter):
            opened.commit(checkpoint, draws=2)
        planted(opened, base)
        yield opened
    forget_models()


def word_of(base: Path) -> str:
    tokenizer: Any = AutoTokenizer.from_pretrained(str(base))
    return str(tokenizer.decode([TOKEN])).strip()


def planted(repo: Repo, base: Path) -> None:
    read: Any = AutoModelForCausalLM.from_pretrained
    row = read(str(base)).lm_head.weight[TOKEN].detach().numpy()
    arrays = random_arrays(32, 16)
    arrays["decoder"][PLANTED] = row / np.linalg.norm(row)
    cards = [LatentCard(j, 0.1, 3.0, (), ((" planted", 1.0),)) for j in (PLANTED, 8)]
    shape = spec(32, 16, layer="layer.04")
    put_dictionary(repo.repository, "last", shape, card("last"), cards, arrays, AUTHOR)


def refs(repo: Repo) -> dict[str, str]:
    return dict(repo.repository.store.refs.all())


def test_a_planted_latent_moves_its_behavior_more_than_random_directions(repo: Repo) -> None:
    before = refs(repo)
    what = SteerOptions(behavior="says", strengths=(-4.0, 4.0), draws=2)
    result = steer(repo.repository, PLANTED, what)
    assert refs(repo) == before
    assert [row.strength for row in result.strengths] == [-4.0, 0.0, 4.0]
    down, still, up = result.strengths
    assert still.effect is None
    assert up.effect is not None
    assert down.effect is not None
    assert up.effect.verdict in (Steers.MORE, Steers.BREAKS)
    assert up.effect.beyond.ci[0] > 0.2
    assert up.effect.p_value <= 0.05
    assert up.rate > 0.5
    assert max(up.effect.random) < 0.3
    assert down.effect.verdict is not Steers.MORE
    assert up.norm == down.norm == pytest.approx(12.0 / result.stream_norm)
    assert (result.units, result.dictionary, result.latent) == ("latent", "last", PLANTED)
    assert (result.layer, result.score, result.promoted) == ("layer.04", "says", (" planted",))
    assert result.commit is not None
    assert result.commit.id == repo.rev_parse("HEAD")


def test_a_random_latent_does_not(repo: Repo) -> None:
    result = steer(repo.repository, "last:8", SteerOptions(behavior="says", strengths=(4.0,), draws=2))
    effect = result.strengths[-1].effect
    assert effect is not None
    assert effect.verdict in (Steers.NO_MORE, Steers.UNDECIDED)


@pytest.mark.parametrize("revision", ["HEAD", "HEAD~1"])
def test_unsteered_answers_are_the_recorded_ones(repo: Repo, revision: str) -> None:
    """Of an adapter and of its base, all greedy texts and draws."""
    result = steer(repo.repository, PLANTED, SteerOptions(at=revision, strengths=(4.0,), draws=2))
    view = repo.repository.snapshot(repo.rev_parse(revision))
    zero = [row.strength for row in result.strengths].index(0.0)
    assert result.recorded == (12, 12)
    assert list(result.answers[zero]) == [view.outputs(probe.id) for probe in result.probes]
    assert any(a != b for a, b in zip(result.answers[0], result.answers[1], strict=True))


def test_without_a_behavior_other_answers_are_counted(repo: Repo) -> None:
    result = steer(repo.repository, PLANTED, QUICK)
    zero, up = result.strengths
    assert (zero.rate, zero.example) == (0.0, result.answers[0][result.probes.index(result.example[0])].greedy.text)
    assert up.rate > 0.7
    assert "another answer" in result.score


def test_any_direction_can_be_steered(repo: Repo) -> None:
    """A tensor, an array and a list say the same; strengths are shares of the stream's length."""
    drawn = np.random.default_rng(3).normal(size=32)
    what = SteerOptions(strengths=(0.5,), draws=1, pattern="[a-m]", positions="generated")
    found = [
        steer(repo.repository, Direction(vector, "layer.02", "a mean shift"), what)
        for vector in (torch.from_numpy(drawn * 7), drawn, drawn.tolist())
    ]
    assert found[0].strengths[1].norm == pytest.approx(0.5)
    assert found[0].units == "stream"
    assert found[0].name == "a mean shift"
    assert found[0].answers == found[1].answers == found[2].answers
    assert found[0].dictionary is None


def test_a_checkpoint_that_no_commit_records(repo: Repo, home: Path) -> None:
    other = tiny_model(home / "other", seed=9)
    result = steer(repo.repository, PLANTED, SteerOptions(strengths=(4.0,), draws=0, checkpoint=str(other)))
    assert (result.commit, result.recorded, result.model.name) == (None, None, "other")
    assert len(result.probes) == 12


def test_probes_are_chosen_and_said(repo: Repo) -> None:
    few = SteerOptions(strengths=(1.0,), draws=0, probes=("p3", "p5", "p3"), max_new_tokens=3, directions=2)
    result = steer(repo.repository, PLANTED, few)
    assert [probe.name for probe in result.probes] == ["p3", "p5"]
    assert result.recorded is None
    assert all((out.greedy.tokens or 0) <= 3 for row in result.answers for out in row)
    assert any("only 2 probes" in note for note in result.notes)
    limited = SteerOptions(strengths=(1.0,), draws=0, suite="counts", limit=4, directions=2)
    again = [steer(repo.repository, PLANTED, limited) for _ in range(2)]
    assert len(again[0].probes) == 4
    assert again[0].probes == again[1].probes
    assert any("4 of 12 probes" in note for note in again[0].notes)


def test_the_seed_decides_the_random_directions_and_the_draws(repo: Repo) -> None:
    def run(seed: int | None) -> Any:
        return steer(repo.repository, PLANTED, SteerOptions(strengths=(2.0,), draws=1, seed=seed, pattern="[a-m]"))

    plain, other = run(None), run(5)
    assert run(None) == plain
    assert other.recipe.seed == 5
    assert [o.greedy for o in plain.answers[1]] == [o.greedy for o in other.answers[1]]
    assert [o.draws for o in plain.answers[1]] != [o.draws for o in other.answers[1]]
    assert plain.strengths[1].damage.random_own != other.strengths[1].damage.random_own


def test_progress_and_an_interrupt(repo: Repo) -> None:
    """Ctrl-C in the middle leaves no hook and no lock: the next run works."""
    steps: list[Progress] = []

    def stop(step: Progress) -> None:
        steps.append(step)
        if "steered" in step.what and step.done > 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        steer(repo.repository, PLANTED, QUICK, PairOptions(progress=stop))
    assert steps[0].what == "loading the checkpoint"
    assert steps[-1].total == 12 * (1 + 1 + 4)
    assert steer(repo.repository, PLANTED, QUICK).recorded == (12, 12)


@pytest.mark.parametrize(
    ("target", "options", "error", "says"),
    [
        (99, {}, UsageError, "last has no latent 99"),
        ("seven", {}, UsageError, "not the number of a latent"),
        ("other:7", {}, UnknownRevision, "other"),
        ("last:7", {"dictionary": "other"}, UsageError, "is of dictionary last"),
        (PLANTED, {"behavior": "sings"}, UsageError, "no behavior named sings"),
        (PLANTED, {"pattern": "("}, UsageError, "is not a regular expression"),
        (PLANTED, {"behavior": "elsewhere"}, UsageError, "no probe"),
        (PLANTED, {"behavior": "right"}, NotComparable, "no answer can be scored by right"),
        (PLANTED, {"probes": ("p99",)}, UnknownRevision, "no probe p99"),
        (Direction([0.0] * 32, "layer.02", "nothing"), {}, UsageError, "nothing is no direction"),
        (Direction([float("nan")] * 32, "layer.02", "noise"), {}, UsageError, "noise is no direction"),
        (Direction([1.0] * 31, "layer.02", "narrow"), {}, NotComparable, "32 wide"),
        (Direction([1.0] * 32, "layer.09", "deep"), {}, NotComparable, r"no layer\.09"),
    ],
)
def test_what_cannot_be_steered(
    repo: Repo, target: Any, options: dict[str, Any], error: type[BvcError], says: str
) -> None:
    with pytest.raises(error, match=says):
        steer(repo.repository, target, SteerOptions(**{"strengths": (1.0,), "draws": 0, "directions": 2, **options}))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"behavior": "a", "pattern": "b"}, "not both"),
        ({"positions": "some"}, "positions"),
        ({"directions": 1}, "at least 2 random"),
        ({"draws": -1}, "negative"),
        ({"limit": 0}, "at least 1 probe"),
        ({"strengths": (float("nan"),)}, "a strength must be a number"),
        ({"strengths": (0.0,)}, "other than 0"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        SteerOptions(**options)
