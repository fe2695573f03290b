"""features exclusive: what only one of two models has, from their streams to a note of the repository. Loads torch."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from bvc.api.checkpoints import Checkpoint, PairOptions, checkpoint_pair, loaded_model, pair_recipe
from bvc.api.exclusive_found import Reading, described
from bvc.api.exclusive_records import ExclusiveOptions
from bvc.api.exclusive_streams import BATCH, Side, read_streams, source_of
from bvc.api.exclusive_texts import PairedText, paired_texts
from bvc.api.features_corpus import Corpus, corpus_of
from bvc.api.refs import local_offset
from bvc.capture.corpus import CorpusReader
from bvc.capture.hookpoints import blocks_passed, layer_name
from bvc.capture.load import Source, load_tokenizer
from bvc.capture.prompts import Prompts
from bvc.errors import BadInput, NotComparable, UsageError
from bvc.exclusive import METHODS, ExclusiveFeatures, ExclusiveResult, ExclusiveSettings
from bvc.features.candidates import Method
from bvc.features.cross_fit import CrossPlan
from bvc.features.crosscoder import Crosscoder
from bvc.features.dedicated import Dedicated
from bvc.features.difference import Difference
from bvc.features.matching import LEAST_SEEDS, find_exclusive
from bvc.features.row_file import RowFile
from bvc.features.run_files import RunFolder
from bvc.ids import digest_value
from bvc.repository.exclusive import keep_exclusive, read_exclusive
from bvc.repository.notes import NoteAuthor
from bvc.repository.repository import Repository
from bvc.repository.snapshot_view import SnapshotView
from bvc.store.locks import FileLock

_PASSES = 6
"""Times that the pairs are gone through where no number of steps is given."""
_ROWS, _ROWS_AGAIN = 16, 8
"""Texts of a pass, and of one when the first model is read again for its null pair."""
_LEAST_PAIRS = 2000
_RATE = 1e-3
_SILENT = 20_000
"""A latent that did not fire in so many rows, or in a fifth of all, is dead."""


@dataclass(frozen=True)
class _Search:
    """A search under way: both commits, what was asked, and where its files lie."""

    views: tuple[SnapshotView, SnapshotView]
    sides: tuple[Checkpoint, Checkpoint]
    corpus: Corpus
    method: str
    what: ExclusiveOptions
    how: PairOptions
    folder: Path

    def source(self, side: int) -> Source:
        """Where the model of a side is and how it may be loaded."""
        return Source(self.sides[side].identity, self.how.allow_pickle, self.how.trust_remote_code)


@dataclass(frozen=True)
class _Read:
    """The rows of both models and of the first one again, with what each side's directions and tokens say."""

    a: RowFile
    again: RowFile
    b: RowFile
    layers: tuple[str, ...] = ()
    readings: tuple[Reading, ...] = ()

    @property
    def firsts(self) -> tuple[RowFile, RowFile]:
        """Those of the first model."""
        return self.a, self.again


def features_exclusive(
    repository: Repository, a: str, b: str, what: ExclusiveOptions, how: PairOptions
) -> ExclusiveResult:
    """Looks for features that only the model of commit `a` or of commit `b` (full ids) has, and keeps what it found.

    What a killed search left is gone on with by the same call, and what the same search found before is returned
    without running anything (not with `again`). Raises UsageError for options that cannot be, EngineError and BadInput
    where a checkpoint cannot be found or read, NotComparable where the method does not fit the two models, Locked
    where another process makes the same search.
    """
    started = time.monotonic()
    _check(what)
    sides = checkpoint_pair(repository, a, b, how)
    method = _usual(what.method, *(side.identity.architecture for side in sides))
    corpus = corpus_of(what.corpus)
    folder = _folder(repository, sides, corpus, method, what, how)
    search = _Search((repository.snapshot(a), repository.snapshot(b)), sides, corpus, method, what, how, folder)
    if not what.again:
        for kept in read_exclusive(repository.store, a, b):
            if (kept.a, kept.b) == (a, b) and _asked(search, kept):
                return ExclusiveResult(sides[0].commit, sides[1].commit, kept, kept=True)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock", "this search", timeout=0):
        found = _run(repository, search, started)
        now = int(time.time())
        keep_exclusive(repository.store, found, NoteAuthor(what.author, now, local_offset(now)))
        shutil.rmtree(folder)
    return ExclusiveResult(sides[0].commit, sides[1].commit, found, kept=False)


def _check(what: ExclusiveOptions) -> None:
    if what.seeds < LEAST_SEEDS:
        raise UsageError(f"features of one model only need {LEAST_SEEDS} seeds or more", hint="--seeds 3")
    if what.method not in (None, *METHODS):
        raise UsageError(f"there is no method {what.method!r}", hint=f"methods are {', '.join(METHODS)}")
    if not 0 < what.k <= what.latents:
        raise UsageError("a coder needs 0 < k <= latents")


def _usual(wanted: str | None, a: str | None, b: str | None) -> str:
    """The method: `wanted`, else by whether both models are of one architecture."""
    return wanted or ("crosscoder" if a is not None and a == b else "dedicated")


def _steps(what: ExclusiveOptions) -> int:
    return what.steps or max(1, _PASSES * what.tokens // BATCH)


def _folder(
    repository: Repository,
    sides: tuple[Checkpoint, Checkpoint],
    corpus: Corpus,
    method: str,
    what: ExclusiveOptions,
    how: PairOptions,
) -> Path:
    """The folder of one search: that of the same search begun before."""
    asked = {name: value for name, value in asdict(what).items() if name not in ("again", "author", "corpus")}
    models = [side.identity.fingerprint for side in sides]
    commits = [side.commit.id for side in sides]
    key = digest_value("features-exclusive/1", [models, commits, list(corpus.names), method, asked, how.dtype])
    return repository.captures_folder.parent / "features" / key[:32]


def _asked(search: _Search, kept: ExclusiveFeatures) -> bool:
    """Whether a kept search is the one asked for."""
    settings, what = kept.settings, search.what
    wanted = (search.method, _names(search), what.tokens, what.latents, what.k, _steps(what), what.seeds)
    had = (settings.method, settings.corpus, settings.tokens, settings.latents, settings.k, settings.steps)
    models = tuple(side.identity.fingerprint for side in search.sides)
    return wanted == (*had, settings.seeds) and models == (settings.model_a, settings.model_b)


def _names(search: _Search) -> tuple[str, ...]:
    depth = f"depth {search.what.depth:g}"
    return (depth, *(["suites of both commits"] if search.what.suite else []), *search.corpus.names)


def _run(repository: Repository, search: _Search, started: float) -> ExclusiveFeatures:
    what, how = search.what, search.how
    texts = _texts(search)
    read = _Read(RowFile(search.folder / "a", 0), RowFile(search.folder / "again", 0), RowFile(search.folder / "b", 0))
    for side in (0, 1):
        read = _read_side(repository, search, side, texts, read)
    device = pair_recipe(repository, search.sides[0].identity, how).device
    source, again = (source_of((read.a, other), texts, device) for other in (read.b, read.again))
    if search.method != "dedicated" and source.widths[0] != source.widths[1]:
        raise NotComparable(
            f"the method {search.method} needs streams of one width, not {' and '.join(map(str, source.widths))}",
            hint="--method dedicated takes any two models",
        )
    found = find_exclusive(
        source,
        _coders(search.method, what),
        range(what.seeds),
        recapture=again,
        progress=lambda step, steps: how.step("steps of all fits", step, steps),
        kept=RunFolder(search.folder, device),
    )
    a, b = search.sides
    settings = ExclusiveSettings(
        model_a=a.identity.fingerprint,
        model_b=b.identity.fingerprint,
        layer_a=read.layers[0],
        layer_b=read.layers[1],
        method=search.method,
        corpus=_names(search),
        tokens=what.tokens,
        latents=what.latents,
        k=what.k,
        steps=_steps(what),
        seeds=what.seeds,
    )
    return described(found, (a.commit.id, b.commit.id), settings, source, texts, read.readings, started)


def _read_side(repository: Repository, search: _Search, side: int, texts: Sequence[PairedText], read: _Read) -> _Read:
    """Reads one model, the first one twice, and then lets go of it: two models are never in memory at once."""
    how, own = search.how, Side.second(texts) if side else Side.first(texts)
    with loaded_model(repository, search.sides[side], how) as loaded:
        blocks = int(loaded.core.config.get_text_config().num_hidden_layers)
        layer = layer_name(blocks_passed(search.what.depth, blocks))
        reader = CorpusReader(loaded, layer, rows=_ROWS)
        reading = Reading(reader.lens(), reader.text)
        told = partial(how.step, f"tokens read by {search.sides[side].identity.name}")
        files = [replace(read.b, width=reader.width)] if side else [replace(f, width=reader.width) for f in read.firsts]
        read_streams(reader, own, files[0], told)
        if not side:
            again = CorpusReader(loaded, layer, rows=_ROWS_AGAIN)
            read_streams(again, own, files[1], partial(how.step, "tokens read again, for the null pair"))
    layers, readings = (*read.layers, layer), (*read.readings, reading)
    if side:
        return replace(read, b=files[0], layers=layers, readings=readings)
    return replace(read, a=files[0], again=files[1], layers=layers, readings=readings)


def _coders(method: str, what: ExclusiveOptions) -> Method:
    """The coder to fit, with the sizes asked for."""
    steps, rows = _steps(what), what.tokens
    plan = CrossPlan(
        what.latents,
        what.k,
        first_k=4 * what.k,
        anneal=steps // 5,
        steps=steps,
        rate=_RATE,
        dead_after=min(_SILENT, rows // 5),
    )
    if method == "dedicated":
        return Dedicated(plan)
    return Crosscoder(plan) if method == "crosscoder" else Difference(plan)


def _texts(search: _Search) -> list[PairedText]:
    prompts = tuple(Prompts(load_tokenizer(search.source(side)), ()) for side in (0, 1))
    texts = []
    read = 0
    what = search.what
    for text in paired_texts(search.views, (prompts[0], prompts[1]), search.corpus, what.suite, what.tokens):
        texts.append(text)
        read += len(text)
        search.how.step("tokens paired", min(read, search.what.tokens), search.what.tokens)
    if read < _LEAST_PAIRS:
        raise BadInput(
            f"the texts have {read:,} tokens that both models see alike, fewer than {_LEAST_PAIRS:,}",
            hint="give texts with --corpus FILE",
        )
    return texts
