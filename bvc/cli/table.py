"""Every command with the line that `bvc --help` shows for it, so that help imports no command."""

from __future__ import annotations

from collections.abc import Mapping

COMMANDS: Mapping[str, Mapping[str, str]] = {
    "Start": {
        "init": "Make a folder a bvc project.",
        "suite": "Import, list and check suites of probes.",
        "behavior": "List, test and add named behaviors.",
        "demo": "Build a small real lineage and diff it.",
    },
    "Record": {
        "commit": "Capture what a checkpoint does and commit it.",
        "capture": "Capture what commits lack: suites, draws, or everything.",
        "status": "Show what stands between the project and HEAD.",
    },
    "Look": {
        "log": "Show the history of models.",
        "show": "Show one commit, or one of its probes.",
        "diff": "Show what changed between two commits.",
        "grep": "Find answers that match, over history.",
        "bisect": "Find the commit where a behavior began.",
        "blame": "Find the commit that last changed a probe or behavior.",
        "features": "Fit and read dictionaries of a model's features.",
        "identify": "Say which recorded commit a checkpoint is.",
        "noise": "Learn and show how far harmless change moves a model.",
        "explore": "Find new probes where two checkpoints differ most.",
        "amplify": "Exaggerate the difference of two checkpoints, to see it.",
    },
    "Lineage": {
        "branch": "List, create, rename or delete branches.",
        "tag": "List, create or delete tags.",
        "switch": "Make HEAD follow another branch.",
        "merge-base": "Find the best common ancestor of two commits.",
        "rev-parse": "Print the full id that a revision names.",
        "reflog": "Show where a branch or HEAD has been.",
    },
    "Upkeep": {
        "config": "Read or change the project's settings.",
        "fsck": "Check every stored byte.",
        "reindex": "Rebuild everything that is derived.",
        "cat-file": "Print a stored object.",
        "completion": "Print the completion script for a shell.",
        "version": "Print the versions of bvc and what it uses.",
    },
}
SHORT_HELP: Mapping[str, str] = {name: text for section in COMMANDS.values() for name, text in section.items()}
