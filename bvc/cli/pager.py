"""Long output through the user's pager: BVC_PAGER, else PAGER, else `less -FRX`."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable


def page(lines: Iterable[str]) -> None:
    """Writes lines to the pager and waits until the reader is done; without a pager, to standard output.

    The pager starts with the first line, so an error before it is not hidden behind an empty page.
    """
    pager: subprocess.Popen[bytes] | None = None
    try:
        for line in lines:
            if pager is None:
                pager = _start()
                if pager is None:
                    sys.stdout.write(f"{line}\n")
                    sys.stdout.writelines(f"{rest}\n" for rest in lines)
                    return
            _write(pager, line)
    except BrokenPipeError:
        pass  # the reader has seen enough
    finally:
        if pager is not None:
            _wait(pager)


def _command() -> list[str]:
    """The pager's words; empty where the user wants none or none is there."""
    for name in ("BVC_PAGER", "PAGER"):
        if name in os.environ:
            words = shlex.split(os.environ[name])
            return [] if words in ([], ["cat"]) else words
    return ["less"] if shutil.which("less") else []


def _start() -> subprocess.Popen[bytes] | None:
    command = _command()
    if not command:
        return None
    sys.stdout.flush()
    environment = {"LESS": "FRX", "LV": "-c", **os.environ}
    try:
        return subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
    except OSError:
        return None


def _write(pager: subprocess.Popen[bytes], line: str) -> None:
    if pager.stdin is not None:
        pager.stdin.write(f"{line}\n".encode("utf-8", "backslashreplace"))


def _wait(pager: subprocess.Popen[bytes]) -> None:
    """Ctrl-C belongs to the pager while it shows the page."""
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        if pager.stdin is not None:
            pager.stdin.close()
    except BrokenPipeError:
        pass
    finally:
        pager.wait()
        signal.signal(signal.SIGINT, former)
