"""config: reading and changing `bvc.toml`."""

from __future__ import annotations

from typing import Any

from bvc import config
from bvc.repository.repository import CONFIG_FILE, Repository


def config_list(repository: Repository) -> dict[str, Any]:
    """All settings by dotted key, defaults included."""
    return config.as_dict(repository.config)


def config_get(repository: Repository, key: str) -> Any:
    """One setting. Raises UsageError for an unknown key."""
    return config.get(repository.config, key)


def config_set(repository: Repository, key: str, value: str) -> None:
    """Writes one setting to `bvc.toml`; raises what reading the new file would raise, and then changes nothing."""
    config.set_value(repository.root / CONFIG_FILE, key, value)
    repository.__dict__.pop("config", None)
