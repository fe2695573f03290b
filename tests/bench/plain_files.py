"""What a user without bvc would keep of each checkpoint: one JSON file of texts and one `.npz` of all arrays.

    python -m tests.bench.plain_files FOLDER REVISION TARGET

writes TARGET.json, TARGET.json.gz and TARGET.npz (`np.savez_compressed`). Runs in a process of its own, as
`tests.bench.repositories` does and for the same reason.
"""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def plain_copy(folder: Path, revision: str) -> Path:
    """The files of one commit, made where they are missing; returns their path without suffix."""
    target = folder / f"plain-{revision.replace('~', '-')}"
    if not target.with_suffix(".json.gz").exists():
        arguments = [str(folder), revision, str(target)]
        subprocess.run([sys.executable, "-m", "tests.bench.plain_files", *arguments], check=True, cwd=ROOT)
    return target


def _write(folder: Path, revision: str, target: Path) -> None:
    import numpy as np

    from bvc.codec import canonical
    from bvc.repository.pairs import RowReader
    from bvc.repository.repository import Repository
    from bvc.repository.revisions import resolve
    from bvc.repository.tiles import channel_arrays

    with Repository.open(folder) as repository:
        view = repository.snapshot(resolve(repository, revision))
        texts = canonical({probe: view.outputs(probe).to_json() for probe in view.order})
        target.with_suffix(".json").write_bytes(texts)
        if view.signatures.manifests:
            channels = channel_arrays(RowReader(view.signatures).gather(view.order))
            np.savez_compressed(target, **{name: a for arrays in channels.values() for name, a in arrays.items()})
    target.with_suffix(".json.gz").write_bytes(gzip.compress(texts))


if __name__ == "__main__":
    _write(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
