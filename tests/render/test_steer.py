"""`features steer` on the screen: what the verdict rests on stands there, fits, and steers no terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bvc.api.steer_records import Damage, SteeredStrength, SteerResult
from bvc.compare.steering import Effect, Need, Shift, Steers
from bvc.records import Generation, Outputs, Probe, Recipe
from bvc.render.screen import Screen
from bvc.render.steer import render_steer, steer_document
from bvc.render.text import cells
from tests.cli.test_documents import validate
from tests.render.samples import BASE, HOSTILE, commit
from tests.render.test_text import harmless

NEED = Need(draws=12, directions=9)


def strength(at: float, verdict: Steers | None, text: str = "an answer") -> SteeredStrength:
    shift = Shift(0.49, (0.16, 0.68), 0.001)
    effect = verdict and Effect(
        0.5, (0.0, 0.02), shift, shift, shift, 0, 0.004, 0.2, 0.04, verdict, NEED if verdict == "undecided" else None
    )
    rate = 0.5 if effect else 0.01
    damage = Damage(-1.5 if effect else None, -1.0, 0.1, 0.0)
    return SteeredStrength(at, abs(at) / 10, rate, (max(0.0, rate - 0.2), rate + 0.2), damage, text, effect)


def result(*verdicts: Steers, text: str = "an answer", **settings: object) -> SteerResult:
    rows = (strength(0.0, None, text), *(strength(float(n), v, text) for n, v in enumerate(verdicts, 2)))
    probe = Probe(prompt=f"What is {text}?", name=text)
    made = SteerResult(
        name="latent 7 of lineage",
        layer="layer.15",
        units="latent",
        score="says it",
        commit=commit(3),
        model=BASE,
        recipe=Recipe("transformers"),
        dictionary="lineage",
        latent=7,
        promoted=(" tree", text),
        positions="all",
        directions=2,
        seed=0,
        stream_norm=31.5,
        band=0.05,
        probes=(probe,),
        left_out=0,
        strengths=rows,
        example=(probe, 1),
        answers=tuple((Outputs(Generation(text), (Generation(text),)),) for _ in rows),
        recorded=(1, 1),
    )
    return replace(made, **settings)  # type: ignore[arg-type]


def page(made: SteerResult, screen: Screen | None = None) -> str:
    return "\n".join(render_steer(made, screen or Screen(100)))


@pytest.mark.parametrize(
    ("verdicts", "says"),
    [
        ((Steers.MORE, Steers.MORE), "says it: moves more than random at every strength"),
        ((Steers.UNDECIDED, Steers.MORE, Steers.BREAKS), "says it: moves more than random at strength 3"),
        ((Steers.NO_MORE, Steers.BREAKS), "but not surely in answers that it left whole at strength 3"),
        ((Steers.NO_MORE, Steers.NO_MORE), "says it: no more than random at every strength"),
        ((Steers.NO_MORE, Steers.UNDECIDED), "says it: undecided at strength 3"),
    ],
)
def test_the_strongest_verdict_comes_first(verdicts: tuple[Steers, ...], says: str) -> None:
    assert says in page(result(*verdicts))
    validate(steer_document(result(*verdicts)))


def test_what_would_decide_is_said() -> None:
    assert "to decide: about 12 answers a probe, 9 random directions" in page(result(Steers.UNDECIDED))
    assert "to decide" not in page(result(Steers.MORE, Steers.UNDECIDED))


def test_the_rate_stands_beside_that_of_random_directions_and_the_damage() -> None:
    text = page(result(Steers.MORE))
    assert "direction ▂█  1 % at 0, 50 % at 2" in text
    assert "random    ▂▂  1 % at 0, 1 % at 2" in text
    assert "+49 [+16, +68]" in text
    assert "-1.5 (-1)" in text
    assert "20 % (4 %)" in text
    assert "unsteered answers are those recorded, 1 of 1 probes" in text
    assert "another machine?" in page(result(Steers.MORE, recorded=(0, 1)))


def test_units_positions_and_notes_are_told() -> None:
    text = page(result(Steers.MORE, units="stream", positions="generated", notes=("only few",), commit=None))
    assert "in units of the stream's mean length" in text
    assert "added to the answer" in text
    assert "note: only few" in text
    document = steer_document(result(Steers.MORE, commit=None, recorded=None, dictionary=None, latent=None))
    validate(document)
    assert document["example"]["draw"] == 0
    assert document["strengths"][0]["damage"]["own_logprob"] is None


@pytest.mark.parametrize("width", [80, 120])
def test_a_screen_is_kept_to(width: int) -> None:
    made = result(Steers.MORE, Steers.BREAKS, Steers.UNDECIDED, text="word " * 200)
    assert max(cells(line) for line in render_steer(made, Screen(width))) <= width


@pytest.mark.parametrize("color", [False, True])
def test_hostile_text_is_spelled_out(color: bool) -> None:
    plain = page(result(Steers.MORE, text=HOSTILE, name=HOSTILE, score=HOSTILE, layer=HOSTILE, notes=(HOSTILE,)))
    assert harmless(plain.replace("\n", ""))
    validate(steer_document(result(Steers.MORE, text=HOSTILE)))
    painted = page(result(Steers.MORE, text=HOSTILE), Screen(100, color=color))
    assert ("\x1b[" in painted) is color
