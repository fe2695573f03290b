"""Coupled draws: sampling whose randomness depends on the probe, the draw and the position, never on the model.

Sampling from a softmax is the arg max of log-probabilities plus Gumbel noise; equally, token i wins the race with
the smallest E_i / p_i for exponential E_i. The noise here comes from a counter-based hash keyed by (seed, probe, draw,
position, token), so two checkpoints with equal distributions draw equal tokens, and a small shift moves few
of them (common random numbers; the trick is from Papandreou and Yuille, "Perturb-and-MAP", ICCV 2011, the coupling
is known from "Gumbel-max SCMs", Oberst and Sontag, 1905.05824).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

_ROW_ELEMENTS = 1 << 19
"""Logits handled together on a CPU: what stays in its caches."""
_NOISE_BITS = 31


def _signed(word: int) -> int:
    """The 32-bit word as torch's int32 writes it."""
    return word - (1 << 32) if word >= 1 << 31 else word


_TOKEN_STEP = 0x9E3779B1
# Multipliers and shifts of "lowbias32" (C. Wellons, hash-prospector), a mixer searched for least bias at two rounds.
_FIRST, _SECOND = _signed(0x7FEB352D), _signed(0x846CA68B)


def noise_key(seed: int, probe_id: str, draw: int, position: int) -> tuple[int, int]:
    """The two 32-bit words (signed) that key the noise over the tokens at one position of one draw."""
    state = hashlib.sha256(f"{seed}:{probe_id}:{draw}:{position}".encode()).digest()
    return int.from_bytes(state[:4], "little", signed=True), int.from_bytes(state[4:8], "little", signed=True)


def _shift_xor(words: torch.Tensor, bits: int) -> None:
    """words ^= words >> bits, in place, the shift filling with zeros (torch's own repeats the sign)."""
    shifted = torch.bitwise_right_shift(words, bits)
    shifted &= (1 << (32 - bits)) - 1
    words ^= shifted


def noise_words(keys: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """31 random bits for each (key, token).

    keys [n, 2] int32, tokens [v] int32 (spread by `token_words`) -> [n, v] int32 in [0, 2**31). Integer operations
    only, so the same on every device.
    """
    words = torch.bitwise_xor(tokens[None, :], keys[:, :1])  # [n, v]
    _shift_xor(words, 16)
    words *= _FIRST
    words ^= keys[:, 1:]
    _shift_xor(words, 15)
    words *= _SECOND
    _shift_xor(words, 16)
    words &= (1 << _NOISE_BITS) - 1
    return words


def token_words(vocabulary: int, device: torch.device) -> torch.Tensor:
    """One well-spread 32-bit word per token id, [vocabulary] int32."""
    words = (np.arange(vocabulary, dtype=np.uint64) * _TOKEN_STEP).astype(np.uint32)
    return torch.from_numpy(words.view(np.int32)).to(device)


class CoupledSampler:
    """Draws tokens from softmax(logits / temperature) with noise that only the keys decide."""

    def __init__(self, vocabulary: int, temperature: float, device: torch.device) -> None:
        """Temperature 0 takes the arg max. Raises ValueError for a negative one."""
        if temperature < 0:
            raise ValueError(f"temperature is {temperature}, must not be negative")
        self._temperature = temperature
        self._tokens = token_words(vocabulary, device)
        self._rows = max(1, _ROW_ELEMENTS // vocabulary) if device.type == "cpu" else 1 << 20

    def choose(self, logits: torch.Tensor, keys: Sequence[tuple[int, int]]) -> npt.NDArray[np.int64]:
        """One token per row: logits [n, v] (finite maxima), n keys of `noise_key` -> [n] ids."""
        if self._temperature == 0:
            return np.asarray(logits.argmax(-1).cpu().numpy(), dtype=np.int64)
        words = torch.tensor(keys, dtype=torch.int32, device=logits.device).view(-1, 2)
        parts = [
            self._race(logits[start : start + self._rows].float(), words[start : start + self._rows])
            for start in range(0, len(words), self._rows)
        ]
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def _race(self, logits: torch.Tensor, keys: torch.Tensor) -> npt.NDArray[np.int64]:
        """The token with the smallest E / p of each row, E = -log(1 - u).

        E >= u, so a token whose u / p exceeds any other's E / p has lost. Few are left, and only those pay for a
        logarithm, taken in float64 on the CPU: the same bits whatever computed the logits.
        """
        uniform = noise_words(keys, self._tokens).float()  # [n, v]
        uniform += 0.5
        uniform *= 2.0**-_NOISE_BITS
        odds = logits.amax(-1, keepdim=True) - logits  # [n, v], of the best token against each
        odds /= self._temperature
        odds.exp_()
        bound = uniform * odds
        leader = bound.argmin(-1, keepdim=True)  # [n, 1]
        limit = -torch.log1p(-uniform.gather(1, leader)) * odds.gather(1, leader) * 1.001
        rows, tokens = (bound <= limit).nonzero(as_tuple=True)
        return _winners(
            rows.cpu().numpy(),
            tokens.cpu().numpy(),
            uniform[rows, tokens].cpu().numpy(),
            odds[rows, tokens].cpu().numpy(),
        )


def _winners(
    rows: npt.NDArray[np.int64],
    tokens: npt.NDArray[np.int64],
    uniform: npt.NDArray[np.float32],
    odds: npt.NDArray[np.float32],
) -> npt.NDArray[np.int64]:
    """The token with the smallest -log(1 - uniform) * odds of each row; the smaller id where two are equal."""
    with np.errstate(divide="ignore"):
        times = -np.log1p(-uniform.astype(np.float64)) * odds
    order = np.lexsort((tokens, times, rows))
    _, first = np.unique(rows[order], return_index=True)
    return np.asarray(tokens[order][first], dtype=np.int64)
