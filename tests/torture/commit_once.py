"""Makes one commit, in a new store where there is none, then says its id: the process that the sweeps kill and starve.

    python -m tests.torture.commit_once ROOT NAME [SEED]

The id is printed, in one write, only when the commit was acknowledged. Errors of the disk end with code 10 and one
line, as the command line would.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bvc.errors import BvcError
from bvc.store.store import Store
from tests.store.build import add_commit, array


def main(root: Path, name: str, seed: int) -> int:
    """Commits once; returns the exit code."""
    try:
        with Store.create(root) as store:
            texts = {f"probe-{i}": f"answer {i} of {name}" for i in range(3)}
            commit = add_commit(store, name, texts, [array(seed), array(seed + 1)])
    except BvcError as error:
        os.write(2, f"error: {error.message}\n".encode())
        return int(error.code)
    os.write(1, f"{commit}\n".encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 0))
