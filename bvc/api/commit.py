"""commit: capture a checkpoint, or take recorded outputs, and record it in the lineage."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from bvc.api.commit_records import Captures, CommitOptions, Target
from bvc.api.lineage import location_line
from bvc.api.refs import local_offset
from bvc.errors import UsageError
from bvc.records import ModelIdentity, Snapshot
from bvc.repository.repository import BEHAVIORS_FILE, Repository
from bvc.repository.revisions import resolve
from bvc.repository.snapshot_writer import SnapshotDraft, write_snapshot
from bvc.results import CommitResult
from bvc.store.transaction import CommitDraft


def commit(repository: Repository, options: CommitOptions) -> CommitResult:
    """Captures what no earlier commit holds (all without `options.reuse`), writes the snapshot and moves the branch.

    Raises UsageError for contradicting options, BadInput for files that cannot be used, EngineError when the model
    fails. An interrupted capture is kept and resumed by the next commit of the same checkpoint.
    """
    started = time.monotonic()
    _check(options)
    target = commit_target(repository, options.parents)
    captures = _captures(repository, options, target)
    try:
        new, extra = _write(repository, options, target, captures)
    except BaseException:
        captures.finish(False)
        raise
    captures.finish(True)
    info = repository.store.history.info(new)
    return CommitResult(
        commit=new,
        parents=info.parents,
        branch=target.branch,
        subject=info.subject,
        model=replace(captures.snapshot.model, location=_location(options)),
        captured=captures.captured,
        reused=len(captures.sources) - captures.captured,
        seconds=time.monotonic() - started,
        notes=(*captures.notes, *extra),
    )


def _check(options: CommitOptions) -> None:
    if (options.checkpoint is None) == (options.outputs is None):
        raise UsageError("give a CHECKPOINT or --outputs FILE, one of the two", hint="see `bvc commit --help`")
    if options.outputs is not None and not options.model:
        raise UsageError("--outputs needs --model NAME", hint="the name is how the log will call this model")
    if options.outputs is not None and not options.capture:
        raise UsageError("--outputs and --no-capture exclude each other")
    if not options.reuse and (options.outputs is not None or not options.capture):
        other = "--no-capture" if options.outputs is None else "--outputs"
        raise UsageError(f"{other} and --no-reuse exclude each other", hint="--no-reuse is about running a model")
    for name in ("draws", "max_new_tokens", "batch_size"):
        value = getattr(options, name)
        if value is not None and value < (0 if name == "draws" else 1):
            raise UsageError(f"--{name.replace('_', '-')} must be positive, not {value}")


def commit_target(repository: Repository, parents: Sequence[str]) -> Target:
    """The ref that a commit moves and its parents: those named, else the tip."""
    head = repository.store.refs.head()
    named = tuple(dict.fromkeys(resolve(repository, parent) for parent in parents))
    default = () if head.commit is None else (head.commit,)
    ref = "HEAD" if head.branch is None else f"refs/heads/{head.branch}"
    return Target(ref, head.branch, head.commit, named or default, bool(named))


def _captures(repository: Repository, options: CommitOptions, target: Target) -> Captures:
    if options.outputs is not None:
        from bvc.api.recorded import recorded_captures

        return recorded_captures(repository, options)
    from bvc.api.capture import captures, registration

    return captures(repository, options, target) if options.capture else registration(repository, options)


def _write(
    repository: Repository, options: CommitOptions, target: Target, captures: Captures
) -> tuple[str, tuple[str, ...]]:
    """Everything from tiles to the ref; returns the commit and remarks."""
    now = int(time.time())
    with repository.store.begin() as transaction:
        behaviors = repository.root / BEHAVIORS_FILE
        draft = SnapshotDraft(
            snapshot=captures.snapshot,
            suites=captures.suites,
            sources=captures.sources,
            recaptures=captures.recaptures,
            bucket_table=captures.bucket_table,
            token_texts=captures.token_texts,
            behaviors=behaviors.read_bytes() if behaviors.is_file() else None,
            dictionary=captures.dictionary,
        )
        tree = write_snapshot(transaction, draft)
        new = transaction.commit(
            CommitDraft(
                tree=tree,
                parents=target.parents,
                message=_message(options, captures.snapshot),
                author=options.author,
                date=now,
                timezone=local_offset(now),
                snapshot=captures.snapshot,
            ),
            ref=target.ref,
            expected=target.tip,
            reparent=not target.explicit,
        )
    with suppress(OSError):  # the commit stands; without the note it only costs time
        for key in captures.keys:
            repository.store.index.add_capture_source(key, new)
    return new, _keep_former_tip(repository, options, target, new)


def _location(options: CommitOptions) -> str | None:
    """Where the checkpoint or file was: a path, or the hub id."""
    path = (options.outputs or Path(options.checkpoint or "")).expanduser()
    return str(path.resolve()) if path.exists() else options.checkpoint


def _message(options: CommitOptions, snapshot: Snapshot) -> str:
    """The user's message (default: what kind of model it is) and the trailers, without the Merkle root."""
    model = snapshot.model
    text = (options.message or _subject(model)).strip() or _subject(model)
    trailers = [f"Bvc-Model: {_one_line(model.name)} sha256:{model.fingerprint}"]
    trailers += [f"Bvc-Suite: {suite.name} sha256:{suite.digest}" for suite in snapshot.suites]
    location = _location(options)
    if location is not None:
        trailers.append(f"Bvc-Location: {location_line(location)}")
    return f"{text}\n\n" + "\n".join(trailers) + "\n"


def _subject(model: ModelIdentity) -> str:
    base = "" if model.base is None else f" on {model.base.name}"
    return _one_line(f"{model.name}{base}")


def _one_line(text: str) -> str:
    return " ".join(text.split()) or "unnamed"


def _keep_former_tip(repository: Repository, options: CommitOptions, target: Target, new: str) -> tuple[str, ...]:
    """Parents given by the user may leave the branch's former tip behind; a branch of its own keeps it reachable."""
    store, tip, now = repository.store, target.tip, int(time.time())
    if not target.explicit or tip is None or store.history.is_ancestor(tip, new):
        return ()
    if any(store.refs.peel(name) == tip for name in store.refs.all() if name != target.ref):
        return ()
    name = f"{target.branch or 'detached'}-{tip[:7]}"
    reason = "branch: kept by commit --parent"
    store.refs.update(f"refs/heads/{name}", tip, None, reason, options.author, now, local_offset(now))
    return (f"{target.branch or 'HEAD'} moved to a sibling of its former tip, which is kept as branch {name}",)
