import pytest

from luthier.core.errors import ModelError
from luthier.planning.shape import ModelShape

LLAMA_2_7B = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "vocab_size": 32000,
    "tie_word_embeddings": False,
}
QWEN_25_7B = {
    "model_type": "qwen2",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "tie_word_embeddings": False,
}
SMALL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


@pytest.mark.parametrize(("config", "parameters"), [(LLAMA_2_7B, 6_738_415_616), (QWEN_25_7B, 7_615_616_512)])
def test_the_parameters_of_published_models(config, parameters):
    assert ModelShape.of(config).parameters == parameters


@pytest.mark.parametrize(
    ("architecture", "sizes"),
    [
        *((name, SMALL) for name in ("Llama", "Mistral", "Qwen2", "Bert", "Roberta", "GPTNeoX")),
        *((name, {**SMALL, "head_dim": 16}) for name in ("Qwen3", "Gemma", "Gemma2", "Gemma3Text")),
        ("Phi3", {**SMALL, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}),
        ("GPT2", {"n_embd": 32, "n_layer": 3, "n_head": 4, "bos_token_id": 1, "eos_token_id": 2}),
        ("DistilBert", {"dim": 32, "hidden_dim": 64, "n_layers": 3, "n_heads": 4}),
        ("Mixtral", {**SMALL, "num_local_experts": 4}),
    ],
)
def test_the_parameters_are_those_that_transformers_makes(architecture, sizes):
    import torch
    import transformers

    config = getattr(transformers, f"{architecture}Config")(vocab_size=100, **sizes)
    head = transformers.AutoModelForMaskedLM if "ert" in architecture else transformers.AutoModelForCausalLM
    with torch.device("meta"):
        model = head.from_config(config)
    counted = sum(parameter.numel() for parameter in model.parameters())
    assert ModelShape.of(config.to_dict()).parameters == counted


def test_of_a_model_that_also_sees_the_text_part_counts():
    assert ModelShape.of({"model_type": "seeing", "text_config": LLAMA_2_7B}) == ModelShape.of(LLAMA_2_7B)


def test_experts_are_held_whole_and_used_in_part():
    shape = ModelShape.of({**SMALL, "vocab_size": 100, "num_local_experts": 4, "num_experts_per_tok": 2})
    dense = ModelShape.of({**SMALL, "vocab_size": 100})
    assert shape.parameters - dense.parameters == 3 * (3 * 3 * 32 * 64 + 32 * 4)
    assert shape.active_parameters - dense.active_parameters == 3 * (3 * 32 * 64 + 32 * 4)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hidden_size", 10**30),
        ("num_hidden_layers", "two"),
        ("head_dim", [64]),
        ("num_key_value_heads", -1),
        ("num_key_value_heads", 0.5),
        ("intermediate_size", {"inner": 1}),
        ("num_local_experts", "x"),
        ("num_experts_per_tok", 10**12),
        ("vocab_size", True),
    ],
)
def test_sizes_of_no_model_are_refused(field, value):
    with pytest.raises(ModelError, match=f"config.json's {field} is no size of a model"):
        ModelShape.of({**LLAMA_2_7B, field: value})


def test_sizes_that_are_none_or_zero_are_as_if_left_out():
    left_out = {name: value for name, value in LLAMA_2_7B.items() if name != "num_key_value_heads"}
    assert ModelShape.of({**LLAMA_2_7B, "num_key_value_heads": None}) == ModelShape.of(left_out)
    assert ModelShape.of({**LLAMA_2_7B, "num_local_experts": 0}) == ModelShape.of(LLAMA_2_7B)
    assert ModelShape.of({"text_config": LLAMA_2_7B}) == ModelShape.of({**LLAMA_2_7B, "text_config": None})
    with pytest.raises(ModelError, match=r"config.json's text_config holds no fields"):
        ModelShape.of({"text_config": "x"})


@pytest.mark.parametrize("missing", ["hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size"])
def test_a_size_that_is_missing_is_named(missing):
    config = {name: value for name, value in LLAMA_2_7B.items() if name != missing}
    with pytest.raises(ModelError, match=f"config.json has no {missing}"):
        ModelShape.of(config)
