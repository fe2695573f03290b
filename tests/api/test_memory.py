"""Models in memory: one kept while the project is open, none after."""

from __future__ import annotations

import gc
import json
import weakref
from pathlib import Path

import bvc
from bvc.capture import load
from tests.tiny_models import tiny_adapter, tiny_model


def test_the_base_is_kept_for_the_next_adapter_and_freed_when_the_project_is_closed(tmp_path: Path) -> None:
    base = tiny_model(tmp_path / "base")
    bvc.init(tmp_path)
    (tmp_path / "probes" / "starter.jsonl").write_text(json.dumps({"prompt": "Count"}) + "\n")
    with bvc.open(tmp_path) as repo:
        kept = []
        for seed in (1, 2):
            adapter = tiny_adapter(tmp_path / f"adapter{seed}", base, seed=seed)
            repo.commit(adapter, base=str(base), draws=0, max_new_tokens=2)
            kept += [weakref.ref(model) for model in load._idle.values()]
        gc.collect()
        assert len(kept) == 2
        assert kept[0]() is kept[1]() is not None
    gc.collect()
    assert kept[1]() is None
