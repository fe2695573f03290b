"""What a capture costs beside a bare transformers script that only generates the same texts in the same batches.

    python -m tests.bench.bench_capture [--probes 32] [--draws 0 2] [--max-new-tokens 32] [--dtype float32]

The script's `generate` gets the same rows (greedy and draws of each prompt in one call), padding and number of steps
per batch as the capture took. Both run in turn on each batch, so that a busy machine slows both. Prints Markdown.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from bvc.capture.decode import Decoder
from bvc.capture.engine import Batch, ProbeCapture, ProbeRequest
from bvc.capture.follow import Follower
from bvc.capture.forward import Forward
from bvc.capture.gumbel import CoupledSampler
from bvc.capture.packaged_model import MODEL_NAME, ensure_base
from bvc.capture.sketch import Sketcher
from bvc.capture.transformers_engine import open_engine
from bvc.records import Message, ModelIdentity, Probe, Recipe
from tests.real_model import models_folder

TOPICS = ("the sea", "a lock", "good bread", "prime numbers", "the French revolution", "sleep", "Rust", "chess")
ASKS = ("Write three sentences about {}.", "What is the most common mistake about {}?", "Explain {} to a child.")
PARTS = {
    "prefill": (Forward, "prefill"),
    "decoding, greedy and draws": (Decoder, "answer"),
    "coupled noise (within decoding)": (CoupledSampler, "choose"),
    "reference pass": (Follower, "follow"),
    "sketching (within the reference pass)": (Sketcher, "sketch"),
}


def probes(count: int) -> list[Probe]:
    """Chat probes of like lengths; the suite of any size is a prefix of the next."""
    texts = [ask.format(topic) for ask in ASKS for topic in TOPICS]
    texts += [f"{t} Begin with the number {i}." for i in range(count) for t in texts]
    return [Probe(messages=(Message("user", text),)) for text in texts[:count]]


@contextmanager
def timed_parts(spent: dict[str, float]) -> Iterator[None]:
    """Adds the seconds spent in each of PARTS to `spent`."""
    originals = {name: getattr(owner, method) for name, (owner, method) in PARTS.items()}

    def timed(name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return originals[name](*arguments, **options)
            finally:
                spent[name] += time.perf_counter() - started

        return call

    for name, (owner, method) in PARTS.items():
        setattr(owner, method, timed(name))
    try:
        yield
    finally:
        for name, (owner, method) in PARTS.items():
            setattr(owner, method, originals[name])


class BareScript:
    """`generate` as a user would write it: left padding, sampling, as many answers per prompt as the capture has."""

    def __init__(self, folder: Path, dtype: str) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")

    def generate(self, batch: Batch, steps: int) -> int:
        """Generates exactly `steps` tokens in each row; returns the number of texts."""
        chats = [[m.to_json() for m in r.probe.messages or ()] for r in batch.requests]
        chats += [chats[0]] * (batch.rows - len(chats))
        rows = [chat for chat in chats for _ in range(1 + batch.recipe.draws)]
        texts = self.tokenizer.apply_chat_template(rows, add_generation_prompt=True, tokenize=False)
        inputs = self.tokenizer(
            texts, return_tensors="pt", padding="max_length", max_length=batch.prompt_tokens, add_special_tokens=False
        )
        out = self.model.generate(
            **inputs, do_sample=True, top_k=0, top_p=1.0, min_new_tokens=steps, max_new_tokens=steps
        )
        return len(self.tokenizer.batch_decode(out[:, batch.prompt_tokens :], skip_special_tokens=True))


def steps_taken(captures: Sequence[ProbeCapture]) -> int:
    """Decoding steps of a batch: its longest answer, the token that ended it included."""
    answers = [g for c in captures for g in (c.outputs.greedy, *c.outputs.draws)]
    return max((a.tokens or 0) + (a.finish == "stop") for a in answers)


def seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def peak_mib() -> float:
    """Peak resident memory since the last `forget_peak`, MiB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def compare(
    engine: Any, script: BareScript, batches: Sequence[Batch]
) -> tuple[list[tuple[float, float]], dict[str, float]]:
    """(capture, bare) seconds for each batch, and where the capture's time went."""
    spent: dict[str, float] = defaultdict(float)
    times = []
    for batch in batches:
        captures: list[ProbeCapture] = []
        with timed_parts(spent):
            ours = seconds(lambda batch=batch, captures=captures: captures.extend(engine.run(batch)))
        steps = steps_taken(captures)
        bare = seconds(lambda batch=batch, steps=steps: script.generate(batch, steps))
        times.append((ours, bare))
    return times, spent


def memory_growth(engine: Any, batches: Sequence[Batch]) -> list[tuple[int, float]]:
    """Peak MiB while one batch runs, then while all do."""
    out = []
    for chosen in (batches[:1], batches):
        forget_peak()
        for batch in chosen:
            engine.run(batch)
        out.append((sum(len(b.requests) for b in chosen), peak_mib()))
    return out


def report(times: Sequence[tuple[float, float]], spent: dict[str, float], memory: Sequence[tuple[int, float]]) -> str:
    ours, bare = sum(o for o, _ in times), sum(b for _, b in times)
    ratios = sorted(o / b for o, b in times)
    lines = [
        "| | seconds | of the bare script |",
        "| --- | ---: | ---: |",
        f"| bare script, texts only | {bare:.1f} | 1.00 |",
        f"| capture: texts, draws, log-probs, activations | {ours:.1f} | **{ours / bare:.2f}** |",
        *(f"| — {name} | {spent[name]:.1f} | {spent[name] / bare:.2f} |" for name in PARTS),
        "",
        f"Ratio by batch: {ratios[0]:.2f} to {ratios[-1]:.2f}, median {statistics.median(ratios):.2f}.",
        "Peak memory: " + ", ".join(f"{mib:.0f} MiB for {count} probes" for count, mib in memory) + ".",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, help="default: the demo's base model")
    parser.add_argument("--probes", type=int, default=32)
    parser.add_argument("--draws", type=int, nargs="+", default=[0, 2])
    parser.add_argument("--max-new-tokens", type=int, default=32)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args()
    options.model = options.model or ensure_base(models_folder() / MODEL_NAME)
    script = BareScript(options.model, options.dtype)
    for draws in options.draws:
        measure(script, options, draws)


def measure(script: BareScript, options: argparse.Namespace, draws: int) -> None:
    """Prints the table for one number of draws."""
    recipe = Recipe(
        "transformers",
        dtype=options.dtype,
        batch_rows=options.rows,
        draws=draws,
        max_new_tokens=options.max_new_tokens,
    )
    identity = ModelIdentity(options.model.name, "bench", "hf", location=str(options.model))
    engine = open_engine(identity, recipe)
    batches = engine.plan([ProbeRequest(p) for p in probes(options.probes)], recipe)
    engine.run(batches[0])
    script.generate(batches[0], 2)
    times, spent = compare(engine, script, batches)
    shape = f"{options.probes} probes, {draws} draws, {options.max_new_tokens} tokens, {options.rows} rows"
    print(f"\n{options.model.name}, {options.dtype}, {torch.get_num_threads()} threads: {shape}\n")
    print(report(times, spent, memory_growth(engine, batches)))
    engine.close()


if __name__ == "__main__":
    main()
