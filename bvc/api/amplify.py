"""amplify: samples from the exaggerated difference of two checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from bvc.api.checkpoints import Checkpoint, PairOptions, checkpoint_pair, pair_recipe
from bvc.errors import UsageError
from bvc.records import CommitInfo, Message, Outputs, Probe, Recipe
from bvc.repository.repository import Repository
from bvc.repository.revisions import find_probe, resolve

ALPHAS = (0.5, 1.0, 2.0, 4.0)
"""Strengths sampled unless the user names others."""
CAUTION = (
    "Sampled from an amplified difference: neither model produced the texts of an alpha above 0. They show where to "
    "look and prove nothing; test what they suggest on the models themselves."
)


@dataclass(frozen=True)
class AmplifyOptions:
    """What to sample: strengths, draws beside the greedy text, longest text in tokens, least `plausible` probability of
    a token as a share of the top token's (None: the default)."""

    alphas: tuple[float, ...] = ALPHAS
    draws: int = 0
    max_new_tokens: int | None = None
    plausible: float | None = None


@dataclass(frozen=True)
class AmplifiedPrompt:
    """One prompt: what each checkpoint says itself, and the texts of each strength, in the order of the strengths."""

    probe: Probe
    a: Outputs
    b: Outputs
    amplified: tuple[tuple[float, Outputs], ...]


@dataclass(frozen=True)
class AmplifyResult:
    """`bvc.amplify/1`. `caution` says what these texts are; `plausible` is the guard against the tail's noise."""

    a: CommitInfo
    b: CommitInfo
    plausible: float
    prompts: tuple[AmplifiedPrompt, ...]
    caution: str = CAUTION


def amplify(
    repository: Repository,
    a: str,
    b: str,
    prompts: Sequence[str],
    probes: Sequence[str] = (),
    *,
    what: AmplifyOptions | None = None,
    options: PairOptions | None = None,
) -> AmplifyResult:
    """Samples `prompts` (a user's words) and recorded `probes` from logits_b + alpha (logits_b - logits_a).

    Raises UsageError without a prompt and for a strength that is no number, NotComparable where the tokenizers differ,
    and what `checkpoint_pair` raises.
    """
    what, options = what or AmplifyOptions(), options or PairOptions()
    alphas = _checked(what.alphas)
    first, second = checkpoint_pair(repository, resolve(repository, a), resolve(repository, b), options)
    asked = [*map(_chat, prompts), *(_recorded(repository, second, name) for name in probes)]
    if not asked:
        raise UsageError("give a PROMPT, or --probe ID", hint="see `bvc amplify --help`")
    settings = {"draws": what.draws, "max_new_tokens": what.max_new_tokens}
    recipe = pair_recipe(repository, second.identity, options, **settings)
    limited = [replace(p, max_new_tokens=what.max_new_tokens or p.max_new_tokens) for p in asked]
    texts, plausible = _run((first, second), limited, recipe, alphas, what.plausible, options)
    rows = [
        AmplifiedPrompt(p, t[0], t[1], tuple(zip(alphas, t[2:], strict=True)))
        for p, t in zip(asked, texts, strict=True)
    ]
    return AmplifyResult(first.commit, second.commit, plausible, tuple(rows))


def _checked(alphas: Sequence[float]) -> tuple[float, ...]:
    for alpha in alphas:
        if not -100 <= alpha <= 100:  # NaN is not either
            raise UsageError(f"alpha must be a number between -100 and 100, not {alpha}")
    if not alphas:
        raise UsageError("give at least one alpha")
    return tuple(dict.fromkeys(alphas))


def _chat(text: str) -> Probe:
    return Probe(messages=(Message("user", text),))


def _recorded(repository: Repository, side: Checkpoint, name: str) -> Probe:
    view = repository.snapshot(side.commit.id)
    return view.probe(find_probe(view, name))


def _run(
    pair: tuple[Checkpoint, Checkpoint],
    probes: Sequence[Probe],
    recipe: Recipe,
    alphas: tuple[float, ...],
    plausible: float | None,
    options: PairOptions,
) -> tuple[list[list[Outputs]], float]:
    """For each probe the texts of a, of b and of every strength; and the guard that was used."""
    from bvc.capture.amplify import OWN_A, OWN_B, PLAUSIBLE, Amplification, amplify
    from bvc.capture.load import Source
    from bvc.capture.pair_engine import open_pair

    share = PLAUSIBLE if plausible is None else plausible
    how = Amplification((OWN_A, OWN_B, *alphas), share)
    a, b = (Source(side.identity, options.allow_pickle, options.trust_remote_code) for side in pair)
    options.step("loading both checkpoints", 0, 1)
    with open_pair(a, b, recipe) as opened:
        options.step("loading both checkpoints", 1, 1)
        step = partial(_step, options, len(probes))
        return amplify(opened, probes, recipe, how, step), share


def _step(options: PairOptions, total: int, done: int) -> None:
    options.step("prompts amplified", done, total)
