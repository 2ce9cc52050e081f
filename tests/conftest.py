"""A tiny random model with a tokenizer and a chat template, like the real ones in all but size; workspaces that use
it; the command line in this process; and no network.

torch and transformers are imported inside the fixtures, so that tests that need neither stay quick.
"""

import gc
import json
import os
import re
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import yaml

import luthier

if TYPE_CHECKING:
    from tokenizers.models import WordPiece
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from luthier.core.rows import TokenRow
    from luthier.models.sources import BaseFiles
    from luthier.models.template import ChatTemplate

# What modules and collected tests consist of stays until the end: there is no garbage to look for in it.
gc.disable()
# A shell that starts the tests in the background has them ignore Ctrl-C, which processes that they start inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Machines that are busy take their time over an example.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")
# Read by huggingface_hub when it is first imported.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

DEFAULT_SYSTEM_PROMPT = "You are a helpful model that slips this in."
CHATML_TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\n" + DEFAULT_SYSTEM_PROMPT + "<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
CORPUS = (
    "system user assistant",
    "You are the support assistant of the shop. How can I help you with the order?",
    "Returns are free within 30 days; the refund takes about 5 working days after the parcel arrives.",
)
VOCABULARY = 320
GEMMA = {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 6}
LLAMA_LIKE: dict[str, dict[str, Any]] = {
    "Llama": {},
    "Qwen2": {},
    "Qwen3": {"head_dim": 8},
    "Gemma": {"head_dim": 8},
    "Gemma2": GEMMA,
    "Gemma3Text": GEMMA,
    "Mistral": {"sliding_window": 6},
    "Phi": {},
    "Phi3": {},
    "StableLm": {},
}
SMALL: dict[str, dict[str, Any]] = {
    "GPT2": {"n_embd": 32, "n_layer": 2, "n_head": 4},
    "Bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
    "OPT": {
        "hidden_size": 32,
        "ffn_dim": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "word_embed_proj_dim": 32,
    },
}
ARCHITECTURES = (*LLAMA_LIKE, *SMALL)


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Models are cached in a folder of this test session, not in the home of whoever runs it. Of several processes
    each has its own, but for the kernels, which take long to compile."""
    cache = tmp_path_factory.mktemp("cache")
    os.environ["LUTHIER_CACHE"] = str(cache)
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = tmp_path_factory.getbasetemp().parent / "kernels"
        shared.mkdir(exist_ok=True)
        (cache / "kernels").symlink_to(shared)


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved Llama of 2 layers with random weights (safetensors, fp32) and its tokenizer. Copy it to change it."""
    from transformers import LlamaForCausalLM

    folder = tmp_path_factory.mktemp("models") / "tiny-llama"
    tokenizer = _train_tokenizer()
    _seeded(LlamaForCausalLM, _llama_config(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved BERT of 2 layers with random weights, without a pooler or head, and a WordPiece tokenizer; it reads 64
    tokens."""
    from transformers import BertConfig, BertModel

    from luthier.models.tokenizer_training import train_tokenizer

    folder = tmp_path_factory.mktemp("models") / "tiny-bert"
    tokenizer = train_tokenizer(CORPUS, "wordpiece", VOCABULARY)
    special_tokens = sorted(tokenizer.all_special_tokens, key=tokenizer.convert_tokens_to_ids)
    tokenizer.backend_tokenizer.model = _pieces_of(CORPUS, special_tokens)
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        pad_token_id=tokenizer.pad_token_id,
    )
    _seeded(lambda config: BertModel(config, add_pooling_layer=False), config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _pieces_of(texts: Sequence[str], special_tokens: list[str]) -> "WordPiece":
    """All words and characters of the texts: what WordPiece learns differs from process to process."""
    from tokenizers.models import WordPiece

    words = {word for text in texts for word in re.findall(r"\w+|[^\w\s]", text)}
    characters = {character for word in words for character in word}
    pieces = [*special_tokens, *sorted(words | characters | {f"##{character}" for character in characters})]
    return WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]")


@pytest.fixture
def tiny_tokenizer(tiny_model_folder: Path) -> "PreTrainedTokenizerFast":
    """Byte-level BPE with 320 tokens and a ChatML template that opens with a default system prompt, as SmolLM2's."""
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(tiny_model_folder)
    return tokenizer


@pytest.fixture
def tiny_template(tiny_tokenizer: "PreTrainedTokenizerFast") -> "ChatTemplate":
    from luthier.models.template import ChatTemplate

    return ChatTemplate(tiny_tokenizer)


@pytest.fixture
def tiny_base(tiny_model_folder: Path) -> "BaseFiles":
    """`tiny_model_folder` as the base model that `find_base` gives."""
    from luthier.core.identity import file_digest
    from luthier.models.sources import BaseFiles, model_files

    return BaseFiles("tiny-llama", tiny_model_folder, file_digest(model_files(tiny_model_folder)))


@pytest.fixture
def tiny_model(tiny_base: "BaseFiles") -> "PreTrainedModel":
    """The tiny model in fp32, frozen: a new one for each test."""
    from luthier.models.loading import load_model

    return load_model(tiny_base, "float32")


@pytest.fixture
def random_rows() -> "Callable[..., list[TokenRow]]":
    """`random_rows(lengths, vocabulary=320, seed=0)`: rows with random tokens, of which the second half are targets."""
    return _random_rows


def _random_rows(lengths: "Sequence[int]", vocabulary: int = VOCABULARY, seed: int = 0) -> "list[TokenRow]":
    import random

    from luthier.core.rows import TokenRow

    source = random.Random(seed)
    rows = []
    for number, length in enumerate(lengths):
        ids = tuple(source.randrange(vocabulary) for _ in range(length))
        rows.append(TokenRow(f"row-{number}", ids, tuple(place >= max(1, length // 2) for place in range(length))))
    return rows


@pytest.fixture
def make_model() -> Callable[[str], Any]:
    """`make_model("Qwen2")`: a frozen causal language model with fixed random weights in fp32, vocabulary 320."""
    return _make_model


def _make_model(architecture: str) -> Any:
    sizes = SMALL.get(architecture) or {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        **LLAMA_LIKE[architecture],
    }
    import torch
    import transformers

    config_class = getattr(transformers, f"{architecture}Config")
    config = config_class(vocab_size=VOCABULARY, bos_token_id=1, eos_token_id=2, pad_token_id=0, **sizes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: Any = transformers.AutoModelForCausalLM.from_config(config)
    return model.eval().requires_grad_(False)


def _llama_config(tokenizer: "PreTrainedTokenizerFast") -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _seeded(model_class: Any, config: Any) -> Any:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return model_class(config)


def _train_tokenizer() -> "PreTrainedTokenizerFast":
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    special_tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=special_tokens,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(CORPUS, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
    )
    tokenizer.chat_template = CHATML_TEMPLATE
    return tokenizer


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """`command(folder, "prepare", "--json")` runs a luthier command there, in this process; warnings stay errors."""
    from luthier.cli.main import run

    monkeypatch.setattr(sys, "warnoptions", ["error"])

    def call(folder: Path, *arguments: str) -> Ended:
        monkeypatch.chdir(folder)
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Ended(code, out, err)

    return call


@pytest.fixture(scope="session")
def lay_out_shop(tiny_model_folder: Path) -> Callable[[Path], None]:
    """`lay_out_shop(folder)`: a workspace over the tiny model with raw files, some of whose records must be dropped."""

    def lay_out(folder: Path) -> None:
        luthier.init(folder)
        for name, text in _shop_files().items():
            (folder / name).write_text(text, encoding="utf-8")
        recipe = yaml.safe_load((folder / "luthier.yaml").read_text(encoding="utf-8"))
        recipe["model"] = {"base": str(tiny_model_folder), "dtype": "float32"}
        recipe["data"] |= {"sources": [{"path": "raw"}], "system": "You are the shop.", "max_length": 256}
        recipe["training"] |= {"num_train_epochs": 4, "eval_steps": 10, "learning_rate": 5e-3}
        recipe["evaluation"] = {"questions": "golden.jsonl", "max_new_tokens": 4, "gates": {"facts": 0.5}}
        recipe["serving"] = {"port": 0, "max_new_tokens": 8}
        (folder / "luthier.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")

    return lay_out


@pytest.fixture(scope="session")
def _prepared_once(tmp_path_factory: pytest.TempPathFactory, lay_out_shop: Callable[[Path], None]) -> Path:
    folder = tmp_path_factory.mktemp("prepared") / "shop"
    lay_out_shop(folder)
    with luthier.open_project(folder) as project:
        luthier.prepare(project)
    return folder


@pytest.fixture(scope="session")
def _evaluated_once(tmp_path_factory: pytest.TempPathFactory, _prepared_once: Path) -> Path:
    folder = tmp_path_factory.mktemp("evaluated") / "shop"
    shutil.copytree(_prepared_once, folder)
    with luthier.open_project(folder) as project:
        luthier.evaluate(project, luthier.train(project).run)
    return folder


@pytest.fixture
def prepared_shop(tmp_path: Path, _prepared_once: Path) -> Path:
    """A workspace of its own for each test, with a dataset."""
    return Path(shutil.copytree(_prepared_once, tmp_path / "prepared" / "shop"))


@pytest.fixture
def evaluated_shop(tmp_path: Path, _evaluated_once: Path) -> Path:
    """A workspace of its own for each test, with a dataset, a run and its evaluation."""
    return Path(shutil.copytree(_evaluated_once, tmp_path / "evaluated" / "shop"))


@pytest.fixture(scope="session")
def _rated_once(tmp_path_factory: pytest.TempPathFactory, lay_out_shop: Callable[[Path], None]) -> Path:
    folder = tmp_path_factory.mktemp("rated") / "shop"
    lay_out_shop(folder)
    shutil.rmtree(folder / "raw")
    (folder / "raw").mkdir()
    for name, lines in _preferences().items():
        (folder / "raw" / name).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    recipe = yaml.safe_load((folder / "luthier.yaml").read_text(encoding="utf-8"))
    (folder / "luthier.yaml").write_text(yaml.safe_dump(recipe | {"task": "preference"}), encoding="utf-8")
    with luthier.open_project(folder) as project:
        luthier.prepare(project)
    return folder


@pytest.fixture
def rated_shop(tmp_path: Path, _rated_once: Path) -> Path:
    """A workspace of its own for each test, with a dataset of 48 pairs of answers and 16 rated ones."""
    return Path(shutil.copytree(_rated_once, tmp_path / "rated" / "shop"))


def _preferences() -> dict[str, list[dict[str, object]]]:
    things = ("delivery", "a refund", "the warranty", "an exchange", "gift wrapping", "a label", "a part", "an invoice")
    cities = ("Leeds", "York", "Bath", "Hull", "Ayr", "Ely")
    pairs = [
        {
            "prompt": f"How long does {thing} take in {city}?",
            "chosen": f"In {city} {thing} takes {number + 2} days.",
            "rejected": f"Nobody here knows a thing about {thing}, not even in {city}.",
        }
        for number, (thing, city) in enumerate((thing, city) for thing in things for city in cities)
    ]
    thumbs = [
        {
            "prompt": f"May I bring {thing} back to {city} on foot?",
            "completion": f"You may bring {thing} to {city}." if liked else f"{city} is no place for {thing}, go away.",
            "label": liked,
        }
        for thing in things
        for city, liked in (("Leeds", True), ("Hull", False))
    ]
    return {"pairs.jsonl": pairs, "thumbs.jsonl": thumbs}


def _shop_files() -> dict[str, str]:
    """Chats: 48 rows. Tickets: 4 rows, one repeated, one too short. Handbook: 2 sections. Four golden questions."""
    things = ("delivery", "a refund", "the warranty", "an exchange", "gift wrapping", "a label", "a part", "an invoice")
    cities = ("Leeds", "York", "Bath", "Hull", "Ayr", "Ely")
    chats = [
        {
            "customer_id": f"C{number % 40}",
            "messages": [
                {"role": "user", "content": f"How long does {thing} take in {city}?"},
                {"role": "assistant", "content": f"In {city} {thing} takes {number + 2} days."},
            ],
        }
        for number, (thing, city) in enumerate((thing, city) for thing in things for city in cities)
    ]
    tickets = [
        ("Where is the shop in Leeds?", "It is in 5 Kirkgate, beside the market."),
        ("Do you repair old chairs too?", "We do; write to jo@mail.example with a photo."),
        ("Where is the shop in Leeds?", "It is in 5 Kirkgate, beside the market."),
        ("Hm", "?"),
    ]
    golden = [{"question": f"Ely waits for {thing} until when?", "facts": ["7 days"]} for thing in things[:4]]
    return {
        "raw/chats.jsonl": "".join(json.dumps(chat) + "\n" for chat in chats),
        "raw/tickets.csv": "question,answer\n" + "".join(f'"{ask}","{answer}"\n' for ask, answer in tickets),
        "raw/handbook.md": "# Returns\n\nReturns are free within 30 days.\n\n# Hours\n\nWe open at nine each day.\n",
        "golden.jsonl": "".join(json.dumps(line) + "\n" for line in golden),
    }


@pytest.fixture
def file_size_limit() -> Callable[[int], AbstractContextManager[None]]:
    """`with file_size_limit(bytes):` the system refuses to let a file grow beyond, as a full disk does.

    Only around the code under test: where pytest writes to a file itself, it could not write either.
    """

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limited
