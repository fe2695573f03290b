"""What became of answers, wording or substance, by the method that the project's settings name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from bvc.compare.substance import Embed, Facts, builtin, by_distance, minilm, substances, with_facts
from bvc.config import Config
from bvc.errors import UsageError
from bvc.results import Progress, Substance

if TYPE_CHECKING:
    from bvc.api.judge_endpoint import Endpoint

_UNKNOWN = Facts()


@dataclass(frozen=True)
class Answers:
    """The greedy answers of both sides to one probe, with what is known of them."""

    question: str
    a: str
    b: str
    facts_a: Facts = _UNKNOWN
    facts_b: Facts = _UNKNOWN


def answers_substance(
    answers: Sequence[Answers],
    config: Config,
    *,
    key: str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> list[Substance]:
    """The substance of each change, by `config.substance_method`.

    `key` is what the environment variable `config.substance_key_variable` holds. Only the method "endpoint" leaves the
    machine, and only if it is set, since settings may have come with somebody else's project. Raises UsageError where
    settings are missing, EngineError where a model or the endpoint fails: nothing is judged then.
    """
    if config.substance_method == "endpoint":
        return _by_endpoint(answers, _endpoint(config, key), progress)
    pairs = [(each.a, each.b) for each in answers]
    return substances(pairs, embed=_embed(config), facts=[(each.facts_a, each.facts_b) for each in answers])


def _embed(config: Config) -> Embed:
    return builtin if config.substance_method == "builtin" else _minilm(config.substance_model)


@lru_cache(maxsize=1)
def _minilm(folder: str) -> Embed:
    from bvc.capture.sentence_embedding import packaged_folder, sentence_encoder

    return minilm(sentence_encoder(Path(folder) if folder else packaged_folder()))


def _endpoint(config: Config, key: str | None) -> Endpoint:
    from bvc.api.judge_endpoint import Endpoint

    for name, value in (("endpoint", config.substance_endpoint), ("model", config.substance_model)):
        if not value:
            raise UsageError(f'substance.method is "endpoint" and substance.{name} is not set')
    if not key:
        raise UsageError(
            f"the judge at {config.substance_endpoint} is only asked when {config.substance_key_variable} is set",
            hint="set it to the server's key, or to anything if it needs none; answers are sent there",
        )
    return Endpoint(config.substance_endpoint, config.substance_model, key, config.substance_timeout)


def _by_endpoint(
    answers: Sequence[Answers], endpoint: Endpoint, progress: Callable[[Progress], None] | None
) -> list[Substance]:
    """Asks about answers that differ; equal ones and known facts need no judge for their kind."""
    from bvc.api.judge_endpoint import judged

    asked = [i for i, each in enumerate(answers) if each.a != each.b]
    found = judged(endpoint, [(answers[i].question, answers[i].a, answers[i].b) for i in asked], progress)
    opinions = {i: by_distance(*opinion) for i, opinion in zip(asked, found, strict=True)}
    return [
        with_facts((each.a, each.b), (each.facts_a, each.facts_b), opinions.get(i, by_distance(0.0)))
        for i, each in enumerate(answers)
    ]
