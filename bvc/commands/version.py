"""`bvc version`."""

from __future__ import annotations

import platform
from importlib import metadata

import bvc
from bvc.cli.command import command as bvc_command
from bvc.cli.session import Session
from bvc.records import FORMAT_VERSION
from bvc.render.documents import version_document

_PACKAGES = (
    "click", "dulwich", "lmdb", "numpy", "xxhash", "backports.zstd",
    "torch", "transformers", "peft", "accelerate", "safetensors",
)  # fmt: skip


@bvc_command("version", json=True, examples="bvc version\nbvc version --json\nbvc --version")
def command(session: Session) -> None:
    """Print the versions of bvc and of what it uses."""
    packages = {name: _installed(name) for name in _PACKAGES}
    if session.json:
        session.document(version_document(bvc.__version__, FORMAT_VERSION, platform.python_version(), packages))
        return
    session.print([f"bvc {bvc.__version__}", f"record format {FORMAT_VERSION}", f"Python {platform.python_version()}"])
    session.print(f"{name} {version or 'not installed'}" for name, version in packages.items())


def _installed(name: str) -> str | None:
    """The installed version, without importing the package."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
