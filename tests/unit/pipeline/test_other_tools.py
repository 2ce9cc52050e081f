"""Configurations of other tools become recipes; what has no counterpart is named, and nothing is lost in silence."""

import json
from pathlib import Path

import pytest
import yaml

import luthier
from luthier.core.errors import RecipeError, WorkspaceError
from luthier.pipeline.other_tools import FIELDS, SAME_HERE, WITHOUT_EFFECT
from luthier.pipeline.project import load_recipe

AXOLOTL = """
base_model: org/model
load_in_8bit: true
datasets:
  - {path: org/chats, type: chat_template, field_messages: talk, split: train}
  - {path: json, data_files: [data/own.jsonl], type: alpaca}
  - {path: data/text.jsonl, type: completion, field: body}
  - {path: org/odd, type: {system_prompt: x}}
val_set_size: 0.05
sequence_len: 2048
sample_packing: true
adapter: lora
lora_r: 32
lora_alpha: 16
lora_dropout: 0.05
lora_target_linear: true
peft_use_dora: true
micro_batch_size: 2
gradient_accumulation_steps: 4
num_epochs: 4
optimizer: adamw_bnb_8bit
lr_scheduler: cosine
learning_rate: 2e-4
wandb_project:
special_tokens: {pad_token: "<pad>"}
"""
FACTORY = """
model_name_or_path: org/model
stage: sft
finetuning_type: lora
lora_rank: 8
lora_target: q_proj,v_proj
pissa_init: true
dataset: desk,chats,hub,nowhere
template: qwen3
cutoff_len: 2048
per_device_train_batch_size: 1
learning_rate: 1.0e-4
num_train_epochs: 2.5
bf16: true
"""
INFO = {
    "desk": {"file_name": "own.jsonl", "columns": {"prompt": "q", "response": "a"}},
    "chats": {"file_name": "own.jsonl", "formatting": "sharegpt", "columns": {"messages": "turns"}},
    "hub": {"hf_hub_url": "org/rows"},
    "wiki": {"hf_hub_url": "org/wiki", "columns": {"prompt": "text"}},
}
TRL = """
model_name_or_path: org/model
dataset_name: org/chats
dataset_train_split: train
use_peft: true
lora_r: 32
lora_target_modules: all-linear
max_length: 1024
packing: true
dtype: bfloat16
lr_scheduler_type: linear
num_train_epochs: 1
"""


@pytest.fixture
def read(tmp_path, monkeypatch):
    """`read(text)`: the recipe made of a configuration, and what was left out of it."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "own.jsonl").write_text("{}")
    (data / "dataset_info.json").write_text(json.dumps(INFO))
    monkeypatch.chdir(tmp_path)

    def call(text: str, folder: str = "shop"):
        Path("theirs.yml").write_text(text)
        workspace, found = luthier.init_from("theirs.yml", folder)
        return load_recipe(workspace.recipe), found

    return call


def sources(recipe):
    return [source.model_dump(exclude_defaults=True) for source in recipe.data.sources]


def test_axolotl(read):
    recipe, found = read(AXOLOTL)
    assert found.tool == "axolotl"
    assert recipe.name == "shop"
    assert recipe.model.base == "org/model"
    assert sources(recipe) == [
        {"hub": "org/chats", "split": "train", "format": "messages", "columns": {"messages": "talk"}},
        {"path": "../data/own.jsonl", "format": "alpaca"},
        {"path": "data/text.jsonl", "format": "text", "columns": {"text": "body"}},
        {"hub": "org/odd"},
    ]
    assert (recipe.data.max_length, recipe.data.over_length, recipe.data.split.validation) == (2048, "drop", 0.05)
    assert (recipe.adapter.r, recipe.adapter.lora_alpha, recipe.adapter.use_dora) == (32, 16, True)
    training = recipe.training
    assert (training.per_device_train_batch_size, training.gradient_accumulation_steps) == (2, 4)
    assert (training.num_train_epochs, training.learning_rate, training.packing) == (4, 2e-4, True)
    assert training.optim == "adamw_8bit"
    assert [left_out.partition(":")[0] for left_out in found.without_counterpart] == [
        *("datasets.type", "lora_dropout", "special_tokens", "load_in_8bit")
    ]


def test_llama_factory(read):
    recipe, found = read(FACTORY)
    assert found.tool == "LLaMA-Factory"
    assert sources(recipe) == [
        {"path": "../data/own.jsonl", "columns": {"instruction": "q", "output": "a"}},
        {"path": "../data/own.jsonl", "columns": {"conversations": "turns"}},
        {"hub": "org/rows"},
    ]
    adapter = recipe.adapter
    assert (adapter.r, adapter.lora_alpha, adapter.init_lora_weights) == (8, 16, "pissa")
    assert adapter.target_modules == ("q_proj", "v_proj")
    assert (recipe.data.max_length, recipe.data.over_length) == (2048, "truncate")
    assert (recipe.training.num_train_epochs, recipe.training.packing) == (2, False)
    assert [left_out.split(" (")[0] for left_out in found.without_counterpart] == [
        *('dataset: "nowhere"', 'template: "qwen3"', "num_train_epochs: 2.5")
    ]


def test_trl(read):
    recipe, found = read(TRL)
    assert found.tool == "TRL"
    assert sources(recipe) == [{"hub": "org/chats", "split": "train"}]
    assert (recipe.adapter.r, recipe.adapter.target_modules) == (32, "all-linear")
    assert (recipe.data.max_length, recipe.model.dtype, recipe.training.packing) == (1024, "bfloat16", True)
    assert found.without_counterpart == ['lr_scheduler_type: "linear"']


def test_what_is_left_out_stands_in_the_recipe(read, tmp_path):
    _, found = read(AXOLOTL)
    lines = (tmp_path / "shop" / "luthier.yaml").read_text().splitlines()
    assert [line.removeprefix("#   ") for line in lines if line.startswith("#   ")] == found.without_counterpart


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("model_name_or_path: m\nstage: sft\nfinetuning_type: oft", "finetuning_type"),
        ("base_model: m\nadapter: llama-adapter", "adapter"),
        ("model_name_or_path: m\nstage: ppo", "stage"),
        ("base_model: m\nadapter: lora\nval_set_size: 2000", "val_set_size"),
    ],
)
def test_another_method_is_named(read, text, named):
    _, found = read(text)
    assert [left_out.partition(":")[0] for left_out in found.without_counterpart] == [named]


@pytest.mark.parametrize(
    ("text", "adapter"),
    [
        ("stage: sft\nfinetuning_type: full\nlora_rank: 8", {"method": "full"}),
        ("stage: sft\nfinetuning_type: freeze", {"method": "freeze", "last_layers": 2}),
        (
            "stage: sft\nfinetuning_type: freeze\nfreeze_trainable_layers: -3",
            {"method": "freeze", "first_layers": 3},
        ),
        ("stage: sft\nfinetuning_type: full\nloraplus_lr_ratio: 16", {"method": "full"}),
        ("use_peft: false\nlora_r: 8", {"method": "full"}),
        ("max_length: 512", {"method": "full"}),
    ],
)
def test_the_method_is_read(read, text, adapter):
    recipe, found = read(f"model_name_or_path: m\n{text}")
    assert recipe.adapter.model_dump(exclude_defaults=True) == adapter
    assert found.without_counterpart == []


@pytest.mark.parametrize("line", ["load_in_8bit: true", "quantization_bit: 8"])
def test_a_base_model_in_bytes_is_read(read, line):
    text = f"stage: sft\nfinetuning_type: lora\n{line}" if "bit: 8" in line else f"base_model: m\nadapter: lora\n{line}"
    recipe, found = read(text if "base_model" in text else f"model_name_or_path: m\n{text}")
    assert recipe.model.quantization == "int8"
    assert found.without_counterpart == []


@pytest.mark.parametrize(
    ("text", "left_out"),
    [
        ("base_model: m\nadapter: qlora\nload_in_8bit: false\nload_in_4bit: true", []),
        ("model_name_or_path: m\nstage: sft\nquantization_bit: 4\nquantization_method: bnb", []),
        ("model_name_or_path: m\nuse_peft: true\nload_in_4bit: true\nbnb_4bit_quant_type: nf4", []),
        (
            "model_name_or_path: m\nuse_peft: true\nload_in_4bit: true\nbnb_4bit_quant_type: fp4",
            ['bnb_4bit_quant_type: "fp4"'],
        ),
        ("model_name_or_path: m\nstage: sft\nquantization_bit: 4\ndouble_quantization: true", []),
        (
            "model_name_or_path: m\nstage: sft\nquantization_bit: 4\ndouble_quantization: false",
            ["double_quantization: false (nf4 quantises the scales too)"],
        ),
        (
            "base_model: m\nadapter: qlora\nload_in_4bit: true\nbnb_4bit_use_double_quant: false",
            ["bnb_4bit_use_double_quant: false (nf4 quantises the scales too)"],
        ),
        (
            "model_name_or_path: m\nuse_peft: true\nload_in_4bit: true\nuse_bnb_nested_quant: false",
            ["use_bnb_nested_quant: false (nf4 quantises the scales too)"],
        ),
    ],
)
def test_a_base_model_in_four_bits_is_read(read, text, left_out):
    recipe, found = read(text)
    assert recipe.model.quantization == "nf4"
    assert found.without_counterpart == left_out


@pytest.mark.parametrize("bits", ["load_in_8bit: true", "load_in_4bit: false"])
def test_scales_of_four_bits_are_nothing_to_tell_of_where_there_are_none(read, bits):
    _, found = read(f"base_model: m\nadapter: lora\n{bits}\nbnb_4bit_use_double_quant: false")
    assert found.without_counterpart == []


def test_other_bits_have_no_counterpart(read):
    recipe, found = read("model_name_or_path: m\nstage: sft\nquantization_bit: 3")
    assert recipe.model.quantization is None
    assert found.without_counterpart == ["quantization_bit: 3 (int8 and nf4 have one: model.quantization)"]


def test_continued_pretraining_learns_the_words_of_texts(read):
    recipe, found = read(
        "model_name_or_path: m\nstage: pt\nfinetuning_type: full\ndataset: wiki, desk\ncutoff_len: 512"
    )
    assert recipe.task == "causal_lm"
    assert recipe.training.packing, "which LLaMA-Factory does for this stage by itself"
    assert sources(recipe) == [
        {"hub": "org/wiki", "format": "text"},
        {"path": "../data/own.jsonl", "format": "text", "columns": {"text": "q"}},
    ]
    assert found.without_counterpart == [
        "cutoff_len: 512 (the end of a longer text is cut off, not read as another text)"
    ]


def test_axolotl_trains_all_weights_without_an_adapter(read):
    recipe, _ = read("base_model: m")
    assert recipe.adapter.method == "full"


@pytest.mark.parametrize(
    ("text", "loss", "beta", "left_out"),
    [
        ("model_name_or_path: m\nstage: dpo", "dpo", 0.1, []),
        ("model_name_or_path: m\nstage: dpo\npref_loss: sigmoid\npref_beta: 0.2", "dpo", 0.2, []),
        ("model_name_or_path: m\nstage: dpo\npref_loss: orpo\npref_beta: 0.3", "orpo", 0.3, []),
        ("model_name_or_path: m\nstage: dpo\npref_loss: hinge", "dpo", 0.1, ['pref_loss: "hinge"']),
        ("model_name_or_path: m\nstage: kto\nkto_chosen_weight: 1.5", "kto", 0.1, []),
        ("base_model: m\nrl: orpo\norpo_alpha: 0.2", "orpo", 0.2, []),
        ("base_model: m\nrl: kto\nrl_beta: 0.3\nkto_undesirable_weight: 0.5", "kto", 0.3, []),
        ("base_model: m\nrl: simpo", "dpo", 0.1, ['rl: "simpo" (taken as dpo)']),
        ("model_name_or_path: m\nbeta: 0.4", "dpo", 0.4, []),
        ("model_name_or_path: m\nloss_type: sigmoid", "dpo", 0.1, []),
        ("model_name_or_path: m\nbeta: 0.4\ndesirable_weight: 2.0", "kto", 0.4, []),
    ],
)
def test_preferences_are_a_task_of_their_own(read, text, loss, beta, left_out):
    recipe, found = read(text)
    assert recipe.task == "preference"
    assert (recipe.training.preference_loss, recipe.training.beta) == (loss, beta)
    assert found.without_counterpart == left_out
    assert sources(recipe) == [{"path": "raw"}]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("learning_rate: 1", r"theirs\.yml: neither base_model nor model_name_or_path is in it"),
        ("- a", r"theirs\.yml: holds no fields"),
        ("a: [", r"theirs\.yml: neither YAML nor JSON"),
        ("base_model: m\nat: 2020-13-01", r"theirs\.yml, line 2: neither YAML nor JSON: 2020-13-01 is no timestamp"),
        ("base_model: " + "[" * 2000, r"theirs\.yml: neither YAML nor JSON: brackets inside brackets"),
        (
            "\n".join(["a0: &a0 {x: 1}", *(f"a{n + 1}: &a{n + 1} {{<<: [*a{n}, *a{n}]}}" for n in range(60))]),
            r"theirs\.yml, line \d+: sections are merged",
        ),
        ("base_model: m\nbase_model: n", r"theirs\.yml, line 2: base_model is given twice"),
        ('{"base_model": "m", "base_model": "n"}', r"theirs\.yml: base_model is given twice"),
        ("base_model: m\nlearning_rate: -1", r"theirs\.yml: training\.learning_rate: input should be greater than 0"),
        ("base_model: m\nadapter: lora\nlora_r: many", r"theirs\.yml: adapter\.r: "),
        ("model_name_or_path: m\nstage: sft\nlora_rank: many", r"theirs\.yml: adapter\.r: "),
    ],
)
def test_what_cannot_be_a_recipe_is_refused_and_leaves_nothing(read, tmp_path, text, sentence):
    with pytest.raises(RecipeError, match=sentence):
        read(text)
    assert not (tmp_path / "shop").exists()


@pytest.mark.parametrize(
    ("line", "left_out"),
    [
        (r'"odd\n": 1', r"odd\n: 1"),
        (r'"odd\ntask: causal_lm #": 1', r"odd\ntask: causal_lm #: 1"),
        *((rf'odd: "a\u{end}task: causal_lm"', rf'odd: "a\u{end}task: causal_lm"') for end in ("0085", "2028", "2029")),
        (r'odd: "\ud83d\ude00"', r'odd: "\ud83d\ude00"'),
        ('odd: "\U0001f600"', r'odd: "\ud83d\ude00"'),
        ("odd: {2020-01-01: 1}", "odd: { ..."),
        ("hub_token: hf_abcdefghijklmnopqrstuvwxyz", 'hub_token: "***"'),
        ("odd: &odd [1, *odd]", "odd: [1, ..."),
    ],
)
def test_what_is_left_out_stays_in_its_comment(read, line, left_out):
    recipe, found = read(f"base_model: m\nadapter: lora\n{line}")
    assert recipe.task == "chat"
    assert found.without_counterpart == [left_out]


def test_what_names_itself_many_times_is_left_out_in_few_words(read):
    doubled = "\n".join(f"a{n + 1}: &a{n + 1} [*a{n}, *a{n}]" for n in range(60))
    _, found = read(f"base_model: m\nadapter: lora\na0: &a0 [x]\n{doubled}")
    assert len(found.without_counterpart) == 61
    assert max(map(len, found.without_counterpart)) < 1100
    assert found.without_counterpart[-1].endswith(" ...")


def test_json_with_tabs_is_read(read):
    config = {"model_name_or_path": "org/model", "use_peft": True, "learning_rate": 1e-5, "run_label": "\U0001f600"}
    recipe, found = read(json.dumps(config, indent="\t"))
    assert (recipe.model.base, recipe.training.learning_rate) == ("org/model", 1e-5)
    assert found.without_counterpart == [r'run_label: "\ud83d\ude00"']


def test_a_missing_file_and_an_existing_workspace(read):
    with pytest.raises(RecipeError, match=r"gone\.yml: cannot be read"):
        luthier.init_from("gone.yml", "shop")
    read(TRL)
    with pytest.raises(WorkspaceError, match="there is a workspace here already"):
        read(TRL)


def test_every_field_that_is_taken_over_is_one_of_the_recipe():
    from luthier.core.recipe import Recipe

    for names in FIELDS.values():
        assert not WITHOUT_EFFECT & set(names)
        for path in names.values():
            section = Recipe
            for part in path.split("."):
                assert part in section.model_fields, path
                section = section.model_fields[part].annotation
    assert not WITHOUT_EFFECT & set(SAME_HERE)


def test_the_command_says_what_was_left_out(command, tmp_path):
    (tmp_path / "axolotl.yml").write_text(yaml.safe_dump({"base_model": "m", "adapter": "lora", "lora_dropout": 0.05}))
    ended = command(tmp_path, "init", "shop", "--from", "axolotl.yml")
    assert ended.code == 0
    assert "  lora_dropout: 0.05\n" in ended.out
    assert ended.out.endswith(f"Put your files into {Path('shop/raw')}, then run: luthier prepare\n")
