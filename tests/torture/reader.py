"""Reads everything that the branch holds, again and again, until its input is closed; ends with an error for any doubt.

python -m tests.torture.reader ROOT
"""

from __future__ import annotations

import select
import sys
from pathlib import Path

from bvc.store.packs import chunk_digest
from bvc.store.store import Store
from tests.store.build import MAIN, array


def main(root: Path) -> int:
    """Returns how often it went through."""
    rounds, before = 0, 0
    while rounds == 0 or not select.select([sys.stdin], [], [], 0)[0]:
        with Store.open(root) as store:
            tip = store.refs.get(MAIN)
            commits = list(store.history.walk([tip])) if tip else []
            assert len(commits) >= before, "history became shorter"
            before = len(commits)
            for info in commits[:20]:
                assert info.snapshot is not None
                (outputs,) = (e for e in store.objects.tree(info.tree) if e.name == "outputs")
                texts = [store.objects.blob(e.oid) for e in store.objects.tree(outputs.oid)]
                assert texts[0] == b"the same"
                assert texts[1].endswith(info.subject.rpartition("-")[0].encode())
            if commits:
                assert store.chunks.get(chunk_digest(array(0))).tobytes() == array(0).tobytes()
        rounds += 1
    return rounds


if __name__ == "__main__":
    sys.stdout.write(f"{main(Path(sys.argv[1]))}\n")
