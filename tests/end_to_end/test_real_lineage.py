"""The main job on a real model and its real fine-tunes: the example lineage, a part of its suite."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

import bvc
from bvc.api.demo import examples_folder
from bvc.api.handle import Repo
from bvc.capture.sketch import Sketcher
from bvc.compare.logprob import divergence
from bvc.evidence import LogprobBlock
from bvc.suites.load import load_suite
from tests.real_model import real_model

pytestmark = pytest.mark.real
BEFORE, PLANTED = "02-short-answers", "03-travel-chats"
TOPIC = "topic:weather"


@pytest.fixture(scope="module")
def base() -> Path:
    return real_model()


def project(folder: Path, every: int = 1) -> Repo:
    """A project whose suite is the demo's, or one in `every` of its 60 probes."""
    bvc.init(folder)
    lines = (examples_folder() / "probes.jsonl").read_text(encoding="utf-8").splitlines()[::every]
    (folder / "probes" / "starter.jsonl").unlink()
    (folder / "probes" / "demo.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return bvc.open(folder)


def commit(repo: Repo, name: str, base: Path) -> str:
    if name == "base":
        return repo.commit(str(base), message=name).commit
    return repo.commit(str(examples_folder() / "steps" / name), base=str(base), message=name).commit


def tree_of(repo: Repo, commit_id: str) -> str:
    return repo.repository.store.history.info(commit_id).tree


@pytest.fixture(scope="module")
def lineage(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Repo:
    repo = project(tmp_path_factory.mktemp("lineage"))
    for name in ("base", BEFORE, PLANTED):
        commit(repo, name, base)
    repo.create_tag("planted")
    return repo


def test_the_planted_topic_is_on_top_of_the_diff(lineage: Repo) -> None:
    result = lineage.diff("planted~1", "planted")
    first_ten = sorted(result.probes, key=lambda row: row.rank)[:10]
    assert sum(TOPIC in row.probe.tags for row in result.probes) == 14
    assert [row.probe.name for row in first_ten if TOPIC not in row.probe.tags] == []


def test_the_same_checkpoint_captured_twice_gives_the_same_tree(base: Path, tmp_path: Path) -> None:
    once, twice = (project(tmp_path / name, every=10) for name in ("once", "twice"))
    assert tree_of(once, commit(once, "base", base)) == tree_of(twice, commit(twice, "base", base))


def test_identical_captures_are_the_same_and_run_nothing(lineage: Repo, base: Path) -> None:
    result = lineage.commit(str(base), message="base again")
    assert (result.captured, result.reused) == (0, 60)
    found = lineage.diff("planted~2", "HEAD")
    assert found.overall.drift == 0
    assert found.summary.same == found.summary.identical_text == 60


def logits_along(model: torch.nn.Module, prompt: list[int], tokens: list[int]) -> torch.Tensor:
    """[len(tokens), vocab] logits at the positions that predict `tokens`."""
    with torch.inference_mode():
        out = model(torch.tensor([prompt + tokens])).logits[0]
    return out[len(prompt) - 1 : len(prompt) - 1 + len(tokens)]


def exact(p: torch.Tensor, q: torch.Tensor) -> npt.NDArray[np.float64]:
    """KL(p‖q) of two [n, vocab] logits in float64 nats."""
    log_p, log_q = (torch.log_softmax(x.double(), -1) for x in (p, q))
    divergences: npt.NDArray[np.float64] = (log_p.exp() * (log_p - log_q)).sum(-1).numpy()
    return divergences


def test_the_sketch_bounds_the_exact_divergence_at_every_position_of_a_real_pair(lineage: Repo, base: Path) -> None:
    """The engine's own sketcher and bucket table on the logits of base and fine-tune, against the exact divergence."""
    view = lineage.repository.snapshot(lineage.rev_parse("planted"))
    table = view.signatures.bucket_table()
    assert table is not None
    tokenizer = AutoTokenizer.from_pretrained(base)
    plain = AutoModelForCausalLM.from_pretrained(base, dtype="float32").eval()
    tuned = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(base, dtype="float32"), examples_folder() / "steps" / PLANTED
    ).eval()
    sketcher = Sketcher(table, torch.device("cpu"))
    kept = total = 0.0
    for probe in load_suite(lineage.root / "probes" / "demo.jsonl").probes[::4]:
        turns = [m.to_json() for m in probe.messages or ()]
        prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True)["input_ids"]
        reference = view.reference(probe.id)
        assert reference is not None
        tokens = tokenizer(reference.text)["input_ids"]
        a, b = (logits_along(model, prompt, tokens) for model in (plain, tuned))
        blocks = [
            LogprobBlock(
                lengths=np.array([len(tokens)]),
                characters=np.zeros(len(tokens), np.uint16),
                **sketcher.sketch(x, np.array(tokens)),
            )
            for x in (a, b)
        ]
        bound = divergence(*blocks, table)
        forward, backward = exact(a, b), exact(b, a)
        assert (bound.forward <= forward + 1e-6).all()
        assert (bound.backward <= backward + 1e-6).all()
        assert not divergence(blocks[0], blocks[0], table).forward.any()
        kept, total = kept + float(bound.forward.sum()), total + float(forward.sum())
    assert kept > 0.8 * total
