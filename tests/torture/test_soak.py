"""P2, P4 and P5 together: four writers killed at random beside two verifying readers."""

from __future__ import annotations

from pathlib import Path

import pytest

from bvc.store.store import Store
from tests.torture.crowd import soak

KILLS = 60


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_soak(tmp_path: Path, figures: list[str]) -> None:
    Store.create(tmp_path / ".bvc").close()
    commits, kills, rounds = soak(tmp_path / ".bvc", KILLS, seed=11)
    figures.append(
        f"soak: {commits} commits acknowledged by 4 writers, {kills} kills, 2 readers went through {rounds} times: "
        "0 lost, 0 damaged, 0 blocked"
    )
    assert commits > KILLS
    assert rounds > 2
