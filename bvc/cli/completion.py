"""What the shell offers after TAB: branches and tags, suites, behaviors, settings. A failure offers nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click

from bvc.errors import BvcError

if TYPE_CHECKING:
    from bvc.api.handle import Repo

Complete = Callable[[click.Context, click.Parameter, str], list[str]]


def _from_project(names: Callable[[Repo], Iterable[str]]) -> Complete:
    def complete(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
        from bvc.api.handle import open_repo

        # The group's callback, which enters -C DIR, does not run while completing.
        folder = os.path.join(".", *(ctx.find_root().params.get("directory") or ()))  # noqa: PTH118 - joins like cd
        try:
            with open_repo(folder) as repo:
                return sorted(name for name in names(repo) if name.startswith(incomplete))
        except (BvcError, OSError):
            return []

    return complete


def _revisions(repo: Repo) -> Iterable[str]:
    return ["HEAD", *(entry.name for entry in repo.branches()), *(entry.name for entry in repo.tags())]


revisions = _from_project(_revisions)
branches = _from_project(lambda repo: [entry.name for entry in repo.branches()])
tags = _from_project(lambda repo: [entry.name for entry in repo.tags()])
suites = _from_project(lambda repo: [suite.name for suite in repo.suites()])
behaviors = _from_project(lambda repo: repo.behavior_names())
settings = _from_project(lambda repo: repo.config_list())
