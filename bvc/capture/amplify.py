"""Samples from the amplified difference of two checkpoints: logits_b + alpha (logits_b - logits_a).

No model produces these texts. They exaggerate what training added, so that a rare behavior can be seen; what they show
is to be tested on the checkpoints themselves. With alpha between -1 and 0 the formula goes from a to b.

Far down the tail both models' logits are noise, and alpha multiplies their difference: unlimited, the first token of
every answer would come from there. Contrastive decoding (Li et al., 2210.15097) therefore admits only tokens that have
at least a share of the top token's probability. There, in the model that is contrasted, the share is a tenth; here a
behavior that is rare in b is just what is looked for, so that the share is smaller (`Amplification.plausible`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from bvc.capture.batching import padded_length
from bvc.capture.decode import Asked, Decoder, Decoding
from bvc.capture.gumbel import CoupledSampler
from bvc.capture.load import failures
from bvc.capture.pair_engine import Pair, PairContext
from bvc.capture.prompts import describe
from bvc.errors import EngineError
from bvc.records import Generation, Outputs, Probe, Recipe

OWN_A, OWN_B = -1.0, 0.0
"""The amplifications at which the formula gives checkpoint a and checkpoint b themselves."""
PLAUSIBLE = 1e-2
"""Least probability of an admitted token, as a share of the top token's."""


@dataclass(frozen=True)
class Amplification:
    """What to sample: the strengths, and the least `plausible` share of the top token's probability (of b for a
    positive alpha, of a below -1; between the two there is nothing to guard against)."""

    alphas: tuple[float, ...]
    plausible: float = PLAUSIBLE


def amplified(a: torch.Tensor, b: torch.Tensor, alphas: torch.Tensor, plausible: float = PLAUSIBLE) -> torch.Tensor:
    """b + alpha (b - a) with implausible tokens at -inf: logits [rows, v] twice, alphas [rows, 1] -> [rows, v] float32.

    Exactly a at alpha -1, exactly b at alpha 0, and exactly b for every alpha where a equals b.
    """
    a, b = a.float(), b.float()
    # A token that one model rules out entirely must not make 0 * inf.
    change = torch.nan_to_num(b - a, nan=0.0, posinf=1e4, neginf=-1e4)
    # Written from the nearer end, so that rounding leaves both ends as they are.
    mixed = torch.where(alphas >= -0.5, b + alphas * change, a + (1 + alphas) * change)
    leading = torch.where(alphas > OWN_B, b, a)
    least = leading.amax(-1, keepdim=True) + (math.log(plausible) if plausible > 0 else -math.inf)
    guarded = (alphas > OWN_B) | (alphas < OWN_A)
    return mixed.masked_fill(guarded & (leading < least), -math.inf)


class Amplifier:
    """Reads two checkpoints in step, each row with its own strength."""

    def __init__(self, pair: Pair, how: Amplification) -> None:
        self._pair = pair
        self._how = how
        self._alphas = torch.tensor(how.alphas, dtype=torch.float32, device=pair.device)

    def prefill(self, prompt: Sequence[int], length: int) -> tuple[torch.Tensor, PairContext]:
        """Reads one prompt, one row per strength -> amplified logits [rows, v] and the context."""
        rows = len(self._alphas)
        a, b, context = self._pair.prefill([prompt] * rows, rows, length)
        return self._mix(a, b), context

    def extend(self, context: PairContext, ids: npt.NDArray[np.int64]) -> torch.Tensor:
        """Reads one token per row: ids [rows x ways, 1] -> amplified logits [rows x ways, 1, v]."""
        a, b = self._pair.extend(context, ids)
        return self._mix(a[:, -1], b[:, -1])[:, None]

    def _mix(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        ways = len(b) // len(self._alphas)
        strengths = self._alphas.repeat_interleave(ways)[:, None]
        return amplified(a, b, strengths, self._how.plausible)


def amplify(
    pair: Pair,
    probes: Sequence[Probe],
    recipe: Recipe,
    how: Amplification,
    done: Callable[[int], None] = lambda _: None,
) -> list[list[Outputs]]:
    """For each probe one `Outputs` per strength of `how`: the greedy text and the recipe's draws.

    Draws use the noise of every other capture (`bvc.capture.gumbel`), the same for every strength: texts differ by the
    strength alone. `done` is called with the number of probes finished. Raises EngineError when a model fails.
    """
    out = []
    for number, probe in enumerate(probes, 1):
        with failures(f"the models failed on probe {describe(probe)}"), torch.inference_mode():
            out.append(_amplify_one(pair, probe, recipe, how))
        done(number)
    return out


def _amplify_one(pair: Pair, probe: Probe, recipe: Recipe, how: Amplification) -> list[Outputs]:
    prompt = pair.prompts.encode(probe)
    limit = probe.max_new_tokens or recipe.max_new_tokens
    if pair.room is not None and len(prompt) + limit > pair.room:
        raise EngineError(
            f"probe {describe(probe)} does not fit: {len(prompt)} tokens and an answer of {limit} are more than the "
            f"models' context of {pair.room}",
            hint="shorten the prompt, or ask for fewer --max-new-tokens",
        )
    amplifier = Amplifier(pair, how)
    logits, context = amplifier.prefill(prompt, padded_length(len(prompt), recipe.prompt_buckets))
    sampler = CoupledSampler(pair.vocabulary, recipe.temperature, pair.device)
    decoder = Decoder(amplifier, sampler, Decoding(recipe.draws, recipe.seed, pair.prompts.ends.stops))
    answers = decoder.answer(context, logits, [Asked(probe.id, describe(probe), limit)] * len(how.alphas))
    texts = [
        [Generation(pair.prompts.decode(a.tokens), "stop" if a.finished else "length", len(a.tokens)) for a in ways]
        for ways in answers
    ]
    return [Outputs(greedy, tuple(draws)) for greedy, *draws in texts]
