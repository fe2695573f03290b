"""Ctrl-C and kill -9 at many moments of a real commit: the next one goes on, and ends as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import bvc
from tests.end_to_end.conftest import Shell

PATIENCE = 60.0
HINTED = "error: interrupted\nhint: the same command again goes on where this one stopped\n"
COMMIT = ("--max-new-tokens", "8", "--batch-size", "1", "--draws", "1")
OPTIONS = {"max_new_tokens": 8, "batch_size": 1, "draws": 1}


def journal(shell: Shell) -> int:
    """Bytes of captures that are kept; -1 before there is a journal."""
    found = list((shell.folder / ".bvc" / "bvc" / "tmp" / "captures").glob("*/captures.journal"))
    return found[0].stat().st_size if found else -1


def stop_when(process: subprocess.Popen[str], what: signal.Signals, ready: Callable[[], bool]) -> str:
    """Sends a signal as soon as `ready` says so, if the process still runs; returns what it had to say."""
    limit = time.monotonic() + PATIENCE
    while not ready() and process.poll() is None:
        assert time.monotonic() < limit, process.communicate()
        os.sched_yield()
    process.send_signal(what)
    return process.communicate()[1]


def test_a_capture_stopped_again_and_again_is_finished_in_the_end(tmp_path: Path, model: Path) -> None:
    import torch

    shell = Shell(tmp_path / "project", probes=16)
    loading = shell.start("commit", model, *COMMIT)
    err = stop_when(loading, signal.SIGINT, lambda: journal(shell) >= 0)
    assert (loading.returncode, err.splitlines()[0]) == (130, "error: interrupted")
    assert err.splitlines()[1] == "hint: the same command again goes on where this one stopped"
    kept = max(journal(shell), 0)
    for what, code in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        start = kept
        process = shell.start("commit", model, *COMMIT)
        err = stop_when(process, what, lambda start=start: journal(shell) > start + 30_000)  # type: ignore[misc]
        assert process.returncode == code and "Traceback" not in err
        kept = journal(shell)
    with bvc.open(shell.folder) as repo:
        ((name, done),) = repo.status().interrupted
        assert name == "tiny" and 2 <= done < 16 and repo.fsck().ok
    torch.set_num_threads(1)
    whole = Shell(tmp_path / "whole", probes=16)
    with bvc.open(shell.folder) as repo, bvc.open(whole.folder) as other:
        last = repo.commit(model, **OPTIONS)
        assert last.captured == 16 and f"{done} probes were captured before an interruption" in last.notes
        other.commit(model, **OPTIONS)
        assert repo.show().commit.tree == other.show().commit.tree
        assert repo.status().interrupted == ()
    shell.sound()


def test_ctrl_c_while_recorded_outputs_are_committed(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "project", probes=300)
    codes = []
    for milliseconds in (60, 80, 100, 130, 160, 200, 250, 300):
        process = shell.start("commit", "--outputs", "answers.json", "--model", f"after {milliseconds}")
        err = stop_when(process, signal.SIGINT, after(milliseconds / 1000))
        codes.append(process.returncode)
        # Before bvc's first line runs, Python itself answers ("site"). A signal while Python compiles as it goes, or
        # after the last line, also ends the process by that signal, which a shell shows as 130 too.
        assert process.returncode in (0, 130, -signal.SIGINT) or "site" in err, (milliseconds, process.returncode, err)
        assert err in ("", "error: interrupted\n", HINTED) or "site" in err, (milliseconds, err)
    assert 130 in codes
    shell.sound()


def after(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end
