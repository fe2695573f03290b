"""The log-probabilities of one probe along its reference. Loads numpy."""

from __future__ import annotations

from dataclasses import replace

from bvc.repository.snapshot_view import SnapshotView
from bvc.repository.snapshot_writer import Stored
from bvc.results import ProbeView


def with_logprobs(view: SnapshotView, probe: str, result: ProbeView) -> ProbeView:
    """`result` with tokens, log-probabilities and entropies (nats) per position of the reference."""
    block = Stored(view).evidence(probe).logprob
    if block is None:
        return result
    return replace(
        result,
        tokens=pieces(result.reference.text if result.reference else "", [int(n) for n in block.characters]),
        logprobs=tuple(float(x) for x in block.target),
        entropies=tuple(float(x) for x in block.entropy),
    )


def pieces(text: str, characters: list[int]) -> tuple[str, ...]:
    """`text` cut into the pieces that its tokens cover; a token without text of its own (the end of turn) is empty."""
    out, start = [], 0
    for count in characters:
        out.append(text[start : start + count])
        start += count
    return tuple(out)
