"""features fit: a dictionary of the model of one commit, from its streams to an object of the repository."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bvc.api.checkpoints import Checkpoint, PairOptions, find_checkpoint, loaded_model
from bvc.api.features import store_dictionary
from bvc.api.features_corpus import FitTexts, Streams, Window, fitted_on, loss_kept
from bvc.api.features_records import FitOptions, FitResult
from bvc.capture.corpus import CorpusReader
from bvc.capture.hookpoints import blocks_passed, layer_name
from bvc.dictionaries import DictionaryCard, LatentCard, StoredDictionary
from bvc.errors import UnknownRevision
from bvc.features.cached import CachedSource
from bvc.features.fit import FitPlan, FitProgress, FittedDictionary, fit_dictionary
from bvc.features.strongest import Place, Strongest
from bvc.ids import digest_value
from bvc.repository.dictionaries import check_dictionary_name
from bvc.repository.repository import Repository
from bvc.repository.revisions import resolve
from bvc.store.locks import FileLock

if TYPE_CHECKING:
    from bvc.capture.load import Loaded
    from bvc.features.dictionary import Dictionary

_PASSES = 3
"""Times that the tokens are gone through where no number of steps is given."""
_BATCH, _BUFFER, _HELD_OUT = 1024, 65_536, 8192
_CARD_TOKENS = 50_000
"""Tokens of the corpus from which the cards of the latents are made."""
_LOSS_WINDOWS = 64
_CONTEXTS, _PROMOTED = 6, 8
_CONTEXT_TOKENS = 16


@dataclass(frozen=True)
class _Fit:
    """A fit under way: the model, its corpus, the plan and how progress is told."""

    reader: CorpusReader
    streams: Streams
    plan: FitPlan
    how: PairOptions


def fit(repository: Repository, revision: str | None, what: FitOptions, how: PairOptions) -> FitResult:
    """Fits a dictionary on the model of `revision` (None: the first commit of HEAD's lineage) and stores it.

    What a killed fit left under `.bvc/bvc/tmp/features` is gone on with by the same call. Raises UsageError for a bad
    name, UnknownRevision, BadInput where the checkpoint is not found, the corpus cannot be read or is too small,
    EngineError when the model fails, Locked where another process makes the same fit.
    """
    started = time.monotonic()
    check_dictionary_name(what.name)
    commit = resolve(repository, revision) if revision is not None else _root(repository)
    side = find_checkpoint(repository, commit, what.checkpoint, "--checkpoint PATH", how)
    corpus = fitted_on(repository.snapshot(commit), what)
    with loaded_model(repository, side, how) as loaded:
        layer = _layer(loaded, what.depth)
        reader = CorpusReader(loaded, layer)
        plan = _plan(side, corpus, layer, what, str(reader.device))
        run = _Fit(reader, Streams(reader, corpus, what.tokens, what.fit_seed), plan, how)
        folder = _state(repository, plan, what)
        with FileLock(folder / "lock", "this fit", timeout=0):
            fitted = _run(run, folder, what.tokens)
            stored, cards = _described(run, fitted, corpus, what)
            stored = store_dictionary(repository, stored, fitted.dictionary, cards, what.author)
            shutil.rmtree(folder)
    return FitResult(side.commit, stored, time.monotonic() - started)


def _root(repository: Repository) -> str:
    """The first commit of HEAD's lineage along first parents that has a capture."""
    store = repository.store
    commit = resolve(repository, "HEAD")
    while parents := store.history.info(commit).parents:
        commit = parents[0]
    if store.history.info(commit).snapshot is None:
        raise UnknownRevision("the first commit of HEAD's lineage records no model", hint="name a revision")
    return commit


def _layer(loaded: Loaded, depth: float) -> str:
    blocks = int(loaded.core.config.get_text_config().num_hidden_layers)
    return layer_name(blocks_passed(depth, blocks))


def _plan(side: Checkpoint, corpus: FitTexts, layer: str, what: FitOptions, device: str) -> FitPlan:
    batch = max(1, min(_BATCH, what.tokens // 16))
    return FitPlan(
        layer=layer,
        model=side.identity.fingerprint,
        architecture=side.identity.architecture,
        corpus=digest_value("corpus/1", [*corpus.names, what.tokens]),
        latents=what.latents,
        k=what.k,
        tokens=what.steps * batch if what.steps else _PASSES * what.tokens,
        batch=batch,
        buffer=max(2 * batch, min(_BUFFER, what.tokens // 2)),
        held_out=max(2, min(_HELD_OUT, what.tokens // 20)),
        seed=what.fit_seed,
        device=device,
    )


def _state(repository: Repository, plan: FitPlan, what: FitOptions) -> Path:
    """The folder of one fit: that of the same fit begun before."""
    key = digest_value("features-fit/1", {**plan.settings(), "commit_suite": what.suite})
    folder = repository.captures_folder.parent / "features" / key[:32]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _run(run: _Fit, folder: Path, tokens: int) -> FittedDictionary:
    """Reads the streams once, to a file, and fits on them in several passes."""
    source = CachedSource(run.streams, folder / "streams")
    read = 0
    for batch in source.batches(0):
        read += len(batch.vectors)
        run.how.step("tokens read", min(read, tokens), tokens)

    def told(progress: FitProgress) -> None:
        words = f"steps fitted, {100 * progress.explained:.0f} % explained, {progress.dead} latents dead"
        run.how.step(words, progress.step, progress.steps)

    return fit_dictionary(source, run.plan, folder / "fit", told)


def _described(
    run: _Fit, fitted: FittedDictionary, corpus: FitTexts, what: FitOptions
) -> tuple[StoredDictionary, list[LatentCard]]:
    """The dictionary with its card, and the cards of its latents."""
    dictionary = fitted.dictionary.to(run.plan.device)
    windows = _some(run.streams.windows())
    cards = _latent_cards(run, dictionary, windows)
    quality = fitted.quality
    facts: dict[str, Any] = {
        "corpus": list(corpus.names),
        "trained on": f"{fitted.tokens:,} activations of {what.tokens:,} tokens",
    }
    facts |= {"left out": f"{fitted.dropped:,} outliers", "seed": what.fit_seed, "steps": run.plan.steps}
    card = DictionaryCard(
        name=what.name,
        explained=quality.explained,
        active=quality.active,
        dead=quality.dead,
        tokens=quality.tokens,
        loss_ratio=loss_kept(run.reader, dictionary, windows[:_LOSS_WINDOWS]),
        fit=facts,
    )
    return StoredDictionary(what.name, dictionary.spec, card), cards


def _some(windows: Iterator[Window]) -> list[Window]:
    found: list[Window] = []
    left = _CARD_TOKENS
    for window in windows:
        found.append(window)
        left -= len(window)
        if left <= 0:
            break
    return found


def _latent_cards(run: _Fit, dictionary: Dictionary, windows: Sequence[Window]) -> list[LatentCard]:
    strongest = Strongest(dictionary.encode, dictionary.spec.latents, _CONTEXTS)
    total = sum(len(window) - 1 for window in windows)
    for batch in run.reader.read(windows):
        strongest.add(batch.vectors, batch.window, batch.position)
        run.how.step("tokens looked through for contexts", strongest.tokens, total)
    promoted = run.reader.lens().promoted(dictionary.weights["decoder"], _PROMOTED)
    rates, strengths = strongest.rates.tolist(), strongest.strengths.tolist()
    return [
        LatentCard(
            latent=latent,
            rate=rates[latent],
            strength=strengths[latent],
            contexts=tuple(_context(run.reader, windows, place) for place in strongest.places(latent)),
            promoted=tuple(promoted[latent]),
        )
        for latent in range(dictionary.spec.latents)
    ]


def _context(reader: CorpusReader, windows: Sequence[Window], place: Place) -> tuple[str, float]:
    """The text up to the token where a latent fires, and how strongly."""
    first = max(0, place.position + 1 - _CONTEXT_TOKENS)
    return reader.text(list(islice(windows[place.window], first, place.position + 1))), place.strength
