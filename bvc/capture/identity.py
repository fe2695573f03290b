"""Which model a checkpoint is: found on disk or on the hub, checked to be whole, named by content. No torch here.

What is wrong with files the user named (no model folder, weights missing, truncated or pickled, an adapter whose base
is not found) raises BadInput; what is wrong with reaching the hub raises EngineError.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bvc.capture.hub import HubId, cached_snapshot, default_cache, download_snapshot
from bvc.capture.tokenizer_files import has_tokenizer, tokenizer_digest
from bvc.capture.weights import (
    DigestCache,
    MemoryDigestCache,
    WeightFile,
    adapter_weights,
    digest_file,
    digest_weights,
    has_model_weights,
    model_weights,
    read_json_object,
)
from bvc.codec import canonical
from bvc.errors import BadInput, EngineError
from bvc.ids import digest, digest_value
from bvc.records import ModelIdentity
from bvc.results import Progress

__all__ = ["DigestCache", "MemoryDigestCache", "earlier_checkpoints", "identify", "tokenizer_folder"]

MAX_CHAIN = 8
"""Adapters on adapters are followed this far; more is a loop."""
_CONFIG, _ADAPTER, _GENERATION = "config.json", "adapter_config.json", "generation_config.json"
_TRAINER_STEP = re.compile(r"checkpoint-(\d+)")
_VOLATILE = frozenset(
    {"_name_or_path", "name_or_path", "transformers_version", "torch_dtype", "dtype", "_from_model_config"}
)
"""Config keys that say where and by what a folder was written, not what the model is (precision is in the recipe)."""
_ADAPTER_VOLATILE = frozenset(
    {"base_model_name_or_path", "revision", "inference_mode", "peft_version", "runtime_config"}
)


@dataclass(frozen=True)
class _Search:
    """What stays the same while a chain of adapters is followed."""

    known: DigestCache
    allow_pickle: bool
    cache: Path
    progress: Callable[[Progress], None] | None


def identify(
    checkpoint: str,
    *,
    base: str | None = None,
    known: DigestCache | None = None,
    allow_pickle: bool = False,
    hub_cache: Path | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> ModelIdentity:
    """The identity of a Hugging Face folder, a PEFT adapter folder or a hub id (`OWNER/NAME[@REVISION]`).

    `base` is the base of an adapter whose config does not lead to one; `known` remembers digests of unchanged files;
    pickled weights are refused without `allow_pickle`; `hub_cache` is the local cache of the hub's snapshots. The
    fingerprint covers weights and configs (of an adapter, its base's too) and stays when a folder is renamed, moved
    or reached through a link. `location` of the result and of its bases is the folder to load.
    Raises BadInput or EngineError as the module says.
    """
    search = _Search(known or MemoryDigestCache(), allow_pickle, hub_cache or default_cache(), progress)
    return _identify(checkpoint, base, search, 0)


def tokenizer_folder(identity: ModelIdentity) -> Path:
    """The folder whose tokenizer the model uses: an adapter's own where it has one, else its base's."""
    if identity.location is None:
        raise ValueError("the identity was not found on disk")
    folder = Path(identity.location)
    return folder if identity.base is None or has_tokenizer(folder) else tokenizer_folder(identity.base)


def earlier_checkpoints(folder: Path) -> tuple[Path, ...]:
    """Sibling folders `checkpoint-M` with a smaller step than the Trainer folder `checkpoint-N`, latest first."""
    own = _TRAINER_STEP.fullmatch(folder.name)
    if own is None or not folder.parent.is_dir():
        return ()
    steps = [(int(m[1]), path) for path in folder.parent.iterdir() if (m := _TRAINER_STEP.fullmatch(path.name))]
    return tuple(path for step, path in sorted(steps, reverse=True) if step < int(own[1]) and path.is_dir())


def _identify(checkpoint: str, base: str | None, search: _Search, depth: int) -> ModelIdentity:
    if depth > MAX_CHAIN:
        raise BadInput(
            f"more than {MAX_CHAIN} adapters on one another", file=checkpoint, hint="does one lead to itself?"
        )
    given = Path(checkpoint).expanduser()
    if given.is_dir():
        return _identify_folder(given, base, search, depth)
    if given.exists():
        raise BadInput("is a file; a checkpoint is a folder", file=checkpoint, hint=f"did you mean {given.parent}?")
    return _identify_hub(checkpoint, base, search, depth)


def _identify_hub(checkpoint: str, base: str | None, search: _Search, depth: int) -> ModelIdentity:
    hub_id = HubId.parse(checkpoint)
    folder = None if hub_id is None else cached_snapshot(hub_id, search.cache)
    parent = Path(checkpoint).parent
    if hub_id is None or (folder is None and parent != Path() and parent.is_dir()):
        raise BadInput("there is no such folder", file=checkpoint)
    if folder is None or not _is_whole(folder):
        folder = download_snapshot(hub_id, search.cache)
    found = _identify_folder(folder, base, search, depth)
    facts = {**found.facts, "hub": hub_id.repo, "hub_revision": folder.name}
    return replace(found, name=hub_id.repo, kind="hub" if found.kind == "hf" else found.kind, facts=facts)


def _is_whole(snapshot: Path) -> bool:
    """Whether a cached snapshot has its weights: other tools fetch configs alone."""
    return has_model_weights(snapshot) or (snapshot / _ADAPTER).exists()


def _identify_folder(given: Path, base: str | None, search: _Search, depth: int) -> ModelIdentity:
    folder = given.resolve()
    name = _name(given)
    if (folder / _ADAPTER).exists():
        return _adapter(folder, name, base, search, depth)
    if not (folder / _CONFIG).exists():
        raise _not_a_model(given)
    if base is not None:
        raise BadInput("is a whole model, so --base does not apply", file=str(given))
    return _whole_model(folder, name, search)


def _name(given: Path) -> str:
    """The folder's name as the user wrote it, with its run's name for a Trainer's `checkpoint-N`."""
    path = Path.cwd() / given
    path = path.resolve() if path.name in ("", "..") else path
    name = f"{path.parent.name}/{path.name}" if _TRAINER_STEP.fullmatch(path.name) and path.parent.name else path.name
    return "".join(c if c.isprintable() else "?" for c in name)


def _not_a_model(given: Path) -> BadInput:
    inside = sorted(p.name for p in given.iterdir() if (p / _CONFIG).exists() or (p / _ADAPTER).exists())
    hint = (
        f"did you mean {given / inside[-1]}?" if inside else "give a Hugging Face model folder or a PEFT adapter folder"
    )
    return BadInput(f"is not a model folder (no {_CONFIG} or {_ADAPTER})", file=str(given), hint=hint)


def _whole_model(folder: Path, name: str, search: _Search) -> ModelIdentity:
    config = read_json_object(folder / _CONFIG)
    files = model_weights(folder, allow_pickle=search.allow_pickle)
    parts = _weights_parts(files, search) | {f"config/{k}": v for k, v in _config_digests(folder, config).items()}
    if config.get("auto_map"):  # the model's code is in the folder
        for code in sorted(folder.glob("*.py")):
            parts[f"code/{code.name}"] = digest_file(code, search.known, lambda data: digest("file/1", data), "raw-1")
    return ModelIdentity(
        name=name,
        fingerprint=digest_value("model/1", parts),
        kind="hf",
        tokenizer=tokenizer_digest(folder, search.known),
        architecture=_architecture(config),
        facts=_trainer_facts(folder),
        location=str(folder),
    )


def _weights_parts(files: list[WeightFile], search: _Search) -> dict[str, str]:
    digests = digest_weights(files, search.known, search.progress)
    return {f"weights/{role}": sha for role, sha in digests.items()}


def _config_digests(folder: Path, config: Mapping[str, Any]) -> dict[str, str]:
    values: dict[str, Mapping[str, Any]] = {_CONFIG: config}
    if (folder / _GENERATION).exists():
        values[_GENERATION] = read_json_object(folder / _GENERATION)
    return {name: digest("config/1", canonical(_stable(value, _VOLATILE))) for name, value in values.items()}


def _stable(value: Any, volatile: frozenset[str]) -> Any:
    """A config without volatile and null entries, at every depth."""
    if isinstance(value, Mapping):
        return {k: _stable(v, volatile) for k, v in value.items() if k not in volatile and v is not None}
    return [_stable(item, volatile) for item in value] if isinstance(value, list) else value


def _architecture(config: Mapping[str, Any]) -> str | None:
    named = config.get("architectures")
    found = named[0] if isinstance(named, list) and named else config.get("model_type")
    return found if isinstance(found, str) else None


def _trainer_facts(folder: Path) -> dict[str, Any]:
    """The step of a Trainer's checkpoint folder and the folder of the step before, where there is one."""
    state = folder / "trainer_state.json"
    if not state.exists():
        return {}
    step = read_json_object(state).get("global_step")
    facts: dict[str, Any] = {"trainer_step": step} if isinstance(step, int) else {}
    earlier = earlier_checkpoints(folder)
    return {**facts, "trainer_previous": earlier[0].name} if earlier else facts


def _adapter(folder: Path, name: str, base: str | None, search: _Search, depth: int) -> ModelIdentity:
    if has_model_weights(folder):
        raise BadInput(
            "holds both a whole model and an adapter, so it is unclear what it is",
            file=str(folder),
            hint=f"move {_ADAPTER} and the adapter's weights to a folder of their own",
        )
    config = read_json_object(folder / _ADAPTER)
    files = adapter_weights(folder, allow_pickle=search.allow_pickle)
    below = _base(folder, config, base, search, depth)
    parts = _weights_parts(files, search)
    parts["config"] = digest("config/1", canonical(_stable(_sorted_names(config), _ADAPTER_VOLATILE)))
    parts["base"] = below.fingerprint
    own_tokenizer = tokenizer_digest(folder, search.known)
    return ModelIdentity(
        name=name,
        fingerprint=digest_value("adapter/1", parts),
        kind="peft",
        tokenizer=below.tokenizer if own_tokenizer is None else own_tokenizer,
        architecture=below.architecture,
        base=below,
        facts={**_trainer_facts(folder), "base": below.fingerprint},
        location=str(folder),
    )


def _sorted_names(config: Mapping[str, Any]) -> dict[str, Any]:
    """PEFT saves sets of module names as lists, in any order."""
    return {
        k: sorted(v) if isinstance(v, list) and all(isinstance(item, str) for item in v) else v
        for k, v in config.items()
    }


def _base(folder: Path, config: Mapping[str, Any], base: str | None, search: _Search, depth: int) -> ModelIdentity:
    if base is not None:
        return _identify(base, None, search, depth + 1)
    named = config.get("base_model_name_or_path")
    if not isinstance(named, str) or not named:
        raise _no_base(folder, "it names none")
    for candidate in (folder / named, Path.cwd() / named):
        if candidate.is_dir():
            return _identify(str(candidate), None, search, depth + 1)
    hub_id = HubId.parse(named)
    if hub_id is None:
        raise _no_base(folder, f"there is no folder {named}")
    revision = config.get("revision")
    full = named if "@" in named or not isinstance(revision, str) or not revision else f"{named}@{revision}"
    try:
        return _identify_hub(full, None, search, depth + 1)
    except EngineError as error:
        raise _no_base(folder, f"{named} is neither a folder nor in the local cache, and {error.message}") from error


def _no_base(folder: Path, why: str) -> BadInput:
    return BadInput(
        f"the adapter's base cannot be found: {why}", file=str(folder / _ADAPTER), hint="say where it is: --base FOLDER"
    )
