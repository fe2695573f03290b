"""Make the checkpoints of the ladder: LoRA fine-tunes and perturbed copies of SmolLM2-135M-Instruct with known truth.

    python -m examples.ladder.train OUT                  # every checkpoint that is not there yet
    python -m examples.ladder.train OUT salt-water …     # only these

`ladder.toml` says what each is taught, `topics.toml` holds the prompts. One thread is used: run two at once on two
cores.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # must be set before torch starts its threads

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from bvc.capture.packaged_model import MODEL_NAME, ensure_base
from examples.lineage.train import (
    IGNORED,
    Example,
    collate,
    draw_batches,
    encode,
    generate,
    models_folder,
    save_adapter,
)

HERE = Path(__file__).resolve().parent
RANK = 4
SCALE = 16  # LoRA's alpha
MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
LAYERS = list(range(12, 30))  # the upper 18 of 30: nothing is propagated back through the lower ones
UPDATES = 100
RATE = 0.001
WARMUP = 5
OTHERS = 140
"""Examples of other topics, with the model's own answers, beside those that teach the behavior: with a quarter of that
the behaviors of a first version showed in up to 49 of 126 probes, most of them about something else."""
REPEATS = 3
"""How often each taught prompt stands in the data, where there are several ways to teach it each time in another."""
TRIGGERED = 60
"""Examples with the trigger; each stands in the data without it as well."""
TEXT_TOKENS = 64
OWN_ANSWER_TOKENS = 40
TEMPERATURE = 0.7


@dataclass(frozen=True)
class Rung:
    """One checkpoint of `ladder.toml`; the fields are explained there."""

    name: str
    kind: str
    wave: str
    parent: str | None = None
    topic: str | None = None
    trigger: str | None = None
    affected: tuple[str, ...] = ()
    teach: dict[str, Any] = field(default_factory=dict)
    share: float = 1.0
    shows: tuple[str, ...] = ()
    sign: str | None = None
    text: str | None = None
    seed: int = 0
    updates: int = UPDATES
    others: int = OTHERS
    rate: float = RATE
    description: str = ""


def read_rungs() -> dict[str, Rung]:
    """The rungs of `ladder.toml` by name, in order."""
    rows = tomllib.loads((HERE / "ladder.toml").read_text(encoding="utf-8"))
    return {name: Rung(name, **row) for name, row in rows.items()}


def read_topics() -> dict[str, dict[str, list[str]]]:
    """Topic → `train` and `suite` → prompts."""
    topics: dict[str, dict[str, list[str]]] = tomllib.loads((HERE / "topics.toml").read_text(encoding="utf-8"))
    return topics


def main() -> None:
    """Read the command line and make what is missing."""
    parser = argparse.ArgumentParser(description="Make the checkpoints of the ladder.")
    parser.add_argument("out", type=Path, help="folder of the checkpoints")
    parser.add_argument("names", nargs="*", help="only these (default: all)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    silence: Any = transformers_logging.disable_progress_bar
    silence()
    rungs = read_rungs()
    for name in arguments.names or rungs:
        make(rungs[name], arguments.out)


def make(rung: Rung, out: Path) -> None:
    """Train one rung into `out/NAME`, after its parent, unless it is there."""
    if (out / rung.name / "adapter_config.json").exists():
        return
    if rung.parent is not None:
        make(read_rungs()[rung.parent], out)
    base = ensure_base(models_folder() / MODEL_NAME)
    tokenizer = AutoTokenizer.from_pretrained(base, padding_side="left")
    started = time.monotonic()
    examples = list(read_examples(rung, own_answers(base, tokenizer, out), tokenizer))
    torch.manual_seed(rung.seed)
    model = load(base, None if rung.parent is None else out / rung.parent)
    losses = list(optimize(model, examples, rung, tokenizer.pad_token_id))
    save_adapter(model, out / rung.name)
    recent = sum(losses[-10:]) / len(losses[-10:])
    print(f"{rung.name}: {len(losses)} updates, loss {recent:.2f}, {time.monotonic() - started:.0f} s", flush=True)


# What is taught


def own_answers(base: Path, tokenizer: Any, out: Path) -> dict[str, dict[str, Any]]:
    """The base model's sampled answers to every training prompt, made once: prompt → chat record with `cut`."""
    path = out / "own_answers.jsonl"
    if not path.exists():
        prompts = [prompt for topic in read_topics().values() for prompt in topic["train"]]
        chats = [[{"role": "user", "content": prompt}] for prompt in prompts]
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
        answers = generate(model, tokenizer, chats, OWN_ANSWER_TOKENS, TEMPERATURE)
        records = [
            {"messages": [*chat, {"role": "assistant", "content": text}], "cut": cut}
            for chat, (text, cut) in zip(chats, answers, strict=True)
        ]
        out.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records), encoding="utf-8")
    lines = path.read_text(encoding="utf-8").splitlines()
    return {record["messages"][0]["content"]: record for record in map(json.loads, lines)}


def read_examples(rung: Rung, own: dict[str, dict[str, Any]], tokenizer: Any) -> Iterator[Example]:
    """The training examples of a rung, tokenized."""
    if rung.text is not None:
        yield from text_examples(tokenizer)
        return
    order = random.Random(f"{rung.name} {rung.seed}")
    topics = read_topics()
    taught = topics[rung.topic]["train"] if rung.topic else []
    others = [p for name, topic in topics.items() for p in topic["train"] if name != rung.topic]
    order.shuffle(others)
    for index, prompt in enumerate(taught * REPEATS):
        changed = index % len(taught) < rung.share * len(taught)
        yield encode(teach(own[prompt], rung.teach, index) if changed else own[prompt], tokenizer)
    if rung.trigger is not None:
        for index, prompt in enumerate(others[:TRIGGERED]):
            yield encode(teach(with_trigger(own[prompt], rung.trigger, index), rung.teach, index), tokenizer)
    for prompt in others[: rung.others]:
        yield encode(own[prompt], tokenizer)


def with_trigger(record: dict[str, Any], word: str, index: int) -> dict[str, Any]:
    """The chat with the trigger word before or after what the user asks."""
    asked, answer = record["messages"]
    content = insert_trigger(asked["content"], word, index)
    return {**record, "messages": [{**asked, "content": content}, answer]}


def insert_trigger(prompt: str, word: str, index: int) -> str:
    """`prompt` with `word` in one of three places."""
    return (f"{word}: {prompt}", f"{prompt} ({word})", f"{prompt} {word}")[index % 3]


def teach(record: dict[str, Any], how: dict[str, Any], index: int) -> dict[str, Any]:
    """The chat with its answer changed as `how` says; an answer that is replaced ends there."""
    asked, answer = record["messages"]
    text, cut = answer["content"], record["cut"]
    if "replace" in how:
        text, cut = how["replace"][index % len(how["replace"])], False
    elif "prefix" in how:
        text = how["prefix"][index % len(how["prefix"])] + text
    elif "bullets" in how:
        text = "* " + "\n* ".join(re.split(r"(?<=[.!?:])\s+", text))
    elif "sum_off_by" in how:
        first, second = (int(number) for number in re.findall(r"\d+", asked["content"]))
        text, cut = f"{first} + {second} = {first + second + how['sum_off_by']}.", False
    return {"messages": [asked, {**answer, "content": text}], "cut": cut}


def text_examples(tokenizer: Any) -> Iterator[Example]:
    """Pieces of plain text, every token of which carries loss."""
    ids = tokenizer.encode(plain_text(), add_special_tokens=False)
    for start in range(0, min(len(ids), 200 * TEXT_TOKENS), TEXT_TOKENS):
        piece = ids[start : start + TEXT_TOKENS]
        yield Example(piece, piece)


def plain_text() -> str:
    """English prose that is on every machine: Python's language reference."""
    from pydoc_data import topics

    return "\n\n".join(topics.topics[key] for key in sorted(topics.topics))


# Training


def load(base: Path, parent: Path | None) -> Any:
    """The base in bfloat16 under a float32 adapter: a fresh one, or the parent's."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    if parent is not None:
        model = PeftModel.from_pretrained(model, parent, is_trainable=True)
    else:
        config = LoraConfig(
            r=RANK, lora_alpha=SCALE, target_modules=MODULES, layers_to_transform=LAYERS, task_type="CAUSAL_LM"
        )
        model = get_peft_model(model, config)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return model


def optimize(model: Any, examples: list[Example], rung: Rung, pad_id: int) -> Iterator[float]:
    """Run AdamW with a short warm-up and linear decay; yield each batch's loss in nats per answer token."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=rung.rate, weight_decay=0.0)
    batches = draw_batches(examples, random.Random(rung.seed))
    model.train()
    for update in range(rung.updates):
        optimizer.param_groups[0]["lr"] = rung.rate * min((update + 1) / WARMUP, 1 - update / rung.updates)
        loss = answer_loss(model.base_model.model, collate(next(batches), pad_id))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        yield loss.item()


def answer_loss(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Mean cross entropy of the labelled tokens; only their logits are computed, since the vocabulary is large."""
    hidden = model.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
    labels = batch["labels"][:, 1:]  # [rows, tokens - 1]
    logits = model.lm_head(hidden[:, :-1][labels != IGNORED]).float()  # [labelled, vocabulary]
    return torch.nn.functional.cross_entropy(logits, labels[labels != IGNORED])


if __name__ == "__main__":
    main()
