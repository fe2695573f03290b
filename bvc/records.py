"""The values that bvc stores: probes, suites, recipes, models, captures, snapshots, commits.

Plain frozen dataclasses of the standard library with `to_json` / `from_json`; what is stored is the
canonical form (`bvc.codec`) of `to_json()`. Numeric evidence lives in `bvc.evidence`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

from bvc.ids import digest_value

FORMAT_VERSION = 1
"""Version of every stored record; a greater one is refused with a sentence that says what to do."""

Json = dict[str, Any]


class Capability(StrEnum):
    """What a snapshot holds, each level including the ones before."""

    TEXT = "text"
    LOGPROBS = "logprobs"
    ACTIVATIONS = "activations"

    @property
    def level(self) -> int:
        """0 for text, rising with what is held."""
        return list(Capability).index(self)


@dataclass(frozen=True)
class Message:
    """One chat message."""

    role: str
    content: str

    def to_json(self) -> Json:
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True)
class Probe:
    """One input with its decoding settings and tags; exactly one of `messages` and `prompt` is set.

    `name` is the user's own `id` of the probe (a label); `id` is the hash of what the model is asked.
    """

    messages: tuple[Message, ...] | None = None
    prompt: str | None = None
    name: str | None = None
    tags: tuple[str, ...] = ()
    reference: str | None = None
    max_new_tokens: int | None = None
    cluster: str | None = None

    @cached_property
    def id(self) -> str:
        """SHA-256 (hex) over the input and the decoding settings: labels, tags and the reference do not count."""
        asked = {k: v for k, v in self.to_json().items() if k in ("messages", "prompt", "max_new_tokens")}
        return digest_value("probe/1", asked)

    @property
    def text(self) -> str:
        """The input as a person reads it: the raw prompt, or the last user message."""
        if self.prompt is not None:
            return self.prompt
        messages = self.messages or ()
        asked = [m.content for m in messages if m.role == "user"]
        return asked[-1] if asked else "".join(m.content for m in messages[-1:])

    def to_json(self) -> Json:
        """The stored form; absent fields are left out."""
        out: Json = {}
        if self.messages is not None:
            out["messages"] = [m.to_json() for m in self.messages]
        if self.prompt is not None:
            out["prompt"] = self.prompt
        if self.name is not None:
            out["id"] = self.name
        if self.tags:
            out["tags"] = list(self.tags)
        for key in ("reference", "max_new_tokens", "cluster"):
            if getattr(self, key) is not None:
                out[key] = getattr(self, key)
        return out

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Probe:
        """The probe of a stored record (already validated when it came in)."""
        messages = data.get("messages")
        return cls(
            messages=None if messages is None else tuple(Message(m["role"], m["content"]) for m in messages),
            prompt=data.get("prompt"),
            name=data.get("id"),
            tags=tuple(data.get("tags", ())),
            reference=data.get("reference"),
            max_new_tokens=data.get("max_new_tokens"),
            cluster=data.get("cluster"),
        )


@dataclass(frozen=True)
class Suite:
    """An ordered, named set of probes with distinct ids."""

    name: str
    probes: tuple[Probe, ...]

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over all probes in order, labels and tags included."""
        return digest_value("suite/1", [p.to_json() for p in self.probes])


@dataclass(frozen=True)
class ModelIdentity:
    """Which model this is, by content.

    `fingerprint` is a SHA-256 over the weights (and for an adapter its base's fingerprint); `kind` is
    one of "hf" (a folder), "peft" (an adapter on `base`), "hub" and "recorded". `facts` are lineage facts
    read from the folder, such as `{"trainer_step": 200}`. `location` says where it was found and is not
    part of the identity.
    """

    name: str
    fingerprint: str
    kind: str
    tokenizer: str | None = None
    architecture: str | None = None
    base: ModelIdentity | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    location: str | None = None

    def to_json(self) -> Json:
        """The stored form: content only, without the location."""
        out: Json = {"name": self.name, "fingerprint": self.fingerprint, "kind": self.kind}
        for key in ("tokenizer", "architecture"):
            if getattr(self, key) is not None:
                out[key] = getattr(self, key)
        if self.base is not None:
            out["base"] = self.base.to_json()
        if self.facts:
            out["facts"] = dict(self.facts)
        return out

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ModelIdentity:
        base = data.get("base")
        return cls(
            name=data["name"],
            fingerprint=data["fingerprint"],
            kind=data["kind"],
            tokenizer=data.get("tokenizer"),
            architecture=data.get("architecture"),
            base=None if base is None else cls.from_json(base),
            facts=data.get("facts", {}),
        )


@dataclass(frozen=True)
class Recipe:
    """Everything that fixes a capture.

    `batch_rows` probes share a forward pass; prompts are padded to the next of `prompt_buckets` tokens (beyond the
    last: to its next multiple). `hookpoints` are fractions of depth in (0, 1]. `environment` holds versions and
    hardware: it is part of the recipe, since numbers depend on it.
    """

    engine: str
    dtype: str = "float32"
    device: str = "cpu"
    batch_rows: int = 16
    prompt_buckets: tuple[int, ...] = (32, 48, 64, 96, 128, 192, 256, 384, 512)
    max_new_tokens: int = 48
    draws: int = 0
    temperature: float = 1.0
    seed: int = 0
    hookpoints: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    environment: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> Json:
        return {
            "engine": self.engine,
            "dtype": self.dtype,
            "device": self.device,
            "batch_rows": self.batch_rows,
            "prompt_buckets": list(self.prompt_buckets),
            "max_new_tokens": self.max_new_tokens,
            "draws": self.draws,
            "temperature": self.temperature,
            "seed": self.seed,
            "hookpoints": list(self.hookpoints),
            "environment": dict(self.environment),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Recipe:
        values = dict(data)
        for key in ("prompt_buckets", "hookpoints"):
            values[key] = tuple(values[key])
        return cls(**values)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of all that a stored number depends on; the count of draws is left out, since draw k
        does not depend on how many there are."""
        return digest_value("recipe/1", {k: v for k, v in self.to_json().items() if k != "draws"})

    def other_layout(self) -> Recipe:
        """The same recipe under another batch layout, for the N0 re-capture: half the rows, wider padding, no draws."""
        rows = max(1, self.batch_rows // 2) if self.batch_rows > 1 else 2
        return replace(self, batch_rows=rows, prompt_buckets=tuple(b + 16 for b in self.prompt_buckets), draws=0)


@dataclass(frozen=True)
class Generation:
    """One generated answer. `finish` is "stop" (end of turn), "length" (cut off) or "unknown"."""

    text: str
    finish: str = "unknown"
    tokens: int | None = None

    def to_json(self) -> Json:
        out: Json = {"text": self.text, "finish": self.finish}
        if self.tokens is not None:
            out["tokens"] = self.tokens
        return out

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Generation:
        return cls(data["text"], data.get("finish", "unknown"), data.get("tokens"))


@dataclass(frozen=True)
class Outputs:
    """What a model answered to one probe: the greedy text and the draws (text only)."""

    greedy: Generation
    draws: tuple[Generation, ...] = ()

    def to_json(self) -> Json:
        return {"version": FORMAT_VERSION, "greedy": self.greedy.to_json(), "draws": [d.to_json() for d in self.draws]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Outputs:
        return cls(Generation.from_json(data["greedy"]), tuple(Generation.from_json(d) for d in data["draws"]))


@dataclass(frozen=True)
class Reference:
    """The fixed continuation along which a probe is teacher-forced; `end` adds the end-of-turn token to it."""

    text: str
    end: bool = False

    def to_json(self) -> Json:
        return {"text": self.text, "end": self.end}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Reference:
        return cls(data["text"], bool(data["end"]))


@dataclass(frozen=True)
class SuiteEntry:
    """One suite of a snapshot."""

    name: str
    digest: str
    probes: int


@dataclass(frozen=True)
class Snapshot:
    """`snapshot.json`: all captures of one model on its suites under one recipe, in summary.

    `recipe` and `capability` are None for a checkpoint that was registered without capture. `noise` is the N0
    summary per channel: `{channel: {"n", "median", "q95", "max"}}` of the distances between the two layouts.
    `dictionary` is the digest of the dictionary whose latents the features are; None where there are no features.
    """

    model: ModelIdentity
    recipe: Recipe | None
    suites: tuple[SuiteEntry, ...]
    capability: Capability | None
    noise: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    dictionary: str | None = None

    def to_json(self) -> Json:
        out: Json = {
            "version": FORMAT_VERSION,
            "model": self.model.to_json(),
            "recipe": None if self.recipe is None else self.recipe.to_json(),
            "suites": [{"name": s.name, "digest": s.digest, "probes": s.probes} for s in self.suites],
            "capability": None if self.capability is None else str(self.capability),
            "noise": dict(self.noise),
            "counts": dict(self.counts),
        }
        if self.dictionary is not None:
            out["dictionary"] = self.dictionary
        return out

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Snapshot:
        recipe, capability, dictionary = data["recipe"], data["capability"], data.get("dictionary")
        if not isinstance(dictionary, str | None):
            raise TypeError("the digest of a dictionary is a text")
        return cls(
            model=ModelIdentity.from_json(data["model"]),
            recipe=None if recipe is None else Recipe.from_json(recipe),
            suites=tuple(SuiteEntry(s["name"], s["digest"], s["probes"]) for s in data["suites"]),
            capability=None if capability is None else Capability(capability),
            noise=data["noise"],
            counts=data["counts"],
            dictionary=dictionary,
        )


@dataclass(frozen=True)
class CommitInfo:
    """One commit as history lists it: what `log` needs, without reading its tree.

    `date` is seconds since the epoch, `timezone` the author's offset in seconds; `trailers` are the `Bvc-*` lines
    of the message by name.
    """

    id: str
    tree: str
    parents: tuple[str, ...]
    author: str
    date: int
    timezone: int
    message: str
    trailers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    snapshot: Snapshot | None = None

    @property
    def subject(self) -> str:
        """The first line of the message."""
        return self.message.split("\n", 1)[0]


@dataclass(frozen=True)
class LogEntry:
    """One commit of `bvc.log/1`; `refs` as `HEAD -> main`, `tag: v1`. Where only some commits are listed, `drawn` are
    its nearest ancestors among them."""

    commit: CommitInfo
    refs: tuple[str, ...] = ()
    summary: LogStat | None = None
    behavior: BehaviorRate | None = None
    answers: AnswerChanges | None = None
    drawn: tuple[str, ...] | None = None


@dataclass(frozen=True)
class AnswerChange:
    """How one probe's answers differ from those of a commit's parent: the first text that tells, of the greedy answer
    (`draw` None) or a draw; None on a side without it. `differing` counts the texts that differ."""

    probe: str
    name: str | None
    draw: int | None
    old: str | None
    new: str | None
    differing: int


@dataclass(frozen=True)
class AnswerChanges:
    """The probes whose answers make a commit be listed: how many, and some of them (all of those that were named)."""

    probes: int
    shown: tuple[AnswerChange, ...]


@dataclass(frozen=True)
class BehaviorRate:
    """How often the answers of one commit show a behavior: the mean score over `n` probes with its 95 % interval. With
    `n` 0 nothing was scored and `rate` means nothing."""

    name: str
    rate: float
    n: int
    ci: tuple[float, float]


@dataclass(frozen=True)
class LogStat:
    """Text changes of a commit against its first parent, for `log --stat`: counts of probes; and how far hidden states
    moved together, None where that is not known."""

    changed_text: int
    added: int
    removed: int
    shift: LogShift | None = None


@dataclass(frozen=True)
class LogShift:
    """How far hidden states moved together at `site`, as a share of their length with its 95 % interval `ci`: of the
    `sites` looked at the one that leads; without one (None) nothing is beyond noise at any. `p_value` is Holm's over
    all sites."""

    site: str | None
    relative: float | None
    ci: tuple[float, float] | None
    p_value: float
    sites: int
