"""The options of commands that run the checkpoints of commits."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_PLACES = (
    click.option("--checkpoint-a", metavar="PATH", help="Where the checkpoint of A is now."),
    click.option("--checkpoint-b", metavar="PATH", help="Where the checkpoint of B is now."),
)
_LOADING = (
    click.option("--base", metavar="CHECKPOINT", help="Base of the adapters, where nothing leads to it."),
    click.option("--dtype", metavar="TYPE", help="float32, bfloat16, float16 or auto."),
    click.option("--device", metavar="DEVICE", help="cpu, cuda, cuda:1, mps or auto."),
    click.option("--allow-pickle", is_flag=True, help="Load pickled weights. They can run code."),
    click.option("--trust-remote-code", is_flag=True, help="Run Python code that comes with a checkpoint."),
)


def pair_options(function: F) -> F:
    """Adds what says where two checkpoints are and how they are loaded."""
    return _with(function, _PLACES + _LOADING)


def loading_options(function: F) -> F:
    """Adds what says how a checkpoint is loaded."""
    return _with(function, _LOADING)


def _with(function: F, options: tuple[Callable[[F], F], ...]) -> F:
    for option in reversed(options):
        function = option(function)
    return function


def hub_cache() -> dict[str, Path]:
    """The option `hub_cache` where the environment says that Hugging Face libraries keep models elsewhere."""
    if os.environ.get("HF_HUB_CACHE"):
        return {"hub_cache": Path(os.environ["HF_HUB_CACHE"])}
    return {"hub_cache": Path(os.environ["HF_HOME"]) / "hub"} if os.environ.get("HF_HOME") else {}
