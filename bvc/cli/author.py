"""Who commits: BVC_AUTHOR, Git's variables, `bvc.toml`, Git's own settings, else the user of this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping


def find_author(configured: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """`Name <mail>`; `configured` is what the project's `bvc.toml` says."""
    if environment.get("BVC_AUTHOR"):
        return _complete(environment["BVC_AUTHOR"], environment)
    name, mail = environment.get("GIT_AUTHOR_NAME"), environment.get("GIT_AUTHOR_EMAIL")
    if not (name and mail):
        if configured and not (name or mail):
            return _complete(configured, environment)
        git_name, git_mail = _from_git()
        name, mail = name or git_name, mail or git_mail
    user = _user(environment)
    return _join(name or user, mail or f"{user}@{_host()}")


def _complete(text: str, environment: Mapping[str, str]) -> str:
    """`text` with a mail address, which Git's format needs."""
    name, bracket, rest = text.partition("<")
    if bracket:
        return _join(name, rest.partition(">")[0])
    return _join(text, f"{_user(environment)}@{_host()}")


def _join(name: str, mail: str) -> str:
    """One line without the marks that end a field of a Git commit."""
    return f"{_field(name) or 'unknown'} <{_field(mail)}>"


def _field(text: str) -> str:
    return " ".join("".join(c for c in text if c not in "<>\0").split())


def _from_git() -> tuple[str | None, str | None]:
    """`user.name` and `user.email` of the user's Git; (None, None) when there is no readable setting."""
    from dulwich.config import StackedConfig

    try:
        config = StackedConfig.default()
    except (OSError, ValueError):
        return None, None
    return _setting(config, b"name"), _setting(config, b"email")


def _setting(config: object, key: bytes) -> str | None:
    from dulwich.config import StackedConfig

    assert isinstance(config, StackedConfig)  # noqa: S101 - narrows for the type checker
    try:
        return config.get((b"user",), key).decode("utf-8", "replace")
    except KeyError:
        return None


def _user(environment: Mapping[str, str]) -> str:
    return environment.get("USER") or environment.get("LOGNAME") or "unknown"


def _host() -> str:
    import socket

    return socket.gethostname() or "localhost"
