"""Two checkpoints of one vocabulary: asked in turn, with one of them in memory, or read in step, with both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bvc.capture.engine import Engine, ProbeCapture, ProbeRequest
from bvc.capture.prompts import own_reference
from bvc.errors import EngineError, NotComparable
from bvc.evidence import LogprobBlock
from bvc.records import Generation, ModelIdentity, Probe, Recipe, Reference

if TYPE_CHECKING:
    import torch

    from bvc.capture.load import Loaded, Source

Step = Callable[[str, int, int], None]
"""Called with (what, done, total) as work goes on."""
SIDES = ("a", "b")


@dataclass(frozen=True)
class PairCapture:
    """What both checkpoints said to one probe: their greedy answers, and how likely each checkpoint found each answer's
    tokens (`along_a` holds the sketches of a and of b along the answer of a, `along_b` those along the answer of b)."""

    probe: Probe
    answer_a: Generation
    answer_b: Generation
    along_a: tuple[LogprobBlock, LogprobBlock]
    along_b: tuple[LogprobBlock, LogprobBlock]


class Turns:
    """Two checkpoints that take turns in memory. To be closed.

    The base of adapters stays in memory while they change (`bvc.capture.load`), so turns of adapters are cheap.
    """

    def __init__(self, openers: Mapping[str, Callable[[], Engine]], step: Step) -> None:
        self._openers = openers
        self._step = step
        self._open: tuple[str, Engine] | None = None

    def engine(self, side: str) -> Engine:
        """The engine of `side`, loaded where the other one was in memory."""
        if self._open is not None and self._open[0] == side:
            return self._open[1]
        self.close()
        self._step(f"loading checkpoint {side}", 0, 1)
        engine = self._openers[side]()
        self._step(f"loading checkpoint {side}", 1, 1)
        self._open = side, engine
        return engine

    def close(self) -> None:
        """Frees the checkpoint in memory."""
        if self._open is not None:
            self._open[1].close()
        self._open = None

    def run(self, side: str, requests: Sequence[ProbeRequest], recipe: Recipe, what: str) -> list[ProbeCapture]:
        """The captures of `requests` in their order, which may ask one probe several times."""
        engine = self.engine(side)
        found: dict[tuple[str, Reference | None], ProbeCapture] = {}
        done = 0
        for batch in engine.plan(requests, recipe):
            for request, capture in zip(batch.requests, engine.run(batch), strict=True):
                found[request.probe.id, request.reference] = capture
            done += len(batch.requests)
            self._step(f"{what} (checkpoint {side})", done, len(requests))
        return [found[r.probe.id, r.reference] for r in requests]


def capture_pairs(turns: Turns, probes: Sequence[Probe], recipe: Recipe, tokens: int) -> list[PairCapture]:
    """Both checkpoints' greedy answers of at most `tokens` tokens to `probes`, and both log-probs along both.

    Loads a (where it is not in memory), b, and a again. Raises EngineError when a model fails or gives no log-probs.
    """
    if not probes:
        return []
    rows = min(recipe.batch_rows, len(probes))  # no other capture has to meet these shapes
    answering = replace(recipe, max_new_tokens=tokens, draws=0, batch_rows=rows)
    scoring = replace(answering, max_new_tokens=1)
    asked = [replace(probe, max_new_tokens=None, reference=None) for probe in probes]
    own_a = turns.run("a", [ProbeRequest(p) for p in asked], answering, "answering")
    crossed = [ProbeRequest(p, c.reference) for p, c in zip(asked, own_a, strict=True)]
    at_a = turns.run("b", crossed, answering, "answering")
    answers = [own_reference(c.outputs.greedy.text, finished=c.outputs.greedy.finish == "stop") for c in at_a]
    along_b = [ProbeRequest(p, answer) for p, answer in zip(asked, answers, strict=True)]
    own_b = turns.run("b", along_b, scoring, "scoring")
    at_b = turns.run("a", along_b, scoring, "scoring")
    return [
        PairCapture(p, a.outputs.greedy, b.outputs.greedy, (_block(a), _block(b)), (_block(y), _block(x)))
        for p, a, b, x, y in zip(probes, own_a, at_a, own_b, at_b, strict=True)
    ]


def score_texts(turns: Turns, start: Probe, texts: Sequence[str], recipe: Recipe) -> list[tuple[float, float]]:
    """Mean log-probability per token (nats) of each of `texts` behind `start`, under a and under b."""
    scoring = replace(recipe, max_new_tokens=1, draws=0)
    requests = [ProbeRequest(start, Reference(text)) for text in texts]
    means: list[list[float]] = [[], []]
    for side in ("b", "a"):
        for capture in turns.run(side, requests, scoring, "scoring prompts"):
            target = _block(capture).target
            means[SIDES.index(side)].append(float(target.mean()) if target.size else 0.0)
    return list(zip(*means, strict=True))


def sample_texts(turns: Turns, side: str, start: Probe, recipe: Recipe) -> list[str]:
    """`recipe.draws` continuations of `start` from one checkpoint, at the recipe's temperature."""
    alone = replace(recipe, batch_rows=1)
    capture = turns.run(side, [ProbeRequest(start)], alone, "sampling prompts")[0]
    return [draw.text for draw in capture.outputs.draws]


def _block(capture: ProbeCapture) -> LogprobBlock:
    if capture.evidence.logprob is None:
        raise EngineError("the engine gives no log-probs, which comparing two checkpoints needs")
    return capture.evidence.logprob


@dataclass(frozen=True)
class UserTurn:
    """Where a user's words begin: the raw prompt in front of them (None where the tokenizer has no chat template) and
    the special tokens, which are no words of theirs."""

    start: str | None
    special: frozenset[str]


def user_turn(identity: ModelIdentity) -> UserTurn:
    """How a checkpoint's chat template begins a user's turn. Raises EngineError when its tokenizer cannot be read."""
    from transformers import AutoTokenizer

    from bvc.capture.identity import tokenizer_folder
    from bvc.capture.load import failures
    from bvc.capture.prompts import Prompts

    with failures(f"cannot read the tokenizer of {identity.name}"):
        read: Any = AutoTokenizer.from_pretrained
        tokenizer = read(str(tokenizer_folder(identity)), local_files_only=True)
        prompts = Prompts(tokenizer, ())
        special = frozenset(str(t) for t in tokenizer.added_tokens_decoder.values() if t.special)
        return UserTurn(prompts.user_turn() if prompts.has_template else None, special)


Use = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class PairContext:
    """What both checkpoints have read."""

    a: Any
    b: Any

    def fork(self, copies: int) -> PairContext:
        """A context of its own with each row `copies` times, neighbors first; this one stays as it is."""
        return PairContext(self.a.fork(copies), self.b.fork(copies))


class Pair:
    """Both checkpoints in memory, reading the same tokens. `release` must be called when they are no longer needed."""

    def __init__(self, models: tuple[Loaded, Loaded], uses: tuple[Use, Use], release: Callable[[], None]) -> None:
        """`uses` make each checkpoint the one that is read (of adapters in one model, one at a time is). Raises
        NotComparable for models with different numbers of tokens."""
        from bvc.capture.transformers_engine import forward_of, prompts_of, room_of

        self._a, self._b = (forward_of(model) for model in models)
        self._use_a, self._use_b = uses
        self.prompts = prompts_of(models[1])
        self.room = min((room for model in models if (room := room_of(model)) is not None), default=None)
        self.release = release
        if self._a.vocabulary != self._b.vocabulary:
            raise NotComparable(
                f"the two models have different vocabularies ({self._a.vocabulary:,} and {self._b.vocabulary:,} tokens)"
            )
        self.vocabulary = self._a.vocabulary
        self.device = self._b.device

    def prefill(
        self, prompts: Sequence[Sequence[int]], rows: int, length: int
    ) -> tuple[torch.Tensor, torch.Tensor, PairContext]:
        """Reads prompts as `Forward.prefill` -> logits [rows, v] of a, of b, and the context."""
        with self._use_a():
            a, context_a = self._a.prefill(prompts, rows, length)
        with self._use_b():
            b, context_b = self._b.prefill(prompts, rows, length)
        return a, b, PairContext(context_a, context_b)

    def extend(self, context: PairContext, ids: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Reads ids [rows, c] as `Forward.extend` -> logits [rows, c, v] of a and of b."""
        with self._use_a():
            a = self._a.extend(context.a, ids)
        with self._use_b():
            return a, self._b.extend(context.b, ids)


@contextmanager
def open_pair(a: Source, b: Source, recipe: Recipe) -> Iterator[Pair]:
    """Both checkpoints in memory; two adapters on one base, or a base and its adapter, share the base's weights.

    Raises EngineError when one cannot be loaded, EngineOutOfMemory when they do not fit into memory, NotComparable when
    their tokenizers differ.
    """
    check_tokenizers(a.identity, b.identity)
    pair = _open_pair(a, b, recipe)
    try:
        yield pair
    finally:
        pair.release()


def check_tokenizers(a: ModelIdentity, b: ModelIdentity) -> None:
    """Raises NotComparable unless both checkpoints read and write the same tokens."""
    if a.tokenizer != b.tokenizer:
        raise NotComparable(
            f"{a.name} and {b.name} have different tokenizers or chat templates, which makes their tokens incomparable",
            hint="`bvc diff` compares them by text, and by log-prob per character",
        )


def _open_pair(a: Source, b: Source, recipe: Recipe) -> Pair:
    from bvc.capture.load import load

    shared = _shared(a, b, recipe)
    if shared is not None:
        loaded, uses = shared
        return Pair((loaded, loaded), uses, loaded.release)
    first, second = load(a, recipe), load(b, recipe)

    def release() -> None:
        first.release()
        second.release()

    return Pair((first, second), (nullcontext, nullcontext), release)


def _shared(a: Source, b: Source, recipe: Recipe) -> tuple[Loaded, tuple[Use, Use]] | None:
    """One model with which both are had by turning adapters on and off, None where they have no base in common."""
    from bvc.capture.load import attach_second, load

    base_a, base_b = (s.identity.base if s.identity.kind == "peft" else None for s in (a, b))
    if base_b is not None and base_b.fingerprint == a.identity.fingerprint:
        loaded = load(b, recipe)
        return loaded, (loaded.model.disable_adapter, nullcontext)
    if base_a is not None and base_a.fingerprint == b.identity.fingerprint:
        loaded = load(a, recipe)
        return loaded, (nullcontext, loaded.model.disable_adapter)
    if base_a is None or base_b is None or base_a.fingerprint != base_b.fingerprint:
        return None
    loaded = load(b, recipe)
    attach_second(loaded, a, recipe, "a")
    return loaded, (_turn_to(loaded.model, "a"), _turn_to(loaded.model, "default"))


def _turn_to(model: Any, adapter: str) -> Use:
    @contextmanager
    def use() -> Iterator[None]:
        model.set_adapter(adapter)
        yield

    return use
