"""Which probes share a forward pass, and in which fixed shape."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby, islice

from bvc.capture.engine import Batch, ProbeRequest
from bvc.records import Recipe


def padded_length(tokens: int, buckets: Sequence[int]) -> int:
    """The length that `tokens` are padded to: the first bucket that is longer, beyond the last its next multiple.

    Longer, never equal: every row keeps at least one padding token, because attention takes another kernel, with
    other rounding, for a batch in which no row has any.
    """
    needed = tokens + 1
    for bucket in sorted(buckets):
        if needed <= bucket:
            return bucket
    step = max(buckets, default=32)
    return -(-needed // step) * step


def plan_batches(sized: Iterable[tuple[ProbeRequest, int]], recipe: Recipe) -> list[Batch]:
    """Batches for (request, prompt tokens) pairs. A shape depends on the probe and the recipe alone.

    Short prompts first; within a shape, probes of like answer length share a batch.
    """
    buckets, default = recipe.prompt_buckets, recipe.max_new_tokens
    keyed = [(padded_length(n, buckets), r.probe.max_new_tokens or default, i, r) for i, (r, n) in enumerate(sized)]
    keyed.sort(key=lambda entry: entry[:3])
    batches = []
    for length, entries in groupby(keyed, key=lambda entry: entry[0]):
        for rows in _chunks((entry[3] for entry in entries), recipe.batch_rows):
            batches.append(Batch(rows, recipe, recipe.batch_rows, length))
    return batches


def _chunks(requests: Iterable[ProbeRequest], size: int) -> Iterable[tuple[ProbeRequest, ...]]:
    source = iter(requests)
    while chunk := tuple(islice(source, size)):
        yield chunk
