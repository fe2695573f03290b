"""A project with its `.bvc`: finding, creating and opening it. Layer 2."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, lru_cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from bvc.errors import BvcError, NoRepository
from bvc.records import CommitInfo
from bvc.repository.notes import Attached, read_attached
from bvc.repository.snapshot_view import SnapshotView
from bvc.store.store import Store

if TYPE_CHECKING:
    from bvc.config import Config

CONFIG_FILE = "bvc.toml"
_SUMMARIES = 2048
PROBES_FOLDER = "probes"
BEHAVIORS_FILE = "behaviors.toml"


class Repository:
    """An open project: `root` is the folder that holds `bvc.toml`, `probes/` and `.bvc/`."""

    def __init__(self, root: Path, store: Store) -> None:
        self.root = root
        self.store = store
        self._attached: Attached | None = None
        self.info: Callable[[str], CommitInfo] = lru_cache(_SUMMARIES)(store.history.info)
        """`store.history.info`, kept for what looks at each commit of a lineage several times."""

    @classmethod
    def open(cls, start: Path) -> Repository:
        """The project at `start` or in the nearest folder above it. Raises NoRepository when there is none."""
        here = start.resolve()
        for folder in (here, *here.parents):
            if (folder / ".bvc" / "HEAD").exists():
                return cls(folder, Store.open(folder / ".bvc"))
        raise NoRepository(
            f"no bvc repository in {here} or any folder above it", hint="run `bvc init` in your project's folder"
        )

    def close(self) -> None:
        """Releases the index and open files."""
        self.store.close()

    def __enter__(self) -> Repository:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @cached_property
    def config(self) -> Config:
        """The settings of `bvc.toml`; the defaults when the file does not exist."""
        from bvc.config import load_config

        return load_config(self.root / CONFIG_FILE)

    @property
    def probes_folder(self) -> Path:
        """Where the suite files are."""
        return self.root / PROBES_FOLDER

    @property
    def captures_folder(self) -> Path:
        """Where journals of unfinished captures are."""
        return self.store.root / "bvc" / "tmp" / "captures"

    def snapshot(self, commit: str) -> SnapshotView:
        """What is recorded of a commit (full id), with what was attached to it later."""
        return self.view(self.store.history.info(commit))

    def view(
        self, info: CommitInfo, attached: Attached | None = None, beside: SnapshotView | None = None
    ) -> SnapshotView:
        """`snapshot` of a commit whose own record is at hand, with what was `attached` at some moment (default: now);
        what is as in the view `beside` is read once."""
        attached = attached or self.attached
        tree = attached.tree_of(info)
        return SnapshotView(self.store, info if tree is None else attached.merged(info), tree, beside)

    @property
    def attached(self) -> Attached:
        """The captures attached to commits as of now."""
        self._attached = read_attached(self.store, self._attached)
        return self._attached


def create_project(folder: Path, starter: bytes, behaviors: bytes) -> tuple[list[str], list[str]]:
    """Makes `folder` a project; nothing that exists is overwritten.

    `starter` is the content of `probes/starter.jsonl`, `behaviors` that of `behaviors.toml`. Returns the relative names
    created and those kept.
    """
    from bvc.config import DEFAULT_TEXT

    created: list[str] = []
    kept: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        existed = (folder / ".bvc" / "HEAD").exists()
        Store.create(folder / ".bvc").close()
        (kept if existed else created).append(".bvc/")
        texts = {CONFIG_FILE: DEFAULT_TEXT.encode(), BEHAVIORS_FILE: behaviors}
        for name, content in {**texts, f"{PROBES_FOLDER}/starter.jsonl": starter}.items():
            (created if _write_new(folder / name, content) else kept).append(name)
    except OSError as error:
        raise BvcError(f"cannot create a project in {folder}: {error.strerror}") from error
    return created, kept


def _write_new(path: Path, content: bytes) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError:
        return False
    return True
