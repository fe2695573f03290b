"""`bvc explore`: proposed probes and suspected words, as text and as the document `bvc.explore/1`."""

from __future__ import annotations

from collections.abc import Iterator

from bvc.api.explore_records import ADDED, Added, ExploreResult, Proposal, Trigger
from bvc.ids import short
from bvc.records import CommitInfo, Json
from bvc.render.commits import model_text, plural
from bvc.render.numbers import number, p_text
from bvc.render.screen import Screen
from bvc.render.text import clean, shorten, wrap

_SHOWN = 10
_STYLES = {"a": "red", "b": "green"}


def render_explore(result: ExploreResult, screen: Screen) -> Iterator[str]:
    """Both commits, the null, suspected words, the proposals by score, what was added."""
    yield from pair_lines(result.a, result.b, screen)
    yield ""
    yield from _summary(result, screen)
    for trigger in result.triggers:
        yield from _trigger(trigger, screen)
    shown = result.proposals[:_SHOWN]
    for place, proposal in enumerate(shown):
        yield ""
        if not proposal.beyond and (place == 0 or shown[place - 1].beyond):
            yield screen.paint("dim", f"{screen.glyph('rule') * 3} below: no more than unchanged probes do")
            yield ""
        yield from _proposal(proposal, screen)
    yield ""
    yield from _closing(result, screen)


def pair_lines(a: CommitInfo, b: CommitInfo, screen: Screen) -> Iterator[str]:
    """The two commits, one a line."""
    for side, commit in (("a", a), ("b", b)):
        model = "" if commit.snapshot is None else model_text(commit.snapshot.model)
        sign, name = screen.paint(_STYLES[side], side), screen.paint("yellow", short(commit.id))
        line = f"{sign}  {name}  {screen.paint('cyan', model)}  "
        yield line + shorten(clean(commit.subject), max(12, screen.width - len(model) - 17), screen.glyph("ellipsis"))


def _summary(result: ExploreResult, screen: Screen) -> Iterator[str]:
    null = result.null
    found = f"{result.beyond} of {plural(result.candidates, 'candidate')} lie beyond what unchanged probes do"
    yield screen.paint("bold", found) + " (false discovery rate 5 %)"
    band = (
        f"{plural(null.probes, 'unchanged probe')} of the suite: divergence {number(null.kl)} in the median, "
        f"{number(null.kl_95)} at 95 %; gain {number(null.gain)} and {number(null.gain_95)} (nats per token)"
    )
    yield from (screen.paint("dim", line) for line in wrap(band, screen.width))


def _trigger(trigger: Trigger, screen: Screen) -> Iterator[str]:
    """What removing and inserting a word does."""
    yield ""
    says = "The change hangs on the word" if trigger.confirmed else "Suspected, not confirmed: the word"
    word = screen.paint("bold green" if trigger.confirmed else "yellow", clean(trigger.word))
    yield f"{says} {word}"
    removed = (
        f"left out of {plural(trigger.prompts, 'changed prompt')}, divergence and gain fell in {trigger.fell}: "
        f"{number(trigger.with_word)} {screen.glyph('arrow')} {number(trigger.without)}"
    )
    inserted = (
        f"put into {plural(trigger.hosts, 'unchanged prompt')}, they rose in {trigger.rose}: "
        f"{number(trigger.inserted)}, against {number(trigger.control)} with another word ({p_text(trigger.p_value)})"
    )
    for line in (removed, inserted):
        for row, part in enumerate(wrap(line, screen.width - 4)):
            yield f"  {'  ' if row else ''}{part}"


def _proposal(proposal: Proposal, screen: Screen) -> Iterator[str]:
    origin = "" if proposal.source is None else f" of {clean(proposal.source)}"
    sign = screen.glyph("changed" if proposal.beyond else "same")
    score = screen.paint("bold" if proposal.beyond else "", f"score {number(proposal.score)}")
    numbers = f"divergence {number(proposal.kl)}  gain {number(proposal.gain)}"
    yield f"{proposal.rank:>3} {sign} {score}  {numbers}"
    room, ellipsis = screen.width - 6, screen.glyph("ellipsis")
    yield " " * 6 + screen.paint("dim", shorten(f"{proposal.rule}{origin}: {clean(proposal.how)}", room, ellipsis))
    yield " " * 6 + screen.paint("cyan", shorten(clean(proposal.probe.text), room, ellipsis))
    for side, text in (("a", proposal.answer_a), ("b", proposal.answer_b)):
        answer = shorten(clean(text), room - 3, ellipsis) if text else screen.paint("dim", "(empty)")
        yield f"{' ' * 6}{screen.paint(_STYLES[side], side)}  {answer}"


def _closing(result: ExploreResult, screen: Screen) -> Iterator[str]:
    hidden = len(result.proposals) - _SHOWN
    if hidden > 0:
        yield screen.paint("dim", f"{hidden} more, and near repetitions, left out: --json has all proposals")
    if result.added is not None:
        yield added_text(result.added)
    elif result.beyond:
        text = f"--add SUITE puts the first {ADDED} that stand out into a suite, --pick 1,3-5 those"
        yield screen.paint("dim", text)


def added_text(added: Added) -> str:
    """What was appended to the suite."""
    known = f"; {plural(added.known, 'probe')} already there" if added.known else ""
    if not added.probes:
        return f"probes/{added.suite}.jsonl: nothing added{known}"
    return f"probes/{added.suite}.jsonl: {plural(len(added.probes), 'probe')} added{known}"


def explore_document(result: ExploreResult) -> Json:
    """`bvc.explore/1`."""
    null = result.null
    return {
        "schema": "bvc.explore/1",
        "a": result.a.id,
        "b": result.b.id,
        "seeds": list(result.seeds),
        "null": {
            "probes": null.probes,
            "kl": {"median": null.kl, "q95": null.kl_95},
            "gain": {"median": null.gain, "q95": null.gain_95},
        },
        "candidates": result.candidates,
        "beyond": result.beyond,
        "triggers": [_trigger_document(t) for t in result.triggers],
        "proposals": [_proposal_document(p) for p in result.proposals],
        "added": None if result.added is None else _added_document(result.added),
        "notes": list(result.notes),
    }


def _trigger_document(trigger: Trigger) -> Json:
    return {
        "word": trigger.word,
        "left_out": {
            "prompts": trigger.prompts,
            "fell": trigger.fell,
            "with": trigger.with_word,
            "without": trigger.without,
        },
        "inserted": {
            "prompts": trigger.hosts,
            "rose": trigger.rose,
            "with": trigger.inserted,
            "control": trigger.control,
        },
        "p_value": trigger.p_value,
        "confirmed": trigger.confirmed,
    }


def _proposal_document(proposal: Proposal) -> Json:
    return {
        "rank": proposal.rank,
        "id": proposal.probe.id,
        "probe": proposal.probe.to_json(),
        "rule": proposal.rule,
        "how": proposal.how,
        "source": proposal.source,
        "kl": proposal.kl,
        "gain": proposal.gain,
        "score": proposal.score,
        "q_value": proposal.q_value,
        "beyond": proposal.beyond,
        "text": {"a": proposal.answer_a, "b": proposal.answer_b},
    }


def _added_document(added: Added) -> Json:
    return {"suite": added.suite, "probes": list(added.probes), "known": added.known}
