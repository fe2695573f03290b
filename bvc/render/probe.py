"""One probe of one commit: what was asked, what came, and how likely each token of the reference was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bvc.ids import short
from bvc.records import Generation, Probe
from bvc.render.commits import plural
from bvc.render.screen import Screen
from bvc.render.text import cells, clean, clean_lines, pad, wrap
from bvc.results import ProbeView

_FINISH = {"stop": "ended by itself", "length": "cut at the token limit", "unknown": ""}
_LIKELY, _UNLIKELY = -0.7, -2.3
"""Log-probabilities of about one half and one tenth."""
_LONGEST_TOKEN = 20


def render_probe(view: ProbeView, screen: Screen) -> Iterator[str]:
    """The page of `show --probe` below the commit's heading."""
    yield from identity_lines(view.probe, view.suite, screen)
    yield ""
    yield from input_lines(view.probe, screen)
    yield ""
    yield from _generation("Greedy answer", view.outputs.greedy, screen)
    for number, draw in enumerate(view.outputs.draws, 1):
        yield ""
        yield from _generation(f"Draw {number} of {len(view.outputs.draws)}", draw, screen)
    if view.reference is not None and view.logprobs:
        yield ""
        yield from _strip(view, screen)


def identity_lines(probe: Probe, suite: str, screen: Screen) -> Iterator[str]:
    """Label, id, suite, tags and cluster of a probe."""
    name = f"{screen.paint('bold', clean(probe.name))}  " if probe.name else ""
    yield f"Probe {name}{screen.paint('yellow', short(probe.id))}  in {clean(suite)}"
    facts = [f"#{clean(tag)}" for tag in probe.tags]
    if probe.cluster is not None:
        facts.append(f"cluster {clean(probe.cluster)}")
    if facts:
        yield screen.paint("dim", "  ".join(facts))


def input_lines(probe: Probe, screen: Screen) -> Iterator[str]:
    """The chat or the raw prompt, wrapped, each message under its role."""
    if probe.prompt is not None:
        yield screen.paint("bold", "Prompt")
        yield from indented(probe.prompt, screen)
        return
    for message in probe.messages or ():
        yield screen.paint("bold", clean(message.role).capitalize())
        yield from indented(message.content, screen)


def indented(text: str, screen: Screen) -> Iterator[str]:
    """Harmless text in wrapped lines behind two spaces."""
    for line in clean_lines(text):
        for row in wrap(line, screen.width - 2):
            yield f"  {row}".rstrip()


def _generation(title: str, generation: Generation, screen: Screen) -> Iterator[str]:
    facts = [] if generation.tokens is None else [plural(generation.tokens, "token")]
    finish = _FINISH.get(generation.finish, "")
    facts += [finish] if finish else []
    yield screen.paint("bold", title) + (f"  {screen.paint('dim', ', '.join(facts))}" if facts else "")
    if generation.text:
        yield from indented(generation.text, screen)
    else:
        yield screen.paint("dim", "  (empty)")


def _strip(view: ProbeView, screen: Screen) -> Iterator[str]:
    """Two rows: the reference's tokens, and below each its log-probability."""
    mean = sum(view.logprobs) / len(view.logprobs)
    facts = f"{plural(len(view.logprobs), 'token')}, log-probability in nats, mean {mean:.2f}"
    yield f"{screen.paint('bold', 'Reference')}  {screen.paint('dim', facts)}"
    tokens = [*view.tokens, *[""] * (len(view.logprobs) - len(view.tokens))]
    rows = [(_token(token, screen), f"{value:.2f}") for token, value in zip(tokens, view.logprobs, strict=False)]
    for start, stop in _lines(rows, screen.width - 2):
        yield from _two_rows(rows[start:stop], view.logprobs[start:stop], screen)


def _token(token: str, screen: Screen) -> str:
    """A token with its leading space made visible, on one line."""
    shown = clean(token[:_LONGEST_TOKEN], newline=screen.glyph("newline"))
    return screen.glyph("space") + shown[1:] if shown.startswith(" ") else shown


def _lines(rows: Sequence[tuple[str, str]], width: int) -> Iterator[tuple[int, int]]:
    """Runs of tokens that fit on a line."""
    start = used = 0
    for index, (token, value) in enumerate(rows):
        size = max(cells(token), len(value)) + 1
        if used and used + size > width:
            yield start, index
            start, used = index, 0
        used += size
    if rows:
        yield start, len(rows)


def _two_rows(rows: Sequence[tuple[str, str]], logprobs: Sequence[float], screen: Screen) -> Iterator[str]:
    widths = [max(cells(token), len(value)) for token, value in rows]
    styles = [_style(value) for value in logprobs]
    upper = [screen.paint(s, pad(t, w)) for (t, _), w, s in zip(rows, widths, styles, strict=True)]
    lower = [screen.paint("dim", pad(v, w)) for (_, v), w in zip(rows, widths, strict=True)]
    yield f"  {' '.join(upper)}".rstrip()
    yield f"  {' '.join(lower)}".rstrip()


def _style(logprob: float) -> str:
    if logprob >= _LIKELY:
        return ""
    return "yellow" if logprob >= _UNLIKELY else "bold red"
