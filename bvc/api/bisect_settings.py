"""How a bisect is to be done: the options of `bvc bisect start`, checked, as the first line of its log, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bvc.api.bisect_log import START, Entry
from bvc.errors import UsageError
from bvc.wording import printable

PRIORS = ("equal", "drift")
_VERBS = ("start", "skip", "undo", "next", "run", "log", "replay", "view", "visualize", "reset", "terms", "help")
RESERVED = frozenset({*_VERBS, "answer", "ask", "pick", "visit", "good", "bad", "old", "new"})
_TERM = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")


@dataclass(frozen=True)
class BisectSettings:
    """What is looked for, and how surely.

    One of `behavior` (a name of `behaviors.toml`), `expr` (a scorer as there, on one line) and `like_bad` (differs from
    the old commit as the new one does, on `probes`), or none of them: then a person or a command judges. `terms` are
    the words for old and new. With `stored` no model is ever loaded.
    """

    behavior: str | None = None
    expr: str | None = None
    like_bad: bool = False
    probes: tuple[str, ...] = ()
    terms: tuple[str, str] = ("good", "bad")
    confidence: float = 0.95
    max_loads: int | None = None
    max_draws: int | None = None
    prior: str = "equal"
    stored: bool = False
    allow_python: bool = False

    @property
    def judged(self) -> bool:
        """Whether captures tell what a commit is."""
        return self.behavior is not None or self.expr is not None or self.like_bad

    def check(self) -> BisectSettings:
        """Itself. Raises UsageError for settings that contradict each other or make no sense."""
        given = [name for name, on in self._judges().items() if on]
        if len(given) > 1:
            raise UsageError(f"{' and '.join(given)} are two ways to judge: give one")
        if self.probes and not self.like_bad:
            raise UsageError("--probe picks the probes of --like-bad", hint="`on` picks those of a behavior")
        if self.stored and not given:
            raise UsageError("--stored needs --behavior, --expr or --like-bad: nothing else reads stored answers")
        if self.expr is not None and len(self.expr.splitlines()) != 1:
            raise UsageError("--expr is one line of TOML", hint="""such as 'contains = "salt", on = "tag:weather"'""")
        if not 0.5 <= self.confidence < 1:
            raise UsageError(f"--confidence is at least 0.5 and below 1, not {self.confidence:g}")
        if self.prior not in PRIORS:
            raise UsageError(f"--prior is one of {', '.join(PRIORS)}, not {printable(self.prior)}")
        for name, budget in (("--max-loads", self.max_loads), ("--max-draws", self.max_draws)):
            if budget is not None and budget < 0:
                raise UsageError(f"{name} cannot be negative")
        _check_terms(self.terms)
        return self

    def _judges(self) -> Mapping[str, bool]:
        return {
            "--behavior": self.behavior is not None,
            "--expr": self.expr is not None,
            "--like-bad": self.like_bad,
        }

    def entry(self, bad: str | None, good: Sequence[str]) -> Entry:
        """The line that begins a log."""
        options: dict[str, tuple[str, ...]] = {}
        for name in ("behavior", "expr", "confidence", "max_loads", "max_draws", "prior"):
            value = getattr(self, name)
            if value is not None and value != getattr(BisectSettings, name):
                options[name.replace("_", "-")] = (str(value),)
        for name in ("like_bad", "stored", "allow_python"):
            if getattr(self, name):
                options[name.replace("_", "-")] = ()
        if self.probes:
            options["probe"] = self.probes
        if self.terms != BisectSettings.terms:
            options |= {"term-old": (self.terms[0],), "term-new": (self.terms[1],)}
        return Entry(START, () if bad is None else (bad, *good), options)

    @classmethod
    def of(cls, entry: Entry) -> BisectSettings:
        """The settings of a log's first line. Raises UsageError."""
        loads, draws = entry.one("max-loads"), entry.one("max-draws")
        return cls(
            behavior=entry.one("behavior"),
            expr=entry.one("expr"),
            like_bad="like-bad" in entry.options,
            probes=entry.options.get("probe", ()),
            terms=(entry.one("term-old") or "good", entry.one("term-new") or "bad"),
            confidence=float(entry.one("confidence") or cls.confidence),
            max_loads=None if loads is None else int(float(loads)),
            max_draws=None if draws is None else int(float(draws)),
            prior=entry.one("prior") or cls.prior,
            stored="stored" in entry.options,
            allow_python="allow-python" in entry.options,
        ).check()


def _check_terms(terms: tuple[str, str]) -> None:
    if terms[0] == terms[1]:
        raise UsageError(f"the words for old and new are both {printable(terms[0])}")
    for term, usual in zip(terms, (("good", "old"), ("bad", "new")), strict=True):
        if term not in usual and (term in RESERVED or not _TERM.fullmatch(term)):
            hint = "a word of letters, digits, _ and - that is no command of `bvc bisect`"
            raise UsageError(f"{printable(term)} cannot be a word for {usual[1]}", hint=hint)
