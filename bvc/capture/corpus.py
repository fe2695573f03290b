"""Residual streams of a model along texts: what dictionaries are fitted on. Streams; never holds a corpus at once.

Texts are cut into windows; neighboring windows share a forward pass, padded on the right. The first token of each
window is left out: models put a huge vector there, whatever the token is (the attention sink), and it would be all that
a dictionary explains. Passes end at the block that is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch

from bvc.capture.hookpoints import find_blocks, layer_name
from bvc.capture.lens import Lens
from bvc.capture.load import Loaded, failures
from bvc.capture.prompts import Prompts
from bvc.capture.transformers_engine import prompts_of, room_of
from bvc.errors import EngineError, UsageError
from bvc.records import Probe, Reference

_SHORTEST = 4
"""Tokens of the shortest window that is read."""


@dataclass(frozen=True)
class CorpusText:
    """A text to read: `text` alone, or a `probe` with the `reference` that answers it."""

    text: str = ""
    probe: Probe | None = None
    reference: Reference | None = None


@dataclass(frozen=True)
class CorpusBatch:
    """Streams of some windows: vectors [n, d] float32 of real tokens; window [n] and position [n] int64 say where each
    is (windows are numbered from the start of the corpus); `windows` are the windows' tokens by number, `texts` how
    many windows this batch took."""

    vectors: torch.Tensor
    window: torch.Tensor
    position: torch.Tensor
    windows: dict[int, tuple[int, ...]]

    def at(self, positions: Callable[[int], Sequence[int]]) -> torch.Tensor:
        """The vectors at chosen positions of each window, all after its first token: `positions` gives them by the
        window's number, rising."""
        places: list[int] = []
        first = 0
        for number, ids in self.windows.items():
            places += [first + position - 1 for position in positions(number)]
            first += len(ids) - 1
        return self.vectors[torch.tensor(places, dtype=torch.int64, device=self.vectors.device)]

    @property
    def texts(self) -> int:
        """How many windows this batch took."""
        return len(self.windows)


class CorpusReader:
    """Reads the stream of one loaded model after one block. `layer` is a name as "layer.15"."""

    def __init__(self, loaded: Loaded, layer: str, *, rows: int = 16, window: int = 128) -> None:
        config = loaded.core.config.get_text_config()
        blocks = find_blocks(loaded.core, int(config.num_hidden_layers))
        self._block = _block_of(blocks, layer)
        self._loaded = loaded
        self._model = loaded.model
        self._prompts: Prompts = prompts_of(loaded)
        self.rows = rows
        self._window = min(window, room_of(loaded) or window)
        self.width = int(config.hidden_size)
        self.device = next(loaded.model.parameters()).device

    def windows(self, texts: Iterable[CorpusText]) -> Iterator[tuple[int, ...]]:
        """The windows of the texts in order, as token ids."""
        for text in texts:
            ids = self._encode(text)
            for start in range(0, len(ids), self._window):
                piece = tuple(ids[start : start + self._window])
                if len(piece) >= _SHORTEST:
                    yield piece

    def read(self, windows: Iterable[tuple[int, ...]], skip: int = 0) -> Iterator[CorpusBatch]:
        """The streams of all windows but the first `skip`, by passes. Raises EngineError when the model fails."""
        numbered = islice(enumerate(windows), skip, None)
        while some := list(islice(numbered, self.rows)):
            yield self._read(some)

    def losses(
        self, windows: Sequence[tuple[int, ...]], replace: Callable[[torch.Tensor], torch.Tensor] | None
    ) -> torch.Tensor:
        """The next-token losses (nats) [n] at all tokens but the first of each window, with the stream [m, d] of those
        tokens replaced; None leaves it as it is."""
        out = []
        waiting = iter(windows)
        while some := list(islice(waiting, self.rows)):
            out.append(self._loss(some, replace))
        return torch.cat(out) if out else torch.zeros(0)

    def text(self, ids: Sequence[int]) -> str:
        """The text of token ids."""
        return self._prompts.decode(ids)

    def lens(self) -> Lens:
        """Which tokens directions of this stream raise. Outlives the model, of which it holds the unembedding."""
        return Lens(self._loaded)

    def _encode(self, text: CorpusText) -> list[int]:
        if text.probe is None:
            return self._prompts.encode(Probe(prompt=text.text)) if text.text.strip() else []
        ids = self._prompts.encode(text.probe)
        if text.reference is not None:
            path = self._prompts.encode_reference(text.reference, chat=text.probe.messages is not None)
            ids = [*ids, *path.scored]
        return ids

    def _padded(self, windows: Sequence[tuple[int, ...]]) -> tuple[torch.Tensor, torch.Tensor]:
        """ids and mask [rows, t], padded on the right: in a causal model nothing real sees the padding."""
        longest = max(map(len, windows))
        ids = torch.zeros((len(windows), longest), dtype=torch.int64)
        held = torch.zeros((len(windows), longest), dtype=torch.bool)
        for row, window in enumerate(windows):
            ids[row, : len(window)] = torch.tensor(window)
            held[row, : len(window)] = True
        return ids.to(self.device), held.to(self.device)

    def _read(self, numbered: Sequence[tuple[int, tuple[int, ...]]]) -> CorpusBatch:
        ids, held = self._padded([window for _, window in numbered])
        with failures("the model failed on the corpus"), torch.inference_mode(), _cut_short(self._block) as kept:
            self._call(ids, held)
        stream = kept["stream"].float()
        held[:, 0] = False
        row, position = held.nonzero(as_tuple=True)
        numbers = torch.tensor([number for number, _ in numbered], device=row.device)
        return CorpusBatch(stream[row, position].clone(), numbers[row].cpu(), position.cpu(), dict(numbered))

    def _loss(
        self, windows: Sequence[tuple[int, ...]], replace: Callable[[torch.Tensor], torch.Tensor] | None
    ) -> torch.Tensor:
        ids, held = self._padded(windows)
        inner = held.clone()
        inner[:, 0] = False
        with failures("the model failed on the corpus"), torch.inference_mode(), _replaced(self._block, inner, replace):
            logits = self._model(input_ids=ids, attention_mask=held.long(), use_cache=False).logits
        scored = inner[:, 1:] & inner[:, :-1]
        return torch.nn.functional.cross_entropy(logits[:, :-1][scored].float(), ids[:, 1:][scored], reduction="none")

    def _call(self, ids: torch.Tensor, held: torch.Tensor) -> None:
        try:
            self._model(input_ids=ids, attention_mask=held.long(), use_cache=False)
        except _Read:
            return
        raise EngineError("the model did not pass the block that is read")


def _block_of(blocks: Sequence[torch.nn.Module] | None, layer: str) -> torch.nn.Module:
    if blocks is None:
        raise EngineError("the model has no list of blocks: its streams cannot be read")
    for passed, block in enumerate(blocks, 1):
        if layer_name(passed) == layer:
            return block
    raise UsageError(f"the model has no {layer}", hint=f"its layers are layer.01 to {layer_name(len(blocks))}")


class _Read(Exception):
    """Ends a forward pass whose stream was read."""


@contextmanager
def _cut_short(block: torch.nn.Module) -> Iterator[dict[str, torch.Tensor]]:
    """Passes end after `block`, whose output is kept as "stream" [rows, t, d]."""
    kept: dict[str, torch.Tensor] = {}

    def hook(module: torch.nn.Module, inputs: Any, output: Any) -> None:  # noqa: ARG001 (torch's signature)
        kept["stream"] = output[0] if isinstance(output, tuple) else output
        raise _Read

    handle = block.register_forward_hook(hook)
    try:
        yield kept
    finally:
        handle.remove()


@contextmanager
def _replaced(
    block: torch.nn.Module, held: torch.Tensor, replace: Callable[[torch.Tensor], torch.Tensor] | None
) -> Iterator[None]:
    """The stream after `block` at the positions of `held` [rows, t] becomes what `replace` makes of it [n, d]."""
    if replace is None:
        yield
        return

    def hook(module: torch.nn.Module, inputs: Any, output: Any) -> Any:  # noqa: ARG001 (torch's signature)
        stream = (output[0] if isinstance(output, tuple) else output).clone()
        stream[held] = replace(stream[held].float()).to(stream.dtype)
        return (stream, *output[1:]) if isinstance(output, tuple) else stream

    handle = block.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
