"""The JSON documents of the public contract, one function per document. Each names its schema; ids are full hex."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bvc.records import BehaviorRate, CommitInfo, Json, ModelIdentity, Snapshot, Suite
from bvc.render.commits import probe_count
from bvc.render.dates import iso_date
from bvc.results import (
    BranchEntry,
    CommitResult,
    FsckResult,
    LogEntry,
    LogStat,
    ProbeView,
    ReflogEntry,
    ShowResult,
    StatusResult,
    SuiteSummary,
)


def commit_document(result: CommitResult) -> Json:
    """`bvc.commit/1`."""
    return {
        "schema": "bvc.commit/1",
        "commit": result.commit,
        "parents": list(result.parents),
        "branch": result.branch,
        "subject": result.subject,
        "model": _model(result.model),
        "captured": result.captured,
        "reused": result.reused,
        "seconds": round(result.seconds, 3),
        "notes": list(result.notes),
    }


def _model(model: ModelIdentity, location: str | None = None) -> Json:
    return {**model.to_json(), "location": model.location if location is None else location}


def behavior_rate(rate: BehaviorRate) -> Json:
    """A behavior's rate with its interval; no rate where nothing was scored."""
    return {"name": rate.name, "rate": rate.rate if rate.n else None, "n": rate.n, "ci": list(rate.ci)}


def log_document(entries: Iterable[LogEntry]) -> Json:
    """`bvc.log/1`."""
    return {"schema": "bvc.log/1", "commits": [_log_entry(entry) for entry in entries]}


def _log_entry(entry: LogEntry) -> Json:
    out = _commit(entry.commit, entry.refs)
    if entry.summary is not None:
        out["stat"] = _stat(entry.summary)
    if entry.behavior is not None:
        out["behavior"] = behavior_rate(entry.behavior)
    if entry.answers is not None:
        out["answers"] = {"probes": entry.answers.probes, "shown": [asdict(c) for c in entry.answers.shown]}
    return out


def _commit(commit: CommitInfo, refs: Sequence[str]) -> Json:
    """What every document says about a commit."""
    location = next(iter(commit.trailers.get("Bvc-Location", ())), None)
    snapshot = commit.snapshot
    return {
        "commit": commit.id,
        "parents": list(commit.parents),
        "refs": list(refs),
        "subject": commit.subject,
        "author": commit.author,
        "date": iso_date(commit.date, commit.timezone),
        "model": None if snapshot is None else _model(snapshot.model, location),
        "suites": [] if snapshot is None else _suites(snapshot),
        "probes": probe_count(snapshot),
        "capability": None if snapshot is None or snapshot.capability is None else str(snapshot.capability),
    }


def _suites(snapshot: Snapshot) -> list[Json]:
    return [{"name": s.name, "digest": s.digest, "probes": s.probes} for s in snapshot.suites]


def _stat(stat: LogStat) -> Json:
    out: Json = {"changed_text": stat.changed_text, "added": stat.added, "removed": stat.removed}
    return out if stat.shift is None else {**out, "shift": asdict(stat.shift)}


def show_document(result: ShowResult) -> Json:
    """`bvc.show/1`: the commit as in `bvc.log/1`, its message, tree, recipe and noise, and the probe asked for."""
    commit = result.commit
    snapshot = commit.snapshot
    recipe = None if snapshot is None else snapshot.recipe
    return {
        "schema": "bvc.show/1",
        **_commit(commit, result.refs),
        "message": commit.message,
        "tree": commit.tree,
        "trailers": {name: list(values) for name, values in commit.trailers.items()},
        "recipe": None if recipe is None else recipe.to_json(),
        "noise": {} if snapshot is None else finite(dict(snapshot.noise)),
        "counts": {} if snapshot is None else dict(snapshot.counts),
        "stat": None if result.stat is None else _stat(result.stat),
        "probe": None if result.probe is None else _probe_view(result.probe),
    }


def _probe_view(view: ProbeView) -> Json:
    return {
        "id": view.probe.id,
        "name": view.probe.name,
        "suite": view.suite,
        "tags": list(view.probe.tags),
        "input": input_json(view.probe.to_json()),
        "outputs": {key: value for key, value in view.outputs.to_json().items() if key != "version"},
        "reference": None if view.reference is None else view.reference.to_json(),
        "tokens": [
            {"text": text, "logprob": finite_number(logprob), "entropy": finite_number(entropy)}
            for text, logprob, entropy in zip(view.tokens, view.logprobs, view.entropies, strict=False)
        ],
    }


def input_json(probe: Mapping[str, Any]) -> Json:
    """What the model is asked: `messages` or `prompt`, and the token limit where the probe has its own."""
    return {key: probe[key] for key in ("messages", "prompt", "max_new_tokens") if key in probe}


def side_json(commit: CommitInfo) -> Json:
    """A commit as documents about two of them name it: id, subject, model."""
    model = None if commit.snapshot is None else _model(commit.snapshot.model)
    return {"commit": commit.id, "subject": commit.subject, "model": model}


def status_document(result: StatusResult) -> Json:
    """`bvc.status/1`."""
    return {
        "schema": "bvc.status/1",
        "branch": result.branch,
        "head": None if result.head is None else side_json(result.head),
        "suites": [{"name": s.name, "state": s.state, "added": s.added, "removed": s.removed} for s in result.suites],
        "behaviors_changed": result.behaviors_changed,
        "uncommitted": list(result.uncommitted),
        "interrupted": [{"model": name, "probes": done} for name, done in result.interrupted],
        "bisect": None if result.bisect is None else {"question": result.bisect[0], "visits": result.bisect[1]},
    }


def fsck_document(result: FsckResult) -> Json:
    """`bvc.fsck/1`."""
    return {
        "schema": "bvc.fsck/1",
        "ok": result.ok,
        "checked": dict(result.checked),
        "problems": [{"kind": p.kind, "object": p.object, "detail": p.detail} for p in result.problems],
    }


def branches_document(entries: Sequence[BranchEntry]) -> Json:
    """`bvc.branches/1`."""
    return {
        "schema": "bvc.branches/1",
        "branches": [{"name": e.name, "commit": e.commit, "subject": e.subject, "current": e.current} for e in entries],
    }


def tags_document(entries: Sequence[BranchEntry]) -> Json:
    """`bvc.tags/1`."""
    rows = [{"name": e.name, "commit": e.commit, "subject": e.subject} for e in entries]
    return {"schema": "bvc.tags/1", "tags": rows}


def reflog_document(ref: str, entries: Sequence[ReflogEntry]) -> Json:
    """`bvc.reflog/1`, newest first."""
    rows = [
        {"index": e.index, "old": e.old, "new": e.new, "message": e.message, "date": iso_date(e.date, e.timezone)}
        for e in entries
    ]
    return {"schema": "bvc.reflog/1", "ref": ref, "entries": rows}


def suites_document(suites: Sequence[SuiteSummary]) -> Json:
    """`bvc.suites/1`."""
    return {"schema": "bvc.suites/1", "suites": [_suite_summary(suite) for suite in suites]}


def _suite_summary(suite: SuiteSummary) -> Json:
    return {
        "name": suite.name,
        "probes": suite.probes,
        "digest": suite.digest,
        "tags": dict(suite.tags),
        "duplicates": suite.duplicates,
    }


def suite_document(suite: Suite) -> Json:
    """`bvc.suite/1`: every probe in the form of the suite file; `id` is the hash, `name` the user's label."""
    probes = [{**probe.to_json(), "id": probe.id, "name": probe.name} for probe in suite.probes]
    return {"schema": "bvc.suite/1", "name": suite.name, "digest": suite.digest, "probes": probes}


def ids_document(schema: str, revisions: Sequence[str], ids: Sequence[str]) -> Json:
    """`bvc.rev-parse/1` and `bvc.merge-base/1`: what was asked and the full ids that answer it."""
    return {"schema": schema, "revisions": list(revisions), "ids": list(ids)}


def object_document(name: str, kind: str, size: int, data: bytes) -> Json:
    """`bvc.cat-file/1`: `text` where the content is UTF-8, else `base64`."""
    out: Json = {"schema": "bvc.cat-file/1", "object": name, "kind": kind, "size": size}
    try:
        out["text"] = data.decode("utf-8")
    except UnicodeDecodeError:
        out["base64"] = base64.b64encode(data).decode("ascii")
    return out


def config_document(values: Mapping[str, Any]) -> Json:
    """`bvc.config/1`: settings by dotted key."""
    return {"schema": "bvc.config/1", "values": dict(values)}


def init_document(root: str, created: Sequence[str], kept: Sequence[str]) -> Json:
    """`bvc.init/1`."""
    return {"schema": "bvc.init/1", "root": root, "created": list(created), "kept": list(kept)}


def version_document(version: str, format_version: int, python: str, packages: Mapping[str, str | None]) -> Json:
    """`bvc.version/1`; a package that is not installed has version null."""
    return {
        "schema": "bvc.version/1",
        "version": version,
        "format": format_version,
        "python": python,
        "packages": dict(packages),
    }


def finite(value: Any) -> Any:
    """`value` with every NaN and infinity, which JSON cannot carry, as null."""
    if isinstance(value, float):
        return finite_number(value)
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value


def finite_number(value: float | None) -> float | None:
    """`value`, or None where it is missing, NaN or infinite."""
    return value if value is not None and math.isfinite(value) else None
