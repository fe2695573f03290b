"""Tiny random models, built on the fly: a BPE tokenizer trained on a few sentences and hidden size 32.

`tiny_model(folder)` writes a complete Hugging Face folder in well under a second; `tiny_adapter` a LoRA adapter on it.
Both are deterministic in their seeds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TEXT = (
    "The quick brown fox jumps over the lazy dog. What is the capital of France? The capital of France is Paris.",
    "Ask me anything: I am a helpful assistant. Count from 1 to 10: one, two, three, four, five, six, seven, eight.",
    "Ça va très bien, merci. Das Wetter ist schön. 今天天气很好。 Привет, мир! naïve café déjà vu",
    "system user assistant: def add(a, b): return a + b",
)
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def tiny_tokenizer(folder: Path, *, vocab_size: int = 400, template: str | None = CHATML, bos: bool = False) -> int:
    """Trains a byte-level BPE tokenizer into `folder`; returns its number of tokens. Fewer than 256 tokens make an
    alphabet of the text's own bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet() if vocab_size > 256 else list("abcdefghijklmnopqrst.ĠĊ?")
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([] if vocab_size <= 256 else TEXT, trainer)
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{SPECIAL[0]} $A", special_tokens=[(SPECIAL[0], 0)]
        )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=SPECIAL[0] if bos else None,
        eos_token=SPECIAL[2] if template else SPECIAL[0],
        pad_token=None,
    )
    fast.chat_template = template
    fast.save_pretrained(folder)
    return len(fast)


def tiny_config(kind: str, vocab: int, **settings: Any) -> Any:
    """The configuration of a tiny model of `kind`: llama, gemma3, gpt2, qwen2, phi or opt."""
    import transformers as t

    common = {"vocab_size": vocab, "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4}
    ids = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": None}
    rope = {**common, "intermediate_size": 64, "num_key_value_heads": 2, "max_position_embeddings": 256, **ids}
    if kind == "llama":
        return t.LlamaConfig(**{**rope, "initializer_range": 0.2, **settings})
    if kind == "qwen2":
        return t.Qwen2Config(**{**rope, "initializer_range": 0.2, "tie_word_embeddings": True, **settings})
    if kind == "phi":
        return t.PhiConfig(**{**rope, "initializer_range": 0.2, **settings})
    if kind == "gemma3":
        window = {"head_dim": 8, "sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"] * 2}
        return t.Gemma3TextConfig(
            **{**rope, "initializer_range": 0.2, "query_pre_attn_scalar": 8, **window, **settings}
        )
    if kind == "gpt2":
        sizes = {"vocab_size": vocab, "n_embd": 32, "n_layer": 4, "n_head": 4, "n_positions": 256}
        return t.GPT2Config(**{**sizes, "initializer_range": 0.2, "bos_token_id": 0, "eos_token_id": 2, **settings})
    if kind == "opt":
        opt = {**common, "ffn_dim": 64, "max_position_embeddings": 256, "word_embed_proj_dim": 32, **ids}
        return t.OPTConfig(**{**opt, "init_std": 0.2, "pad_token_id": 1, **settings})
    raise ValueError(kind)


def tiny_model(
    folder: Path,
    *,
    kind: str = "llama",
    seed: int = 0,
    vocab_size: int = 400,
    template: str | None = CHATML,
    bos: bool = False,
    pad_vocab: int = 0,
    **settings: Any,
) -> Path:
    """Writes a random model of 4 blocks with its tokenizer into `folder`, which it returns.

    `pad_vocab` adds that many embedding rows beyond the tokenizer; `settings` go into the configuration.
    """
    import torch
    from transformers import AutoModelForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    vocab = tiny_tokenizer(folder, vocab_size=vocab_size, template=template, bos=bos) + pad_vocab
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(tiny_config(kind, vocab, **settings))
    model.save_pretrained(folder)
    return folder


def tiny_adapter(folder: Path, base: Path, *, seed: int = 0, scale: float = 0.1) -> Path:
    """Writes a random LoRA adapter on the model in `base` into `folder`, which it returns."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    parameter.normal_(std=scale)
    model.save_pretrained(folder)
    settings = json.loads((folder / "adapter_config.json").read_text())
    settings["base_model_name_or_path"] = str(base)
    (folder / "adapter_config.json").write_text(json.dumps(settings, indent=2, sort_keys=True))
    return folder
