"""Small stores for tests: commits with texts, a snapshot, and arrays named by a manifest."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bvc.codec import canonical
from bvc.records import Capability, ModelIdentity, Recipe, Snapshot, SuiteEntry
from bvc.store.objects import FILE_MODE, TREE_MODE, TreeEntry
from bvc.store.store import Store
from bvc.store.transaction import CommitDraft, Transaction

MAIN = "refs/heads/main"
AUTHOR = "Ada Lovelace <ada@example.org>"
START = 1_700_000_000


def snapshot(name: str) -> Snapshot:
    """A snapshot of a made-up model."""
    model = ModelIdentity(name, hashlib.sha256(name.encode()).hexdigest(), "hf", tokenizer="ab" * 32)
    suites = (SuiteEntry("starter", "cd" * 32, 3),)
    return Snapshot(model, Recipe("transformers"), suites, Capability.ACTIVATIONS, counts={"probes": 3})


def array(seed: int, rows: int = 16) -> np.ndarray[Any, Any]:
    """Reproducible numbers."""
    return np.random.default_rng(seed).normal(size=(rows, 8)).astype("<f4")


def write_tree(
    transaction: Transaction, taken: Snapshot, texts: Mapping[str, str], arrays: Sequence[np.ndarray[Any, Any]] = ()
) -> str:
    """`snapshot.json`, `outputs/NAME` for each text, and a manifest of the arrays; returns the tree."""
    entries = [TreeEntry("snapshot.json", FILE_MODE, transaction.blob(canonical(taken.to_json())))]
    outputs = [TreeEntry(n, FILE_MODE, transaction.blob(t.encode())) for n, t in sorted(texts.items())]
    entries.append(TreeEntry("outputs", TREE_MODE, transaction.tree(outputs)))
    if arrays:
        tiles = [transaction.chunk(a) for a in arrays]
        field = {"dtype": "<f4", "shape": [8], "tiles": tiles}
        manifest = {"version": 1, "channel": "activation", "block": 16, "fields": {"layer.01/prompt": field}}
        order = TreeEntry("probes.json", FILE_MODE, transaction.blob(canonical({"version": 1, "probes": []})))
        found = TreeEntry("activation.json", FILE_MODE, transaction.blob(canonical(manifest)))
        entries.append(TreeEntry("signatures", TREE_MODE, transaction.tree([found, order])))
    return transaction.tree(entries)


def add_commit(
    store: Store,
    name: str = "model",
    texts: Mapping[str, str] | None = None,
    arrays: Sequence[np.ndarray[Any, Any]] = (),
    *,
    ref: str = MAIN,
    parents: Sequence[str] | None = None,
    date: int = START,
    message: str | None = None,
    reparent: bool = True,
) -> str:
    """One commit on top of `ref` (or of `parents`); returns its id."""
    tip = store.refs.get(ref)
    with store.begin() as transaction:
        taken = snapshot(name)
        tree = write_tree(transaction, taken, texts if texts is not None else {"a": name}, arrays)
        chosen = tuple(parents) if parents is not None else (tip,) if tip else ()
        text = message if message is not None else f"{name}\n\nBvc-Model: {name} sha256:{taken.model.fingerprint}\n"
        draft = CommitDraft(tree, chosen, text, AUTHOR, date, 3600, taken)
        return transaction.commit(draft, ref=ref, expected=tip, reparent=reparent)


def git(root: Path, *arguments: str, check: bool = True) -> str:
    """Runs C git on a repository and returns what it printed (both streams)."""
    done = subprocess.run(
        ["git", "-C", str(root), "-c", "user.name=G", "-c", "user.email=g@example.org", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert not check or done.returncode == 0, done.stdout
    return done.stdout
