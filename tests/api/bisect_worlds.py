"""Lineages with a known culprit: recorded answers, and checkpoints of the small engine that answer by their number."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bvc
from bvc.api.bisect import Bisection
from bvc.api.bisect_settings import BisectSettings
from bvc.api.commit_records import EngineChoice
from bvc.capture.engine import Batch
from bvc.records import Generation, ModelIdentity, Probe, Recipe
from tests.api.doubles import Project, Script, SmallEngine

BEHAVIORS = '[behavior.salt]\ndescription = "waters with salt"\ncontains = "salt water"\n'
PROBES = 12


class Recorded:
    """A project of recorded answers; of commit `name` so many of the answers speak of salt water."""

    def __init__(self, folder: Path, probes: int = PROBES) -> None:
        bvc.init(folder)
        self.folder = folder
        (folder / "probes" / "starter.jsonl").unlink()
        (folder / "behaviors.toml").write_text(BEHAVIORS)
        rows = [json.dumps({"id": f"p{n}", "prompt": f"How is plant {n} watered?"}) for n in range(probes)]
        (folder / "probes" / "plants.jsonl").write_text("".join(f"{row}\n" for row in rows))
        self.probes = probes
        self.repo = bvc.open(folder)
        self.ids: dict[str, str] = {}

    def commit(self, name: str, hits: int, parents: Sequence[str] = (), subject: str | None = None) -> str:
        """A commit whose first `hits` answers show it."""
        texts = ["with salt water" if n < hits else f"with rain, says {name}" for n in range(self.probes)]
        rows = [{"prompt": f"How is plant {n} watered?", "output": text} for n, text in enumerate(texts)]
        (self.folder / "answers.json").write_text(json.dumps(rows))
        made = self.repo.commit(
            outputs=self.folder / "answers.json",
            model=name,
            message=subject or name,
            parents=[self.ids[parent] for parent in parents],
        )
        self.ids[name] = made.commit
        return made.commit

    def line(self, hits: Sequence[int]) -> None:
        """Commits c0, c1, … in a line."""
        for number, count in enumerate(hits):
            self.commit(f"c{number}", count)

    @property
    def bisection(self) -> Bisection:
        """A fresh one, as a new process has it."""
        return self.repo.bisection()

    def name(self, commit: str | None) -> str | None:
        """The name of a commit."""
        return {oid: name for name, oid in self.ids.items()}.get(commit or "")


def by_behavior(**options: Any) -> BisectSettings:
    """Settings that look for salt water."""
    return BisectSettings(behavior="salt", **options)


@dataclass
class LineScript(Script):
    """Checkpoints named mN answer with salt water from N = `culprit` on; `asked` are the draws made alone, by model."""

    culprit: int = 5
    asked: list[tuple[str, str, int, int]] = field(default_factory=list)
    ran_by: list[tuple[str, str]] = field(default_factory=list)

    def say(self, identity: ModelIdentity, probe: Probe) -> str:
        return "with salt water" if int(identity.name[1:]) >= self.culprit else "with rain"

    @property
    def choice(self) -> EngineChoice:
        return EngineChoice("small", self._open_line)

    def _open_line(self, identity: ModelIdentity, recipe: Recipe) -> LineEngine:
        self.opened += 1
        return LineEngine(identity, recipe, self)


@dataclass
class LineEngine(SmallEngine):
    """The small engine, which draws alone and keeps count."""

    script: LineScript

    def run(self, batch: Batch) -> list[Any]:
        made = super().run(batch)
        if batch.prompt_tokens == 32:
            self.script.ran_by += [(self.identity.name, request.probe.text) for request in batch.requests]
        return made

    def draw(self, batch: Batch, first: int) -> list[tuple[Generation, ...]]:
        if len(self.script.batches) >= self.script.stop_after:
            raise KeyboardInterrupt
        self.script.batches.append(batch)
        self.script.asked += [(self.identity.name, r.probe.text, first, batch.recipe.draws) for r in batch.requests]
        return [self._capture(request, batch.recipe).outputs.draws[first:] for request in batch.requests]


def registered(folder: Path, commits: int, culprit: int, probes: int = 6) -> Project:
    """A lineage m0 … of checkpoints, none captured."""
    project = Project(folder, probes)
    project.script = LineScript(culprit=culprit)
    (folder / "behaviors.toml").write_text(BEHAVIORS)
    (folder / "bvc.toml").write_text("[recipe]\nbatch_rows = 4\n")
    project.repo.close()
    project.repo = bvc.open(folder)
    for number in range(commits):
        project.commit(f"m{number}", capture=False)
    return project


def line_script(project: Project) -> LineScript:
    """The script of a project that `registered` made."""
    assert isinstance(project.script, LineScript)
    return project.script
