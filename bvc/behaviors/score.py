"""Scoring an answer, and choosing the probes that a behavior speaks of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from bvc.behaviors.records import TEXT_LIMIT, Behavior, Firings, Score, Scorer, Subject, Tools
from bvc.behaviors.table import KINDS
from bvc.records import Probe

_ID_DIGITS = 8
"""Hex digits from which on an item of `on` may be the beginning of a probe's id."""


def score(
    behavior: Behavior,
    probe: Probe,
    text: str,
    tokens: int | None = None,
    tools: Tools | None = None,
    firings: Firings | None = None,
) -> Score:
    """How far an answer shows a behavior, and why. `tokens` is the answer's length where it is known, `firings` what
    its features say, where it has any.

    Of a very long text the first `TEXT_LIMIT` characters count. Where a latent that the behavior asks for was not read,
    the answer is left out whatever the other parts say: whole commits lack features, and a rate of what the others
    decide alone would differ from that of the next commit without any change.
    """
    subject = Subject(probe, text[:TEXT_LIMIT], tokens, firings)
    for latent in behavior.latents:
        if isinstance(why := subject.firing(latent), str):
            return Score(None, why)
    return _run(behavior.scorer, subject, tools or Tools())


def _run(scorer: Scorer, subject: Subject, tools: Tools) -> Score:
    if scorer.kind == "not":
        return _negated(_run(scorer.parts[0], subject, tools))
    if scorer.parts:
        return _combined(scorer.kind, [_run(part, subject, tools) for part in scorer.parts])
    return KINDS[scorer.kind].run(scorer, subject, tools)


def _negated(inner: Score) -> Score:
    return inner if inner.value is None else replace(inner, value=1.0 - inner.value)


def _combined(kind: str, parts: Sequence[Score]) -> Score:
    """The least value of "all", the greatest of "any". A part that cannot be said decides nothing, unless the others
    already do."""
    pick, settled = (min, 0.0) if kind == "all" else (max, 1.0)
    known = [part for part in parts if part.value is not None]
    best = pick(known, key=lambda part: part.value or 0.0, default=None)
    if best is None or (len(known) < len(parts) and best.value != settled):
        return next(part for part in parts if part.value is None)
    lasting = all(part.lasting for part in parts)
    spans = tuple(sorted({span for part in parts for span in part.spans if part.value}))
    return Score(best.value, "; ".join(dict.fromkeys(part.why for part in parts)), spans, lasting)


def selected(behavior: Behavior, suite: str, probe: Probe) -> bool:
    """Whether the behavior speaks of a probe of `suite`.

    Items of `on` are names of suites, `tag:TAG`, labels and ids; `*` stands for anything, and `!` in front leaves out.
    """
    wanted = [item for item in behavior.on if not item.startswith("!")]
    unwanted = [item[1:] for item in behavior.on if item.startswith("!")]
    if any(_matches(item, suite, probe) for item in unwanted):
        return False
    return not wanted or any(_matches(item, suite, probe) for item in wanted)


def _matches(item: str, suite: str, probe: Probe) -> bool:
    if item.startswith("tag:"):
        return any(fnmatchcase(tag, item[4:]) for tag in probe.tags)
    if fnmatchcase(suite, item) or fnmatchcase(probe.name or "", item):
        return True
    return len(item) >= _ID_DIGITS and probe.id.startswith(item)
