"""Hub ids: the snapshot that the local Hugging Face cache holds, else a download where the hub can be reached."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from bvc.errors import EngineError

_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?(@[\w./-]+)?")
_WANTED = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "*.tiktoken"]
_UNWANTED = ["onnx/*", "original/*", "consolidated*", "openvino/*"]
HF_HINT = "pip install 'bvc[hf]'"


@dataclass(frozen=True)
class HubId:
    """`OWNER/NAME` on the hub, with `@REVISION` (branch, tag or commit; default main)."""

    repo: str
    revision: str = "main"

    @classmethod
    def parse(cls, text: str) -> HubId | None:
        """The hub id that `text` spells, None when it cannot be one."""
        if not _ID.fullmatch(text) or ".." in text:
            return None
        repo, _, revision = text.partition("@")
        return cls(repo, revision or "main")

    def __str__(self) -> str:
        return self.repo if self.revision == "main" else f"{self.repo}@{self.revision}"


def default_cache() -> Path:
    """Where Hugging Face libraries keep their snapshots unless told otherwise."""
    return Path.home() / ".cache" / "huggingface" / "hub"


def cached_snapshot(hub_id: HubId, cache: Path) -> Path | None:
    """The snapshot folder in a local cache, None when it holds none of that revision. Opens no network."""
    home = cache / f"models--{hub_id.repo.replace('/', '--')}"
    ref = home / "refs" / hub_id.revision
    commit = ref.read_text(encoding="utf-8").strip() if ref.is_file() else hub_id.revision
    snapshot = home / "snapshots" / commit
    return snapshot if commit and snapshot.is_dir() else None


def download_snapshot(hub_id: HubId, cache: Path) -> Path:
    """Fetches weights, configs and tokenizer of `hub_id` into the cache. Raises EngineError when it cannot."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise EngineError(
            f"{hub_id} has to be fetched from the hub, which needs huggingface_hub", hint=HF_HINT
        ) from error
    try:
        found = snapshot_download(
            hub_id.repo,
            revision=hub_id.revision,
            cache_dir=cache,
            allow_patterns=_WANTED,
            ignore_patterns=_UNWANTED,
        )
    except (OSError, ValueError, RuntimeError) as error:  # all errors of the hub's client derive from these
        raise EngineError(
            f"cannot fetch {hub_id} from the hub: {_first_line(error)}",
            hint="check the name and the connection, or give a local folder",
        ) from error
    return Path(found)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
