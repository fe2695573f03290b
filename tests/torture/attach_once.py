"""Attaches captures to commits, saying each acknowledged note in one write: the process that is killed and starved.

python -m tests.torture.attach_once ROOT SEED [COMMIT…]

Without commits, to the tip of the branch. Errors of the disk end with code 10 and one line, as the command line would.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bvc.errors import BvcError
from bvc.repository.notes import NoteAuthor, attach_captures, read_attached
from bvc.store.store import Store
from tests.store.build import AUTHOR, MAIN, START, array, write_tree


def attach(store: Store, commit: str, seed: int) -> str:
    """One more draw for a commit, as it were: a snapshot that replaces the one attached before."""
    taken = store.history.info(commit).snapshot
    assert taken is not None
    with store.begin() as transaction:
        tree = write_tree(transaction, taken, {"a": f"text {seed}"}, [array(seed), array(seed + 1)])
        base = read_attached(store).trees.get(commit)
        return attach_captures(transaction, store, commit, tree, taken, base, NoteAuthor(AUTHOR, START, 0))


def main(root: Path, seed: int, commits: list[str]) -> int:
    """Attaches to each; returns the exit code."""
    try:
        with Store.open(root) as store:
            for commit in commits or [str(store.refs.get(MAIN))]:
                os.write(1, f"{attach(store, commit, seed)}\n".encode())
    except BvcError as error:
        os.write(2, f"error: {error.message}\n".encode())
        return int(error.code)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
