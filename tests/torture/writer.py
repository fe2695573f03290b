"""Commits again and again on one branch, saying each acknowledged id in one write.

python -m tests.torture.writer ROOT NAME COUNT
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bvc.store.store import Store
from tests.store.build import add_commit, array


def main(root: Path, name: str, count: int) -> None:
    """Each commit opens the store anew, as a command would."""
    for number in range(count):
        with Store.open(root) as store:
            texts = {"probe-0": "the same", "probe-1": f"answer {number} of {name}"}
            commit = add_commit(store, f"{name}-{number}", texts, [array(0), array(os.getpid() + number)])
        os.write(1, f"{commit}\n".encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
