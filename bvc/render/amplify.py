"""`bvc amplify`: amplified texts beside both models' own, as text and as the document `bvc.amplify/1`."""

from __future__ import annotations

from collections.abc import Iterator

from bvc.api.amplify import AmplifiedPrompt, AmplifyResult
from bvc.records import Json, Outputs
from bvc.render.explore import pair_lines
from bvc.render.numbers import number
from bvc.render.screen import Screen
from bvc.render.text import clean, pad, wrap

_COLUMN = 10


def render_amplify(result: AmplifyResult, screen: Screen) -> Iterator[str]:
    """What these texts are, then each prompt with the texts of a, of b and of every strength."""
    yield from pair_lines(result.a, result.b, screen)
    yield ""
    for line in wrap(result.caution, screen.width):
        yield screen.paint("yellow", line)
    for prompt in result.prompts:
        yield ""
        yield from _prompt(prompt, screen)


def _prompt(prompt: AmplifiedPrompt, screen: Screen) -> Iterator[str]:
    for row in wrap(clean(prompt.probe.text), screen.width):
        yield screen.paint("bold", row)
    yield from _texts("a", "red", prompt.a, screen)
    yield from _texts("b", "green", prompt.b, screen)
    for alpha, outputs in prompt.amplified:
        yield from _texts(f"alpha {number(alpha)}", "magenta", outputs, screen)


def _texts(label: str, style: str, outputs: Outputs, screen: Screen) -> Iterator[str]:
    """The greedy text, then the draws, each behind its label."""
    room = max(20, screen.width - _COLUMN - 2)
    for place, generation in enumerate((outputs.greedy, *outputs.draws)):
        name = label if place == 0 else f"  draw {place}"
        rows = wrap(clean(generation.text), room) if generation.text else [screen.paint("dim", "(empty)")]
        for row, text in enumerate(rows):
            yield f"{screen.paint(style, pad(name if row == 0 else '', _COLUMN))}  {text}".rstrip()


def amplify_document(result: AmplifyResult) -> Json:
    """`bvc.amplify/1`."""
    return {
        "schema": "bvc.amplify/1",
        "a": result.a.id,
        "b": result.b.id,
        "amplified": True,
        "caution": result.caution,
        "plausible": result.plausible,
        "prompts": [_document(prompt) for prompt in result.prompts],
    }


def _document(prompt: AmplifiedPrompt) -> Json:
    return {
        "id": prompt.probe.id,
        "probe": prompt.probe.to_json(),
        "a": _outputs(prompt.a),
        "b": _outputs(prompt.b),
        "amplified": [{"alpha": alpha, **_outputs(outputs)} for alpha, outputs in prompt.amplified],
    }


def _outputs(outputs: Outputs) -> Json:
    return {"greedy": outputs.greedy.to_json(), "draws": [draw.to_json() for draw in outputs.draws]}
