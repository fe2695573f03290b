"""Flipping single bits of a stored repository, and judging what reading it and checking it then says."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bvc.errors import BvcError
from bvc.store.fsck import fsck
from bvc.store.packs import pack_names, pack_path, read_entries
from bvc.store.store import Store

NOT_STORED = (
    "bvc/reserve",
    "bvc/lock",
    "bvc/gc.lock",
    "bvc/index.lock",
    "bvc/own-lock",
    "bvc/index/lock.mdb",
    "bvc/tmp/",
)
"""Files that hold no data: locks, spare bytes, unfinished files."""


@dataclass(frozen=True)
class Flip:
    """One bit of one file."""

    path: Path
    position: int
    bit: int

    def apply(self) -> None:
        """Flips the bit; again restores it."""
        mode = self.path.stat().st_mode
        self.path.chmod(0o644)
        with self.path.open("r+b") as file:
            file.seek(self.position)
            byte = file.read(1)[0]
            file.seek(self.position)
            file.write(bytes([byte ^ 1 << self.bit]))
        self.path.chmod(mode)


def stored_files(root: Path) -> list[Path]:
    """Every file below `root` that holds data, sorted."""
    files = (p for p in root.rglob("*") if p.is_file())
    return sorted(p for p in files if not p.relative_to(root).as_posix().startswith(NOT_STORED))


def random_flips(root: Path, count: int, seed: int) -> list[Flip]:
    """Places drawn evenly over all stored bytes."""
    generator = random.Random(seed)
    files = stored_files(root)
    sizes = [path.stat().st_size for path in files]
    flips = []
    for _ in range(count):
        (path,) = generator.choices(files, sizes)
        flips.append(Flip(path, generator.randrange(path.stat().st_size), generator.randrange(8)))
    return flips


def read_everything(root: Path) -> dict[str, str]:
    """All that commands read, as text; raises BvcError where it is damaged."""
    out: dict[str, str] = {}
    with Store.open(root) as store:
        head = store.refs.head()
        out["refs"] = repr((head, store.refs.all(), [store.refs.peel(name) for name in store.refs.all()]))
        out["logs"] = repr([store.refs.reflog(name) for name in ("HEAD", *store.refs.all("refs/heads/"))])
        tips = list(store.refs.all("refs/heads/").values())
        for info in store.history.walk(tips):
            out[info.id] = repr(info)
            _read_tree(store, info.tree, out)
        out["bases"] = repr([store.history.merge_bases(a, b) for a in tips for b in tips])
        for name in pack_names(store.layout.packs):
            for entry in read_entries(pack_path(store.layout.packs, name)):
                out[entry.sha] = store.chunks.get(entry.sha).tobytes().hex()
    return out


def _read_tree(store: Store, oid: str, out: dict[str, str]) -> None:
    for entry in store.objects.tree(oid):
        if entry.mode == 0o40000:
            _read_tree(store, entry.oid, out)
        else:
            out[entry.oid] = store.objects.blob(entry.oid).hex()


def reading(root: Path) -> str:
    """ "right" answers go through as JSON; "error" when reading refuses. In a process of its own, since a damaged LMDB
    file may kill it: then "crash"."""
    code = "import sys; from tests.store.flips import child; child(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", code, str(root)], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else "error" if done.returncode == 14 else f"crash {done.stderr[-400:]}"


def child(root: str) -> None:
    """What runs in that process."""
    try:
        sys.stdout.write(json.dumps(read_everything(Path(root)), sort_keys=True))
    except BvcError:
        sys.exit(14)


def judge(root: Path, flip: Flip, right: str, entries: dict[bytes, bytes]) -> str:
    """Applies a flip to a copy, checks it and reads it; returns what was wrong with the answers ("" for nothing).

    Every flip must be named by fsck, unless it provably touched nothing: the index holds the very same entries.
    """
    copy = root.with_name("flipped") / root.name
    shutil.rmtree(copy.parent, ignore_errors=True)
    shutil.copytree(root, copy)
    in_index = "index" in flip.path.relative_to(root).parts
    Flip(copy / flip.path.relative_to(root), flip.position, flip.bit).apply()
    named, same = _checked(copy, entries)
    if not named and not (in_index and same):
        return f"{flip}: not named by fsck"
    answer = reading(copy)
    if in_index and answer == "error":
        return f"{flip}: the index alone must never cause an error"
    return "" if answer in (right, "error") else f"{flip}: a wrong answer: {answer[:300]}"


def _checked(root: Path, entries: dict[bytes, bytes]) -> tuple[bool, bool]:
    try:
        with Store.open(root) as store:
            problems = fsck(store).problems
            same = not problems and index_of(store) == entries
    except BvcError:
        return True, False
    return bool(problems), same


def index_of(store: Store) -> dict[bytes, bytes]:
    """All entries of the index."""
    return {key: value for key, value in store.index.environment.entries() if value is not None}
