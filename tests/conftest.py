"""What every test runs under: no network, no user's git settings, quiet and reproducible tools."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

ENVIRONMENT = {
    "OMP_WAIT_POLICY": "passive",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "NO_COLOR": "1",
    "LC_ALL": "C.UTF-8",
}
UNSET = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "PAGER", "GIT_PAGER", "FORCE_COLOR", "CLICOLOR_FORCE")

# Set before anything imports torch, and for every subprocess that a test starts.
os.environ.update(ENVIRONMENT)
for name in UNSET:
    os.environ.pop(name, None)

settings.register_profile("bvc", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("bvc")
