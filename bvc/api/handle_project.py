"""What every verb of `Repo` stands on: the open repository and who its author is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from bvc.repository.repository import Repository

if TYPE_CHECKING:
    from pathlib import Path

    from bvc.results import Progress

Report = Callable[["Progress"], None]
UNKNOWN_AUTHOR = "unknown <unknown@localhost>"
"""Who made a commit when neither the caller nor `bvc.toml` says."""


class ProjectHandle:
    """An open repository; the groups of verbs that `bvc.api.handle.Repo` joins stand on it."""

    def __init__(self, repository: Repository, author: str | None = None) -> None:
        self.repository = repository
        self.default_author = author

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Releases files, the index, and the base model that captures keep in memory for the next adapter."""
        self.repository.close()
        loader = sys.modules.get("bvc.capture.load")  # not imported: it would load torch, and then it keeps nothing
        if loader is not None:
            loader.forget_models()

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self.repository.root

    @property
    def author(self) -> str:
        """`Name <mail>` for new commits, tags and reflog lines: what the caller set, else what `bvc.toml` says."""
        return self.default_author or self.repository.config.author or UNKNOWN_AUTHOR


def several(names: str | Sequence[str]) -> Sequence[str]:
    """One name or several as a sequence: a lone string is one."""
    return (names,) if isinstance(names, str) else names
