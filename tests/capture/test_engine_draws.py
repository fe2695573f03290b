"""Draws made later are those made at once, byte for byte, and cost neither the reference nor the earlier draws."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bvc.capture.engine import DrawingEngine, ProbeRequest
from bvc.capture.forward import Forward
from tests.engines import captures, opened, probes, recipe
from tests.tiny_models import tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", ["llama", "gemma3", "gpt2"])
def test_draws_made_later_are_those_made_at_once(folder: Path, kind: str, dtype: str) -> None:
    asked = probes()
    with opened(tiny_model(folder / kind, kind=kind), recipe(dtype=dtype)) as engine:
        assert isinstance(engine, DrawingEngine)
        for few, many in ((2, 4), (0, 1), (3, 6)):
            start, whole = (captures(engine, asked, recipe(dtype=dtype, draws=k)) for k in (few, many))
            later = {
                request.probe.id: draws
                for batch in engine.plan([ProbeRequest(p) for p in asked], recipe(dtype=dtype, draws=many))
                for request, draws in zip(batch.requests, engine.draw(batch, few), strict=True)
            }
            for probe in asked:
                at_once = whole[probe.id].outputs
                assert (*start[probe.id].outputs.draws, *later[probe.id]) == at_once.draws
                assert start[probe.id].outputs.greedy == at_once.greedy


def test_logits_of_a_draw_do_not_depend_on_how_many_there_are(folder: Path) -> None:
    """The bits, not only the texts: the logits that one draw's tokens come from are those of other counts of draws."""
    seen: list[list[torch.Tensor]] = []
    with opened(tiny_model(folder / "llama"), recipe(dtype="bfloat16")) as engine:
        extend = Forward.extend

        def noting(self: Forward, context: object, ids: object) -> torch.Tensor:
            logits = extend(self, context, ids)  # type: ignore[arg-type]
            seen[-1].append(logits.clone())
            return logits

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Forward, "extend", noting)
            for draws in (1, 3):
                seen.append([])
                (batch,) = engine.plan([ProbeRequest(probes()[0])], recipe(dtype="bfloat16", draws=draws))
                engine.draw(batch, 0)
    for one, three in zip(*seen, strict=False):
        assert one.shape == three.shape
        assert torch.equal(one[0], three[0])


def test_drawing_runs_no_reference(folder: Path) -> None:
    shapes: list[tuple[int, ...]] = []
    with opened(tiny_model(folder / "llama"), recipe()) as engine:
        engine._loaded.core.model.register_forward_pre_hook(
            lambda module, args, kwargs: shapes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
        )
        (batch,) = engine.plan([ProbeRequest(probes()[0])], recipe(max_new_tokens=3, draws=6))
        engine.draw(batch, 2)
    assert shapes[0] == (4, batch.prompt_tokens) and set(shapes[1:]) == {(16, 1)}
