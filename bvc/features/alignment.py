"""Which token of one tokenizer stands where one of another does: alignment of two tokenizations of a text.

As the tokenizers walk along the text, a window grows until both have a token that ends at the same place; the last
token on each side has then read the same text, and these two are a pair (2602.11729). Where what the tokenizers decode
to differs (a normalized letter, a replaced byte), nothing is paired until both agree again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bvc.errors import UsageError

ANCHOR = 8
"""Characters that must agree before two texts that differed are taken to run together again."""
REACH = 256
"""How many characters ahead a place to go on from is looked for, on either side."""


@dataclass(frozen=True)
class Tokenization:
    """A text as one tokenizer sees it: `ends[i]` is where token i ends in `text`, in characters, and never before the
    token ahead of it; None for a token that is no part of the text (a special token)."""

    text: str
    ends: tuple[int | None, ...]

    def __post_init__(self) -> None:
        inner = [end for end in self.ends if end is not None]
        if inner != sorted(inner) or (inner and not 0 <= inner[0] <= inner[-1] <= len(self.text)):
            raise UsageError("the ends of tokens must not go backwards, and lie within the text")

    @classmethod
    def from_offsets(cls, text: str, offsets: Sequence[tuple[int, int]]) -> Tokenization:
        """From the (start, end) in characters that a fast tokenizer gives for each token; empty ones are special
        tokens. A token that ends within a character (the bytes of an emoji) has not read it: it ends where the next
        one does."""
        ends: list[int | None] = []
        beyond = len(text), len(text)  # where the token behind starts and ends
        for start, end in reversed(offsets):
            if end > start:
                beyond = start, (beyond[1] if beyond[0] < end else end)
            ends.append(beyond[1] if end > start else None)
        return cls(text, tuple(reversed(ends)))

    @classmethod
    def from_pieces(cls, pieces: Sequence[bytes | None]) -> Tokenization:
        """From the bytes of each token, None for special tokens. The text is then one character for each byte: compare
        only with another that was made in this way."""
        reached, ends = 0, list[int | None]()
        for piece in pieces:
            reached += len(piece or b"")
            ends.append(reached if piece else None)
        return cls(b"".join(piece or b"" for piece in pieces).decode("latin-1"), tuple(ends))


@dataclass(frozen=True)
class Window:
    """Tokens of both sides that cover the same text: `a` and `b` are the (first, past the last) token of each side,
    `text_a` and `text_b` the (start, end) in characters. The last two are the pair."""

    a: tuple[int, int]
    b: tuple[int, int]
    text_a: tuple[int, int]
    text_b: tuple[int, int]

    @property
    def pair(self) -> tuple[int, int]:
        """The last token of each side."""
        return self.a[1] - 1, self.b[1] - 1


@dataclass(frozen=True)
class Alignment:
    """Windows in the order of the text. `share` is the share of the characters, of whichever text has less of them
    covered, that windows cover; `breaks` the number of places where the texts went apart."""

    windows: tuple[Window, ...]
    share: float
    breaks: int

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Aligned tokens (of a, of b), rising on both sides."""
        return tuple(window.pair for window in self.windows)


def align(a: Tokenization, b: Tokenization) -> Alignment:
    """Pair the tokens of two tokenizations of one text. Takes time in proportion to the text."""
    windows: list[Window] = []
    breaks = 0
    last_a, last_b = _last_tokens(a), _last_tokens(b)
    ends = list(last_a)
    for start_a, start_b, length in equal_stretches(a.text, b.text):
        breaks += (start_a, start_b) != (0, 0)
        first, past = bisect_left(ends, start_a), bisect_left(ends, start_a + length + 1)
        windows += _windows(ends[first:past], start_b - start_a, last_a, last_b)
    covered = sum(window.text_a[1] - window.text_a[0] for window in windows)
    longest = max(len(a.text), len(b.text))
    return Alignment(tuple(windows), covered / longest if longest else 1.0, breaks)


def _last_tokens(side: Tokenization) -> dict[int, int]:
    """For each place where a token ends, the last token that ends there; the start of the text counts as one."""
    return {0: -1, **{end: token for token, end in enumerate(side.ends) if end}}


def _windows(ends: Sequence[int], shift: int, last_a: Mapping[int, int], last_b: Mapping[int, int]) -> Iterator[Window]:
    """The windows between those `ends` of tokens of a at which, `shift` characters further on, one of b ends too."""
    common = [end for end in ends if end + shift in last_b]
    for start, end in pairwise(common):
        a = last_a[start] + 1, last_a[end] + 1
        b = last_b[start + shift] + 1, last_b[end + shift] + 1
        yield Window(a, b, (start, end), (start + shift, end + shift))


def equal_stretches(a: str, b: str) -> Iterator[tuple[int, int, int]]:
    """Where two texts agree, from left to right: (start in a, start in b, length). After a difference the nearest place
    is taken from which ANCHOR characters (or all that are left of both) agree; looked for up to REACH characters ahead,
    and no further: what comes after a longer difference is left out."""
    at_a = at_b = 0
    while True:
        length = _common_prefix(a, b, at_a, at_b)
        if length:
            yield at_a, at_b, length
        at_a, at_b = at_a + length, at_b + length
        if at_a >= len(a) or at_b >= len(b):
            return
        found = _resume(a, b, at_a, at_b)
        if found is None:
            return
        at_a, at_b = found


def _common_prefix(a: str, b: str, at_a: int, at_b: int) -> int:
    """How many characters agree from the two places on."""
    most = min(len(a) - at_a, len(b) - at_b)
    step, length = 64, 0
    while step:
        end = length + step
        if end <= most and a[at_a + length : at_a + end] == b[at_b + length : at_b + end]:
            length, step = end, step * 2
        else:
            step //= 2
    return length


def _resume(a: str, b: str, at_a: int, at_b: int) -> tuple[int, int] | None:
    """The nearest two places from which the texts agree again; None where there are none within reach."""
    ahead: dict[str, int] = {}
    for place in range(at_b, min(at_b + REACH, len(b))):
        ahead.setdefault(b[place : place + ANCHOR], place)
    best: tuple[int, int] | None = None
    for place in range(at_a, min(at_a + REACH, len(a))):
        if best is not None and place - at_a >= sum(best) - at_a - at_b:
            break
        other = ahead.get(a[place : place + ANCHOR])
        if other is not None and (best is None or place + other < sum(best)):
            best = place, other
    return best
