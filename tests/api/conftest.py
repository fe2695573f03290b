"""Projects on a real store, closed at the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.doubles import Project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """An empty project with a suite of six probes."""
    made = Project(tmp_path / "project")
    yield made
    made.repo.close()
