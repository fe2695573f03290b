"""One flipped bit in 300 random places, and 300 more in the index alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from bvc.store.store import Store
from tests.store.build import add_commit, array
from tests.store.flips import Flip, index_of, judge, random_flips, reading


def grow(root: Path) -> None:
    with Store.create(root) as store:
        for number in range(12):
            texts = {f"probe-{n}": f"answer {n} of {number if n % 4 == number % 4 else 0}" for n in range(20)}
            add_commit(store, f"m{number}", texts, [array(number), array(0)])


@pytest.mark.torture
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("where", ["anywhere", "index"])
def test_flipped_bits(tmp_path: Path, where: str, figures: list[str]) -> None:
    root = tmp_path / ".bvc"
    grow(root)
    with Store.open(root) as store:
        entries = index_of(store)
    right = reading(root)
    assert right.startswith("{")
    if where == "anywhere":
        flips = random_flips(root, 300, seed=7)
    else:
        data = root / "bvc/index/data.mdb"
        flips = [Flip(data, f.position % data.stat().st_size, f.bit) for f in random_flips(root, 300, seed=8)]
    failures = [failure for flip in flips if (failure := judge(root, flip, right, entries))]
    crashes = sum("crash" in failure for failure in failures)
    figures.append(f"flipped bits ({where}): {len(flips)} places, {len(failures)} failures, {crashes} crashes")
    assert failures == []
