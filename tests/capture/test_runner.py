"""The runner: what it runs and leaves out, how it goes on after a stop, and what it does when memory is short."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bvc.capture.engine import Batch, Engine, EngineOutOfMemory, ProbeCapture, ProbeRequest
from bvc.capture.identity import identify, tokenizer_folder
from bvc.capture.journal import Journal
from bvc.capture.recipe import make_recipe
from bvc.capture.runner import CaptureRun, Work, capture_all
from bvc.config import Config
from bvc.errors import BvcError, EngineError
from bvc.evidence import ActivationBlock, Evidence, Features
from bvc.records import Capability, Generation, ModelIdentity, Outputs, Probe, Recipe, Reference
from bvc.results import Progress
from tests.api.encoding import answer_block, block
from tests.tiny_models import tiny_model

ROOT = str(Path(__file__).parents[2])
MODEL = ModelIdentity("small", "d" * 64, "hf")
RECIPE = Recipe("arithmetic", batch_rows=4, draws=1)


@dataclass
class ArithmeticEngine:
    """Answers are hashes of what is asked and of the batch shape, so that a mixture of recipes would show."""

    recipe: Recipe = RECIPE
    rows_that_fit: int = 1000
    stop_after: int = 1000
    identity: ModelIdentity = MODEL
    capability: Capability = Capability.ACTIVATIONS
    ran: list[Batch] = field(default_factory=list)
    closed: bool = False

    def plan(self, requests: Sequence[ProbeRequest], recipe: Recipe) -> list[Batch]:
        rows = recipe.batch_rows
        groups = [tuple(requests[i : i + rows]) for i in range(0, len(requests), rows)]
        return [Batch(group, recipe, rows, recipe.prompt_buckets[0]) for group in groups]

    def run(self, batch: Batch) -> list[ProbeCapture]:
        if batch.rows > self.rows_that_fit:
            raise EngineOutOfMemory("out of memory")
        if len(self.ran) == self.stop_after:
            raise KeyboardInterrupt
        self.ran.append(batch)
        return [answer(request, batch.recipe) for request in batch.requests]

    def bucket_table(self) -> npt.NDArray[np.uint8]:
        return np.arange(200, dtype=np.uint8)

    def token_texts(self, ids: Sequence[int]) -> list[str]:
        return [chr(i) for i in ids]

    def close(self) -> None:
        self.closed = True


def answer(request: ProbeRequest, recipe: Recipe) -> ProbeCapture:
    shape = f"{recipe.batch_rows}x{recipe.prompt_buckets[0]}"
    text = hashlib.sha256(f"{request.probe.id} {shape}".encode()).hexdigest()
    reference = request.reference or Reference(request.probe.reference or text)
    vector = np.frombuffer(hashlib.sha256(f"{text} {reference.text}".encode()).digest(), np.uint8).astype(np.float32)
    outputs = Outputs(Generation(text), tuple(Generation(f"{text} {k}") for k in range(recipe.draws)))
    return ProbeCapture(request.probe.id, outputs, reference, Evidence(None, ActivationBlock({"a": vector[None]})))


def requests(count: int, start: int = 0) -> list[ProbeRequest]:
    return [ProbeRequest(Probe(prompt=f"probe {n}")) for n in range(start, start + count)]


def capture(
    folder: Path,
    engine: Engine | Callable[[], Engine],
    work: Work,
    recipe: Recipe = RECIPE,
    dictionary: str | None = None,
) -> tuple[CaptureRun, dict[str, ProbeCapture], dict[str, ProbeCapture], list[Progress]]:
    """Runs and reads back: the run, the captures, the recaptures, what was reported."""
    seen: list[Progress] = []
    with Journal.open(folder, MODEL, recipe, dictionary) as journal:
        run = capture_all(engine if callable(engine) else lambda: engine, work, journal, seen.append)
        main = {probe: journal.read(probe) for probe in journal.done()}
        again = {probe: journal.read(probe, again=True) for probe in journal.done(again=True)}
    return run, main, again, seen


def asked(engine: ArithmeticEngine) -> list[str]:
    return [request.probe.id for batch in engine.ran for request in batch.requests]


def same(a: ProbeCapture, b: ProbeCapture) -> bool:
    assert a.evidence.activation is not None and b.evidence.activation is not None
    equal = a.evidence.activation.vectors["a"].tobytes() == b.evidence.activation.vectors["a"].tobytes()
    return equal and (a.probe_id, a.outputs, a.reference) == (b.probe_id, b.outputs, b.reference)


def test_everything_is_captured_once_and_kept(tmp_path: Path) -> None:
    engine, wanted = ArithmeticEngine(), requests(10)
    run, main, again, seen = capture(tmp_path, engine, Work(wanted, recaptures=wanted[:3]))
    assert (run.captured, run.resumed, run.recipe, run.notes) == (10, 0, RECIPE, ())
    assert run.engine is not None and run.engine.capability is Capability.ACTIVATIONS
    assert run.engine.bucket_table is not None and run.engine.bucket_table.tolist() == list(range(200))
    assert engine.closed
    assert all(same(main[r.probe.id], answer(r, RECIPE)) for r in wanted) and len(main) == 10
    other = RECIPE.other_layout()
    frozen = [ProbeRequest(r.probe, main[r.probe.id].reference) for r in wanted[:3]]
    assert all(same(again[r.probe.id], answer(r, other)) for r in frozen) and len(again) == 3
    assert [(p.done, p.total) for p in seen if p.what == "probes"] == [(0, 10), (4, 10), (8, 10), (10, 10)]
    assert [p.done for p in seen if p.what == "probes for the noise floor"] == [0, 2, 3]
    assert [(p.done, p.total) for p in seen if p.what == "loading the model"] == [(0, 1), (1, 1)]


def test_with_nothing_to_run_the_engine_is_not_opened(tmp_path: Path) -> None:
    def never() -> Engine:
        raise AssertionError("opened")

    wanted = requests(3)
    held = {r.probe.id for r in wanted}
    run, main, _, _ = capture(tmp_path, never, Work(wanted, recaptures=wanted, held=held, held_again=held))
    assert (run.captured, run.engine, main) == (0, None, {})
    capture(tmp_path, ArithmeticEngine(), Work(wanted))
    run, main, _, _ = capture(tmp_path, never, Work(wanted))
    assert (run.captured, run.resumed) == (0, 3) and main.keys() == held
    assert run.engine is not None and run.engine.bucket_table is not None


def test_ten_probes_added_are_ten_probes_run(tmp_path: Path) -> None:
    engine, wanted = ArithmeticEngine(), requests(30)
    run, main, _, _ = capture(tmp_path, engine, Work(wanted, held={r.probe.id for r in wanted[:20]}))
    assert run.captured == 10 and asked(engine) == [r.probe.id for r in wanted[20:]]
    assert main.keys() == {r.probe.id for r in wanted[20:]}


def test_a_recapture_of_a_held_probe_uses_the_callers_reference(tmp_path: Path) -> None:
    probe = Probe(prompt="held")
    frozen = ProbeRequest(probe, Reference("frozen earlier"))
    _, _, again, _ = capture(
        tmp_path, ArithmeticEngine(), Work([ProbeRequest(probe)], recaptures=[frozen], held={probe.id})
    )
    assert again[probe.id].reference == Reference("frozen earlier")


@pytest.mark.parametrize("batches", [0, 1, 2, 3])
def test_after_ctrl_c_it_goes_on_where_it_stopped(tmp_path: Path, batches: int) -> None:
    first, wanted = ArithmeticEngine(stop_after=batches), requests(10)
    work = Work(wanted, recaptures=wanted[:3])
    with pytest.raises(KeyboardInterrupt):
        capture(tmp_path, first, work)
    assert first.closed
    second = ArithmeticEngine()
    run, main, _, seen = capture(tmp_path, second, work)
    done = min(4 * batches, 10)
    assert (run.resumed, run.captured) == (done, 10 - done)
    assert asked(second)[: 10 - done] == [r.probe.id for r in wanted[done:]]
    assert all(same(main[r.probe.id], answer(r, RECIPE)) for r in wanted) and len(main) == 10
    assert bool(run.notes) == bool(done)
    assert [p.done for p in seen if p.what == "probes"][:1] == ([done] if done < 10 else [])


def test_another_reference_or_more_draws_are_captured_again(tmp_path: Path) -> None:
    wanted = requests(4)
    capture(tmp_path, ArithmeticEngine(), Work(wanted))
    forced = [*wanted[:3], ProbeRequest(wanted[3].probe, Reference("given"))]
    engine = ArithmeticEngine()
    run, main, _, _ = capture(tmp_path, engine, Work(forced))
    assert asked(engine) == [wanted[3].probe.id] and run.resumed == 3
    assert main[wanted[3].probe.id].reference == Reference("given")
    engine = ArithmeticEngine()
    _, main, _, _ = capture(tmp_path, engine, Work(forced), replace(RECIPE, draws=3))
    assert len(asked(engine)) == 4 and all(len(c.outputs.draws) == 3 for c in main.values())


# Memory


def test_out_of_memory_halves_the_rows_and_mixes_nothing(tmp_path: Path) -> None:
    engine, wanted = ArithmeticEngine(rows_that_fit=1), requests(6)
    held = {r.probe.id for r in wanted[:2]}
    run, main, again, seen = capture(tmp_path, engine, Work(wanted, recaptures=wanted[:2], held=held, held_again=held))
    smaller = replace(RECIPE, batch_rows=1)
    assert run.recipe == smaller and run.captured == 6
    assert all(same(main[r.probe.id], answer(r, smaller)) for r in wanted) and len(main) == 6
    assert [note for note in run.notes if "the recipe changed to batches of" in note] == [
        "out of memory with batches of 4: the recipe changed to batches of 2",
        "out of memory with batches of 2: the recipe changed to batches of 1",
    ]
    assert [p.note for p in seen if p.note] == list(run.notes)
    assert again == {} and "noise floor" in run.notes[-1]


def test_out_of_memory_halfway_captures_all_again(tmp_path: Path) -> None:
    """The second batch is the one that does not fit: the first one's captures are of another recipe."""

    class Growing(ArithmeticEngine):
        def run(self, batch: Batch) -> list[ProbeCapture]:
            if batch.rows == 4 and self.ran:
                raise EngineOutOfMemory("out of memory")
            return super().run(batch)

    wanted = requests(6)
    run, main, again, _ = capture(tmp_path, Growing(), Work(wanted, recaptures=wanted[:2]))
    smaller = replace(RECIPE, batch_rows=2)
    assert run.recipe == smaller and (run.captured, run.resumed) == (6, 0)
    assert all(same(main[r.probe.id], answer(r, smaller)) for r in wanted)
    assert "4 probes are captured again" in run.notes[0]
    assert all(again[r.probe.id].reference == main[r.probe.id].reference for r in wanted[:2])


def test_the_smaller_recipe_is_remembered_across_runs(tmp_path: Path) -> None:
    wanted = requests(6)
    with pytest.raises(KeyboardInterrupt):
        capture(tmp_path, ArithmeticEngine(rows_that_fit=2, stop_after=2), Work(wanted))
    engine = ArithmeticEngine(rows_that_fit=2)
    run, main, _, _ = capture(tmp_path, engine, Work(wanted, held={wanted[5].probe.id}))
    smaller = replace(RECIPE, batch_rows=2)
    assert run.recipe == smaller and (run.resumed, run.captured) == (4, 2)
    assert all(same(main[r.probe.id], answer(r, smaller)) for r in wanted) and len(main) == 6


def test_not_even_one_row_is_a_clear_error(tmp_path: Path) -> None:
    engine = ArithmeticEngine(rows_that_fit=0)
    with pytest.raises(EngineError, match="even with one probe at a time") as raised:
        capture(tmp_path, engine, Work(requests(2)))
    assert raised.value.hint is not None and "--dtype bfloat16" in raised.value.hint
    assert engine.closed


def test_pythons_own_memory_error_counts_too(tmp_path: Path) -> None:
    class Greedy(ArithmeticEngine):
        def run(self, batch: Batch) -> list[ProbeCapture]:
            if batch.rows > 2:
                raise MemoryError
            return super().run(batch)

    run, _, _, _ = capture(tmp_path, Greedy(), Work(requests(3)))
    assert run.recipe.batch_rows == 2


# Features


@dataclass
class Encoding(ArithmeticEngine):
    """Features that say along which text and in which batch shape they were read; only whole captures have them."""

    silent: bool = False

    def run(self, batch: Batch) -> list[ProbeCapture]:
        captures = super().run(batch)
        if self.silent:
            return captures
        return [with_features(c, encoded(c.reference, c.outputs.greedy, batch)) for c in captures]


@dataclass
class EncodingAlone(Encoding):
    """Reads features alone, too."""

    alone: list[Batch] = field(default_factory=list)

    def encode(self, batch: Batch) -> list[Features]:
        self.alone.append(batch)
        return [encoded(request.reference, request.answer, batch) for request in batch.requests]


def with_features(capture: ProbeCapture, features: Features) -> ProbeCapture:
    evidence = replace(capture.evidence, feature=features.reference, answer_feature=features.answer)
    return replace(capture, evidence=evidence)


def encoded(reference: Reference | None, answer: Generation | None, batch: Batch) -> Features:
    assert reference is not None and answer is not None
    shape = f"{batch.rows}x{batch.prompt_tokens}"
    return Features(block(f"{reference.text} {shape}"), answer_block(f"{answer.text} {shape}"))


def totals(captures: dict[str, ProbeCapture]) -> dict[str, bytes]:
    """The numbers of both kinds of features, of the probes that have them."""
    found = {probe: (c.evidence.feature, c.evidence.answer_feature) for probe, c in captures.items()}
    return {
        probe: along.total.tobytes() + answer.total.tobytes() + answer.reached.tobytes()
        for probe, (along, answer) in found.items()
        if along is not None and answer is not None
    }


def test_captures_of_before_the_dictionary_get_their_features(tmp_path: Path) -> None:
    work = Work(requests(6), recaptures=requests(2))
    engine = Encoding()
    _, main, again, _ = capture(tmp_path / "whole", engine, work, dictionary="d" * 64)
    whole = totals(main), totals(again)
    assert [len(t) for t in whole] == [6, 2]
    capture(tmp_path / "later", ArithmeticEngine(), work)
    alone = EncodingAlone()
    run, main, again, seen = capture(tmp_path / "later", alone, work, dictionary="d" * 64)
    assert (totals(main), totals(again)) == whole
    assert (run.encoded, run.captured, asked(alone)) == (6, 0, [])
    assert [b.rows for b in alone.alone] == [4, 4, 2]
    assert [(p.done, p.total) for p in seen if p.what == "features"] == [(0, 8), (4, 8), (6, 8), (8, 8)]
    idle = EncodingAlone()
    run, main, again, _ = capture(tmp_path / "later", idle, work, dictionary="d" * 64)
    assert (totals(main), totals(again)) == whole and idle.alone == [] and run.encoded == 6


def test_an_engine_that_cannot_encode_alone_runs_whole_captures_for_it(tmp_path: Path) -> None:
    work = Work(requests(3))
    capture(tmp_path, ArithmeticEngine(), work)
    engine = Encoding()
    run, main, _, _ = capture(tmp_path, engine, work, dictionary="d" * 64)
    assert len(asked(engine)) == 3 and len(totals(main)) == 3 and run.captured == 0


def test_an_engine_that_gives_no_features_for_its_dictionary_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="gave no features"):
        capture(tmp_path, Encoding(silent=True), Work(requests(3)), dictionary="d" * 64)


def test_features_of_another_dictionary_are_passed_over(tmp_path: Path) -> None:
    work = Work(requests(3))
    capture(tmp_path, Encoding(), work, dictionary="d" * 64)
    _, main, _, _ = capture(tmp_path, ArithmeticEngine(), work)
    assert totals(main) == {}
    alone = EncodingAlone()
    _, main, _, _ = capture(tmp_path, alone, work, dictionary="e" * 64)
    assert len(totals(main)) == 3 and len(alone.alone) == 1


def test_features_along_another_reference_are_not_taken(tmp_path: Path) -> None:
    """The captures are made again along other texts: what was encoded along the first ones is stale."""
    capture(tmp_path, ArithmeticEngine(), Work(requests(2)))
    capture(tmp_path, EncodingAlone(), Work(requests(2)), dictionary="d" * 64)
    moved = [ProbeRequest(r.probe, Reference("another text")) for r in requests(2)]
    capture(tmp_path, ArithmeticEngine(), Work(moved))
    alone = EncodingAlone()
    _, main, _, _ = capture(tmp_path, alone, Work(moved), dictionary="d" * 64)
    assert len(alone.alone) == 1
    wanted = block("another text 4x32").total.tobytes()
    assert all(found.startswith(wanted) for found in totals(main).values())


# Failures


def test_what_was_done_before_a_failure_is_kept(tmp_path: Path) -> None:
    class Failing(ArithmeticEngine):
        def run(self, batch: Batch) -> list[ProbeCapture]:
            if self.ran:
                raise EngineError("not finite")
            return super().run(batch)

    wanted = requests(6)
    with pytest.raises(EngineError, match="not finite"):
        capture(tmp_path, Failing(), Work(wanted))
    run, _, _, _ = capture(tmp_path, ArithmeticEngine(), Work(wanted))
    assert (run.resumed, run.captured) == (4, 2)


def test_a_missing_model_stack_is_an_engine_error_with_the_command(tmp_path: Path) -> None:
    def open_engine() -> Engine:
        import not_a_module_at_all  # type: ignore[import-not-found]

        return not_a_module_at_all.engine()  # type: ignore[no-any-return]

    with pytest.raises(EngineError, match="not_a_module_at_all is not installed") as raised:
        capture(tmp_path, open_engine, Work(requests(1)))
    assert raised.value.hint == "pip install 'bvc[hf]'"


def test_an_engine_that_answers_other_probes_is_refused(tmp_path: Path) -> None:
    class Confused(ArithmeticEngine):
        def run(self, batch: Batch) -> list[ProbeCapture]:
            return super().run(batch)[::-1]

    with pytest.raises(EngineError, match="other probes"):
        capture(tmp_path, Confused(), Work(requests(3)))


def test_a_journal_that_cannot_grow_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, os.strerror(28))

    class Filling(ArithmeticEngine):
        def run(self, batch: Batch) -> list[ProbeCapture]:
            if len(self.ran) == 1:
                monkeypatch.setattr(os, "pwrite", full)
            return super().run(batch)

    with pytest.raises(BvcError, match="No space left on device"):
        capture(tmp_path, Filling(), Work(requests(8)))
    monkeypatch.undo()
    run, _, _, _ = capture(tmp_path, ArithmeticEngine(), Work(requests(8)))
    assert (run.resumed, run.captured) == (4, 4)


# The real engine


RUN = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from tests.capture.test_runner import real_run
real_run(Path(sys.argv[1]), Path(sys.argv[2]), lambda p: print(p.what, p.done, flush=True))
"""


def real_run(model: Path, folder: Path, progress: Callable[[Progress], None]) -> dict[str, tuple[Outputs, bytes]]:
    from bvc.capture.transformers_engine import open_engine

    identity = identify(str(model))
    settings = {"max_new_tokens": 4, "batch_rows": 2, "draws": 1, "device": "cpu"}
    recipe = make_recipe(Config(), tokenizer_folder(identity), settings)
    with Journal.open(folder, identity, recipe) as journal:
        capture_all(lambda: open_engine(identity, recipe), Work(requests(6)), journal, progress)
        return {probe: _content(journal.read(probe)) for probe in journal.done()}


def _content(found: ProbeCapture) -> tuple[Outputs, bytes]:
    block, activation = found.evidence.logprob, found.evidence.activation
    assert block is not None and activation is not None
    arrays = [getattr(block, name) for name in block.FIELDS] + [
        activation.vectors[s] for s in sorted(activation.vectors)
    ]
    return found.outputs, b"".join(array.tobytes() for array in arrays)


def test_killed_while_the_model_runs_it_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model")
    whole = real_run(model, tmp_path / "whole", lambda _: None)
    with subprocess.Popen(
        [sys.executable, "-c", RUN, str(model), str(tmp_path / "killed"), ROOT], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if line == "probes 2\n":
                child.send_signal(signal.SIGKILL)
                break
    assert child.returncode == -signal.SIGKILL
    seen: list[Progress] = []
    resumed = real_run(model, tmp_path / "killed", seen.append)
    assert next(p.done for p in seen if p.what == "probes") >= 2
    assert resumed == whole and len(whole) == 6
