"""suite import, ls, show, check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bvc.config import is_suite_name
from bvc.errors import BadInput, UsageError
from bvc.records import Suite
from bvc.repository.repository import Repository
from bvc.results import SuiteSummary
from bvc.suites.load import check_apart, load_suite, write_suite


def summarize(suite: Suite) -> SuiteSummary:
    """Name, size, digest and tag counts of a suite."""
    counts = Counter(tag for probe in suite.probes for tag in probe.tags)
    return SuiteSummary(suite.name, len(suite.probes), suite.digest, dict(sorted(counts.items())))


def suite_path(repository: Repository, name: str) -> Path:
    """The file of a suite. Raises BadInput with the names there are when it does not exist."""
    path = repository.probes_folder / f"{name}.jsonl"
    if not is_suite_name(name) or not path.is_file():
        there = ", ".join(suite_names(repository)) or "none"
        raise BadInput(f"there is no suite named {name}", file=str(path), hint=f"suites in this project: {there}")
    return path


def suite_names(repository: Repository) -> list[str]:
    """Names of the suite files of the project."""
    return sorted(path.stem for path in repository.probes_folder.glob("*.jsonl") if not path.name.startswith("."))


def selected_suites(repository: Repository, names: Sequence[str]) -> tuple[Suite, ...]:
    """The suites asked for, else those of `bvc.toml`, else all; each read and validated."""
    wanted = list(names) or list(repository.config.default_suites) or suite_names(repository)
    if not wanted:
        raise BadInput("this project has no suites", file=str(repository.probes_folder), hint="`bvc suite import FILE`")
    return tuple(load_suite(suite_path(repository, name)) for name in dict.fromkeys(wanted))


def suite_import(
    repository: Repository,
    source: str | Path,
    *,
    name: str | None = None,
    format: str | None = None,  # noqa: A002
) -> SuiteSummary:
    """Writes `probes/NAME.jsonl`. Raises UsageError when that file exists."""
    from bvc.suites.importers import import_counted

    imported = import_counted(Path(source), name=name, format=format)
    suite = imported.suite
    path = repository.probes_folder / f"{suite.name}.jsonl"
    if path.exists():
        raise UsageError(f"{path} exists", hint="choose another --name, or remove that file first")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_suite(path, suite)
    return replace(summarize(suite), duplicates=imported.duplicates)


def suites(repository: Repository) -> list[SuiteSummary]:
    """All suite files, validated."""
    return [summarize(load_suite(suite_path(repository, name))) for name in suite_names(repository)]


def suite(repository: Repository, name: str) -> Suite:
    """One suite, validated."""
    return load_suite(suite_path(repository, name))


def suite_check(repository: Repository, names: Sequence[str]) -> list[SuiteSummary]:
    """The suites named (default all), validated; with all their names told apart."""
    if not names:
        check_apart(suite_path(repository, name) for name in suite_names(repository))
    return [summarize(suite(repository, name)) for name in (names or suite_names(repository))]
