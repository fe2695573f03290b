"""How one commit is headed wherever it appears: id, refs, model, suites."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bvc.ids import short
from bvc.records import Capability, CommitInfo, ModelIdentity, Recipe, Snapshot
from bvc.render.dates import git_date
from bvc.render.screen import Screen
from bvc.render.text import clean

_LEVELS = {
    Capability.TEXT: "text only",
    Capability.LOGPROBS: "text, log-probs",
    Capability.ACTIVATIONS: "text, log-probs, activations",
}
_KINDS = {"hf": "checkpoint", "peft": "adapter", "hub": "hub", "recorded": "recorded outputs"}


def plural(count: int, noun: str) -> str:
    """`1 probe`, `2 probes`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def decoration(refs: Sequence[str], screen: Screen) -> str:
    """Refs behind a commit id, as Git shows them: ` (HEAD -> main, tag: v1)`; empty without refs."""
    if not refs:
        return ""
    shown = screen.paint("yellow", ", ").join(_ref(clean(ref), screen) for ref in refs)
    return f" {screen.paint('yellow', '(')}{shown}{screen.paint('yellow', ')')}"


def _ref(ref: str, screen: Screen) -> str:
    if ref.startswith("tag: "):
        return screen.paint("bold yellow", ref)
    head, arrow, branch = ref.partition(" -> ")
    if arrow:
        return screen.paint("bold cyan", head + arrow) + screen.paint("bold green", branch)
    return screen.paint("bold cyan" if ref == "HEAD" else "bold green", ref)


def model_text(model: ModelIdentity) -> str:
    """`step4 (adapter on SmolLM2)`."""
    kind = _KINDS.get(model.kind, clean(model.kind))
    if model.base is not None:
        kind += f" on {clean(model.base.name)}"
    return f"{clean(model.name)} ({kind})"


def capability_text(capability: Capability | None) -> str:
    """What a snapshot holds, in words."""
    return "not captured" if capability is None else _LEVELS[capability]


def probe_count(snapshot: Snapshot | None) -> int:
    """Probes of a snapshot over all its suites."""
    if snapshot is None:
        return 0
    return snapshot.counts.get("probes", sum(suite.probes for suite in snapshot.suites))


def suites_text(snapshot: Snapshot) -> str:
    """`starter (150 probes), mine (3 probes)`."""
    return ", ".join(f"{clean(s.name)} ({plural(s.probes, 'probe')})" for s in snapshot.suites) or "none"


def recipe_text(recipe: Recipe, dot: str) -> str:
    """The settings of a capture that a person asks about, on one line."""
    if recipe.engine == "recorded":
        return "answers recorded elsewhere"
    parts = [clean(recipe.engine), clean(recipe.dtype), clean(recipe.device), plural(recipe.max_new_tokens, "token")]
    if recipe.draws:
        parts.append(f"{plural(recipe.draws, 'draw')} at temperature {recipe.temperature:g}, seed {recipe.seed}")
    parts.append(f"batches of {recipe.batch_rows}")
    return f" {dot} ".join(parts)


def heading(commit: CommitInfo, refs: Sequence[str], screen: Screen) -> Iterator[str]:
    """The lines above a commit's message: id, parents of a merge, author, date, model."""
    yield screen.paint("yellow", f"commit {commit.id}") + decoration(refs, screen)
    if len(commit.parents) > 1:
        yield "Merge:  " + " ".join(short(parent) for parent in commit.parents)
    yield f"Author: {clean(commit.author)}"
    yield f"Date:   {git_date(commit.date, commit.timezone)}"
    if commit.snapshot is not None:
        yield f"Model:  {screen.paint('cyan', model_text(commit.snapshot.model))}"
        recorded = capability_text(commit.snapshot.capability)
        yield f"Suites: {suites_text(commit.snapshot)} {screen.glyph('dot')} {recorded}"


def message_lines(commit: CommitInfo) -> list[str]:
    """Subject and body, harmless, without the `Bvc-*` trailers, which the heading shows in words."""
    lines = [clean(line) for line in commit.message.rstrip("\n").split("\n") if not line.startswith("Bvc-")]
    while lines and not lines[-1]:
        lines.pop()
    return lines
