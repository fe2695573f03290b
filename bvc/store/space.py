"""Spare bytes on disk, given up when the disk is full so that what must be finished can be."""

from __future__ import annotations

import os
from contextlib import suppress

from bvc.store.files import remove_quietly, unfinished
from bvc.store.layout import Layout

RESERVE = 1 << 20
"""Bytes kept back."""

_ENOUGH = 16 * RESERVE


def keep_reserve(layout: Layout) -> None:
    """Sets the spare bytes aside unless they are there or the disk is nearly full; never fails."""
    if layout.reserve.exists():
        return
    aside = unfinished(layout.tmp, "reserve")
    with suppress(OSError):
        room = os.statvfs(layout.tmp)
        if room.f_bavail * room.f_frsize < _ENOUGH:
            return
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            os.posix_fallocate(descriptor, 0, RESERVE)
        finally:
            os.close(descriptor)
        aside.rename(layout.reserve)
    remove_quietly(aside)


def free_reserve(layout: Layout) -> bool:
    """Gives the spare bytes to the disk; False when there were none."""
    try:
        layout.reserve.unlink()
    except OSError:
        return False
    return True
