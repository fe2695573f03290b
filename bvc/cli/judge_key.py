"""The key of a judging server, from the environment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bvc.api.handle import Repo


def judge_key(repo: Repo) -> str | None:
    """What the variable named by `substance.key_variable` holds; None where it is not set, or no server is asked."""
    if repo.config_get("substance.method") != "endpoint":
        return None
    return os.environ.get(repo.config_get("substance.key_variable")) or None
