"""`bvc features steer`: what a direction moves beside random ones, as text and as `bvc.features-steer/1`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bvc.api.steer_records import EVERYWHERE, Damage, SteeredStrength, SteerResult
from bvc.ids import short
from bvc.records import BehaviorRate, Json
from bvc.render.commits import model_text, plural
from bvc.render.numbers import number, p_text, points, share
from bvc.render.screen import Screen
from bvc.render.sparkline import rate_bar, sparkline
from bvc.render.table import columns
from bvc.render.text import clean, pad, shorten, wrap

if TYPE_CHECKING:
    from bvc.compare.steering import Effect, Need, Shift

_BAR = 16
_EXAMPLE_LINES = 3
_TOKENS = 6
_SAYS = {
    "more": ("moves more than random", "bold green"),
    "breaks": ("moves more than random, but not surely in answers that it left whole", "bold yellow"),
    "no-more": ("no more than random", "dim"),
    "undecided": ("undecided", "yellow"),
}


def render_steer(result: SteerResult, screen: Screen) -> Iterator[str]:
    """What was steered and how, the verdict, the rate at every strength, what broke, and an example of each."""
    yield from _heading(result, screen)
    yield ""
    yield from _verdict(result, screen)
    yield ""
    yield from _doses(result, screen)
    yield ""
    yield from _damages(result, screen)
    yield ""
    yield from _examples(result, screen)
    if result.notes:
        yield ""
    for note in result.notes:
        yield from wrap(f"note: {clean(note)}", screen.width)


def _heading(result: SteerResult, screen: Screen) -> Iterator[str]:
    dot = f" {screen.glyph('dot')} "
    yield f"{screen.paint('bold', clean(result.name))}{dot}{clean(result.layer)}"
    if result.promoted:
        tokens = ", ".join(f'"{clean(token)}"' for token in result.promoted[:_TOKENS])
        yield from wrap(f"raises {tokens}", screen.width)
    model = model_text(result.model)
    if result.commit is not None:
        model += f" at {short(result.commit.id)}"
    answers = 1 + len(result.answers[0][0].draws)
    where = "prompt and answer" if result.positions == EVERYWHERE else "the answer"
    asked = f"{plural(len(result.probes), 'probe')} {screen.glyph('times')} {plural(answers, 'answer')}"
    yield from wrap(f"{model}{dot}{asked}{dot}added to {where}", screen.width)
    unit = "what the latent adds where it fires" if result.units == "latent" else "the stream's mean length"
    about = f"strengths in units of {unit}; {result.directions} random directions as long as controls"
    yield from (screen.paint("dim", line) for line in wrap(about, screen.width))
    if result.recorded is not None:
        yield from (screen.paint(*part) for part in _recorded(*result.recorded))


def _recorded(same: int, of: int) -> Iterator[tuple[str, str]]:
    if same == of:
        yield "dim", f"unsteered answers are those recorded, {same} of {of} probes"
    else:
        yield "yellow", f"unsteered answers are those recorded at {same} of {of} probes only: another machine?"


def _verdict(result: SteerResult, screen: Screen) -> Iterator[str]:
    """Whether any strength moves the score more than random directions, and which."""
    rows = [(row, row.effect) for row in result.strengths if row.effect is not None]
    found = {kind: [number(row.strength) for row, effect in rows if effect.verdict.value == kind] for kind in _SAYS}
    kind = next(kind for kind in ("more", "breaks", "undecided", "no-more") if found[kind])
    text, style = _SAYS[kind]
    at = f" at strength {', '.join(found[kind])}" if len(found[kind]) < len(rows) else " at every strength"
    yield from (screen.paint(style, line) for line in wrap(f"{clean(result.score)}: {text}{at}", screen.width))
    if kind == "undecided":
        needs = [_need(effect.need) for _, effect in rows if effect.need is not None and _need(effect.need)]
        yield from (wrap(f"to decide: about {needs[-1]}", screen.width) if needs else ())


def _need(need: Need) -> str:
    parts = (
        (need.draws, "answers a probe"),
        (need.probes, "probes"),
        (need.directions, "random directions"),
    )
    return ", ".join(f"{count:,} {what}" for count, what in parts if count is not None)


def _doses(result: SteerResult, screen: Screen) -> Iterator[str]:
    """One line per strength: its rate as a bar, that under random directions, the difference with its interval."""
    lines = {
        "direction": [row.rate for row in result.strengths],
        "random": [_random(row) for row in result.strengths],
    }
    top = max(max(rates) for rates in lines.values())
    for name, rates in lines.items():
        drawn = sparkline([*rates, top], screen, len(rates) + 1)[:-1]  # both lines have one scale
        ends = f"{share(rates[0])} % at {number(result.strengths[0].strength)}, "
        ends += f"{share(rates[-1])} % at {number(result.strengths[-1].strength)}"
        yield f"{pad(name, 10)}{screen.paint('cyan', drawn)}  {ends}"
    yield ""
    rows = [_DOSE, *(_dose(row) for row in result.strengths)]
    texts = columns(rows, screen, right=(0, 1, 2, 3, 4))
    for place, line in enumerate(texts):
        if place == 0:
            yield screen.paint("dim", line)
        else:
            yield _with_bar(line, result.strengths[place - 1], result, screen)


_DOSE = ("strength", "length", "rate", "random", "beyond random, 95 %", "p", "verdict")


def _dose(row: SteeredStrength) -> list[str]:
    cells = [number(row.strength), f"{share(row.norm)} %", f"{share(row.rate)} %"]
    effect = row.effect
    if effect is None:
        return [*cells, "", "", "", "unsteered"]
    return [*cells, f"{share(_random(row))} %", _shift(effect.beyond), p_text(effect.p_value), effect.verdict.value]


def _with_bar(line: str, row: SteeredStrength, result: SteerResult, screen: Screen) -> str:
    """The line with the rate's bar behind it, where there is room."""
    style = "" if row.effect is None else _SAYS[row.effect.verdict.value][1]
    text = screen.paint(style, line)
    if screen.width < 78 + _BAR:
        return text
    bar = rate_bar(BehaviorRate(result.score, row.rate, len(result.probes), row.ci), screen, _BAR)
    return f"{text}{' ' * max(2, 78 - len(line))}{bar}".rstrip()


def _shift(shift: Shift) -> str:
    """`+49 [16, 68]`, in percentage points."""
    low, high = shift.ci
    return f"{points(shift.difference)} [{points(low)}, {points(high)}]"


def _random(row: SteeredStrength) -> float:
    """The mean rate under random directions; at strength 0 the rate."""
    return row.rate if row.effect is None else sum(row.effect.random) / len(row.effect.random)


def _damages(result: SteerResult, screen: Screen) -> Iterator[str]:
    """How much of the model each strength broke, beside what random directions of the same length broke."""
    yield screen.paint("dim", "what it breaks (random directions in brackets)")
    rows = [("strength", "own answer, nats per token", "repeats", "broken answers")]
    rows += [(number(row.strength), *_damage(row.damage), _broken(row.effect)) for row in result.strengths]
    for place, line in enumerate(columns(rows, screen, right=(0,))):
        yield screen.paint("dim", line) if place == 0 else line


def _damage(damage: Damage) -> tuple[str, str]:
    own, random = ("" if value is None else number(value) for value in (damage.own, damage.random_own))
    return f"{own} ({random})", f"{share(damage.repetition)} % ({share(damage.random_repetition)} %)"


def _broken(effect: Effect | None) -> str:
    return "" if effect is None else f"{share(effect.broken)} % ({share(effect.random_broken)} %)"


def _examples(result: SteerResult, screen: Screen) -> Iterator[str]:
    """What the probe that moved most is answered at each strength."""
    probe, way = result.example
    said = "greedy answers" if way == 0 else f"draw {way}"
    label = shorten(clean(probe.name or short(probe.id)), screen.width // 3, screen.glyph("ellipsis"))
    room = max(20, screen.width - len(label) - len(said) - 6)
    asked = shorten(clean(probe.text), room, screen.glyph("ellipsis"))
    yield f"{screen.paint('bold', label)}  {asked}  {screen.paint('dim', said)}"
    width = max(len(number(row.strength)) for row in result.strengths)
    for row in result.strengths:
        text = clean(row.example) if row.example else "(empty)"
        lines = wrap(text, max(20, screen.width - width - 4))
        more = [screen.glyph("ellipsis")] if len(lines) > _EXAMPLE_LINES else []
        for place, line in enumerate([*lines[:_EXAMPLE_LINES], *more]):
            mark = pad(number(row.strength) if place == 0 else "", width, right=True)
            yield f"  {screen.paint('magenta', mark)}  {line}".rstrip()


def steer_document(result: SteerResult) -> Json:
    """`bvc.features-steer/1`."""
    probe, way = result.example
    return {
        "schema": "bvc.features-steer/1",
        "name": result.name,
        "dictionary": result.dictionary,
        "latent": result.latent,
        "layer": result.layer,
        "promoted": list(result.promoted),
        "units": result.units,
        "positions": result.positions,
        "commit": None if result.commit is None else result.commit.id,
        "model": result.model.to_json(),
        "recipe": result.recipe.to_json(),
        "score": result.score,
        "directions": result.directions,
        "seed": result.seed,
        "stream_norm": result.stream_norm,
        "band": result.band,
        "probes": [{"id": p.id, "label": p.name} for p in result.probes],
        "left_out": result.left_out,
        "recorded": None if result.recorded is None else dict(zip(("same", "of"), result.recorded, strict=True)),
        "example": {"probe": probe.id, "draw": way - 1 if way else None},
        "strengths": [
            _strength(row, [out.to_json() for out in answers])
            for row, answers in zip(result.strengths, result.answers, strict=True)
        ],
        "notes": list(result.notes),
    }


def _strength(row: SteeredStrength, answers: list[Json]) -> Json:
    return {
        "strength": row.strength,
        "norm": row.norm,
        "rate": row.rate,
        "ci": list(row.ci),
        "damage": {
            "own_logprob": row.damage.own,
            "random_own_logprob": row.damage.random_own,
            "repetition": row.damage.repetition,
            "random_repetition": row.damage.random_repetition,
        },
        "effect": None if row.effect is None else _effect(row.effect),
        "example": row.example,
        "answers": answers,
    }


def _effect(effect: Effect) -> Json:
    need = effect.need
    return {
        "verdict": effect.verdict.value,
        "p_value": effect.p_value,
        "random": list(effect.random),
        "as_far": effect.as_far,
        "moved": _shift_document(effect.moved),
        "beyond": _shift_document(effect.beyond),
        "intact": _shift_document(effect.intact),
        "broken": effect.broken,
        "random_broken": effect.random_broken,
        "need": None if need is None else {"draws": need.draws, "probes": need.probes, "directions": need.directions},
    }


def _shift_document(shift: Shift) -> Json:
    return {"difference": shift.difference, "ci": list(shift.ci), "p_value": shift.p_value}
