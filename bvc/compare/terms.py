"""What two sides can be compared on, and the sentences that say what they cannot be compared on."""

from __future__ import annotations

from collections.abc import Sequence

from bvc.compare.logprob import Table
from bvc.compare.pairing import ACTIVATION, CHANNELS, LOGPROB, TEXT, Side, Terms, shared_table
from bvc.errors import NotComparable
from bvc.records import Recipe

_NUMERIC = ("engine", "dtype")
"""Recipe fields that move numbers further than another batch layout does."""
_LAYOUT = ("device", "batch_rows", "prompt_buckets")
_DRAWN = ("temperature", "seed")


def settle_terms(a: Side, b: Side, wanted: Sequence[str] = ()) -> Terms:
    """The terms of a comparison of `a` with `b` on the channels `wanted` (default: all that both hold).

    Raises NotComparable where they share no probe, or lack a channel that was asked for.
    """
    common = [p for p in a.probes if p in b.probes]
    if not common:
        raise NotComparable("the two commits share no probe", hint="capture one of them on the other's suite")
    channels = _channels(a, b, wanted)
    apart = frozenset(p for p in common if a.probes[p].reference != b.probes[p].reference)
    table = shared_table(a.table, b.table)
    reasons = _recipe_reasons(a.recipe, b.recipe, channels, _any_draws(a, b)) + _table_reasons(table, channels)
    reasons += _level_reasons(a, b, wanted) + _reference_reasons(apart, len(common), channels)
    return Terms(
        channels=channels,
        table=table,
        references={p: r for p in common if p not in apart and (r := a.probes[p].reference) is not None},
        recut=_field(a, "max_new_tokens") != _field(b, "max_new_tokens"),
        covered=all(_field(a, name) == _field(b, name) for name in _NUMERIC),
        draws=_field(a, "temperature") == _field(b, "temperature"),
        apart=apart,
        reasons=tuple(reasons),
    )


def _field(side: Side, name: str) -> object:
    return None if side.recipe is None else getattr(side.recipe, name)


def _any_draws(a: Side, b: Side) -> bool:
    return any(p.outputs.draws for side in (a, b) for p in side.probes.values())


def _channels(a: Side, b: Side, wanted: Sequence[str]) -> tuple[str, ...]:
    held = CHANNELS[: min(a.capability.level, b.capability.level) + 1]
    for channel in wanted:
        if channel not in held:
            raise NotComparable(
                f"the two commits do not both hold the channel '{channel}'", hint=f"both hold: {', '.join(held)}"
            )
    return tuple(c for c in held if c in wanted or not wanted)


def _table_reasons(table: Table | None, channels: tuple[str, ...]) -> list[str]:
    if LOGPROB not in channels or table is not None:
        return []
    return ["the tokenizers differ: log-probs are compared in total, per character of the reference"]


def _level_reasons(a: Side, b: Side, wanted: Sequence[str]) -> list[str]:
    if a.capability == b.capability or wanted:
        return []
    return [f"one commit holds {a.capability}, the other {b.capability}: compared on what both hold"]


def _reference_reasons(apart: frozenset[str], common: int, channels: tuple[str, ...]) -> list[str]:
    if not apart or channels == (TEXT,):
        return []
    what = "log-probs and activations along them" if ACTIVATION in channels else "log-probs along them"
    return [f"{len(apart)} of {common} probes have different references: {what} are not compared"]


def _recipe_reasons(a: Recipe | None, b: Recipe | None, channels: tuple[str, ...], drawn: bool) -> list[str]:
    if a is None or b is None or a == b:
        return []
    names = [*_NUMERIC, *_LAYOUT, "max_new_tokens"]
    names += list(_DRAWN) if drawn else []
    names += ["hookpoints"] if ACTIVATION in channels else []
    reasons = [
        _sentence(name, getattr(a, name), getattr(b, name)) for name in names if getattr(a, name) != getattr(b, name)
    ]
    for key in sorted({*a.environment, *b.environment}):
        left, right = a.environment.get(key, "none"), b.environment.get(key, "none")
        if left != right:
            reasons.append(f"the recipes differ in {key} ({left} and {right}): the noise band does not cover that")
    return reasons


_CONSEQUENCE = {
    "engine": "a distance beyond the noise band may come from that",
    "dtype": "a distance beyond the noise band may come from that",
    "device": "the noise band does not cover that",
    "batch_rows": "the noise band covers that",
    "prompt_buckets": "the noise band covers that",
    "max_new_tokens": "longer texts are cut to the shorter limit",
    "temperature": "draws are not compared",
    "seed": "draws differ by chance alone",
    "hookpoints": "activations are compared where both have them",
}


def _sentence(name: str, a: object, b: object) -> str:
    return f"the recipes differ in {name} ({_show(a)} and {_show(b)}): {_CONSEQUENCE[name]}"


def _show(value: object) -> str:
    return "/".join(map(str, value)) if isinstance(value, tuple) else str(value)
