"""The real checkpoint of the tests marked `real`: SmolLM2-135M-Instruct as the demo makes it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bvc.capture.packaged_model import MODEL_NAME, ensure_base
from bvc.errors import EngineError


def models_folder() -> Path:
    """Where the base model is kept between runs, as `bvc demo` has it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bvc" / "models"


def real_model() -> Path:
    """The folder of SmolLM2-135M-Instruct, made on first use; skips the test where its package is not installed."""
    try:
        return ensure_base(models_folder() / MODEL_NAME)
    except EngineError as error:
        pytest.skip(str(error))
