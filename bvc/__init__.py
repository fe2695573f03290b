"""bvc: version control for model behavior.

`bvc.open(".")` opens the project here; `bvc.init(DIR)` makes one. Both are loaded on first use, so that
`import bvc` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from bvc.api.handle import Repo, init
    from bvc.api.handle import open_repo as open  # noqa: A004 - `bvc.open` is the contract's name

__all__ = ["Repo", "__version__", "init", "open"]

_NAMES = {"Repo": "Repo", "init": "init", "open": "open_repo"}


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'bvc' has no attribute {name!r}")
    from bvc.api import handle

    return getattr(handle, _NAMES[name])
