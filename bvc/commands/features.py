"""`bvc features`: fit, ls, show, diff, steer, export, import; the others are beside this file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bvc.cli import completion
from bvc.cli.command import SubGroup
from bvc.cli.command import command as bvc_command
from bvc.cli.numbers import strengths
from bvc.cli.pair_options import hub_cache, loading_options
from bvc.cli.session import Session
from bvc.commands._features_exclusive import exclusive
from bvc.commands._features_shift import axis, shift

_EXAMPLES = """
bvc features fit
bvc features ls
bvc features show 1207
bvc features diff v1 HEAD
bvc features steer 1207 --behavior refusal
"""
_FITS = """
bvc features fit
bvc features fit main~3 --name late --depth 0.75
bvc features fit --corpus wiki.txt --corpus chats.jsonl --tokens 2000000 --latents 8192
"""
_SHOWS = """
bvc features show
bvc features show 1207
bvc features show 1207 --dictionary late --json
"""
_DIFFS = """
bvc features diff
bvc features diff v1 HEAD
bvc features diff main..french --along reference --all --json
"""
_STEERS = """
bvc features steer 1207 --behavior refusal
bvc features steer 1207 --pattern "(?i)vault" --strength 2,4,8 --draws 8
bvc features steer 1207 --probe weather-03 --at v1 --positions generated
"""
_dictionary = click.option(
    "--dictionary", "name", metavar="NAME", help="Name or digest (default: the one that commits use)."
)


@click.group("features", cls=SubGroup, examples=_EXAMPLES)
def command() -> None:
    """Fit, list and read dictionaries of a model's features.

    A dictionary is a sparse autoencoder of the residual stream: it says which of its latents fire at a token. Fitted on
    the first model of a lineage it gives axes that stay the same over all commits. What is recorded at each commit is
    which latents fire along each probe's reference and along the model's own answer, and how much of the stream the
    dictionary does not explain.
    """


@bvc_command("ls", json=True, examples="bvc features ls\nbvc features ls --json")
def ls(session: Session) -> None:
    """List the project's dictionaries; * marks the one that commits use."""
    entries = session.repo().dictionaries()
    from bvc.render import features as render

    if session.json:
        session.document(render.dictionaries_document(entries))
    else:
        session.page(render.render_dictionaries(entries, session.screen))


@bvc_command("show", json=True, examples=_SHOWS)
@click.argument("latent", type=click.IntRange(min=0), required=False)
@_dictionary
def show(session: Session, latent: int | None, name: str | None) -> None:
    """Show what a latent is, or without LATENT the model card of the dictionary.

    Of a latent: how often it fires, where most, which tokens it promotes, how it fires along HEAD's lineage, and the
    probes where it is strongest.
    """
    repo = session.repo()
    from bvc.render import features as render

    if latent is None:
        stored = repo.dictionary(name)
        if session.json:
            session.document(render.dictionary_document(stored))
        else:
            session.page(render.render_dictionary(stored, session.screen))
        return
    view = repo.latent(latent, name)
    if session.json:
        session.document(render.latent_document(view))
    else:
        session.page(render.render_latent(view, session.screen))


@bvc_command("fit", json=True, examples=_FITS)
@click.argument("revision", required=False, metavar="[REV]", shell_complete=completion.revisions)
@click.option("--name", metavar="NAME", default="main", show_default=True, help="What the dictionary is called.")
@click.option(
    "--depth", type=click.FloatRange(0, 1, min_open=True), metavar="SHARE", default=0.5, show_default=True,
    help="Share of the model's blocks after which the stream is read.",
)  # fmt: skip
@click.option("--latents", type=click.IntRange(min=2), metavar="N", default=2048, show_default=True, help="How many.")
@click.option(
    "--k", type=click.IntRange(min=1), metavar="N", default=32, show_default=True, help="Latents that fire per token."
)
@click.option(
    "--tokens", type=click.IntRange(min=1000), metavar="N", default=200_000, show_default=True,
    help="Tokens to read at most.",
)  # fmt: skip
@click.option("--steps", type=click.IntRange(min=1), metavar="N", help="Optimizer steps (default: by the tokens).")
@click.option(
    "--corpus", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE", multiple=True,
    help='Texts to fit on: plain text, or JSONL with a field "text" (default: texts that ship with Python).',
)  # fmt: skip
@click.option("--suite/--no-suite", default=True, help="Whether the commit's own probes are read too.")
@click.option("--seed", "fit_seed", type=click.IntRange(min=0), metavar="S", default=0, help="Seed of the fit.")
@click.option("--checkpoint", metavar="PATH", help="Where the checkpoint of REV is now.")
@loading_options
def fit(session: Session, /, revision: str | None, **options: Any) -> None:
    """Fit a dictionary on the model of REV (default: the first commit of HEAD's lineage).

    A BatchTopK sparse autoencoder learns the residual stream on the commit's probes and on texts. What a killed fit
    left is gone on with by the same command. The dictionary becomes an object of the repository; commits made from then
    on record its latents, `bvc capture REV --features` adds them to earlier ones.
    """
    session.interrupt_hint = "the same command goes on where it stopped"
    repo = session.repo(writes=True)
    result = repo.features_fit(revision, progress=session.progress, **options, **hub_cache())
    session.progress.finish()
    from bvc.render import features as render

    if session.json:
        session.document(render.fit_document(result))
    else:
        session.page(render.render_fit(result, session.screen))


@bvc_command("diff", json=True, examples=_DIFFS)
@click.argument("a", required=False, metavar="[A", shell_complete=completion.revisions)
@click.argument("b", required=False, metavar="[B]]", shell_complete=completion.revisions)
@click.option(
    "--along",
    type=click.Choice(["answer", "reference"]),
    help="What is read: the answer of each side, or the reference of both (default: answers, if both have them).",
)
@click.option("--all", "everything", is_flag=True, help="Leave nothing out of the lists.")
def diff(session: Session, a: str | None, b: str | None, along: str | None, everything: bool) -> None:
    """Show which latents fire otherwise in B than in A, beside what the same look finds where nothing changed.

    Default: HEAD~1 and HEAD. Both commits must have features of one dictionary. Latents are tested prompt by prompt;
    the list is ranked by how far a latent stands out from what benign steps do. Then the probes of which the dictionary
    explains less in B: there the model has left the span of the one that it was fitted on.
    """
    result = session.repo().features_diff(a, b, everything=everything, along=along)
    if session.json:
        from bvc.render.features_diff_document import features_diff_document

        session.document(features_diff_document(result))
    else:
        from bvc.render.features_diff import render_features_diff

        session.page(render_features_diff(result, session.screen, everything=everything))


@bvc_command("steer", json=True, examples=_STEERS)
@click.argument("latent", metavar="LATENT")
@click.option("--dictionary", metavar="NAME", help="Name or digest (default: the one that commits use).")
@click.option("--behavior", metavar="N", shell_complete=completion.behaviors, help="The behavior that should move.")
@click.option("--pattern", metavar="REGEX", help="In place of a behavior: answers that match.")
@click.option("--strength", metavar="LIST", help="Strengths as 2,4,8: multiples of the latent's mean where it fires.")
@click.option("--probe", "probes", metavar="ID", multiple=True, help="Ask this probe (may be repeated).")
@click.option("--suite", metavar="N", shell_complete=completion.suites, help="Ask the probes of this suite.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", default=48, show_default=True, help="Probes at most.")
@click.option(
    "--draws", type=click.IntRange(min=0), metavar="K", default=4, show_default=True,
    help="Draws beside the greedy text.",
)  # fmt: skip
@click.option(
    "--directions", type=click.IntRange(min=2), metavar="N", default=4, show_default=True,
    help="Random directions of the same length, as control.",
)  # fmt: skip
@click.option(
    "--positions", type=click.Choice(["all", "generated"]), default="all", show_default=True,
    help="Where it is added: at prompt and answer, or at the answer alone.",
)  # fmt: skip
@click.option("--at", metavar="REV", default="HEAD", show_default=True, shell_complete=completion.revisions,
              help="The commit whose checkpoint is steered.")  # fmt: skip
@click.option("--checkpoint", metavar="PATH", help="Where that checkpoint is now, or another one.")
@click.option("--max-new-tokens", type=click.IntRange(min=1), metavar="N", help="Longest answer in tokens.")
@click.option("--seed", type=click.IntRange(min=0), metavar="S", help="Seed of draws and random directions.")
@click.option("--allow-python", is_flag=True, help="Run the Python scorers of this project's behaviors.toml.")
@loading_options
def steer(session: Session, /, latent: str, strength: str | None, **options: Any) -> None:
    """Add a latent's direction to the stream and see whether a behavior moves, beside random directions.

    The check that a latent causes what it goes with. Answers are sampled with the direction added at several strengths,
    and with random directions of the same length; only a behavior that moves more than by those is moved by the latent.
    What the push breaks is shown beside it. Without --behavior and --pattern any other answer counts.
    """
    session.interrupt_hint = "nothing was written"
    options["strengths"] = None if strength is None else strengths(strength, "--strength")
    result = session.repo().features_steer(latent, progress=session.progress, **options, **hub_cache())
    session.progress.finish()
    if session.json:
        from bvc.render.steer import steer_document

        session.document(steer_document(result))
    else:
        from bvc.render.steer import render_steer

        session.page(render_steer(result, session.screen))


@bvc_command("export", examples="bvc features export main.safetensors\nbvc features export late --dictionary late")
@click.argument("path", type=click.Path(path_type=Path))
@_dictionary
def export(session: Session, path: Path, name: str | None) -> None:
    """Write a dictionary to PATH: one safetensors file, or a folder in SAELens' format where PATH has no suffix."""
    stored = session.repo().features_export(path, name)
    session.message(f"{path}: {stored.name}, layer {stored.spec.layer}, {stored.spec.latents} latents")


@bvc_command("import", json=True, examples="bvc features import sae/ --name public --at main~3 --layer layer.12")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--name", metavar="NAME", default="main", show_default=True, help="What the dictionary is called.")
@click.option("--at", metavar="REV", shell_complete=completion.revisions, help="On whose model it was fitted.")
@click.option("--layer", metavar="LAYER", help="Where it reads the stream, as layer.15 (after 15 blocks).")
@click.option("--scale", type=float, metavar="X", help="What activations were multiplied by, where it matters.")
def import_(session: Session, /, folder: Path, **options: Any) -> None:
    """Store the dictionary of FOLDER, in SAELens' format: cfg.json and sae_weights.safetensors.

    Architectures standard, topk, jumprelu and batchtopk of the output of a block. --at, --layer and --scale say what
    the folder does not.
    """
    stored = session.repo(writes=True).features_import(folder, **options)
    from bvc.render import features as render

    if session.json:
        session.document(render.dictionary_document(stored))
    else:
        session.page(render.render_dictionary(stored, session.screen))


for _verb in (fit, ls, show, diff, exclusive, shift, axis, steer, export, import_):
    command.add_command(_verb)
