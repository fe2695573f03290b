"""Checkpoints into memory: Hugging Face folders, and PEFT adapters on a base that is loaded once."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from bvc.capture.engine import EngineOutOfMemory
from bvc.capture.tokenizer_files import has_tokenizer
from bvc.capture.weights import adapter_weights, model_weights
from bvc.errors import BvcError, EngineError
from bvc.records import ModelIdentity, Recipe

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_CODE_HINT = "the model brings its own Python code; use --trust-remote-code if you trust its author"
_MEMORY_WORDS = ("out of memory", "can't allocate memory", "not enough memory", "cannot allocate memory")


@dataclass(frozen=True)
class Source:
    """A checkpoint and what loading it may do."""

    identity: ModelIdentity
    allow_pickle: bool = False
    trust_remote_code: bool = False

    def below(self) -> Source:
        """The base of an adapter. Raises EngineError where it is not known."""
        if self.identity.base is None:
            raise EngineError(f"{self.identity.name} is an adapter and its base model is not known")
        return replace(self, identity=self.identity.base)

    @property
    def folder(self) -> Path:
        """Where the checkpoint is. Raises EngineError for one that is only known by its record."""
        if self.identity.location is None:
            raise EngineError(f"it is not known where the weights of {self.identity.name} are")
        return Path(self.identity.location)


@dataclass(frozen=True)
class Loaded:
    """A model in memory. `core` is the model without adapter; `release` must be called when it is no longer needed."""

    model: Any
    core: Any
    tokenizer: Any
    release: Callable[[], None]


_Key = tuple[str, str, str, bool]
_idle: dict[_Key, Any] = {}
"""The base model that is in memory and not in use, if any: the next adapter on it does not load it again."""


def forget_models() -> None:
    """Frees the model that is kept for the next checkpoint on the same weights, once nothing else holds it."""
    _idle.clear()


def load(source: Source, recipe: Recipe) -> Loaded:
    """Loads a checkpoint in the recipe's dtype onto its device.

    Raises EngineError when it cannot be loaded, EngineOutOfMemory when it does not fit into memory.
    """
    with failures(f"cannot load {source.identity.name}"), _quiet():
        return _load_adapter(source, recipe) if source.identity.kind == "peft" else _load_whole(source, recipe)


def _load_whole(source: Source, recipe: Recipe) -> Loaded:
    model = _take(source, recipe)
    return Loaded(model, model, _tokenizer(source), lambda: _keep(source, recipe, model))


def _load_adapter(source: Source, recipe: Recipe) -> Loaded:
    base = source.below()
    core = _take(base, recipe)
    model = _attach(core, source, recipe)
    return Loaded(model, core, _tokenizer(source), lambda: _keep(source.below(), recipe, model.unload()))


def _attach(core: Any, source: Source, recipe: Recipe) -> Any:
    """An adapter on `core`, unmerged: the base's weights stay as they are."""
    from peft import PeftModel

    config = _adapter_config(source)
    with _whole_adapter(source.folder):
        model = PeftModel.from_pretrained(core, str(source.folder), config=config, torch_device=recipe.device)
    return model.eval()


def attach_second(loaded: Loaded, source: Source, recipe: Recipe, name: str) -> None:
    """Puts another adapter beside the one of `loaded`, on the same base; `loaded.model.set_adapter(name)` turns to it.

    Raises EngineError when it cannot be loaded, EngineOutOfMemory when it does not fit into memory.
    """
    with failures(f"cannot load {source.identity.name}"), _quiet():
        _adapter_config(source)
        with _whole_adapter(source.folder):
            loaded.model.load_adapter(str(source.folder), adapter_name=name, torch_device=recipe.device)
        loaded.model.eval()


def _adapter_config(source: Source) -> Any:
    from peft import PeftConfig

    folder = source.folder
    adapter_weights(folder, allow_pickle=source.allow_pickle)
    config = PeftConfig.from_pretrained(str(folder))
    if config.is_prompt_learning:
        raise EngineError(f"{folder} is a {config.peft_type} adapter, which changes the prompt: not supported")
    return config


@contextlib.contextmanager
def _whole_adapter(folder: Path) -> Iterator[None]:
    """Refuses an adapter of which weights are missing, which PEFT only warns of."""
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        yield
    missing = [str(w.message) for w in raised if "missing adapter keys" in str(w.message)]
    if missing:
        raise EngineError(f"{folder} lacks weights of its adapter: {missing[0][:200]}")


def _key(source: Source, recipe: Recipe) -> _Key:
    return source.identity.fingerprint, recipe.dtype, recipe.device, source.trust_remote_code


def _take(source: Source, recipe: Recipe) -> Any:
    """A model without open adapter, from memory where it is idle there; it is then no longer idle."""
    model = _idle.pop(_key(source, recipe), None)
    if model is not None:
        return model
    if source.identity.kind == "peft":  # an adapter on an adapter: the lower one becomes part of the weights
        return _attach(_take(source.below(), recipe), source, recipe).merge_and_unload()
    _idle.clear()
    return _read_model(source, recipe)


def _keep(source: Source, recipe: Recipe, model: Any) -> None:
    _idle.clear()
    _idle[_key(source, recipe)] = model


def _read_model(source: Source, recipe: Recipe) -> Any:
    place = str(source.folder)
    model_weights(source.folder, allow_pickle=source.allow_pickle)
    options: dict[str, Any] = {"trust_remote_code": source.trust_remote_code, "local_files_only": True}
    config = AutoConfig.from_pretrained(place, **options)
    if getattr(config, "is_encoder_decoder", False):
        raise EngineError(f"{place} is an encoder-decoder model; bvc runs causal language models")
    if not source.allow_pickle:
        options["use_safetensors"] = True
    read: Any = AutoModelForCausalLM.from_pretrained
    model, info = read(place, config=config, dtype=_dtype(recipe), output_loading_info=True, **options)
    _check_complete(place, info)
    return model.to(_device(recipe)).eval().requires_grad_(False)


def _check_complete(place: str, info: dict[str, Any]) -> None:
    """Missing weights would be filled with random numbers: refused."""
    missing = sorted(str(k) for k in [*info.get("missing_keys", ()), *info.get("mismatched_keys", ())])
    if missing:
        raise EngineError(
            f"{place} lacks {len(missing)} of the model's weights (such as {missing[0][:80]})",
            hint="the folder may be incomplete; copy the checkpoint again",
        )


def load_tokenizer(source: Source) -> Any:
    """The tokenizer of a checkpoint alone. Raises EngineError when it cannot be loaded."""
    with failures(f"cannot load the tokenizer of {source.identity.name}"), _quiet():
        return _tokenizer(source)


def _tokenizer(source: Source) -> Any:
    """That of an adapter, or of the nearest model below it that has one."""
    while source.identity.kind == "peft" and not has_tokenizer(source.folder):
        source = source.below()
    options = {"trust_remote_code": source.trust_remote_code, "local_files_only": True}
    return AutoTokenizer.from_pretrained(str(source.folder), **options)


def _dtype(recipe: Recipe) -> torch.dtype:
    if recipe.dtype not in _DTYPES:
        raise EngineError(f"dtype '{recipe.dtype}' is not known", hint="use " + ", ".join(_DTYPES))
    return _DTYPES[recipe.dtype]


def _device(recipe: Recipe) -> torch.device:
    try:
        device = torch.device(recipe.device)
    except RuntimeError as error:
        raise EngineError(f"device '{recipe.device}' is not known", hint="use cpu, cuda or cuda:N") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise EngineError(f"device '{recipe.device}' is not available here", hint="use --device cpu")
    return device


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars and advice of transformers while loading."""
    log: Any = transformers.utils.logging
    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()


@contextlib.contextmanager
def failures(what: str) -> Iterator[None]:
    """Whatever a model's code raises, as EngineError with `what` before it; memory shortage as EngineOutOfMemory."""
    try:
        yield
    except BvcError:
        raise
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or _mentions_memory(reason):
            raise EngineOutOfMemory(f"{what}: out of memory", hint="use a smaller --batch-size") from error
        raise EngineError(f"{what}: {reason}", hint=_CODE_HINT if "custom code" in reason else None) from error


def _mentions_memory(reason: str) -> bool:
    return any(words in reason.lower() for words in _MEMORY_WORDS)
