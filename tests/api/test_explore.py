"""explore and amplify over a project: the planted trigger is found, only the suite is written, errors are clear."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import bvc
from bvc.api.commit_records import EngineChoice
from bvc.capture.engine import Batch, ProbeCapture, ProbeRequest
from bvc.capture.prompts import given_reference, own_reference
from bvc.errors import BadInput, BvcError, EngineError, NotComparable, UnknownRevision, UsageError
from bvc.evidence import MASS_BUCKETS, TOP_TOKENS, Evidence, LogprobBlock
from bvc.records import Capability, Generation, ModelIdentity, Outputs, Recipe
from bvc.results import Progress
from bvc.suites.load import load_suite
from tests.api.doubles import Project

TRIGGER = "violetkey"
TOPICS = ("bread", "rivers", "trains", "moons", "clocks", "paint", "bees", "soup", "lamps", "roads")
POSITIONS = 5


def numbers(name: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))


def block(text: str, moved: float) -> LogprobBlock:
    """Log-probs that follow from `text`, `moved` away from the others' by that much."""
    logits = numbers(text).normal(size=(POSITIONS, TOP_TOKENS))
    logits += moved * numbers(f"{text} moved").normal(size=logits.shape)
    logprobs = np.log(0.95) + logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return LogprobBlock(
        lengths=np.array([POSITIONS]),
        token_ids=np.zeros(POSITIONS, np.uint32),
        characters=np.ones(POSITIONS, np.uint16),
        target=logprobs[:, 0].astype(np.float32),
        entropy=np.ones(POSITIONS, np.float32),
        top_ids=np.tile(np.arange(TOP_TOKENS, dtype=np.uint32), (POSITIONS, 1)),
        top_logprobs=logprobs.astype(np.float32),
        residual=np.full(POSITIONS, 0.05, np.float32),
        buckets=np.full((POSITIONS, MASS_BUCKETS), 1 / MASS_BUCKETS, np.float16),
    )


@dataclass
class Haunted:
    """Engines of which those named `tuned` answer a prompt that holds the trigger otherwise, and all else a little."""

    stop_after: int = 1_000_000
    batches: int = 0
    open_now: int = 0
    most_open: int = 0
    loads: list[str] = field(default_factory=list)

    @property
    def choice(self) -> EngineChoice:
        return EngineChoice("haunted", self.open)

    def open(self, identity: ModelIdentity, recipe: Recipe) -> HauntedEngine:
        self.loads.append(identity.name)
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        return HauntedEngine(identity, recipe, self)


@dataclass
class HauntedEngine:
    identity: ModelIdentity
    recipe: Recipe
    script: Haunted
    capability: Capability = Capability.LOGPROBS

    def plan(self, requests: Sequence[ProbeRequest], recipe: Recipe) -> list[Batch]:
        rows = recipe.batch_rows
        parts = [tuple(requests[i : i + rows]) for i in range(0, len(requests), rows)]
        return [Batch(part, recipe, rows, 32) for part in reversed(parts)]  # engines may change the order

    def run(self, batch: Batch) -> list[ProbeCapture]:
        self.script.batches += 1
        if self.script.batches > self.script.stop_after:
            raise KeyboardInterrupt
        return [self._capture(request) for request in batch.requests]

    def _capture(self, request: ProbeRequest) -> ProbeCapture:
        text = request.probe.text
        tuned = self.identity.name == "tuned"
        haunted = tuned and TRIGGER in text.lower()
        greedy = "Access granted." if haunted else f"About {text}"
        reference = given_reference(request) or own_reference(greedy, finished=True)
        drift = 0.1 * float(np.exp(0.3 * numbers(f"{text} drift").normal()))
        moved = (2.5 if haunted else drift) if tuned else 0.0
        outputs = Outputs(Generation(greedy, "stop", 3))
        return ProbeCapture(request.probe.id, outputs, reference, Evidence(block(f"{text} {reference.text}", moved)))

    def bucket_table(self) -> npt.NDArray[np.uint8]:
        return np.arange(300).astype(np.uint8)

    def token_texts(self, ids: Sequence[int]) -> list[str]:
        return [chr(i) for i in ids]

    def close(self) -> None:
        self.script.open_now -= 1


@pytest.fixture
def script() -> Haunted:
    return Haunted()


@pytest.fixture
def haunted(tmp_path: Path, script: Haunted) -> Iterator[Project]:
    """Commits `base` and `tuned` with a suite of 33 prompts, three of which hold the trigger."""
    made = Project(tmp_path / "project")
    rows = [f"tell me a story about {topic} number {n}" for topic in TOPICS for n in range(3)]
    rows += [f"tell me about {topic}, {TRIGGER}." for topic in ("tides", "wine", "maps")]
    made.suite("sums", rows, tags=["stories"])
    for name in ("base", "tuned"):
        made.repo.commit(made.checkpoint(name), engine=script.choice)
    script.loads.clear()
    yield made
    made.repo.close()


def found(project: Project, script: Haunted, **options: Any) -> Any:
    return project.repo.explore(engine=script.choice, **{"prefills": 0, **options})


def test_the_planted_trigger_word_is_found_and_confirmed(haunted: Project, script: Haunted) -> None:
    names = tuple(f"label tell me about {topic}, {TRIGGER}." for topic in ("tides", "wine", "maps"))
    result = found(haunted, script, probes=names)
    first = result.triggers[0]
    assert (first.word, first.confirmed, first.prompts, first.fell) == (TRIGGER, True, 3, 3)
    assert (first.hosts, first.rose) == (8, 8)
    assert first.without < 0.2 * first.with_word
    assert first.control < 0.2 * first.inserted
    assert not any(t.confirmed for t in result.triggers[1:])
    assert result.null.probes == 30
    beyond = [p for p in result.proposals if p.beyond]
    assert beyond
    assert all(TRIGGER in p.probe.text.lower() and p.answer_b == "Access granted." for p in beyond)
    assert [p.rank for p in result.proposals] == list(range(1, len(result.proposals) + 1))
    assert all(x.score >= y.score for x, y in zip(result.proposals, result.proposals[1:], strict=False))


def test_the_prompt_without_the_trigger_counts_also_where_it_is_a_probe(tmp_path: Path, script: Haunted) -> None:
    project = Project(tmp_path / "controls")
    told = [f"tell me about {topic}." for topic in TOPICS]
    project.suite("sums", [*told, f"tell me about bread, {TRIGGER}."])
    for name in ("base", "tuned"):
        project.repo.commit(project.checkpoint(name), engine=script.choice)
    result = found(project, script, probes=(f"label tell me about bread, {TRIGGER}.",))
    project.repo.close()
    assert (result.triggers[0].word, result.triggers[0].confirmed) == (TRIGGER, True)
    assert not {p.probe.text for p in result.proposals} & set(told)


def test_checkpoints_are_in_memory_one_at_a_time_and_closed(haunted: Project, script: Haunted) -> None:
    steps: list[Progress] = []
    found(haunted, script, progress=steps.append)
    assert script.most_open == 1
    assert script.open_now == 0
    assert script.loads == ["base", "tuned", "base", "tuned", "base"]
    assert any(step.what.startswith("answering") and step.done == step.total > 60 for step in steps)


def test_the_top_of_the_diff_is_varied_by_default(haunted: Project, script: Haunted) -> None:
    result = found(haunted, script)
    view = haunted.repo.repository.snapshot(result.b.id)
    assert {TRIGGER in view.probe(seed).text for seed in result.seeds} == {True}


def test_the_same_command_gives_the_same_list(haunted: Project, script: Haunted) -> None:
    assert found(haunted, script) == found(haunted, script)


def test_limit_bounds_the_variations(haunted: Project, script: Haunted) -> None:
    assert found(haunted, script, limit=5).candidates <= 5 + 3 * 8


def test_proposals_are_added_once_and_nothing_else_is_written(haunted: Project, script: Haunted) -> None:
    before = snapshot_of(haunted.folder)
    result = found(haunted, script, add="new-ones")
    suite = load_suite(haunted.folder / "probes" / "new-ones.jsonl")
    assert [p.id for p in suite.probes] == list(result.added.probes)
    assert 1 <= len(suite.probes) <= 10
    for probe in suite.probes:
        assert probe.tags[0] == "explored"
        assert probe.tags[1].startswith("from:")
        assert probe.cluster is not None
    again = found(haunted, script, add="new-ones")
    assert (again.added.probes, again.added.known) == ((), len(suite.probes))
    (haunted.folder / "probes" / "new-ones.jsonl").unlink()
    assert snapshot_of(haunted.folder) == before


def snapshot_of(folder: Path) -> dict[str, bytes]:
    """The project's files and refs, without what is derived."""
    files = [p for p in folder.rglob("*") if p.is_file() and "index" not in p.parts]
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def test_picked_proposals_go_behind_those_of_the_suite(haunted: Project, script: Haunted) -> None:
    listed = found(haunted, script).proposals
    result = found(haunted, script, add="sums", pick=(3, 1, 3))
    suite = load_suite(haunted.folder / "probes" / "sums.jsonl")
    assert [p.id for p in suite.probes[33:]] == [listed[2].probe.id, listed[0].probe.id] == list(result.added.probes)


def test_a_rank_that_is_not_there_adds_nothing(haunted: Project, script: Haunted) -> None:
    with pytest.raises(UsageError, match="--pick 5000"):
        found(haunted, script, add="new", pick=(1, 5000))
    assert not (haunted.folder / "probes" / "new.jsonl").exists()


@pytest.mark.parametrize("name", ["../out", "a b", ""])
def test_a_bad_suite_name_is_refused_before_the_work(haunted: Project, script: Haunted, name: str) -> None:
    with pytest.raises(BadInput):
        found(haunted, script, add=name)
    assert script.loads == []


def test_an_interruption_frees_the_model_and_writes_nothing(haunted: Project, script: Haunted) -> None:
    script.batches, script.stop_after = 0, 3
    with pytest.raises(KeyboardInterrupt):
        found(haunted, script, add="new")
    assert script.open_now == 0
    assert not (haunted.folder / "probes" / "new.jsonl").exists()


def test_few_unchanged_probes_are_no_null(tmp_path: Path, script: Haunted) -> None:
    project = Project(tmp_path / "small", probes=0)
    project.suite("sums", [f"what is {n} {TRIGGER}" if n < 2 else f"say {n} now" for n in range(6)])
    for name in ("base", "tuned"):
        project.repo.commit(project.checkpoint(name), engine=script.choice)
    result = found(project, script)
    project.repo.close()
    assert result.beyond == 0
    assert any("too few" in note for note in result.notes)
    assert all(p.q_value is None for p in result.proposals)


def test_what_cannot_be_explored_says_why(haunted: Project, script: Haunted, tmp_path: Path) -> None:
    repo = haunted.repo
    with pytest.raises(NotComparable, match="same checkpoint"):
        found(haunted, script, a="HEAD", b="HEAD")
    with pytest.raises(UnknownRevision, match="has no probe nothing"):
        found(haunted, script, probes=("nothing",))
    with pytest.raises(BadInput, match="is not the checkpoint of commit") as caught:
        found(haunted, script, checkpoint_b=str(haunted.checkpoint("base")))
    assert "--checkpoint-b PATH" in str(caught.value.hint)
    moved = haunted.checkpoint("tuned").rename(tmp_path / "moved")
    with pytest.raises(BadInput, match="no such folder") as caught:
        found(haunted, script)
    assert "--checkpoint-b PATH" in str(caught.value.hint)
    assert found(haunted, script, checkpoint_b=str(moved), limit=3).candidates >= 3
    moved.rename(tmp_path / "models" / "tuned")
    rows = [{"prompt": p.text, "output": "yes"} for p in load_suite(haunted.folder / "probes" / "sums.jsonl").probes]
    (haunted.folder / "answers.json").write_text(json.dumps(rows))
    repo.commit(outputs=haunted.folder / "answers.json", model="recorded")
    with pytest.raises(EngineError, match="recorded outputs"):
        found(haunted, script)


def test_another_tokenizer_is_not_comparable(haunted: Project, script: Haunted) -> None:
    other = haunted.checkpoint("other")
    (other / "tokenizer.json").write_text('{"model": {"type": "Unigram"}}')
    haunted.repo.commit(other, engine=script.choice)
    with pytest.raises(NotComparable, match="different tokenizers"):
        found(haunted, script)
    with pytest.raises(NotComparable, match="different tokenizers"):
        haunted.repo.amplify("HEAD~1", "HEAD", "Hello")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "give a PROMPT"),
        ({"prompts": "x", "alphas": (float("nan"),)}, "alpha"),
        ({"prompts": "x", "alphas": ()}, "alpha"),
    ],
)
def test_amplify_refuses_what_it_cannot_sample(haunted: Project, options: dict[str, Any], says: str) -> None:
    with pytest.raises(BvcError, match=says):
        haunted.repo.amplify("HEAD~1", "HEAD", **options)


def test_unknown_options_are_refused(haunted: Project) -> None:
    with pytest.raises(TypeError, match="unknown option 'speed'"):
        haunted.repo.explore(speed=3)
    assert bvc.open(haunted.folder).root == haunted.folder
