"""`bvc features`: dictionaries and their latents, as text and as documents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from bvc.api.features_records import DictionaryEntry, FitResult, LatentView, ProbePeak
from bvc.dictionaries import DictionaryCard, StoredDictionary
from bvc.ids import short
from bvc.records import Json
from bvc.render.commits import plural
from bvc.render.numbers import number, share
from bvc.render.screen import Screen
from bvc.render.sparkline import sparkline
from bvc.render.table import columns, facts
from bvc.render.text import clean, ending, shorten

_NOTHING = "no dictionary yet; `bvc features fit` makes one from the first commit of the lineage"
_TOKENS = 8
_TAIL = 60


def render_dictionaries(entries: tuple[DictionaryEntry, ...], screen: Screen) -> Iterator[str]:
    """One line each; the one that commits use is marked."""
    if not entries:
        yield _NOTHING
        return
    rows = [["", "name", "digest", "layer", "latents", "active", "explained", "dead"]]
    rows += [_row(entry) for entry in entries]
    lines = columns(rows, screen, right=(4, 5, 6, 7))
    yield screen.paint("dim", lines[0])
    yield from lines[1:]


def _row(entry: DictionaryEntry) -> list[str]:
    spec, card = entry.stored.spec, entry.stored.card
    mark = "*" if entry.default else ""
    quality = [number(card.active), f"{share(card.explained)} %", str(card.dead)] if card.tokens else ["", "", ""]
    numbers = [str(spec.latents), *quality]
    return [mark, clean(entry.stored.name), short(spec.digest), clean(spec.layer), *numbers]


def render_dictionary(stored: StoredDictionary, screen: Screen) -> Iterator[str]:
    """The model card of one dictionary."""
    spec, card = stored.spec, stored.card
    yield screen.paint("bold", f"dictionary {clean(stored.name)}") + f"  {screen.paint('yellow', short(spec.digest))}"
    rows = [
        (
            "fitted on",
            f"{clean(spec.architecture or 'a model')} {short(spec.model)}, the stream at {clean(spec.layer)}",
        ),
        ("size", f"{plural(spec.latents, 'latent')} over a stream of {spec.width} ({clean(spec.kind)}, k {spec.k:g})"),
        ("quality", _quality(card)),
        *((name, clean(str(value))) for name, value in sorted(card.fit.items()) if value not in (None, "", [], ())),
    ]
    rows += [(name, clean(text)) for name, text in (("license", card.license), ("source", card.source)) if text]
    yield from facts(rows, screen)


def _quality(card: DictionaryCard) -> str:
    if not card.tokens:
        return "not measured"
    text = (
        f"explains {share(card.explained)} % of the variance of {card.tokens:,} held-out tokens with "
        f"{number(card.active)} latents a token; {plural(card.dead, 'latent')} never fired there"
    )
    if card.loss_ratio is None:
        return text
    return f"{text}; the model keeps {share(card.loss_ratio)} % of what the stream does for its loss"


def render_fit(result: FitResult, screen: Screen) -> Iterator[str]:
    """What was fitted, and what can be done with it."""
    yield from render_dictionary(result.dictionary, screen)
    yield ""
    yield f"Fitted in {result.seconds:.0f} s. New commits record its latents; `bvc capture REV --features` adds them to"
    yield "older ones. `bvc features show LATENT` says what a latent is, `bvc features diff A B` what changed."


def render_latent(view: LatentView, screen: Screen) -> Iterator[str]:
    """One latent: how often, along the lineage, where it fires and what it promotes."""
    card = view.card
    name = clean(view.dictionary.name)
    yield (
        screen.paint("bold", f"latent {card.latent}")
        + f" of {name} {screen.paint('yellow', short(view.dictionary.spec.digest))}"
    )
    yield f"fires at {share(card.rate)} % of the tokens it was fitted on, mean {number(card.strength)}"
    if card.promoted:
        tokens = "  ".join(f"{clean(token)!r} {value:+.2g}" for token, value in card.promoted[:_TOKENS])
        yield from facts([("promotes", tokens)], screen)
    if card.contexts:
        yield ""
        yield screen.paint("bold", "Where it fires most in the corpus")
        yield from (_context(text, strength, screen) for text, strength in card.contexts)
    yield ""
    yield from _along(view, screen)
    if view.probes:
        yield ""
        yield screen.paint("bold", f"Probes where it is strongest at {short(view.history[-1].commit.id)}")
        yield from (_probe(peak, screen) for peak in view.probes)


def _context(text: str, strength: float, screen: Screen) -> str:
    """The end of a text, which is where the latent fires."""
    return f"  {number(strength):>6}  {_tail(text, screen)}"


def _tail(text: str, screen: Screen) -> str:
    return ending(clean(text), max(20, min(_TAIL, screen.width - 12)), screen.glyph("ellipsis"))


def _along(view: LatentView, screen: Screen) -> Iterator[str]:
    history = view.history
    if not history:
        yield "no commit of HEAD's lineage has features of it; `bvc capture REV --features` adds them"
        return
    line = sparkline([rate.share for rate in history], screen, 40)
    where = "of the model's answers" if view.along == "answer" else "of the references"
    yield screen.paint("bold", "Along the lineage") + f"  share of the positions {where}  {line}"
    rows = [
        [
            screen.paint("yellow", short(rate.commit.id)),
            f"{share(rate.share)} %",
            f"{rate.probes}/{rate.n} probes",
            shorten(clean(rate.commit.subject), 60, screen.glyph("ellipsis")),
        ]
        for rate in history
    ]
    yield from (f"  {row}" for row in columns(rows, screen, right=(1, 2)))


def _probe(peak: ProbePeak, screen: Screen) -> str:
    where = "" if peak.text is None else _tail(peak.text, screen) or "(before the answer)"
    return f"  {number(peak.strength):>6}  {clean(peak.name or short(peak.probe))}  {screen.paint('dim', where)}"


def dictionary_json(stored: StoredDictionary) -> Json:
    """A dictionary in documents: spec, digest and card."""
    return {
        "name": stored.name,
        "digest": stored.spec.digest,
        "spec": stored.spec.to_json(),
        "card": {**asdict(stored.card), "fit": dict(stored.card.fit)},
    }


def dictionaries_document(entries: tuple[DictionaryEntry, ...]) -> Json:
    """`bvc.features/1`."""
    rows = [{**dictionary_json(e.stored), "versions": e.versions, "default": e.default} for e in entries]
    return {"schema": "bvc.features/1", "dictionaries": rows}


def dictionary_document(stored: StoredDictionary) -> Json:
    """`bvc.features-dictionary/1`."""
    return {"schema": "bvc.features-dictionary/1", "dictionary": dictionary_json(stored)}


def fit_document(result: FitResult) -> Json:
    """`bvc.features-fit/1`."""
    return {
        "schema": "bvc.features-fit/1",
        "commit": result.commit.id,
        "dictionary": dictionary_json(result.dictionary),
        "seconds": round(result.seconds, 3),
    }


def latent_document(view: LatentView) -> Json:
    """`bvc.features-latent/1`."""
    card = view.card
    return {
        "schema": "bvc.features-latent/1",
        "dictionary": dictionary_json(view.dictionary),
        "latent": card.latent,
        "rate": card.rate,
        "strength": card.strength,
        "contexts": [{"text": text, "strength": strength} for text, strength in card.contexts],
        "promoted": [{"token": token, "logit": value} for token, value in card.promoted],
        "along": view.along,
        "commits": [
            {"commit": r.commit.id, "subject": r.commit.subject, "probes": r.probes, "n": r.n, "share": r.share}
            for r in view.history
        ],
        "probes": [
            {"probe": p.probe, "name": p.name, "strength": p.strength, "fired": p.fired, "text": p.text}
            for p in view.probes
        ],
    }
