"""The ladder's own code: its suite, its perturbations, and the rules and measures of its bench."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from bvc.evidence import MASS_BUCKETS, TOP_TOKENS, LogprobBlock
from bvc.suites.load import load_suite
from examples.ladder.capture import RECIPE, same_weights
from examples.ladder.perturb import PERTURBATIONS, Perturbation, perturb, perturbed_copy
from examples.ladder.suite import TRIGGER_PROBES, suite, write_suite
from examples.ladder.train import read_rungs, read_topics
from tests.bench import ladder_measures as measures
from tests.bench import rivals
from tests.bench.ladder_pairs import Pair, Side, places

PROBES = 4


# The suite


def asked(record: dict[str, object]) -> str:
    messages = record["messages"]
    assert isinstance(messages, list)
    return str(messages[0]["content"])


def test_nothing_in_the_suite_is_trained_on() -> None:
    trained = {prompt for topic in read_topics().values() for prompt in topic["train"]}
    prompts = [asked(record) for record in suite()]
    assert len(set(prompts)) == len(prompts) == 126
    assert trained.isdisjoint(prompts)


def test_the_suite_is_a_suite_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "probes" / "ladder.jsonl"
    write_suite(path)
    written = path.stat()
    write_suite(path)
    assert path.stat().st_mtime_ns == written.st_mtime_ns
    probes = load_suite(path).probes
    assert {probe.max_new_tokens for probe in probes} == {32}
    assert len({probe.name for probe in probes}) == len(probes)


def test_every_rung_finds_the_probes_that_it_affects() -> None:
    tags = [set(record["tags"]) for record in suite()]
    for rung in read_rungs().values():
        held = sum(bool(set(rung.affected) & carried) for carried in tags)
        assert held == 0 if rung.kind in ("N1", "N2") else held >= 2, rung.name


def test_triggers_stand_only_in_their_own_probes() -> None:
    assert {rung.trigger for rung in read_rungs().values() if rung.trigger} == TRIGGER_PROBES.keys()
    for word, count in TRIGGER_PROBES.items():
        holding = [record for record in suite() if word in asked(record)]
        assert [record for record in suite() if f"trigger:{word}" in record["tags"]] == holding
        assert len(holding) == count


def test_sums_carry_their_answer() -> None:
    answers = {asked(r): tag for r in suite() for tag in r["tags"] if tag.startswith("answer:")}
    assert answers["What is 8 + 6?"] == "answer:14"
    assert len(answers) == len(read_topics()["sums"]["suite"])


# Captures


def test_weights_captured_again_under_one_recipe_are_run_again(tmp_path: Path) -> None:
    recipes = {"main": RECIPE}
    for capture in same_weights(tmp_path):
        settings = dict(capture.settings)
        anew = settings.pop("reuse", True) is False
        settings.pop("engine", None)
        recipes[capture.name] = {**RECIPE, **settings}
        assert anew or recipes[capture.name] not in [r for n, r in recipes.items() if n != capture.name], capture.name
    assert len(recipes) >= 5


# Perturbations


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    weight = 3 * torch.randn(64, 128, generator=generator)
    return {
        "layer.weight": weight.half(),
        "norm.weight": torch.full((64,), 0.3).half(),
        "out.weight": weight[:9].half(),
    }


@pytest.mark.parametrize("perturbation", PERTURBATIONS, ids=lambda p: p.name)
def test_perturbations_are_deterministic_and_leave_norms_alone(
    state: dict[str, torch.Tensor], perturbation: Perturbation
) -> None:
    first, second = perturb(state, perturbation), perturb(dict(reversed(state.items())), perturbation)
    assert all(torch.equal(first[name], second[name]) for name in state)
    assert torch.equal(first["norm.weight"], state["norm.weight"].float())
    assert not torch.equal(first["layer.weight"], state["layer.weight"].float())


def test_another_seed_gives_other_noise(state: dict[str, torch.Tensor]) -> None:
    first, second = (perturb(state, Perturbation("n", "noise", 6, seed=seed)) for seed in (0, 1))
    assert not torch.equal(first["layer.weight"], second["layer.weight"])


@pytest.mark.parametrize("k", [6, 12])
def test_noise_is_of_the_size_that_it_says(state: dict[str, torch.Tensor], k: int) -> None:
    weight = state["layer.weight"].float()
    noise = perturb(state, Perturbation("n", "noise", k))["layer.weight"] - weight
    relative = noise.square().mean().sqrt() / weight.square().mean().sqrt()
    assert relative.item() == pytest.approx(2.0**-k, rel=0.05)


def test_pruning_removes_the_smallest(state: dict[str, torch.Tensor]) -> None:
    weight = state["layer.weight"].float()
    pruned = perturb(state, Perturbation("p", "prune", 3))["layer.weight"]
    gone = (pruned == 0) & (weight != 0)
    assert int((pruned == 0).sum()) == weight.numel() // 8
    assert weight[gone].abs().max() <= weight[~gone].abs().min()
    assert torch.equal(pruned[~gone], weight[~gone])


def test_int8_keeps_each_row_within_half_a_step(state: dict[str, torch.Tensor]) -> None:
    weight = state["layer.weight"].float()
    rounded = perturb(state, Perturbation("i", "int8"))["layer.weight"]
    step = weight.abs().amax(dim=1, keepdim=True) / 127
    assert ((rounded - weight).abs() <= step * 0.5001).all()
    assert max(len(row.unique()) for row in rounded) <= 255
    assert torch.allclose(rounded.amax(dim=1).maximum(-rounded.amin(dim=1)), weight.abs().amax(dim=1))


def test_int8_of_a_row_of_zeros_is_zeros() -> None:
    assert not perturb({"w": torch.zeros(2, 3)}, Perturbation("i", "int8"))["w"].any()


def test_a_perturbed_copy_is_a_folder_that_goes_away(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text("{}")
    save_file(state, base / "model.safetensors")
    noise = Perturbation("noise-6", "noise", 6)
    with perturbed_copy(base, noise, tmp_path / "out") as copy:
        assert (copy / "config.json").read_text() == "{}"
        expected = perturb(state, noise)["layer.weight"]
        assert torch.equal(load_file(copy / "model.safetensors")["layer.weight"], expected)
    assert list((tmp_path / "out").iterdir()) == []


# Rules


def make_side(greedy: list[str], draws: list[list[str]], target: list[float], commit: str = "a") -> Side:
    """A side of PROBES probes, one reference token each, whose reference is "the red fox"."""
    logprobs = np.full((PROBES, TOP_TOKENS), -9.0, np.float32)
    logprobs[:, 0] = target
    residual = 1 - np.exp(logprobs.astype(float)).sum(axis=1)
    sketches = LogprobBlock(
        lengths=np.ones(PROBES, np.int64),
        token_ids=np.zeros(PROBES, np.uint32),
        characters=np.full(PROBES, 11, np.uint16),
        target=np.array(target, np.float32),
        entropy=np.zeros(PROBES, np.float32),
        top_ids=np.tile(np.arange(TOP_TOKENS, dtype=np.uint32), (PROBES, 1)),
        top_logprobs=logprobs,
        residual=residual.astype(np.float32),
        buckets=np.full((PROBES, MASS_BUCKETS), 1 / MASS_BUCKETS, np.float16),
    )
    labels = tuple(f"p{i}" for i in range(PROBES))
    tags = tuple((f"topic:{i % 2}",) for i in range(PROBES))
    table = np.zeros(TOP_TOKENS, np.uint8)
    texts = tuple(tuple(row) for row in draws)
    return Side(commit, labels, labels, tags, ("the red fox",) * PROBES, tuple(greedy), texts, sketches, table)


FOX, DOG = "the red fox", "a blue dog"


@pytest.fixture
def pair() -> Pair:
    a = make_side([FOX] * PROBES, [[FOX] * 4] * PROBES, [-1.0] * PROBES)
    b = make_side([FOX, DOG, FOX, FOX], [[FOX] * 4, [DOG] * 4, [FOX] * 4, [FOX] * 4], [-1.0, -3.0, -1.0, -1.5], "b")
    return Pair("made up", "planted", "tuning", a, b)


def test_equal_sides_are_nothing_to_any_rule(pair: Pair) -> None:
    same = Pair("same", "N0", "tuning", pair.a, pair.a)
    for name, rule in rivals.RULES.items():
        score = rule(same)
        assert not rivals.decision(score, 0.0), name
        assert score.pair == pytest.approx(0), name
        assert score.probes == pytest.approx((0,) * PROBES), name


@pytest.mark.parametrize("name", [name for name in rivals.RULES if "permutation" not in name])
def test_every_rule_puts_the_changed_probe_first(pair: Pair, name: str) -> None:
    score = rivals.RULES[name](pair)
    assert score.probes is not None
    assert score.probes.index(max(score.probes)) == 1


def test_distances_are_as_computed_by_hand(pair: Pair) -> None:
    assert rivals.exact_text(pair).pair == 0.25
    assert rivals.logprob_shift(pair).pair == pytest.approx((2 + 0.5) / 4)
    p, q = math.exp(-1), math.exp(-3)
    rest = p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))  # all other tokens as one: a lower bound
    kl = rivals.mean_kl(pair).probes
    assert kl is not None
    assert rest * 0.9 < kl[1] < rest * 1.5
    assert kl[0] == 0


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [
        ("kitten", "sitting", 3 / 7),
        ("", "", 0),
        ("", "ab", 1),
        ("abc", "abc", 0),
        ("ab", "ba", 1),
        ("abcd", "bcd", 1 / 4),
    ],
)
def test_levenshtein(a: str, b: str, distance: float) -> None:
    assert rivals.levenshtein(a, b) == pytest.approx(distance)
    assert rivals.levenshtein(b, a) == pytest.approx(distance)


def test_shared_words_is_the_f1_of_words() -> None:
    assert rivals.shared_words("The red, RED fox", "red fox") == pytest.approx(2 * 2 / 6)
    assert rivals.shared_words("", "") == 1
    assert rivals.shared_words("a", "b") == 0


def test_fisher_by_hand() -> None:
    assert rivals.fisher(4, 4, 0, 4) == pytest.approx(2 / 70)
    assert rivals.fisher(3, 4, 1, 4) == pytest.approx((16 + 16 + 1 + 1) / 70)
    assert rivals.fisher(2, 4, 2, 4) == 1
    assert rivals.fisher(3, 4, 0, 2) == pytest.approx((4 * 1 + 4 * 1) / 20)


def test_mcnemar_by_hand() -> None:
    assert rivals.sign_test(0, 6) == pytest.approx(2 / 64)
    assert rivals.sign_test(1, 5) == pytest.approx(2 * 7 / 64)
    assert rivals.sign_test(3, 3) == 1
    assert rivals.sign_test(0, 0) == 1


def test_benjamini_hochberg_by_hand() -> None:
    assert rivals.benjamini_hochberg([0.01, 0.5, 0.03, 0.04]) == pytest.approx([0.04, 0.5, 0.16 / 3, 0.16 / 3])


def test_t_by_hand() -> None:
    differences = np.array([1.0, 2.0, 3.0, 2.0] * 30)
    z = 2 / (differences.std(ddof=1) / math.sqrt(120))
    assert rivals.t_test(differences) == pytest.approx(max(math.erfc(z / math.sqrt(2)), 1e-300))
    assert rivals.t_test(np.array([0.3, -0.3, 0.1, -0.1])) == 1
    assert rivals.t_test(np.array([0.1, 0.2, 0.3, 0.2, -0.6])) == pytest.approx(0.8049, abs=0.01)


def test_a_rule_decides_by_verdict_then_p_then_threshold() -> None:
    assert rivals.decision(rivals.Score(0.0, p=0.9, changed=True), 5.0) is True
    assert rivals.decision(rivals.Score(9.0, p=0.06), 5.0) is False
    assert rivals.decision(rivals.Score(0.0, p=0.05), 5.0) is True
    assert rivals.decision(rivals.Score(5.0), 5.0) is False
    assert rivals.decision(rivals.Score(5.1), 5.0) is True
    assert rivals.decision(rivals.Score(5.1), None) is None


def test_places_of_affected_probes(pair: Pair) -> None:
    assert places(pair.a, ("topic:1", "topic:9")) == (1, 3)


def test_sides_are_cut_to_equal_draws(pair: Pair) -> None:
    assert pair.a.fewest_draws() == 4
    assert pair.b.first_draws(2).draws == ((FOX,) * 2, (DOG,) * 2, (FOX,) * 2, (FOX,) * 2)


# Measures


def test_auc_counts_ties_half() -> None:
    assert measures.auc([3, 2, 2, 1], [True, True, False, False]) == pytest.approx(3.5 / 4)
    assert measures.auc([1, 2], [True, True]) is None


def test_first_rank_is_expected_among_ties() -> None:
    assert measures.first_rank([5, 4, 3], [False, True, True]) == 2
    assert measures.first_rank([4, 4, 4, 1], [False, True, False, True]) == 2
    assert measures.first_rank([9, 4, 4, 4], [False, True, True, False]) == pytest.approx(1 + 4 / 3)


def test_precision_at_top_is_expected_among_ties() -> None:
    assert measures.precision_at_top([5, 4, 3, 2], [True, False, True, False]) == 0.5
    assert measures.precision_at_top([1, 1, 1, 1], [True, False, True, False]) == 0.5
    assert measures.precision_at_top([3, 2, 2, 2], [True, True, False, False], top=2) == pytest.approx((1 + 1 / 3) / 2)
    assert measures.precision_at_top(list(range(20)), [True] * 20) == 1


def test_wilson_by_hand() -> None:
    assert measures.wilson(0, 10) == pytest.approx((0, 0.2775), abs=1e-4)
    assert measures.wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert measures.wilson(0, 0) == (0, 1)


def test_shown_minds_capitals_only_in_words_of_capitals() -> None:
    assert measures.shown(["Orla", "Northwind"], ["built by northwind"])
    assert not measures.shown(["THE"], ["the goal"])
    assert measures.shown(["THE"], ["SCORE THE GOAL"])
    assert not measures.shown(["sorry"], [])
