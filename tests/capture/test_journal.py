"""The journal of an unfinished capture: exact, resumable, and safe to be killed at any byte."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bvc.capture.engine import ProbeCapture, ProbeRequest
from bvc.capture.framelog import FrameLog
from bvc.capture.journal import EngineFacts, Journal, interrupted
from bvc.errors import BvcError, DamagedObject, Locked
from bvc.evidence import ActivationBlock, Evidence, LogprobBlock
from bvc.records import Capability, Generation, ModelIdentity, Outputs, Probe, Recipe, Reference

MODEL = ModelIdentity("tiny", "f" * 64, "hf", tokenizer="a" * 64)
RECIPE = Recipe("transformers")
FILE = "captures.journal"


def request(number: int, reference: Reference | None = None) -> ProbeRequest:
    return ProbeRequest(Probe(prompt=f"probe {number}"), reference)


def capture(probe: Probe, *, draws: int = 0, positions: int = 3, text: str = "answer") -> ProbeCapture:
    numbers = np.random.default_rng(len(probe.text) + positions)
    logprob = LogprobBlock(
        lengths=np.array([positions], np.int64),
        token_ids=numbers.integers(0, 99, positions).astype(np.uint32),
        characters=numbers.integers(0, 9, positions).astype(np.uint16),
        target=numbers.normal(size=positions).astype(np.float32),
        entropy=numbers.normal(size=positions).astype(np.float32),
        top_ids=numbers.integers(0, 99, (positions, 64)).astype(np.uint32),
        top_logprobs=numbers.normal(size=(positions, 64)).astype(np.float32),
        residual=numbers.random(positions).astype(np.float32),
        buckets=numbers.random((positions, 256)).astype(np.float16),
    )
    activation = ActivationBlock({"layer.01/prompt": numbers.normal(size=(1, 32)).astype(np.float32)})
    outputs = Outputs(Generation(text, "stop", 3), tuple(Generation(f"draw {k}") for k in range(draws)))
    return ProbeCapture(probe.id, outputs, Reference(text, end=True), Evidence(logprob, activation))


def small(probe: Probe) -> ProbeCapture:
    return ProbeCapture(probe.id, Outputs(Generation("x")), Reference("x"), Evidence())


def keep(journal: Journal, *numbers: int) -> None:
    for number in numbers:
        journal.append(request(number), small(request(number).probe))


def assert_same(found: ProbeCapture, wanted: ProbeCapture) -> None:
    assert (found.probe_id, found.outputs, found.reference) == (wanted.probe_id, wanted.outputs, wanted.reference)
    assert found.evidence.logprob is not None and wanted.evidence.logprob is not None
    for name in ("lengths", *LogprobBlock.FIELDS):
        a, b = getattr(found.evidence.logprob, name), getattr(wanted.evidence.logprob, name)
        assert a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    assert found.evidence.activation is not None and wanted.evidence.activation is not None
    assert found.evidence.activation.vectors.keys() == wanted.evidence.activation.vectors.keys()
    for site, array in wanted.evidence.activation.vectors.items():
        assert found.evidence.activation.vectors[site].tobytes() == array.tobytes()


def test_captures_come_back_bit_for_bit_from_another_process_run(tmp_path: Path) -> None:
    wanted = [capture(request(n).probe, positions=n + 1) for n in range(4)]
    with Journal.open(tmp_path / "j", MODEL, RECIPE) as journal:
        for number, one in enumerate(wanted):
            journal.append(request(number), one)
        journal.append(request(0), capture(request(0).probe, positions=9), again=True)
        journal.sync()
    with Journal.open(tmp_path / "j", MODEL, RECIPE) as journal:
        assert journal.done() == {c.probe_id for c in wanted}
        for one in reversed(wanted):
            assert_same(journal.read(one.probe_id), one)
        assert_same(journal.read(wanted[0].probe_id, again=True), capture(request(0).probe, positions=9))
        assert journal.done(again=True) == {wanted[0].probe_id}
        with pytest.raises(KeyError):
            journal.read("0" * 64)


def test_non_contiguous_and_big_endian_arrays_keep_their_values(tmp_path: Path) -> None:
    one = capture(request(0).probe)
    odd = {"layer.01/prompt": np.arange(64, dtype=">f4").reshape(1, 64)[:, ::2]}
    with Journal.open(tmp_path / "j", MODEL, RECIPE) as journal:
        journal.append(request(0), replace(one, evidence=Evidence(None, ActivationBlock(odd))))
        found = journal.read(one.probe_id).evidence
    assert found.logprob is None and found.activation is not None
    assert found.activation.vectors["layer.01/prompt"].tolist() == [list(range(0, 64, 2))]


@pytest.mark.parametrize("text", ["\0", "\ud800 half", "𝒳" * 5000, "\u2028\r\n", "\x1b[2J"])
def test_hostile_texts_come_back_unchanged(tmp_path: Path, text: str) -> None:
    one = capture(request(0).probe, text=text)
    with Journal.open(tmp_path / "j", MODEL, RECIPE) as journal:
        journal.append(request(0), one)
    with Journal.open(tmp_path / "j", MODEL, RECIPE) as journal:
        assert journal.read(one.probe_id).outputs.greedy.text == text


def test_cut_at_every_byte_it_opens_with_a_prefix_and_goes_on(tmp_path: Path) -> None:
    """What kill -9 or a power cut can leave behind of an append-only file."""
    ends = []
    with Journal.open(tmp_path / "j", MODEL, RECIPE) as journal:
        journal.keep_engine(EngineFacts(Capability.LOGPROBS, np.arange(7, dtype=np.uint8)))
        ends.append((tmp_path / "j" / FILE).stat().st_size)
        for number in range(3):
            keep(journal, number)
            ends.append((tmp_path / "j" / FILE).stat().st_size)
    whole = (tmp_path / "j" / FILE).read_bytes()
    for length in range(len(whole) + 1):
        folder = tmp_path / "cut"
        folder.mkdir(exist_ok=True)
        (folder / FILE).write_bytes(whole[:length])
        with Journal.open(folder, MODEL, RECIPE) as journal:
            left = sum(length >= end for end in ends[1:])
            assert journal.done() == {request(n).probe.id for n in range(left)}
            assert (journal.engine is not None) == (length >= ends[0])
            keep(journal, 9)
            assert journal.read(request(9).probe.id).outputs == Outputs(Generation("x"))
        if length % 16 == 0:
            with Journal.open(folder, MODEL, RECIPE) as journal:
                assert journal.done() == {request(n).probe.id for n in [*range(left), 9]}


@given(st.integers(0, 10_000_000), st.integers(1, 255))
def test_a_changed_byte_never_gives_a_wrong_capture(journal_bytes: bytes, place: int, flip: int) -> None:
    import tempfile

    damaged = bytearray(journal_bytes)
    damaged[place % len(damaged)] ^= flip
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / FILE).write_bytes(damaged)
        with Journal.open(Path(folder), MODEL, RECIPE) as journal:
            for number in range(3):
                probe = request(number).probe
                if probe.id in journal.done():
                    assert_same(journal.read(probe.id), capture(probe))
            assert len(journal.done()) < 3


@pytest.fixture(scope="module")
def journal_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("journal")
    with Journal.open(folder, MODEL, RECIPE) as journal:
        for number in range(3):
            journal.append(request(number), capture(request(number).probe))
    return (folder / FILE).read_bytes()


def test_bytes_that_change_while_it_is_open_are_an_error(tmp_path: Path) -> None:
    with Journal.open(tmp_path, MODEL, RECIPE) as journal:
        keep(journal, 0)
        with (tmp_path / FILE).open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"?")
        with pytest.raises(DamagedObject):
            journal.read(request(0).probe.id)


APPEND = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.capture.test_journal import MODEL, RECIPE, capture, request
from bvc.capture.journal import Journal
with Journal.open(Path(sys.argv[1]), MODEL, RECIPE) as journal:
    for number in range(4):
        journal.append(request(number), capture(request(number).probe))
        journal.sync()
        print(number, flush=True)
"""
ROOT = str(Path(__file__).parents[2])


def _strace_works() -> bool:
    try:
        return subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not _strace_works(), reason="needs strace and ptrace")
@pytest.mark.parametrize(
    ("call", "when"),
    [*(("pwrite64", n) for n in (1, 2, 3, 5)), *(("fsync", n) for n in (1, 2, 4)), ("rename", 1), ("ftruncate", 1)],
)
def test_killed_at_a_system_call_it_keeps_what_was_acknowledged(tmp_path: Path, call: str, when: int) -> None:
    folder = tmp_path / "j"
    inject = ["strace", "-f", "-o", os.devnull, "-e", f"inject={call}:signal=KILL:when={when}"]
    done = subprocess.run(
        [*inject, sys.executable, "-c", APPEND, str(folder), ROOT], capture_output=True, check=False, timeout=60
    )
    acknowledged = [int(line) for line in done.stdout.split()]
    assert done.returncode == -signal.SIGKILL
    with Journal.open(folder, MODEL, RECIPE) as journal:
        for number in acknowledged:
            probe = request(number).probe
            assert_same(journal.read(probe.id), capture(probe))
        keep(journal, 8)


@pytest.mark.skipif(not _strace_works(), reason="needs strace and ptrace")
@pytest.mark.parametrize(("call", "error"), [("pwrite64", "ENOSPC"), ("fsync", "EIO"), ("fsync", "ENOSPC")])
def test_a_full_or_failing_disk_is_one_clear_error_and_loses_nothing(tmp_path: Path, call: str, error: str) -> None:
    folder = tmp_path / "j"
    with Journal.open(folder, MODEL, RECIPE) as journal:
        journal.append(request(7), capture(request(7).probe))
    inject = ["strace", "-f", "-o", os.devnull, "-e", f"inject={call}:error={error}:when=2+"]
    done = subprocess.run(
        [*inject, sys.executable, "-c", APPEND, str(folder), ROOT], capture_output=True, check=False, timeout=60
    )
    assert b"BvcError: cannot keep captures in" in done.stderr
    with Journal.open(folder, MODEL, RECIPE) as journal:
        assert_same(journal.read(request(7).probe.id), capture(request(7).probe))
        keep(journal, 8)


def test_a_small_disk_fills_up_with_a_clear_error(tmp_path: Path) -> None:
    """RLIMIT_FSIZE stands in for a full disk: the write is cut short, then refused."""
    program = APPEND.replace("import sys\n", "import resource, signal, sys\n", 1).replace(
        "with Journal",
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))\nwith Journal",
        1,
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "j"), ROOT], capture_output=True, check=False, timeout=60
    )
    acknowledged = [int(line) for line in done.stdout.split()]
    assert b"BvcError: cannot keep captures in" in done.stderr and len(acknowledged) < 4
    with Journal.open(tmp_path / "j", MODEL, RECIPE) as journal:
        assert journal.done() == {request(n).probe.id for n in acknowledged}


def test_an_interrupted_write_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = FrameLog(tmp_path / "log")
    assert list(log.recover()) == []
    log.append(b"first", [b"body"])
    size = (tmp_path / "log").stat().st_size
    real = os.pwrite

    def half(fd: int, data: bytes, at: int) -> int:
        real(fd, bytes(data)[:10], at)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "pwrite", half)
    with pytest.raises(KeyboardInterrupt):
        log.append(b"second", [b"body"])
    monkeypatch.undo()
    assert (tmp_path / "log").stat().st_size == size
    third = log.append(b"third", [])
    assert log.read(third) == (b"third", b"")
    log.close()
    again = FrameLog(tmp_path / "log")
    assert [head for _, head in again.recover()] == [b"first", b"third"]
    again.close()


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: real(fd, bytes(data)[:3], at))
    one = capture(request(0).probe, positions=1)
    with Journal.open(tmp_path, MODEL, RECIPE) as journal:
        journal.append(request(0), one)
        assert_same(journal.read(one.probe_id), one)


def test_a_second_process_is_told_who_captures(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from tests.capture.test_journal import MODEL, RECIPE\nfrom bvc.capture.journal import Journal\n"
        "journal = Journal.open(Path(sys.argv[1]), MODEL, RECIPE); print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "j"), ROOT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == b"open\n"
        with pytest.raises(Locked, match=f"process {other.pid}"):
            Journal.open(tmp_path / "j", MODEL, RECIPE)
        assert interrupted(tmp_path) == []
        other.kill()
        other.communicate()
    with Journal.open(tmp_path / "j", MODEL, RECIPE) as journal:
        assert journal.done() == frozenset()


@pytest.mark.parametrize(
    ("model", "recipe"),
    [
        (replace(MODEL, fingerprint="e" * 64), RECIPE),
        (replace(MODEL, tokenizer=None), RECIPE),
        (MODEL, replace(RECIPE, seed=1)),
        (MODEL, replace(RECIPE, environment={"torch": "9"})),
    ],
)
def test_captures_of_another_model_or_recipe_are_dropped(tmp_path: Path, model: ModelIdentity, recipe: Recipe) -> None:
    with Journal.open(tmp_path, MODEL, RECIPE) as journal:
        keep(journal, 0)
    with Journal.open(tmp_path, model, recipe) as journal:
        assert journal.done() == frozenset()
        assert journal.recipe == recipe


def test_what_is_no_journal_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "j").mkdir()
    (tmp_path / "j" / FILE).write_bytes(b"something else\n" * 100)
    assert interrupted(tmp_path) == []
    with Journal.open(tmp_path / "j", MODEL, RECIPE) as journal:
        keep(journal, 0)
    assert interrupted(tmp_path) == [("tiny", 1)]


def test_restart_drops_all_and_remembers_the_smaller_recipe(tmp_path: Path) -> None:
    smaller = replace(RECIPE, batch_rows=4)
    with Journal.open(tmp_path, MODEL, RECIPE) as journal:
        keep(journal, 0)
        journal.restart(smaller)
        assert journal.done() == frozenset() and journal.engine is None
        keep(journal, 1)
    with Journal.open(tmp_path, MODEL, replace(RECIPE, draws=2)) as journal:
        assert journal.recipe == replace(smaller, draws=2)
        assert journal.wanted == replace(RECIPE, draws=2)
        assert journal.done() == {request(1).probe.id}


def test_a_capture_counts_only_along_its_reference_and_with_enough_draws(tmp_path: Path) -> None:
    frozen = Reference("frozen", end=True)
    with Journal.open(tmp_path, MODEL, replace(RECIPE, draws=2)) as journal:
        probe = request(0).probe
        journal.append(request(0, frozen), capture(probe, draws=2))
        journal.append(request(1), capture(request(1).probe, draws=1))
        assert journal.has(request(0, frozen))
        assert not journal.has(request(0))
        assert not journal.has(request(0, replace(frozen, end=False)))
        assert not journal.has(request(0, frozen), again=True)
        assert not journal.has(request(1))
        with_own = ProbeRequest(replace(probe, reference="frozen"))
        assert not journal.has(with_own)
        journal.append(with_own, capture(probe, draws=2))
        assert journal.has(with_own) and not journal.has(request(0))
    with Journal.open(tmp_path, MODEL, replace(RECIPE, draws=1)) as journal:
        assert journal.has(request(1))
        assert journal.read(request(0).probe.id).outputs.draws == (Generation("draw 0"),)


def test_the_engine_facts_are_kept(tmp_path: Path) -> None:
    table = np.arange(400, dtype=np.uint32).astype(np.uint8)
    with Journal.open(tmp_path, MODEL, RECIPE) as journal:
        assert journal.engine is None
        journal.keep_engine(EngineFacts(Capability.ACTIVATIONS, table))
    with Journal.open(tmp_path, MODEL, RECIPE) as journal:
        facts = journal.engine
        assert facts is not None and facts.capability is Capability.ACTIVATIONS
        assert facts.bucket_table is not None and facts.bucket_table.tolist() == table.tolist()
        journal.keep_engine(EngineFacts(Capability.TEXT, None))
        assert journal.engine == EngineFacts(Capability.TEXT, None)


def test_cleared_it_leaves_nothing(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "all" / "j", MODEL, RECIPE) as journal:
        keep(journal, 0)
        journal.clear()
    assert list((tmp_path / "all").iterdir()) == []
    assert interrupted(tmp_path / "all") == []
    with Journal.open(tmp_path / "all" / "j", MODEL, RECIPE) as journal:
        assert journal.done() == frozenset()


def test_interrupted_captures_are_listed_with_their_probes(tmp_path: Path) -> None:
    assert interrupted(tmp_path / "none") == []
    for number, name in enumerate(("one", "two")):
        with Journal.open(tmp_path / name, replace(MODEL, name=name), RECIPE) as journal:
            keep(journal, *range(number + 1), 0)
            journal.append(request(5), small(request(5).probe), again=True)
    with (tmp_path / "two" / FILE).open("ab") as file:
        file.write(b"BVCJ torn")
    assert interrupted(tmp_path) == [("one", 1), ("two", 2)]


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BvcError, match="cannot keep captures in"):
        Journal.open(tmp_path / "file" / "j", MODEL, RECIPE)


def test_status_loads_neither_numpy_nor_torch() -> None:
    program = (
        "import sys, bvc.capture.journal, bvc.capture.runner; print({'numpy', 'torch', 'xxhash'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "set()\n"
