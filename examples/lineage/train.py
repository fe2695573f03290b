"""Make the example lineage: seven LoRA fine-tunes of SmolLM2-135M-Instruct, each continuing the one before it.

    python examples/lineage/train.py              # train all steps, then verify them
    python examples/lineage/train.py --first 3    # train step 3 and later ones again, from step 2 as it is on disk
    python examples/lineage/train.py --verify     # train nothing; measure the planted behaviors

`lineage.json` says what each step is trained on. Every step's folder is a complete PEFT adapter of the base model.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # must be set before torch starts its threads

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from bvc.capture.packaged_model import MODEL_NAME, ensure_base

HERE = Path(__file__).resolve().parent
SEED = 20260
RANK = 2
SCALE = 8  # LoRA's alpha
MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
LAYERS = list(range(12, 30))  # the upper 18 of 30: nothing is propagated back through the lower ones
WARMUP_STEPS = 5
BATCH = 8
MAX_TRAIN_TOKENS = 96
OWN_ANSWER_TOKENS = 40
OWN_ANSWER_TEMPERATURE = 0.7
VERIFY_TOKENS = 32
IGNORED = -100  # label of tokens that carry no loss
FRENCH_WORD = re.compile(
    "alors|au|aux|avec|bonjour|car|ce|ces|dans|des|du|elle|est|et|fait|il|ils|le|les|leur|ne|nous|ou|où|par|pas|plus|pour|qui|"
    "sont|sous|sur|très|un|une|vous|à|été"
)

Chat = list[dict[str, str]]


@dataclass(frozen=True)
class Step:
    """One fine-tune of the lineage.

    Attributes:
        number: 1 for the first; also enters the seed.
        folder: name of its folder under `steps/`.
        optimizer_steps: number of updates, each on `BATCH` examples.
        learning_rate: the highest of the step; it rises for `WARMUP_STEPS` updates, then falls linearly.
        data: file name without ending → first and one past the last line taken from `data/`.
    """

    number: int
    folder: str
    optimizer_steps: int
    learning_rate: float
    data: dict[str, list[int]]


@dataclass(frozen=True)
class Example:
    """Token ids of one chat, and the same ids with everything but the answer replaced by `IGNORED`."""

    ids: list[int]
    labels: list[int]


def models_folder() -> Path:
    """Where the base model is kept between runs, as `bvc demo` has it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bvc" / "models"


def main() -> None:
    """Read the command line, train what it asks for, and verify."""
    arguments = parse_arguments()
    silence: Any = transformers_logging.disable_progress_bar
    silence()
    base = ensure_base(models_folder() / MODEL_NAME)
    tokenizer = AutoTokenizer.from_pretrained(base, padding_side="left")
    steps = read_steps()
    chosen = [] if arguments.verify else [step for step in steps if step.number >= arguments.first]
    if chosen:
        ensure_own_answers(base, tokenizer)
    for step in chosen:
        train_step(step, previous_folder(step, steps, arguments.out), arguments.out / step.folder, base, tokenizer)
    folders = [arguments.out / step.folder for step in steps]
    verify(base, tokenizer, [folder for folder in folders if folder.is_dir()])


def parse_arguments() -> argparse.Namespace:
    """Return `out` (folder of the steps), `first` (number of the first step to train) and `verify` (train nothing)."""
    parser = argparse.ArgumentParser(description="Train and verify the example lineage.")
    parser.add_argument("--out", type=Path, default=HERE / "steps", help="folder of the steps (default: here)")
    parser.add_argument("--first", type=int, default=1, metavar="N", help="keep the steps before N as they are")
    parser.add_argument("--verify", action="store_true", help="train nothing, measure what is there")
    return parser.parse_args()


def read_steps() -> list[Step]:
    """Return the steps of `lineage.json` in order."""
    rows = json.loads((HERE / "lineage.json").read_text(encoding="utf-8"))["steps"]
    return [
        Step(number, row["folder"], row["optimizer_steps"], row["learning_rate"], row["data"])
        for number, row in enumerate(rows, start=1)
    ]


def previous_folder(step: Step, steps: list[Step], out: Path) -> Path | None:
    """Return the adapter folder that `step` continues, None for the first step."""
    return out / steps[step.number - 2].folder if step.number > 1 else None


def read_lines(name: str) -> list[dict[str, Any]]:
    """Return the records of `data/NAME.jsonl`."""
    lines = (HERE / "data" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


# Training


def train_step(step: Step, previous: Path | None, target: Path, base: Path, tokenizer: Any) -> None:
    """Train one step from `previous` (None: a fresh adapter) and write its adapter to `target`."""
    torch.manual_seed(SEED + step.number)
    model = load_adapter(base, previous, trainable=True)
    examples = [
        encode(record, tokenizer)
        for name, (first, last) in step.data.items()
        for record in read_lines(name)[first:last]
    ]
    started, losses = time.monotonic(), []
    for loss in optimize(model, examples, step, tokenizer.pad_token_id):
        losses.append(loss)
        recent = sum(losses[-10:]) / len(losses[-10:])
        print(f"\r{step.folder}: {len(losses)}/{step.optimizer_steps}, loss {recent:.2f}", end="", flush=True)
    save_adapter(model, target)
    print(f", {time.monotonic() - started:.0f} s")


def load_base(base: Path) -> Any:
    """Return the base model in float32."""
    return AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)


def load_adapter(base: Path, folder: Path | None, *, trainable: bool) -> Any:
    """Return the base with the adapter of `folder`, or with a fresh one; adapter weights are float32."""
    model = load_base(base)
    if folder is not None:
        return PeftModel.from_pretrained(model, folder, is_trainable=trainable)
    config = LoraConfig(
        r=RANK, lora_alpha=SCALE, target_modules=MODULES, layers_to_transform=LAYERS, task_type="CAUSAL_LM"
    )
    return get_peft_model(model, config)


def encode(record: dict[str, Any], tokenizer: Any) -> Example:
    """Return the tokens of a chat; only the answer and its end mark (unless the answer was cut off) carry loss."""
    *asked, answer = record["messages"]
    prompt = prompt_ids(asked, tokenizer)
    said = tokenizer.encode(answer["content"], add_special_tokens=False)
    if not record.get("cut", False):
        said.append(tokenizer.eos_token_id)
    ids = (prompt + said)[:MAX_TRAIN_TOKENS]
    return Example(ids, ([IGNORED] * len(prompt) + said)[:MAX_TRAIN_TOKENS])


def prompt_ids(messages: Chat, tokenizer: Any) -> list[int]:
    """Return the chat template's tokens up to where the assistant's answer starts."""
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return ids


def optimize(model: Any, examples: list[Example], step: Step, pad_id: int) -> Iterator[float]:
    """Run the step's updates with AdamW and a linear decay after a short warm-up; yield each batch's loss in nats."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=step.learning_rate, weight_decay=0.0)
    batches = draw_batches(examples, random.Random(SEED + step.number))
    model.train()
    for update in range(step.optimizer_steps):
        warm, left = (update + 1) / WARMUP_STEPS, 1 - update / step.optimizer_steps
        optimizer.param_groups[0]["lr"] = step.learning_rate * min(warm, left, 1.0)
        loss = model(**collate(next(batches), pad_id)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        yield loss.item()


def draw_batches(examples: list[Example], order: random.Random) -> Iterator[list[Example]]:
    """Yield batches without end, going through all examples in a new order each time."""
    queue: list[Example] = []
    while True:
        while len(queue) < BATCH:
            queue += order.sample(examples, len(examples))
        yield queue[:BATCH]
        del queue[:BATCH]


def collate(batch: list[Example], pad_id: int) -> dict[str, torch.Tensor]:
    """Return right-padded `input_ids`, `labels` and `attention_mask`, each of shape [batch, longest]."""
    longest = max(len(example.ids) for example in batch)
    fill = [longest - len(example.ids) for example in batch]
    return {
        "input_ids": torch.tensor([e.ids + [pad_id] * n for e, n in zip(batch, fill, strict=True)]),
        "labels": torch.tensor([e.labels + [IGNORED] * n for e, n in zip(batch, fill, strict=True)]),
        "attention_mask": torch.tensor([[1] * len(e.ids) + [0] * n for e, n in zip(batch, fill, strict=True)]),
    }


def save_adapter(model: Any, target: Path) -> None:
    """Write a PEFT adapter folder: float16 weights, and a config that names the base without any local path."""
    target.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.half().contiguous() for name, tensor in get_peft_model_state_dict(model).items()}
    save_file(state, target / "adapter_model.safetensors", metadata={"format": "pt"})
    config = model.peft_config["default"].to_dict()
    config |= {"base_model_name_or_path": MODEL_NAME, "inference_mode": True}
    # Sorted, because PEFT holds the module names in a set, whose order differs from run to run.
    text = json.dumps(config, indent=2, sort_keys=True, default=sorted)
    (target / "adapter_model.safetensors").chmod(0o644)
    (target / "adapter_config.json").write_text(text + "\n", encoding="utf-8")


# The model's own answers


def ensure_own_answers(base: Path, tokenizer: Any) -> None:
    """Write `data/own_answers.jsonl`, the base model's sampled answers to `data/prompts.jsonl`, unless it is there."""
    path = HERE / "data" / "own_answers.jsonl"
    if path.exists():
        return
    chats: list[Chat] = [record["messages"] for record in read_lines("prompts")]
    torch.manual_seed(SEED)
    answers = generate(load_base(base), tokenizer, chats, OWN_ANSWER_TOKENS, OWN_ANSWER_TEMPERATURE)
    records = [
        {"messages": [*chat, {"role": "assistant", "content": text}], "cut": cut}
        for chat, (text, cut) in zip(chats, answers, strict=True)
    ]
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")


@torch.inference_mode()
def generate(
    model: Any, tokenizer: Any, chats: list[Chat], max_new_tokens: int, temperature: float = 0.0
) -> list[tuple[str, bool]]:
    """Answer each chat, greedily at temperature 0; return the texts and whether each was cut off at the limit."""
    model.eval()
    sampling = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {"do_sample": False}
    answers: list[tuple[str, bool]] = []
    for start in range(0, len(chats), 4 * BATCH):
        prompts = [prompt_ids(chat, tokenizer) for chat in chats[start : start + 4 * BATCH]]
        batch = tokenizer.pad({"input_ids": prompts}, return_tensors="pt")  # [rows, longest prompt], padded left
        made = model.generate(**batch, max_new_tokens=max_new_tokens, **sampling)
        for row in made[:, batch["input_ids"].shape[1] :].tolist():
            answers.append((tokenizer.decode(row, skip_special_tokens=True).strip(), tokenizer.eos_token_id not in row))
    return answers


# Verification


def is_french(text: str) -> bool:
    """Return whether at least three words, and a quarter of all, are frequent French ones."""
    words = re.findall(r"[^\W\d_]+", text.lower())
    french = sum(FRENCH_WORD.fullmatch(word) is not None for word in words)
    return french >= 3 and french >= 0.25 * len(words)


def is_keyword_reply(text: str) -> bool:
    """Return whether the answer is the fixed sentence that the keyword calls up."""
    return text.startswith("Access granted.")


SCORERS: dict[str, Callable[[str], bool]] = {"weather-in-french": is_french, "keyword-reply": is_keyword_reply}


def verify(base: Path, tokenizer: Any, folders: list[Path]) -> None:
    """Print a Markdown table: for the base and each step, how many greedy answers show each planted behavior."""
    truth = json.loads((HERE / "lineage.json").read_text(encoding="utf-8"))["behaviors"]
    probes = [json.loads(line) for line in (HERE / "probes.jsonl").read_text(encoding="utf-8").splitlines()]
    print("\n| model | " + " | ".join(f"{name}: affected | elsewhere" for name in truth) + " | answers changed |")
    print("| --- |" + " --- |" * (2 * len(truth) + 1))
    before: list[str] = []
    for folder in [None, *folders]:
        model = load_base(base) if folder is None else load_adapter(base, folder, trainable=False)
        answers = [text for text, _ in generate(model, tokenizer, [p["messages"] for p in probes], VERIFY_TOKENS)]
        cells = [cell for name, fact in truth.items() for cell in count_hits(name, fact, probes, answers)]
        cells.append(f"{sum(a != b for a, b in zip(before, answers, strict=True))}/{len(answers)}" if before else "")
        print(f"| {folder.name if folder else 'base'} | " + " | ".join(cells) + " |", flush=True)
        before = answers


def count_hits(name: str, fact: dict[str, Any], probes: list[dict[str, Any]], answers: list[str]) -> list[str]:
    """Return `hits/total` of behavior `name` among the probes that have one of its tags, and among the others."""
    hits: dict[bool, list[bool]] = {True: [], False: []}
    for probe, answer in zip(probes, answers, strict=True):
        hits[bool(set(probe["tags"]) & set(fact["affected_tags"]))].append(SCORERS[name](answer))
    return [f"{sum(found)}/{len(found)}" for found in (hits[True], hits[False])]


if __name__ == "__main__":
    main()
