"""Where things lie below `.bvc`, and the version of that layout."""

from __future__ import annotations

from pathlib import Path

import xxhash

from bvc.errors import BvcError, DamagedObject
from bvc.store.files import make_folder, read_optional, write_durable

VERSION = 1
"""Version of the store; a greater one is refused."""

GIT_CONFIG = b"[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n"
"""What a new repository's `config` says; users and Git may add to it."""


class Layout:
    """The paths of a store whose root is `root`, the `.bvc` folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.head = root / "HEAD"
        self.config = root / "config"
        self.packed_refs = root / "packed-refs"
        self.git_packs = root / "objects" / "pack"
        own = root / "bvc"
        self.format = own / "format"
        self.packs = own / "packs"
        self.tmp = own / "tmp"
        self.index = own / "index"
        self.lock = own / "lock"
        self.gc_lock = own / "gc.lock"
        self.index_lock = own / "index.lock"
        self.own_lock = own / "own-lock"
        self.reserve = own / "reserve"

    def create(self, branch: str) -> None:
        """Makes what is missing; nothing that exists is overwritten. HEAD comes last: with it, the store exists."""
        for folder in (self.git_packs, self.root / "refs" / "heads", self.root / "refs" / "tags", self.root / "logs"):
            make_folder(folder)
        for folder in (self.packs, self.tmp, self.index):
            make_folder(folder)
        texts = {self.format: format_line(VERSION), self.config: GIT_CONFIG}
        for path, text in {**texts, self.head: f"ref: refs/heads/{branch}\n".encode()}.items():
            if not path.exists():
                write_durable(path, text, self.tmp)


def format_line(version: int) -> bytes:
    """The content of `bvc/format`: the version with a check, so that damage is not taken for a newer version."""
    text = f"bvc {version}"
    return f"{text} {xxhash.xxh3_64_hexdigest(text.encode())}\n".encode()


def check_format(layout: Layout) -> None:
    """Raises BvcError when the store is newer than this program, DamagedObject when its version cannot be read."""
    data = read_optional(layout.format)
    if data == format_line(VERSION):
        return
    if data is None:
        raise DamagedObject(f"{layout.format} is missing", hint="this is a Git repository that bvc did not make")
    words = data.split()
    if len(words) != 3 or not words[1].isdigit() or data != format_line(int(words[1])):
        raise DamagedObject(
            f"{layout.format} is damaged", hint=f"its right content is {format_line(VERSION).decode()!r}"
        )
    raise BvcError(
        f"{layout.root} has store version {int(words[1])}; this bvc reads up to {VERSION}", hint="update bvc to open it"
    )
