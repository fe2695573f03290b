"""Disks of our own: a small one that fills up, and one whose power can be cut."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_IMAGE_BYTES = 48 << 20


@cache
def can_mount() -> bool:
    """Whether this process may mount file systems and use loop devices."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("mount", "umount", "mkfs.ext4", "unshare"))):
        return False
    return subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "x", "/mnt"], check=False).returncode == 0


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system in memory with `size` bytes."""
    with _mounted(["-t", "tmpfs", "-o", f"size={size}", "tmpfs"], folder) as mounted:
        yield mounted


def make_image(path: Path) -> Path:
    """A file that holds an empty ext4 file system."""
    with path.open("wb") as file:
        file.truncate(_IMAGE_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(path)], check=True)
    return path


@contextmanager
def image_disk(image: Path, folder: Path) -> Iterator[Path]:
    """The file system in an image file; its journal is replayed, as after a restart."""
    with _mounted(["-o", "loop", str(image)], folder) as mounted:
        yield mounted


@contextmanager
def _mounted(what: list[str], folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", *what, str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
