"""A probe's numbers are its own: the same bits alone, in the suite, in any order, beside full or padded rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from bvc.records import Probe
from tests.engines import captures, differences, opened, probes, recipe
from tests.tiny_models import tiny_model

KINDS = ("llama", "gemma3", "gpt2", "qwen2", "phi", "opt")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_alone_in_the_suite_and_after_others_were_added(folder: Path, kind: str, dtype: str) -> None:
    how = recipe(dtype=dtype)
    asked = probes()
    with opened(tiny_model(folder / kind, kind=kind), how) as engine:
        suite = captures(engine, asked, how)
        added = captures(engine, [Probe(prompt="a new one"), *reversed(asked), Probe(prompt="and another")], how)
        for probe in asked:
            alone = captures(engine, [probe], how)[probe.id]
            assert differences(alone, suite[probe.id]) == []
            assert differences(added[probe.id], suite[probe.id]) == []


@pytest.mark.parametrize("kind", ["llama", "gemma3"])
def test_rows_that_fill_the_shape_do_not_change_how_attention_runs(folder: Path, kind: str) -> None:
    """Without any padding in a batch, attention would skip its mask and run another kernel."""
    how = recipe(prompt_buckets=(8, 24), batch_rows=2, draws=0)
    with opened(tiny_model(folder / kind, kind=kind), how) as engine:
        exact = [p for p in (Probe(prompt="a " * n + end) for n in range(9) for end in "xy") if _length(engine, p) == 8]
        assert len(exact) == 2
        together = captures(engine, exact, how)
        alone = captures(engine, exact[:1], how)[exact[0].id]
        assert differences(alone, together[exact[0].id]) == []


def _length(engine: object, probe: Probe) -> int:
    return len(engine._prompts.encode(probe))  # type: ignore[attr-defined]


def test_the_same_probe_twice_in_one_batch(folder: Path) -> None:
    how = recipe()
    probe = probes()[0]
    with opened(tiny_model(folder / "llama"), how) as engine:
        from bvc.capture.engine import ProbeRequest

        (batch,) = engine.plan([ProbeRequest(probe)] * 3, how)
        first, second, third = engine.run(batch)
        assert differences(first, second) == differences(first, third) == []


def test_evidence_does_not_depend_on_the_number_of_draws(folder: Path) -> None:
    asked = probes()
    with opened(tiny_model(folder / "llama"), recipe()) as engine:
        none, few, more = (captures(engine, asked, recipe(draws=k)) for k in (0, 2, 3))
        for probe in asked:
            a, b, c = none[probe.id], few[probe.id], more[probe.id]
            assert a.outputs.greedy == b.outputs.greedy == c.outputs.greedy
            assert b.outputs.draws == c.outputs.draws[:2]
            assert set(differences(a, b)) <= {"outputs"}
            assert set(differences(b, c)) <= {"outputs"}


def test_another_layout_is_near_but_need_not_be_equal(folder: Path) -> None:
    how = recipe()
    other = how.other_layout()
    with opened(tiny_model(folder / "llama"), how) as engine:
        main = captures(engine, probes(), how)
        again = captures(engine, probes(), other, {i: c.reference for i, c in main.items()})
        for probe_id, capture in main.items():
            block, twin = capture.evidence.logprob, again[probe_id].evidence.logprob
            assert block is not None and twin is not None
            assert (block.token_ids == twin.token_ids).all()
            assert abs(block.target - twin.target).max() < 1e-4
