"""An append-only file of checksummed records that survives being killed at any byte. No numpy here.

Record: magic "BVCJ", head length (4 bytes), body length (8 bytes), XXH3-128 over both lengths, head and body
(16 bytes), head, body; integers little-endian. A reader takes records until the first one that is cut off or whose
checksum fails: what follows was being written when the process or the machine stopped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bvc.errors import BvcError, DamagedObject

_MAGIC = b"BVCJ"
_SUM = 16
_FIXED = len(_MAGIC) + 4 + 8 + _SUM


@dataclass(frozen=True)
class Frame:
    """Where one record lies: its first byte, and the lengths of head and body in bytes."""

    offset: int
    head: int
    body: int

    @property
    def end(self) -> int:
        """The first byte behind the record."""
        return self.offset + _FIXED + self.head + self.body


def _checksum(lengths: bytes, parts: Sequence[bytes]) -> bytes:
    import xxhash

    state = xxhash.xxh3_128(lengths)
    for part in parts:
        state.update(part)
    return state.digest()


def _frame_at(offset: int, fixed: bytes, size: int) -> Frame | None:
    """The record whose fixed part is `fixed`, None when it is none or would not end within `size` bytes."""
    if len(fixed) < _FIXED or fixed[:4] != _MAGIC:
        return None
    frame = Frame(offset, int.from_bytes(fixed[4:8], "little"), int.from_bytes(fixed[8:16], "little"))
    return frame if frame.end <= size else None


def _holds(frame: Frame, data: bytes) -> bool:
    """Whether `data` is the whole record with its right checksum."""
    whole = len(data) == frame.end - frame.offset and _frame_at(frame.offset, data[:_FIXED], frame.end) == frame
    return whole and _checksum(data[4:16], [data[_FIXED:]]) == data[16:_FIXED]


def heads(path: Path) -> Iterator[bytes]:
    """The heads of a file's complete records, bodies skipped and checksums not verified: cheap, for a summary."""
    with path.open("rb") as stream:
        size, offset = os.fstat(stream.fileno()).st_size, 0
        while (frame := _frame_at(offset, stream.read(_FIXED), size)) is not None:
            yield stream.read(frame.head)
            offset = frame.end
            stream.seek(offset)


class FrameLog:
    """A file of records open for reading and appending, by one process at a time (the caller holds a lock)."""

    def __init__(self, path: Path) -> None:
        """Opens or creates the file. What it holds is taken over by `recover`."""
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._end = 0

    def recover(self) -> Iterator[tuple[Frame, bytes]]:
        """Each whole record with its head, in order; then drops a torn end. Exhaust it before adding anything."""
        size = os.fstat(self._fd).st_size
        while (frame := _frame_at(self._end, os.pread(self._fd, _FIXED, self._end), size)) is not None:
            data = self._bytes(frame)
            if not _holds(frame, data):
                break
            self._end = frame.end
            yield frame, data[_FIXED : _FIXED + frame.head]
        if size > self._end:
            os.ftruncate(self._fd, self._end)

    def _bytes(self, frame: Frame) -> bytes:
        out = bytearray()
        while len(out) < frame.end - frame.offset:
            part = os.pread(self._fd, frame.end - frame.offset - len(out), frame.offset + len(out))
            if not part:
                break
            out += part
        return bytes(out)

    def append(self, head: bytes, body: Sequence[bytes]) -> Frame:
        """Adds one record; on any failure, also Ctrl-C, the file is as it was. Durable after the next `sync`.

        Raises BvcError when it cannot be written (a full disk).
        """
        frame = Frame(self._end, len(head), sum(map(len, body)))
        lengths = frame.head.to_bytes(4, "little") + frame.body.to_bytes(8, "little")
        data = b"".join((_MAGIC, lengths, _checksum(lengths, [head, *body]), head, *body))
        try:
            self._write(data)
        except BaseException as error:
            with suppress(OSError):  # a torn end that stays is dropped by the next `recover`
                os.ftruncate(self._fd, self._end)
            if isinstance(error, OSError):
                raise self._failed(error) from error
            raise
        self._end = frame.end
        return frame

    def _write(self, data: bytes) -> None:
        view, at = memoryview(data), self._end
        while view:
            count = os.pwrite(self._fd, view, at)
            view, at = view[count:], at + count

    def _failed(self, error: OSError) -> BvcError:
        return BvcError(
            f"cannot keep captures in {self.path}: {error.strerror}",
            hint="free some space and repeat the command: it goes on from the captures that are kept",
        )

    def read(self, frame: Frame) -> tuple[bytes, bytes]:
        """Head and body of a record, checksum verified. Raises DamagedObject."""
        data = self._bytes(frame)
        if not _holds(frame, data):
            raise DamagedObject(
                f"{self.path} is damaged at byte {frame.offset}", hint="delete its folder and repeat the command"
            )
        return data[_FIXED : _FIXED + frame.head], data[_FIXED + frame.head :]

    def sync(self) -> None:
        """Makes what was appended survive a power cut. Raises BvcError when the disk refuses."""
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Closes the file; again does nothing."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)
