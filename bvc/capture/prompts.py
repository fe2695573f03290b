"""Probes to token ids: chat templates, template-less models, raw prompts, references and ends of turn."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from bvc.capture.engine import ProbeRequest
from bvc.errors import EngineError
from bvc.records import Message, Probe, Reference

_FIXED_DATE = {
    "%d": "01",
    "%m": "01",
    "%B": "January",
    "%b": "Jan",
    "%Y": "2024",
    "%A": "Monday",
    "%H": "12",
    "%M": "00",
}
"""What templates that print today's date are told: else the same checkpoint would answer otherwise tomorrow."""
_MARK = "bvc"
_REPLACEMENT = "\ufffd"
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class TurnEnds:
    """Tokens that end an answer: any of `stops` while decoding; `chat` and `raw` close a reference."""

    stops: frozenset[int]
    chat: int | None
    raw: int | None


@dataclass(frozen=True)
class Path:
    """A reference as tokens: those of its text, how many characters each covers, then the token that ends the turn."""

    text: Sequence[int]
    characters: Sequence[int]
    end: int | None

    @property
    def scored(self) -> list[int]:
        """The tokens whose log-probabilities are taken."""
        return [*self.text, *([] if self.end is None else [self.end])]

    @property
    def covered(self) -> list[int]:
        """The characters of the text that each token of `scored` covers: none for the end of turn."""
        return [*self.characters, *([] if self.end is None else [0])]

    @property
    def read(self) -> list[int]:
        """The tokens that the model is given, over which activations are averaged: the text's; if none, the end's."""
        return list(self.text) or self.scored


class Prompts:
    """Encodes probes for one tokenizer.

    Messages go through the tokenizer's chat template with a generation prompt. Where the template refuses a
    system message, its text is put before the first user message, as such models' makers advise. Without a
    template the contents of the messages are joined by blank lines and read as a raw prompt. A raw prompt gets the
    special tokens that the tokenizer adds by itself, without a closing one and without doubling the first.
    """

    def __init__(self, tokenizer: Any, generation_stops: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self.has_template = bool(getattr(tokenizer, "chat_template", None))
        self.ends = self._find_ends(generation_stops)

    def encode(self, probe: Probe) -> list[int]:
        """The ids that the model is given for `probe`, at least one. Raises EngineError naming the probe."""
        ids = (
            self._chat(probe) if probe.messages is not None and self.has_template else self._raw(_valid(_plain(probe)))
        )
        first = self._tokenizer.bos_token_id
        if len(ids) > 1 and first is not None and ids[0] == ids[1] == first:
            ids = ids[1:]
        return ids or self._start(probe)

    def encode_reference(self, reference: Reference, *, chat: bool) -> Path:
        """The tokens of a reference, with the one that ends the turn where the reference has its end."""
        ids, characters = self._cover(_valid(reference.text))
        end = (self.ends.chat if chat else self.ends.raw) if reference.end else None
        return Path(ids, characters, end)

    def encode_text(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """The ids of a raw prompt as `encode` has them, and the (start, end) in characters of each, as fast tokenizers
        give them: tokens that hold parts of one character overlap, a special token ahead of the text is empty."""
        ids = self._raw(_valid(text))
        plain, offsets = self._offsets(_valid(text))
        ahead = len(ids) - len(plain)
        if ahead < 0 or ids[ahead:] != plain:
            ids, ahead = plain, 0
        return ids, [*[(0, 0)] * ahead, *offsets]

    def _cover(self, text: str) -> tuple[list[int], list[int]]:
        """The tokens of `text` and how many of its characters each covers."""
        if not text:
            return [], []
        ids, offsets = self._offsets(text)
        return ids, _steps([end for _, end in offsets], len(text))

    def _offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """The tokens of `text` alone and the characters that each is of."""
        fast = bool(getattr(self._tokenizer, "is_fast", False))
        out = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=fast)
        ids = list(out["input_ids"])
        if fast:
            return ids, [(start, end) for start, end in out["offset_mapping"]]
        read = ["", *(self.decode(ids[: i + 1]) for i in range(len(ids)))]
        return ids, [(len(b) - b.endswith(_REPLACEMENT), len(a)) for b, a in pairwise(read)]

    def user_turn(self) -> str:
        """What the chat template writes before a user's words, as a raw prompt; empty without a template, or where it
        writes them more than once."""
        if not self.has_template:
            return ""
        turns = [{"role": "user", "content": _MARK}]
        try:
            text = str(self._tokenizer.apply_chat_template(turns, chat_template=self._dateless(), tokenize=False))
        except Exception:
            return ""
        before = text.rpartition(_MARK)[0]
        return "" if _MARK in before else before

    def decode(self, ids: Sequence[int]) -> str:
        """The text of an answer, special tokens spelled out."""
        text = self._tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return str(text)

    def _chat(self, probe: Probe) -> list[int]:
        messages = probe.messages or ()
        try:
            return self._apply(messages)
        except Exception as error:
            folded = _fold_system(messages)
            if folded is None:
                raise _template_error(probe, error) from error
        try:
            return self._apply(folded)
        except Exception as error:
            raise _template_error(probe, error) from error

    def _apply(self, messages: Sequence[Message]) -> list[int]:
        turns = [{"role": m.role, "content": _valid(m.content)} for m in messages]
        out = self._tokenizer.apply_chat_template(
            turns, chat_template=self._dateless(), add_generation_prompt=True, tokenize=True, return_dict=True
        )
        return list(out["input_ids"])

    def _dateless(self) -> str | None:
        """The chat template with a fixed date where it asks for today's, else None (the tokenizer's own)."""
        template = str(self._tokenizer.get_chat_template())
        if "strftime_now" not in template:
            return None
        filled = "".join(f" | replace('{code}', '{value}')" for code, value in _FIXED_DATE.items())
        return f"{{%- macro strftime_now(format) -%}}{{{{ format{filled} }}}}{{%- endmacro -%}}{template}"

    def _raw(self, text: str) -> list[int]:
        ids = list(self._tokenizer(text)["input_ids"])
        plain = list(self._tokenizer(text, add_special_tokens=False)["input_ids"])
        closing = self._tokenizer.eos_token_id
        if len(ids) > len(plain) and ids and ids[-1] == closing and plain[-1:] != [closing]:
            ids.pop()  # a closing token would end the turn before the model answers
        return ids

    def _start(self, probe: Probe) -> list[int]:
        for token in (self._tokenizer.bos_token_id, self._tokenizer.eos_token_id):
            if token is not None:
                return [int(token)]
        raise EngineError(f"probe {describe(probe)} is empty and the tokenizer has no token to start from")

    def _find_ends(self, generation_stops: Sequence[int]) -> TurnEnds:
        own = self._tokenizer.eos_token_id
        turn = self._template_end()
        known = [int(t) for t in (turn, *generation_stops, own) if t is not None]
        raw = own if own is not None else next(iter(known), None)
        return TurnEnds(frozenset(known), known[0] if known else None, None if raw is None else int(raw))

    def _template_end(self) -> int | None:
        """The special token with which the chat template closes an assistant's turn."""
        if not self.has_template:
            return None
        turns = [{"role": "user", "content": _MARK}, {"role": "assistant", "content": _MARK}]
        try:
            text = str(self._tokenizer.apply_chat_template(turns, chat_template=self._dateless(), tokenize=False))
        except Exception:
            return None
        tail = text.rpartition(_MARK)[2].strip()
        ids = list(self._tokenizer(tail, add_special_tokens=False)["input_ids"]) if tail else []
        special = {int(i) for i, t in self._tokenizer.added_tokens_decoder.items() if t.special}
        return ids[0] if ids and ids[0] in special else None


def describe(probe: Probe) -> str:
    """How an error names a probe: the user's label and the first digits of its id."""
    return f"'{probe.name}' ({probe.id[:10]})" if probe.name else probe.id[:10]


def own_reference(text: str, *, finished: bool) -> Reference:
    """A model's own answer as a reference; a character that the cut-off broke is left out."""
    return Reference(text if finished else text.rstrip(_REPLACEMENT), end=finished)


def given_reference(request: ProbeRequest) -> Reference | None:
    """The reference that a request or its probe brings; a suite's reference to messages is a whole turn."""
    if request.reference is not None:
        return request.reference
    probe = request.probe
    return None if probe.reference is None else Reference(probe.reference, end=probe.messages is not None)


def _steps(ends: Sequence[int], length: int) -> list[int]:
    """How far each of `ends` lies beyond those before it, the last one reaching `length`; they sum to it."""
    reached = [min(end, length) for end in accumulate(ends, max)]
    reached[-1:] = [length]
    return [end - before for before, end in pairwise([0, *reached])]


def _valid(text: str) -> str:
    """`text` without lone surrogates, which no tokenizer takes."""
    return _SURROGATE.sub(_REPLACEMENT, text)


def _plain(probe: Probe) -> str:
    if probe.messages is not None:
        return "\n\n".join(m.content for m in probe.messages)
    return probe.prompt or ""


def _fold_system(messages: Sequence[Message]) -> tuple[Message, ...] | None:
    """`messages` with a leading system text moved into the first user message; None where that is not their form."""
    if len(messages) < 2 or messages[0].role != "system" or messages[1].role != "user":
        return None
    first = Message("user", f"{messages[0].content}\n\n{messages[1].content}")
    return (first, *messages[2:])


def _template_error(probe: Probe, error: Exception) -> EngineError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return EngineError(
        f"the model's chat template refuses probe {describe(probe)}: {reason}",
        hint="change the roles of its messages, or give the probe as a raw prompt",
    )
