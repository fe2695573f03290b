"""`python -m bvc`."""

from __future__ import annotations

from bvc.cli import main

main()
