"""Ten faults that keep models from learning, planted in a workspace, and tiny models that are sound without them."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import yaml
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BertModel,
    GemmaConfig,
    GPT2Config,
    LlamaConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

import luthier
from luthier.models.batch import FlatBatch
from luthier.models.template import ChatTemplate
from luthier.models.tokenizer_training import train_tokenizer
from luthier.pipeline import objectives

VOCABULARY = 400
LEARNING_RATE = 2e-3
PRETRAINING_STEPS = 150
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
OTHER_TEMPLATE = TEMPLATE.replace("<|im_start|>", "<|start_header_id|>")
"""Written for another tokenizer: what opens a turn is no token here."""
SIZES = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4}
CAUSAL: Mapping[str, Callable[[], Any]] = {
    "Llama": lambda: LlamaConfig(**SIZES, num_key_value_heads=2, vocab_size=VOCABULARY, tie_word_embeddings=False),
    "Qwen": lambda: Qwen2Config(**SIZES, num_key_value_heads=2, vocab_size=VOCABULARY, tie_word_embeddings=False),
    "Gemma": lambda: GemmaConfig(
        **SIZES, num_key_value_heads=2, head_dim=16, vocab_size=VOCABULARY, tie_word_embeddings=False, pad_token_id=None
    ),
    "GPT-2": lambda: GPT2Config(n_embd=64, n_layer=3, n_head=4, vocab_size=VOCABULARY, tie_word_embeddings=False),
}
FAMILIES = (*CAUSAL, "BERT")


@dataclass(frozen=True)
class Conversation:
    question: str
    answer: str
    label: str


def conversations() -> list[Conversation]:
    things = ("delivery", "a refund", "the warranty", "an exchange", "gift wrapping", "a label", "a part", "an invoice")
    cities = ("Leeds", "York", "Bath", "Hull", "Ayr", "Ely", "Wick", "Deal")
    return [
        Conversation(f"How long does {thing} take in {city}?", f"In {city} {thing} takes {number + 2} days.", thing)
        for number, (thing, city) in enumerate((thing, city) for thing in things for city in cities)
    ]


def lay_out(folder: Path, base: Path | str, classifies: bool = False) -> None:
    """A workspace over a base model, with a dataset: conversations, or their questions with labels."""
    luthier.init(folder)
    rows = [
        {"text": each.question, "label": each.label}
        if classifies
        else {"messages": [{"role": "user", "content": each.question}, {"role": "assistant", "content": each.answer}]}
        for each in conversations()
    ]
    (folder / "raw" / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    recipe = yaml.safe_load((folder / "luthier.yaml").read_text(encoding="utf-8"))
    recipe["task"] = "classification" if classifies else "chat"
    recipe["model"] = {"base": str(base)}
    if isinstance(base, Path):
        recipe["model"]["dtype"] = "float32"
    recipe["data"] |= {"sources": [{"path": "raw"}], "system": "", "max_length": 256}
    recipe["data"]["clean"] = {"near_duplicates": None, "min_words": 1}
    recipe["training"] = {"learning_rate": LEARNING_RATE}
    recipe["evaluation"] = {}
    (folder / "luthier.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    with luthier.open_project(folder) as project:
        luthier.prepare(project)


def save_tiny(family: str, folder: Path) -> None:
    """A tiny model of a family with its tokenizer: an encoder with random weights, or a decoder that has learnt the
    conversations a little."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if family == "BERT":
            tokenizer = train_tokenizer([each.question for each in conversations()], "wordpiece", VOCABULARY)
            config = BertConfig(**SIZES, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id)
            BertModel(config, add_pooling_layer=False).save_pretrained(folder)
        else:
            tokenizer = _chat_tokenizer()
            model = AutoModelForCausalLM.from_config(CAUSAL[family]())
            model.generation_config.pad_token_id = tokenizer.pad_token_id
            _pretrain(model, tokenizer)
            model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _chat_tokenizer() -> Any:
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = (text for each in conversations() for text in ("user\n", "assistant\n", each.question, each.answer))
    backend.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=special[1], eos_token=special[2], pad_token=special[0], unk_token=special[0]
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def _pretrain(model: Any, tokenizer: Any) -> None:
    texts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": each.question}, {"role": "assistant", "content": each.answer}], tokenize=False
        )
        for each in conversations()
    ]
    batch = tokenizer(texts, padding=True, return_tensors="pt", add_special_tokens=False)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    model.train()
    for _ in range(PRETRAINING_STEPS):
        model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    model.eval()


@dataclass(frozen=True)
class Fault:
    """What names a fault, and a context in which the model in a folder has it; it gives overrides of the recipe."""

    named_by: str
    plant: Callable[[Path], Any]
    of_encoders: bool = False
    """Whether a classifier on an encoder can have it too."""


@contextmanager
def _changed_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> Iterator[list[str]]:
    path = folder / "model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file({name: weight.contiguous() for name, weight in weights.items()}, path, metadata={"format": "pt"})
    yield []


def _matrices_of_second_layer(weights: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    found = [
        weight
        for name, weight in weights.items()
        if weight.dim() > 1 and any(f"{stack}.1." in name for stack in ("layers", "h", "layer"))
    ]
    assert found
    return found


def _nan(weights: dict[str, torch.Tensor]) -> None:
    _matrices_of_second_layer(weights)[0][0, 0] = float("nan")


def _zero(weights: dict[str, torch.Tensor]) -> None:
    for weight in _matrices_of_second_layer(weights):
        weight.zero_()


def _ten_times(weights: dict[str, torch.Tensor]) -> None:
    for weight in _matrices_of_second_layer(weights):
        weight.mul_(10)


def _new_head(weights: dict[str, torch.Tensor]) -> None:
    names = [name for name in weights if "lm_head" in name] or [name for name in weights if "embed_tokens" in name]
    weight = weights[names[0]]
    weights[names[0]] = 0.02 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)).to(weight.dtype)


@contextmanager
def _template(folder: Path, template: str) -> Iterator[list[str]]:
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings.pop("chat_template", None)
    path.write_text(json.dumps(settings), encoding="utf-8")
    yield []


def _own_template(folder: Path) -> str:
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    return str(json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))["chat_template"])


@contextmanager
def _masked_end(_folder: Path) -> Iterator[list[str]]:
    encode = ChatTemplate.encode

    def without_end(self: ChatTemplate, row: Any, first_target: int = 0) -> Any:
        read = encode(self, row, first_target)
        end = getattr(self, "end_token_id", None)
        targets = (target and token != end for token, target in zip(read.input_ids, read.targets, strict=True))
        return replace(read, targets=tuple(targets))

    with patch.object(ChatTemplate, "encode", without_end):
        yield []


@contextmanager
def _shifted(_folder: Path) -> Iterator[list[str]]:
    of = FlatBatch.of

    def shifted(*arguments: Any) -> FlatBatch:
        batch = of(*arguments)
        return replace(batch, predictors=batch.predictors + 1)

    with patch.object(FlatBatch, "of", shifted):
        yield []


@contextmanager
def _frozen(_folder: Path) -> Iterator[list[str]]:
    prepare = objectives.prepare
    with patch.object(objectives, "prepare", lambda *given: prepare(*given).requires_grad_(False)):
        yield []


@contextmanager
def _high_rate(_folder: Path) -> Iterator[list[str]]:
    yield [f"training.learning_rate={1000 * LEARNING_RATE}"]


FAULTS: Mapping[str, Fault] = {
    "NaN weight": Fault("weights_readable", lambda folder: _changed_weights(folder, _nan), of_encoders=True),
    "zeroed layer": Fault("zero_weights", lambda folder: _changed_weights(folder, _zero), of_encoders=True),
    "x10 initialisation": Fault("weight_sizes", lambda folder: _changed_weights(folder, _ten_times), of_encoders=True),
    "masked end token": Fault("end_token", _masked_end),
    "double start token": Fault(
        "start_token", lambda folder: _template(folder, "{{ '<|im_start|>' }}" + _own_template(folder))
    ),
    "wrong template": Fault("template", lambda folder: _template(folder, OTHER_TEMPLATE)),
    "labels shifted by one": Fault("labels", _shifted),
    "frozen everything": Fault("trainable_weights", _frozen, of_encoders=True),
    "learning rate x1000": Fault("update_ratio", _high_rate, of_encoders=True),
    "random head": Fault("first_loss", lambda folder: _changed_weights(folder, _new_head)),
}


def check(workspace: Path, overrides: list[str]) -> Any:
    """What `luthier check` finds in a workspace."""
    with luthier.open_project(workspace, overrides=overrides) as project:
        return luthier.check(project)
