"""Verbs of `Repo` for settings, suites and checks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bvc.api.handle_project import ProjectHandle, Report

if TYPE_CHECKING:
    from bvc.records import Suite
    from bvc.results import FsckResult, SuiteSummary


class UpkeepVerbs(ProjectHandle):
    """config, fsck, reindex, suite."""

    def config_list(self) -> dict[str, Any]:
        """All settings, defaults included, by dotted key."""
        from bvc.api.settings import config_list

        return config_list(self.repository)

    def config_get(self, key: str) -> Any:
        """One setting by dotted key. Raises UsageError for an unknown key."""
        from bvc.api.settings import config_get

        return config_get(self.repository, key)

    def config_set(self, key: str, value: str) -> None:
        """Changes one setting in `bvc.toml`; comments stay."""
        from bvc.api.settings import config_set

        config_set(self.repository, key, value)

    def fsck(self, progress: Report | None = None) -> FsckResult:
        """Reads and checks every stored byte."""
        from bvc.store.fsck import fsck

        return fsck(self.repository.store, progress)

    def reindex(self, progress: Report | None = None) -> None:
        """Rebuilds everything derived from Git and the packs."""
        from bvc.store.reindex import reindex

        reindex(self.repository.store, progress)

    def suite_import(self, source: str | Path, *, name: str | None = None, format: str | None = None) -> SuiteSummary:  # noqa: A002
        """Converts a file of another format to `probes/NAME.jsonl`."""
        from bvc.api.suites import suite_import

        return suite_import(self.repository, source, name=name, format=format)

    def suites(self) -> list[SuiteSummary]:
        """The suite files of the project."""
        from bvc.api.suites import suites

        return suites(self.repository)

    def suite(self, name: str) -> Suite:
        """One suite with its probes."""
        from bvc.api.suites import suite

        return suite(self.repository, name)

    def suite_check(self, names: Sequence[str] = ()) -> list[SuiteSummary]:
        """Validates suites (default all). Raises BadInput with file and line for the first problem."""
        from bvc.api.suites import suite_check

        return suite_check(self.repository, names)
