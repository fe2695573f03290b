"""explore: new probes where two checkpoints differ most, and the word that a change hangs on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bvc.api.checkpoints import Checkpoint, PairOptions, checkpoint_pair, opener, pair_recipe
from bvc.api.diff import diff, diff_sides
from bvc.api.explore_records import (
    Added,
    ExploreOptions,
    ExploreResult,
    NullScores,
    Proposal,
    Trigger,
    picked,
)
from bvc.errors import BadInput, NotComparable, UnknownRevision
from bvc.records import Message, Probe, Recipe, Suite
from bvc.repository.repository import Repository
from bvc.repository.revisions import find_probe
from bvc.results import ProbeDiff, Verdict
from bvc.suites import variations as vary
from bvc.suites.load import checked_name, load_suite, write_suite
from bvc.suites.variations import Variation

if TYPE_CHECKING:
    from bvc.capture.pair_engine import PairCapture, Turns
    from bvc.compare.beyond import Beyond, Suspect

STANDS_OUT = 0.05
"""False discovery rate of everything that is said to stand out."""
_SEEDS, _FALLBACK_SEEDS = 6, 3
_NULL = 40
"""Unchanged probes that are measured as the null."""
_SUSPECTS, _HOSTS = 3, 8
"""Words that are tried on unchanged prompts, and those prompts: 8 pairs can show a p-value of 1 / 256."""
_SAMPLES = 2
"""Prompts sampled for each that is kept."""
_SAMPLE_TOKENS, _SAMPLE_TEMPERATURE = 16, 1.2
_ROWS = 32
"""Probes per forward pass: more than a capture has, whose shapes other commits must meet."""
EXPLORED = "explored"
"""The tag of probes that were found here."""


@dataclass(frozen=True)
class Scored:
    """A probe's two scores (nats per token): `kl`, the mean divergence along the answer of a; `gain`, how much likelier
    b finds its own answer than a does."""

    capture: PairCapture
    kl: float
    gain: float

    @property
    def change(self) -> float:
        """Both together: what a would not say that b says, and the reverse. New words show in the gain alone, where
        b still finds the answer of a likely; words that are gone show in the divergence."""
        return self.kl + max(self.gain, 0.0)

    @property
    def scores(self) -> dict[str, float]:
        """By kind."""
        return {"kl": self.kl, "gain": self.gain}


def explore(
    repository: Repository,
    a: str | None,
    b: str | None,
    *,
    what: ExploreOptions | None = None,
    options: PairOptions | None = None,
) -> ExploreResult:
    """Measures variations of the changed probes of the diff, and sampled prompts, with both checkpoints at hand.

    Raises NotComparable for equal checkpoints, for tokenizers that differ and where the diff has no common probe, and
    what `checkpoint_pair` raises. Nothing is written but the suite that `what.add` names, at the end and in one step.
    """
    from bvc.capture.pair_engine import Turns, check_tokenizers

    what, options = what or ExploreOptions(), options or PairOptions()
    before = None if what.add is None else _suite(repository, what.add)  # a bad file shows before the work, not after
    left, right = diff_sides(repository, a, b)
    pair = checkpoint_pair(repository, left, right, options)
    check_tokenizers(pair[0].identity, pair[1].identity)
    if pair[0].identity.fingerprint == pair[1].identity.fingerprint:
        raise NotComparable("both commits record the same checkpoint: there is no difference to explore")
    seeds, unchanged, known, notes = _split(repository, left, right, what)
    recipe = pair_recipe(repository, pair[1].identity, options, batch_rows=options.batch_size or _ROWS)
    openers = {s: opener(c.identity, recipe, options) for s, c in zip("ab", pair, strict=True)}
    turns = Turns(openers, options.step)
    try:
        search = _Search(turns, recipe, what, seeds, unchanged, known)
        search.run(pair[1])
    finally:
        turns.close()
    result = _result(pair, search, notes)
    return result if before is None else replace(result, added=_add(repository, result, before, what.pick))


def _split(
    repository: Repository, left: str, right: str, what: ExploreOptions
) -> tuple[list[Probe], list[Probe], list[Probe], tuple[str, ...]]:
    """The probes to vary, those to measure the null on and all there are, from the diff; with remarks."""
    rows = sorted(diff(repository, left, right).probes, key=lambda row: row.rank)
    outliers = [row for row in rows if _stands_out(row)]
    notes: tuple[str, ...] = ()
    if what.probes:
        view = repository.snapshot(right)
        wanted = [find_probe(view, name) for name in what.probes]
        known = {row.probe.id: row.probe for row in rows}
        missing = [name for name, probe in zip(what.probes, wanted, strict=True) if probe not in known]
        if missing:
            raise UnknownRevision(f"probe {missing[0]} is in one of the two commits only")
        seeds = [known[probe] for probe in wanted]
    elif outliers:
        seeds = [row.probe for row in outliers[:_SEEDS]]
    else:
        seeds = [row.probe for row in rows[:_FALLBACK_SEEDS]]
        notes = (f"no probe stands out of the drift of the whole model: the top {len(seeds)} of the diff were varied",)
    taken = {p.id for p in seeds} | {row.probe.id for row in outliers}
    unchanged = [row.probe for row in rows if row.probe.id not in taken]
    return seeds, unchanged, [row.probe for row in rows], notes


def _stands_out(row: ProbeDiff) -> bool:
    return row.verdict is Verdict.CHANGED and row.q_value is not None and row.q_value <= STANDS_OUT


@dataclass
class _Search:
    """The work with the checkpoints: measures, then follows up the words that the first measurements point to."""

    turns: Turns
    recipe: Recipe
    what: ExploreOptions
    seeds: Sequence[Probe]
    unchanged: Sequence[Probe]
    known: Sequence[Probe]
    null: list[Scored] = field(default_factory=list)
    found: list[tuple[Variation, Scored]] = field(default_factory=list)
    triggers: tuple[Trigger, ...] = ()

    def run(self, b: Checkpoint) -> None:
        """All measurements."""
        null = _spread_out(self.unchanged, _NULL, self.what.seed)
        made = vary.variations(self.seeds, self.known)
        sampled = self._sampled(b)
        room = max(0, self.what.limit - len(sampled))
        tried = vary.distinct([*made[:room], *sampled], self.seeds)
        scored = self._measure([*null, *self.seeds, *(v.probe for v in tried)])
        self.null = scored[: len(null)]
        seeds = dict(zip((p.id for p in self.seeds), scored[len(null) :], strict=False))
        self.found = list(zip(tried, scored[len(null) + len(self.seeds) :], strict=True))
        self._follow(seeds, null)

    @property
    def new(self) -> list[tuple[Variation, Scored]]:
        """What was tried that no probe of the suite asks."""
        known = {p.id for p in self.known}
        return [(v, scored) for v, scored in self.found if v.probe.id not in known]

    def _measure(self, probes: Sequence[Probe]) -> list[Scored]:
        from bvc.capture.pair_engine import capture_pairs

        captures = capture_pairs(self.turns, probes, self.recipe, self.what.tokens)
        table = self.turns.engine("a").bucket_table()
        return [_scored(capture, table) for capture in captures]

    def _sampled(self, b: Checkpoint) -> list[Variation]:
        """Prompts as each checkpoint itself would write them, those that b finds likelier than a does first."""
        count = self.what.prefills
        if count < 1:
            return []
        from bvc.capture.pair_engine import sample_texts, score_texts, user_turn

        turn = user_turn(b.identity)
        start = Probe(prompt=turn.start or "")
        how = replace(
            self.recipe,
            draws=_SAMPLES * count // 2 or 1,
            temperature=_SAMPLE_TEMPERATURE,
            max_new_tokens=_SAMPLE_TOKENS,
            seed=self.what.seed,
        )
        texts: dict[str, str] = {}
        for side in ("a", "b"):
            for text in sample_texts(self.turns, side, start, how):
                if text.strip() and not any(token in text for token in turn.special):
                    texts.setdefault(text.strip(), side)
        scores = score_texts(self.turns, start, list(texts), self.recipe)
        gains = {text: b - a for text, (a, b) in zip(texts, scores, strict=True)}
        best = sorted(texts, key=lambda text: -gains[text])[:count]
        chat = turn.start is not None
        return [_sample(text, texts[text], gains[text], chat=chat) for text in best]

    def _follow(self, seeds: dict[str, Scored], null: Sequence[Probe]) -> None:
        """Puts the words whose removal took the change away into unchanged prompts, beside words that mean nothing."""
        from bvc.compare.beyond import suspects

        removals = [
            (v.word, seeds[v.source].change, scored.change)
            for v, scored in self.found
            if v.rule == vary.LEFT_OUT and v.word is not None and v.source in seeds
        ]
        words = suspects(removals, _SUSPECTS)
        hosts = list(null[:_HOSTS])
        if not words or not hosts:
            return
        treated = {s.word: [vary.insert(s.word, p, first=i % 2 == 0) for i, p in enumerate(hosts)] for s in words}
        control = _controls(hosts, {s.word for s in words})
        inserted = [v for group in treated.values() for v in group]
        scored = self._measure([v.probe for v in (*inserted, *control)])
        measured = dict(zip((v.probe.id for v in (*inserted, *control)), scored, strict=True))
        self.found += [(v, measured[v.probe.id]) for v in inserted]
        plain = [measured[v.probe.id].change for v in control]
        self.triggers = tuple(
            _trigger(s, [measured[v.probe.id].change for v in treated[s.word]], plain, len(words)) for s in words
        )


def _spread_out(probes: Sequence[Probe], most: int, seed: int) -> list[Probe]:
    """Up to `most` of `probes`, chosen by their ids and the seed: a choice that has nothing to do with their ranks."""
    from bvc.ids import digest

    return sorted(probes, key=lambda p: digest(f"explore/{seed}", p.id.encode()))[:most]


def _sample(text: str, side: str, gain: float, *, chat: bool) -> Variation:
    probe = Probe(messages=(Message("user", text),)) if chat else Probe(prompt=text)
    how = f"sampled from {side} ({gain:+.2f} nats per token likelier to b)"
    return Variation(probe, vary.SAMPLED, how)


def _controls(hosts: Sequence[Probe], suspected: set[str]) -> list[Variation]:
    """Each host with a word of another host, in the place where the suspected words are put."""
    words = [word for p in hosts for word in vary.words_of_content(p.text)[:1] if vary.core(word) not in suspected]
    words = words or ["indeed"]
    return [vary.insert(words[(i + 1) % len(words)], p, first=i % 2 == 0) for i, p in enumerate(hosts)]


def _scored(capture: PairCapture, table: object) -> Scored:
    import numpy as np

    from bvc.compare.logprob import divergence

    forward = divergence(*capture.along_a, np.asarray(table)).forward
    a, b = capture.along_b
    gain = float(b.target.mean() - a.target.mean()) if b.target.size else 0.0
    return Scored(capture, float(forward.mean()) if forward.size else 0.0, gain)


def _trigger(suspect: Suspect, treated: Sequence[float], control: Sequence[float], tried: int) -> Trigger:
    import numpy as np

    from bvc.compare.beyond import rises

    p_value = min(1.0, tried * rises(treated, control))
    return Trigger(
        word=suspect.word,
        prompts=suspect.prompts,
        fell=suspect.fell,
        with_word=suspect.with_word,
        without=suspect.without,
        hosts=len(treated),
        rose=sum(t > c for t, c in zip(treated, control, strict=True)),
        inserted=float(np.median(treated)),
        control=float(np.median(control)),
        p_value=p_value,
        confirmed=p_value <= STANDS_OUT,
    )


def _result(pair: tuple[Checkpoint, Checkpoint], search: _Search, notes: tuple[str, ...]) -> ExploreResult:
    from bvc.compare.beyond import beyond

    kinds = ("kl", "gain")
    null = {kind: [s.scores[kind] for s in search.null] for kind in kinds}
    standing = beyond(null, {kind: [s.scores[kind] for _, s in search.new] for kind in kinds}, ("gain",))
    proposals = _ranked(search, standing)
    count = 0 if standing.q_value is None else int((standing.q_value <= STANDS_OUT).sum())
    if standing.q_value is None:
        notes += (f"only {len(search.null)} unchanged probes: too few to say which scores lie beyond theirs",)
    return ExploreResult(
        a=pair[0].commit,
        b=pair[1].commit,
        seeds=tuple(p.id for p in search.seeds),
        null=_null_scores(search.null),
        candidates=len(search.new),
        beyond=count,
        triggers=search.triggers,
        proposals=proposals,
        notes=notes,
    )


def _ranked(search: _Search, standing: Beyond) -> tuple[Proposal, ...]:
    """The candidates by score, those left out that nearly repeat a better one."""
    import numpy as np

    labels = {p.id: p.name or p.id[:10] for p in search.known}
    found = search.new
    ranked = [int(i) for i in np.argsort(-standing.score, kind="stable")] if found else []
    kept = [ranked[i] for i in vary.diverse([found[i][0] for i in ranked])]
    out = []
    for rank, i in enumerate(kept, 1):
        variation, scored = found[i]
        q_value = None if standing.q_value is None else float(standing.q_value[i])
        source = None if variation.source is None else labels[variation.source]
        out.append(
            Proposal(
                rank=rank,
                probe=variation.probe,
                rule=variation.rule,
                how=variation.how,
                source=source,
                kl=scored.kl,
                gain=scored.gain,
                score=float(standing.score[i]),
                q_value=q_value,
                beyond=q_value is not None and q_value <= STANDS_OUT,
                answer_a=scored.capture.answer_a.text,
                answer_b=scored.capture.answer_b.text,
            )
        )
    return tuple(out)


def _null_scores(null: Sequence[Scored]) -> NullScores:
    import numpy as np

    if not null:
        return NullScores(0, 0.0, 0.0, 0.0, 0.0)
    (kl, kl_95), (gain, gain_95) = (np.quantile([s.scores[k] for s in null], (0.5, 0.95)) for k in ("kl", "gain"))
    return NullScores(len(null), float(kl), float(kl_95), float(gain), float(gain_95))


def _suite(repository: Repository, name: str) -> Suite:
    """The suite of that name as it is, empty where there is none. Raises BadInput for a bad name or file."""
    path = repository.probes_folder / f"{name}.jsonl"
    if checked_name(path) != name:
        raise BadInput("is a path, not the name of a suite", file=name)
    return load_suite(path) if path.exists() else Suite(name, ())


def _add(repository: Repository, result: ExploreResult, suite: Suite, ranks: Sequence[int] | None) -> Added:
    """Appends the chosen proposals to the suite; probes that it holds already stay as they are."""
    chosen = picked(result.proposals, ranks)
    new = vary.distinct([Variation(_tagged(p), p.rule, p.how) for p in chosen], suite.probes)
    if new:
        path = repository.probes_folder / f"{suite.name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_suite(path, Suite(suite.name, (*suite.probes, *(v.probe for v in new))))
    return Added(suite.name, tuple(v.probe.id for v in new), len(chosen) - len(new))


def _tagged(proposal: Proposal) -> Probe:
    """The proposal's probe under its own tags: those of the probe it came from would say what was not looked at."""
    origin = proposal.source or "sampling"
    return replace(proposal.probe, tags=(EXPLORED, f"from:{origin}"))
