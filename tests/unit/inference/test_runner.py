"""Every family of models, with every kind of adapter, gives the tokens that transformers and PEFT give."""

import pytest
import torch
from peft import IA3Config, LoraConfig, get_peft_model
from transformers.models.llama.modeling_llama import LlamaDecoderLayer
from transformers.pytorch_utils import Conv1D

from luthier.core.generation import GenerationRequest, complete
from luthier.inference import Engine
from luthier.inference.key_values import PromptSegment
from luthier.inference.runner import FlatRunner, PlainRunner, Row, open_runner, quantize_where_near
from luthier.models.adapter_stack import AdapterFiles
from luthier.models.quantized import round_weights

QUESTIONS = ("refund?", "How long does the refund take? " * 9, "order", "Is the shop free?")
FLAT = ("Llama", "Qwen2", "Qwen3", "Gemma", "Gemma2", "Gemma3Text", "Mistral", "Phi", "Phi3", "GPT2", "OPT")
PLAIN = ("Bloom", "StableLm")
JOINT = ("Llama", "Qwen2", "Qwen3", "Gemma", "Mistral")
KINDS = {
    "lora": {"r": 4, "lora_alpha": 8},
    "rank 3": {"r": 3, "lora_alpha": 9, "use_rslora": True},
    "dora": {"r": 4, "use_dora": True},
}
IA3_TARGETS = {"GPT2": (["c_attn", "mlp.c_proj"], ["mlp.c_proj"]), "Phi3": (["qkv_proj", "down_proj"], ["down_proj"])}
QUANTIZATIONS = ("int8", "int4")
LLAMA_IA3 = (["k_proj", "v_proj", "down_proj"], ["down_proj"])


def _ia3(architecture):
    targets, feedforward = IA3_TARGETS.get(architecture, LLAMA_IA3)
    return IA3Config(target_modules=targets, feedforward_modules=feedforward, fan_in_fan_out=architecture == "GPT2")


def _adapted(model, config, seed):
    """A model with an adapter that changes what it says, in evaluation mode."""
    adapted = get_peft_model(model, config)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in adapted.named_parameters():
        if parameter.requires_grad:
            drawn = torch.randn(parameter.shape, generator=generator)
            scale = name.endswith(("ia3_l.default", "lora_magnitude_vector.default.weight"))
            parameter.data = parameter.data * (1 + drawn / 4) if scale else drawn * 0.3
    return adapted.eval()


def _greedy(model, prompt, new_tokens, end):
    ids = torch.tensor([prompt])
    found = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=new_tokens,
        eos_token_id=end,
        pad_token_id=0,
    )
    return found[0, len(prompt) :].tolist()


def _likeliest(engine, requests):
    """The greatest log-probability for the first token of each answer."""
    found = {}
    for event in engine.stream(requests):
        assert event.error is None
        for one in event.logprobs:
            found.setdefault(event.index, one.top[0][1])
    return [found[index] for index in range(len(requests))]


def _text(tokenizer, tokens):
    return tokenizer.decode(tokens, skip_special_tokens=True).rstrip("\ufffd")


@pytest.mark.parametrize("architecture", [*FLAT, *PLAIN])
def test_greedy_answers_equal_transformers_for_every_kind_of_adapter(
    architecture, make_model, tiny_tokenizer, tiny_template, tmp_path
):
    old = any(isinstance(module, Conv1D) for module in make_model(architecture).modules())
    configs = {
        name: LoraConfig(target_modules="all-linear", fan_in_fan_out=old, **settings)
        for name, settings in KINDS.items()
    }
    if architecture in (*JOINT, *IA3_TARGETS):
        configs["ia3"] = _ia3(architecture)
    engine = Engine(make_model(architecture), tiny_tokenizer, tiny_template, "base")
    assert engine.fast_path.startswith("off" if architecture in PLAIN else "on")
    references = {"base": make_model(architecture)}
    for seed, (name, config) in enumerate(configs.items()):
        references[name] = _adapted(make_model(architecture), config, seed)
        references[name].save_pretrained(tmp_path / name)
        engine.add_adapter(name, tmp_path / name)
    requests = [
        GenerationRequest(model, ({"role": "user", "content": question},), max_new_tokens=new_tokens)
        for question, new_tokens in zip(QUESTIONS, (9, 12, 3, 20), strict=True)
        for model in references
    ]
    ends = [tiny_template.end_token_id, tiny_tokenizer.eos_token_id]
    texts = set()
    for request, found in zip(requests, complete(engine, requests), strict=True):
        prompt = tiny_template.prompt_ids(request.messages)
        tokens = _greedy(references[request.model], prompt, request.max_new_tokens, ends)
        assert found.text == _text(tiny_tokenizer, tokens)
        texts.add(found.text)
    assert len(texts) > len(QUESTIONS)


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
@pytest.mark.parametrize("architecture", ["Llama", "Qwen3", "Gemma2", "GPT2", "Bloom"])
def test_quantised_answers_equal_those_of_the_rounded_weights_with_and_without_adapters(
    architecture, quantization, make_model, tiny_tokenizer, tiny_template, tmp_path
):
    old = any(isinstance(module, Conv1D) for module in make_model(architecture).modules())
    engine = Engine(make_model(architecture), tiny_tokenizer, tiny_template, "base", quantization=quantization)
    assert engine.weights == quantization
    assert engine.fast_path.startswith("off" if architecture in PLAIN else "on")
    references = {"base": round_weights(make_model(architecture), quantization)}
    for seed, (name, settings) in enumerate(KINDS.items()):
        config = LoraConfig(target_modules="all-linear", fan_in_fan_out=old, **settings)
        references[name] = _adapted(round_weights(make_model(architecture), quantization), config, seed)
        references[name].save_pretrained(tmp_path / name)
        engine.add_adapter(name, tmp_path / name)
    never_ending = dict.fromkeys(engine._end_ids, -100.0)
    requests = [
        GenerationRequest(
            model, ({"role": "user", "content": question},), max_new_tokens=3, logprobs=1, logit_bias=never_ending
        )
        for question in QUESTIONS
        for model in references
    ]
    for request, found in zip(requests, _likeliest(engine, requests), strict=True):
        prompt = torch.tensor([tiny_template.prompt_ids(request.messages)])
        with torch.no_grad():
            expected = references[request.model](input_ids=prompt).logits[0, -1].log_softmax(-1)
        # Activations are rounded to a 16,382nd of their row's greatest.
        assert found == pytest.approx(float(expected.max()), abs=5e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.inference_mode()
def test_weights_that_lose_too_much_are_left_as_they_are(dtype, make_model, monkeypatch):
    model = make_model("Llama").to(dtype)
    expected = model(input_ids=torch.arange(9)[None]).logits
    monkeypatch.setattr("luthier.inference.runner.MOST_CHANGED", 1e-4)
    assert quantize_where_near(model, "int8").startswith("int8 weights would change its logits by ")
    assert torch.equal(model(input_ids=torch.arange(9)[None]).logits, expected)


def test_an_engine_that_keeps_its_weights_says_so(make_model, tiny_tokenizer, tiny_template, monkeypatch):
    monkeypatch.setattr("luthier.inference.runner.MOST_CHANGED", 1e-4)
    engine = Engine(make_model("Llama"), tiny_tokenizer, tiny_template, "base", quantization="int8")
    assert engine.weights.startswith("float32: int8 weights would change its logits by ")
    assert engine.fast_path == "on"


@pytest.mark.parametrize("quantization", [None, *QUANTIZATIONS])
@pytest.mark.parametrize("architecture", FLAT)
def test_the_flat_path_is_taken_in_bfloat16_too(architecture, quantization, make_model):
    model = make_model(architecture).bfloat16()
    if quantization:
        assert quantize_where_near(model, quantization) is None
    runner, reason = open_runner(model, 1 << 20)
    assert isinstance(runner, FlatRunner), reason
    assert bool(runner.adapters._linears) == (architecture in JOINT)


@pytest.mark.parametrize(
    ("architecture", "reason"), [("Bloom", "do not all keep keys and values"), ("StableLm", "a mask or a sink")]
)
def test_a_model_that_does_not_fit_takes_the_plain_path_and_says_why(architecture, reason, make_model):
    runner, found = open_runner(make_model(architecture), 1 << 20)
    assert isinstance(runner, PlainRunner)
    assert reason in found


def test_a_model_whose_attention_differs_is_found_out(make_model, monkeypatch):
    def forgetful(self, *states):
        return attend(self, *states[:-1], states[-1]._replace(scaling=1.0))

    attend = PromptSegment.attend
    monkeypatch.setattr(PromptSegment, "attend", forgetful)
    runner, reason = open_runner(make_model("Llama"), 1 << 20)
    assert isinstance(runner, PlainRunner)
    assert "differ from the model's own" in reason


class _Halved(LlamaDecoderLayer):
    """Of Llama's shape, and not what Llama computes."""

    def forward(self, *args, **given):
        return super().forward(*args, **given) / 2


def test_layers_that_only_look_like_llamas_keep_their_own_forward(make_model):
    model = make_model("Llama")
    for layer in model.model.layers:
        layer.__class__ = _Halved
    runner, reason = open_runner(model, 1 << 20)
    assert isinstance(runner, FlatRunner), reason
    assert not runner.adapters._linears


@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_adapters_in_bfloat16_come_as_near_to_float32_as_pefts(kind, make_model, tmp_path):
    adapted = _adapted(make_model("Llama"), LoraConfig(target_modules="all-linear", **KINDS[kind]), 0)
    adapted.save_pretrained(tmp_path)
    ids = list(range(3, 40))
    exact = adapted(input_ids=torch.tensor([ids])).logits[0, -1]
    expected = adapted.bfloat16()(input_ids=torch.tensor([ids])).logits[0, -1]
    runner, _ = open_runner(make_model("Llama").bfloat16(), 1 << 20)
    files = AdapterFiles(runner._model, tmp_path)
    runner.adapters.add("adapter", files, files.read(), ())
    row, base = Row(list(ids), len(ids), "adapter"), Row(list(ids), len(ids))
    for each in (row, base):
        runner.start(each, ())
    _, logits = runner.compute([(row, len(ids)), (base, len(ids))])
    theirs, ours, without = (float((found.float() - exact).norm()) for found in (expected, *logits))
    assert ours < 2 * theirs
    assert without > 3 * ours
