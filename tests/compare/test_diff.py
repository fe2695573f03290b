"""compare() end to end on made-up captures: verdicts, ranks, what is said when sides are unlike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from bvc.compare.diff import Background, Comparison, measure_noise, noise_bands
from bvc.compare.measure import Distances, measure
from bvc.compare.pairing import NoisePairs, ProbeSide, Side
from bvc.compare.terms import settle_terms
from bvc.compare.tolerance import Benign, detectable_drift, drift
from bvc.compare.verdict import DRIFT_LEVEL, SHIFT_LEVEL
from bvc.errors import NotComparable
from bvc.evidence import Evidence
from bvc.records import Capability, Reference
from bvc.results import Kind, Substance, Verdict
from tests.compare.worlds import (
    RECIPE,
    Block,
    Model,
    base_model,
    blocks,
    bucket_table,
    compare,
    moved,
    names,
    outputs,
    recaptured,
    side,
)

N = 24
TABLE = bucket_table(200)
NOISE = 1e-3


def compared(a: Model, b: Model, *, noise: float | None = NOISE, **fields: object) -> Comparison:
    pairs = None if noise is None else recaptured(a, TABLE, noise)
    return compare(side(a, TABLE, pairs), side(b, TABLE, **fields), blocks(a, b, TABLE))


def drifted(model: Model, outliers: int = 3) -> Model:
    """All probes moved and reworded; the last few moved more and share a new phrase."""
    amount = np.full(N, 0.2)
    amount[N - outliers :] = 2.0
    texts = [f"reworded {i * 7} to say {i * 11}" for i in range(N)]
    texts[N - outliers :] = [f"il fait beau temps {i}" for i in range(outliers)]
    return moved(model, amount, seed=1, texts=texts)


def test_the_same_capture_is_the_same_without_a_test() -> None:
    found = compared(base_model(), base_model(), noise=None)
    assert (found.summary.same, found.summary.identical_text, found.summary.probes) == (N, N, N)
    assert found.overall.verdict is Verdict.SAME
    assert found.overall.drift == 0
    assert (found.null, found.reasons, found.comparable) == ({}, (), True)
    assert {p.score for p in found.probes} == {0.0}
    assert {p.substance for p in found.probes} == {Substance(Kind.IDENTICAL, 0.0)}


def test_blocks_known_to_be_equal_are_not_read() -> None:
    model = base_model()
    equal = [Block(names(N), Evidence(), Evidence(), identical=True)]
    found = compare(side(model, TABLE), side(model, TABLE), equal)
    assert found.summary.same == N
    assert all(set(p.channels) == {"text", "logprob", "activation"} for p in found.probes)


def test_equal_blocks_beside_moved_ones() -> None:
    a = base_model()
    b = moved(a, np.array([0.0] * 14 + [1.0] * 10), seed=2)
    given = blocks(a, b, TABLE)
    given = [Block(x.ids, Evidence(), Evidence(), identical=True) if i < 2 else x for i, x in enumerate(given)]
    found = compare(side(a, TABLE, recaptured(a, TABLE, NOISE)), side(b, TABLE), given)
    assert (found.summary.same, found.summary.changed) == (14, 10)


def test_a_drift_beyond_noise_is_a_change_and_its_outliers_come_first() -> None:
    a = base_model()
    found = compared(a, drifted(a))
    assert found.summary.changed == N
    assert found.overall.verdict is Verdict.CHANGED
    assert found.overall.p_value is not None
    assert found.overall.p_value <= 0.002
    assert {p.probe.name for p in found.probes[:3]} == set(names(N)[-3:])
    assert [p.rank for p in found.probes] == list(range(1, N + 1))
    assert {p.exceeds for p in found.probes} == {"N0"}


def test_movement_within_noise_is_the_same() -> None:
    a = base_model()
    found = compared(a, moved(a, NOISE / 4, seed=3))
    assert found.summary.same == N
    assert found.overall.verdict is Verdict.SAME


def test_without_measured_noise_differences_are_undecided_and_it_says_so() -> None:
    a = base_model()
    found = compared(a, drifted(a), noise=None)
    assert found.summary.undecided == N
    assert found.overall.p_value is None
    assert found.overall.verdict is Verdict.UNDECIDED
    assert found.comparable
    assert found.reasons == ("24 of 24 probes are undecided: no noise was measured for what differs",)


def test_distances_intervals_and_bands() -> None:
    a = base_model()
    found = compared(a, drifted(a))
    for probe in found.probes:
        for channel in probe.channels.values():
            assert channel.band is not None
            assert channel.ci[0] <= channel.distance <= channel.ci[1]
            assert channel.ci[1] - channel.distance == pytest.approx(channel.band)
    assert set(found.null["N0"]) == {"text", "logprob", "activation"}
    assert found.null["N0"]["logprob"]["n"] == 20


def test_exchanging_the_sides_keeps_distances_and_verdicts() -> None:
    a = base_model()
    b = drifted(a)
    pairs = recaptured(a, TABLE, NOISE)
    one = compare(side(a, TABLE, pairs), side(b, TABLE), blocks(a, b, TABLE))
    other = compare(side(b, TABLE), side(a, TABLE, pairs), blocks(b, a, TABLE))
    there = {p.probe.name: p for p in other.probes}
    for probe in one.probes:
        assert probe.verdict is there[probe.probe.name].verdict
        for channel, value in probe.channels.items():
            assert value.distance == pytest.approx(there[probe.probe.name].channels[channel].distance, rel=1e-3)


def test_the_order_of_blocks_and_probes_does_not_matter() -> None:
    a = base_model()
    b = drifted(a)
    given = blocks(a, b, TABLE, size=5)
    one = compare(side(a, TABLE), side(b, TABLE), given)
    turned = replace(side(a, TABLE), probes=dict(reversed(side(a, TABLE).probes.items())))
    other = compare(turned, side(b, TABLE), given[::-1])
    assert [p.probe.name for p in one.probes] == [p.probe.name for p in other.probes]
    assert [p.score for p in one.probes] == pytest.approx([p.score for p in other.probes], abs=1e-4)


def test_layers_are_summed_up_with_their_bands() -> None:
    a = base_model()
    layers = compared(a, drifted(a)).layers
    assert [x.hookpoint for x in layers] == [f"layer.{k:02d}/{at}" for k in (1, 2) for at in ("prompt", "reference")]
    assert all(x.band is not None and x.distance > x.band > 0 for x in layers)


def test_text_changes_carry_both_texts_and_where_they_part() -> None:
    a = base_model()
    found = {p.probe.name: p.text for p in compared(a, drifted(a)).probes}
    assert found["0000"].a == "answer number 0 of the base model"
    assert found["0000"].b == "reworded 0 to say 0"
    assert found["0000"].first_difference == 0
    same = compared(a, a).probes[0].text
    assert same.first_difference is None


def text_side(texts: list[str], draws: list[list[str]] | None = None) -> Side:
    probes = {
        p: ProbeSide(outputs(t, draws[i] if draws else ()))
        for i, (p, t) in enumerate(zip(names(99), texts, strict=False))
    }
    return Side(None, Capability.TEXT, None, probes)


def test_texts_alone_are_compared_and_equal_ones_are_the_same() -> None:
    found = compare(text_side(["a", "b", "c"]), text_side(["a", "b", "x"]), [])
    assert {p.probe.name: str(p.verdict) for p in found.probes} == {"0002": "undecided", "0000": "same", "0001": "same"}
    assert found.probes[0].probe.name == "0002"
    assert set(found.probes[0].channels) == {"text"}
    assert found.capability is Capability.TEXT


def test_draws_decide_where_texts_alone_cannot() -> None:
    greedy = [f"answer {i}" for i in range(6)]
    draws = [[f"answer {i} number {k}" for k in range(8)] for i in range(6)]
    other = [list(d) for d in draws]
    other[2] = [f"wholly different words {k}" for k in range(8)]
    found = compare(text_side(greedy, draws), text_side([*greedy[:2], "changed", *greedy[3:]], other), [])
    verdicts = {p.probe.name: p.verdict for p in found.probes}
    assert verdicts.pop("0002") is Verdict.CHANGED
    assert set(verdicts.values()) == {Verdict.SAME}
    assert found.overall.verdict is Verdict.CHANGED


def test_more_draws_on_one_side_do_not_make_a_difference() -> None:
    found = compare(text_side(["a"], [["x", "y", "z"]]), text_side(["a"], [["x", "y"]]), [])
    assert found.summary.same == 1


def test_probes_of_one_side_only_are_named() -> None:
    found = compare(text_side(["a", "b"]), text_side(["a", "b", "c"]), [])
    assert (found.only_a, found.only_b, found.summary.probes) == ((), ("0002",), 2)


def test_nothing_in_common_is_refused() -> None:
    empty = Side(None, Capability.TEXT, None, {})
    with pytest.raises(NotComparable, match="share no probe"):
        compare(text_side(["a"]), empty, [])


def test_a_channel_that_one_side_lacks_is_refused_where_asked_for() -> None:
    with pytest.raises(NotComparable, match="'logprob'") as raised:
        compare(text_side(["a"]), text_side(["a"]), [], channels=("logprob",))
    assert raised.value.hint == "both hold: text"


def test_only_the_channels_asked_for_are_compared() -> None:
    a = base_model()
    b = drifted(a)
    found = compare(side(a, TABLE), side(b, TABLE), blocks(a, b, TABLE), channels=("logprob",))
    assert all(set(p.channels) == {"logprob"} for p in found.probes)
    assert found.layers == ()


def test_unlike_capabilities_compare_on_what_both_hold() -> None:
    a = base_model()
    b = side(drifted(a), TABLE, capability=Capability.TEXT)
    found = compare(side(a, TABLE), b, [])
    assert found.capability is Capability.TEXT
    assert not found.comparable
    assert found.reasons[0] == "one commit holds activations, the other text: compared on what both hold"


def test_another_dtype_leaves_what_is_beyond_the_band_undecided() -> None:
    a = base_model()
    found = compared(a, drifted(a), recipe=replace(RECIPE, dtype="bfloat16"))
    assert found.summary.undecided == N
    assert found.overall.verdict is Verdict.UNDECIDED
    assert any("dtype (float32 and bfloat16)" in r for r in found.reasons)
    assert any("do not cover" in r or "does not cover" in r for r in found.reasons)


def test_another_version_is_said_but_decided() -> None:
    a = base_model()
    environment = {"torch": "9.9"}
    found = compared(a, drifted(a), recipe=replace(RECIPE, environment=environment))
    assert found.summary.changed == N
    assert found.reasons == ("the recipes differ in torch (none and 9.9): the noise band does not cover that",)


def test_another_limit_cuts_the_longer_text() -> None:
    a, b = text_side(["one two three four"]), text_side(["one two"])
    short = outputs("one two")
    cut = replace(short, greedy=replace(short.greedy, finish="length"))
    recipes = [replace(RECIPE, max_new_tokens=k) for k in (4, 2)]
    found = compare(replace(a, recipe=recipes[0]), replace(b, recipe=recipes[1], probes={"0000": ProbeSide(cut)}), [])
    assert found.summary.same == 1
    assert any("max_new_tokens (4 and 2)" in r for r in found.reasons)


def test_unlike_references_are_left_out_and_said() -> None:
    a = base_model()
    right = side(a, TABLE)
    probes = {
        p: replace(s, reference=Reference("other")) if i < 2 else s for i, (p, s) in enumerate(right.probes.items())
    }
    found = compare(side(a, TABLE), replace(right, probes=probes), blocks(a, a, TABLE))
    without = {p.probe.name for p in found.probes if "logprob" not in p.channels}
    assert without == {"0000", "0001"}
    assert found.reasons == (
        "2 of 24 probes have different references: log-probs and activations along them are not compared",
    )


def test_unlike_tokenizers_compare_in_total_per_character() -> None:
    a = base_model()
    b = moved(a, 0.5, seed=4)
    found = compare(side(a, TABLE), side(b, bucket_table(200, seed=1)), blocks(a, b, TABLE))
    assert any("tokenizers differ" in r for r in found.reasons)
    left, right = a.evidence(TABLE).logprob, b.evidence(TABLE).logprob
    assert left is not None
    assert right is not None
    gap = abs(float(left.target[:4].sum()) - float(right.target[:4].sum())) / 16
    assert {p.probe.name: p for p in found.probes}["0000"].channels["logprob"].distance == pytest.approx(gap, rel=1e-4)


def test_a_vocabulary_with_tokens_added_is_the_same_vocabulary() -> None:
    a = base_model()
    longer = np.concatenate([TABLE, np.zeros(5, np.uint8)])
    found = compare(side(a, TABLE), side(a, longer), blocks(a, a, TABLE))
    assert found.reasons == ()
    assert found.summary.same == N


def test_references_split_otherwise_are_left_out_and_said() -> None:
    a = base_model()
    given = blocks(a, a, TABLE)
    logprob = given[0].b.logprob
    assert logprob is not None
    tokens = logprob.token_ids.copy()
    tokens[1] += 1
    given[0] = replace(given[0], b=replace(given[0].b, logprob=replace(logprob, token_ids=tokens)))
    found = compare(side(a, TABLE), side(a, TABLE), given)
    assert [p.probe.name for p in found.probes if "logprob" not in p.channels] == ["0000"]
    assert found.reasons == (
        "1 reference is not scored along the same tokens on both sides: log-probs are not compared there",
    )


def test_models_of_unlike_width_have_no_activation_channel() -> None:
    a = base_model()
    b = replace(a, hidden={site: h[:, :16] for site, h in a.hidden.items()})
    found = compare(side(a, TABLE), side(b, TABLE), blocks(a, b, TABLE))
    assert all("activation" not in p.channels for p in found.probes)
    assert found.reasons == ("the models have no hookpoint of equal width in common: activations are not compared",)


def test_a_diff_reads_no_more_noise_than_it_needs() -> None:
    a = base_model()
    read: list[str] = []

    def stream() -> Iterator[Block]:
        for block in blocks(a, moved(a, NOISE, 5), TABLE, size=1):
            read.extend(block.ids)
            yield block

    noisy = side(a, TABLE, NoisePairs({}, stream()))
    found = measure_noise(noisy, settle_terms(noisy, noisy), most=6)
    assert found is not None
    assert len(found.channels["logprob"]) == len(read) == 6


def test_the_noise_of_a_commit_for_its_snapshot() -> None:
    a = base_model()
    found = noise_bands(side(a, TABLE, recaptured(a, TABLE, NOISE, count=10)))
    assert {c: b.n for c, b in found.items()} == {"text": 10, "logprob": 10, "activation": 10}
    assert 0 < found["activation"].median < found["activation"].max < 0.01
    assert noise_bands(side(a, TABLE)) == {}


@pytest.mark.parametrize("ratio", [1.0, 30.0])
def test_the_global_test_over_whole_comparisons_keeps_its_level_and_sees_changes(ratio: float) -> None:
    """40 worlds: with movement like the noise's at most a few are called changed, with 30 times as much all are."""
    called = 0
    for seed in range(40):
        a = base_model(seed=seed, length=2, vocabulary=100)
        table = bucket_table(100)
        pairs = recaptured(a, table, NOISE, count=12, seed=seed + 1000)
        b = moved(a, NOISE * ratio, seed=seed + 2000)
        found = compare(side(a, table, pairs), side(b, table), blocks(a, b, table, size=N))
        called += found.overall.p_value is not None and found.overall.p_value <= 0.05
    assert called <= 7 if ratio == 1 else called == 40


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_touch_no_other_probe_and_are_never_the_same(value: float) -> None:
    a = base_model()
    b = moved(a, NOISE / 4, seed=3)
    given = blocks(a, b, TABLE)
    broken = given[0].b
    assert broken.logprob is not None
    assert broken.activation is not None
    broken.logprob.top_logprobs[5] = value  # the second probe, of 4 positions each
    for vectors in broken.activation.vectors.values():
        vectors[2, 3] = value
    found = compare(side(a, TABLE, recaptured(a, TABLE, NOISE)), side(b, TABLE), given)
    assert {p.probe.name for p in found.probes if p.verdict is Verdict.UNDECIDED} == {"0001", "0002"}
    assert found.summary.same == N - 2
    assert "2 probes hold numbers that are not finite: those are not compared" in found.reasons
    assert all(np.isfinite(c.distance) for p in found.probes for c in p.channels.values())
    assert all(np.isfinite(p.score) for p in found.probes)


def test_a_target_that_is_not_finite_is_left_out_per_character_too() -> None:
    a = base_model()
    given = blocks(a, a, TABLE)
    assert given[0].b.logprob is not None
    given[0].b.logprob.target[0] = np.nan
    found = compare(side(a, TABLE), side(a, bucket_table(200, seed=1)), given)
    assert [p.probe.name for p in found.probes if "logprob" not in p.channels] == ["0000"]


def test_a_change_that_no_text_shows_is_reported_as_what_it_is() -> None:
    a = base_model()
    amount = np.full(N, 0.0)
    amount[:5] = 1.5
    found = compared(a, moved(a, amount, seed=6))
    assert found.summary.identical_text == N
    assert found.overall.verdict is Verdict.CHANGED
    changed = [p for p in found.probes if p.verdict is Verdict.CHANGED]
    assert {p.probe.name for p in changed} == set(names(5))
    assert {p.substance.kind for p in changed if p.substance is not None} == {Kind.IDENTICAL}
    assert all(p.channels["text"].distance == 0 < p.channels["logprob"].distance for p in changed)


def benign(model: Model, amount: float, count: int = 4) -> list[Distances]:
    """Distances of updates that move every probe by about `amount` and reword it."""
    out = []
    for seed in range(count):
        b = moved(model, amount * np.random.default_rng(seed + 50).uniform(0.8, 1.25, N), seed=seed + 60)
        terms = settle_terms(side(model, TABLE), side(b, TABLE))
        texts = {p: (model.outputs(i), b.outputs(i)) for i, p in enumerate(names(N))}
        out.append(measure(texts, blocks(model, b, TABLE), terms))
    return out


def against(a: Model, b: Model, pairs: list[Distances], *, trusted: bool = True) -> Comparison:
    known = Background(benign=[Benign("N1", "pairs", pairs, trusted)])
    return compare(side(a, TABLE, recaptured(a, TABLE, NOISE)), side(b, TABLE), blocks(a, b, TABLE), background=known)


def test_a_further_benign_update_is_the_same_within_a_bound() -> None:
    a = base_model()
    found = against(a, moved(a, 0.4, seed=99), benign(a, 0.4))
    assert found.overall.verdict is Verdict.SAME
    assert found.overall.against == "N1"
    assert found.summary.changed == 0
    assert {p.exceeds for p in found.probes} == {"N0"}
    assert found.overall.smallest["drift"] > found.overall.drift
    assert found.overall.smallest["logprob"] > found.overall.drift
    assert set(found.null_sources) == {"N0", "N1"}


def test_a_narrow_change_inside_a_benign_drift_is_changed_alone() -> None:
    a = base_model()
    amount = np.full(N, 0.4)
    amount[:3] = 6.0
    found = against(a, moved(a, amount, seed=98), benign(a, 0.4))
    assert found.overall.verdict is Verdict.CHANGED
    assert {p.probe.name for p in found.probes if p.verdict is Verdict.CHANGED} == set(names(3))
    assert {p.exceeds for p in found.probes[:3]} == {"N1"}
    assert found.summary.outliers == 3


def test_a_drift_far_beyond_benign_ones_is_a_change_of_the_model() -> None:
    a = base_model()
    found = against(a, moved(a, 4.0, seed=97), benign(a, 0.3))
    assert found.overall.verdict is Verdict.CHANGED
    assert found.overall.tests["drift beyond N1"] <= 0.01
    assert found.summary.changed > N / 2


@pytest.mark.parametrize(("spread", "verdict"), [(0.01, Verdict.CHANGED), (0.4, Verdict.SAME), (None, Verdict.SAME)])
def test_a_shift_of_the_draws_counts_beyond_that_of_benign_pairs(spread: float | None, verdict: Verdict) -> None:
    """All else lies within what benign updates do. Without pairs that have draws nothing is said of the shift."""
    a = replace(base_model(), draws=tuple(("an answer",) * 6 for _ in range(N)))
    b, pairs, ids = moved(a, 0.4, seed=99), benign(a, 0.4), names(N)
    shifts = [] if spread is None else [dict.fromkeys(ids, spread * s) for s in (1, -1, 0.5, -0.5, 1, -1)]
    known = Background(
        benign=[Benign("N1", "pairs", pairs)],
        scores=dict.fromkeys(ids, ((1.0,) * 6, (0.0,) * 3 + (1.0,) * 3)),
        shifts={"N1": shifts},
    )
    found = compare(side(a, TABLE, recaptured(a, TABLE, NOISE)), side(b, TABLE), blocks(a, b, TABLE), background=known)
    assert found.overall.verdict is verdict
    assert ("shift beyond N1" in found.overall.tests) == (spread is not None)
    level = DRIFT_LEVEL - (0 if spread is None else SHIFT_LEVEL)
    assert found.overall.smallest["drift"] == detectable_drift([drift(pair) for pair in pairs], level)
    assert ("rate" in found.overall.smallest) == (spread == 0.01)
    assert found.null_sources["N1"] == ("pairs" if spread is None else "pairs; the draws' shift: 6 pairs of captures")


def test_steps_that_nobody_vouched_for_do_not_bless_a_change_in_a_small_suite() -> None:
    a = base_model(n=12)
    b = moved(a, 0.4, seed=96, texts=[f"reworded {i}" for i in range(12)])
    pairs = [Distances(channels={"text": dict.fromkeys(names(12), 0.9)}) for _ in range(4)]
    for trusted, against_null in ((True, "N1"), (False, None)):
        known = Background(benign=[Benign("N1", "steps", pairs, trusted)])
        found = compare(side(a, TABLE), side(b, TABLE), blocks(a, b, TABLE), background=known)
        assert found.overall.against == against_null


def test_one_model_in_two_layouts_is_the_same_whatever_they_differ_by() -> None:
    a = base_model()
    b = moved(a, 10 * NOISE, seed=5)
    given = side(a, TABLE, recaptured(a, TABLE, NOISE)), side(b, TABLE)
    apart = compare(*given, blocks(a, b, TABLE))
    known = compare(*given, blocks(a, b, TABLE), background=Background(same_weights=True))
    assert (apart.overall.verdict, known.overall.verdict) == (Verdict.CHANGED, Verdict.SAME)
    assert known.summary.same == N
    assert known.null_sources == {"N0": "the same weights in both commits, captured in another layout"}
