"""The store below `.bvc`, opened: refs, objects, history, chunks and the index. Light to import."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from bvc.errors import DamagedObject, NoRepository
from bvc.store.files import disk_errors
from bvc.store.history import History
from bvc.store.index import Index
from bvc.store.layout import Layout, check_format
from bvc.store.locks import TIMEOUT
from bvc.store.objects import Objects
from bvc.store.refs import Refs

if TYPE_CHECKING:
    from bvc.store.chunks import Chunks
    from bvc.store.transaction import Transaction

DEFAULT_BRANCH = "main"


class Store:
    """One `.bvc` folder. Every part reads at any time without waiting; `begin` writes."""

    def __init__(self, root: Path, timeout: float = TIMEOUT) -> None:
        """`timeout` is how many seconds to wait for other writers."""
        self.root = root
        self.layout = Layout(root)
        self._timeout = timeout
        self.index = Index(self.layout, timeout)
        self.objects = Objects(self.layout, self.index)
        self.history = History(self.objects, self.index)
        self.refs = Refs(self.layout, self.objects, timeout)
        self.index.catch_up = self._learn_tips

    @classmethod
    def create(cls, root: Path) -> Store:
        """A store in `root`, made where it is missing; what exists is left alone. Raises BvcError, as `open` does."""
        with disk_errors(f"create a repository in {root}"):
            Layout(root).create(DEFAULT_BRANCH)
        return cls.open(root)

    @classmethod
    def open(cls, root: Path, timeout: float = TIMEOUT) -> Store:
        """The store in `root`.

        Raises NoRepository when there is none, DamagedObject when its version cannot be read, BvcError when it is newer
        than this program.
        """
        root = root.absolute()
        if not (root / "HEAD").exists():
            raise NoRepository(f"{root} is not a bvc repository", hint="`bvc init` makes one")
        store = cls(root, timeout)
        check_format(store.layout)
        return store

    @cached_property
    def chunks(self) -> Chunks:
        """The arrays; loaded at first use, since looking at history needs none."""
        from bvc.store.chunks import Chunks

        return Chunks(self.layout, self.index)

    def _learn_tips(self) -> None:
        """Has the index learn every commit that a ref reaches; a commit that it knows, it knows with all ancestors."""
        for name in ("HEAD", *self.refs.all()):
            with suppress(DamagedObject):
                tip = self.refs.head().commit if name == "HEAD" else self.refs.peel(name)
                if tip is not None:
                    self.history.node(tip)

    def begin(self) -> Transaction:
        """A transaction, to be used with `with`."""
        from bvc.store.transaction import Parts, Transaction

        return Transaction(
            Parts(self.layout, self.index, self.objects, self.chunks, self.history, self.refs, self._timeout)
        )

    def close(self) -> None:
        """Closes files and lets go of the index; safe to call twice."""
        self.objects.close()
        if "chunks" in self.__dict__:
            self.chunks.close()
        self.index.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
