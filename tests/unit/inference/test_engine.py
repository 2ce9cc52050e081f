import threading
from contextlib import closing

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from luthier.core.errors import ModelError, TemplateError
from luthier.core.generation import GenerationRequest, complete
from luthier.core.recipe import AdapterSection
from luthier.inference import Engine
from luthier.models.adapter import attach_adapter, load_adapter, save_adapter, trainable
from luthier.models.loading import load_model

QUESTIONS = ("refund?", "How long does the refund take after the parcel arrives?", "order", "Is the shop free? " * 6)
MODELS = ("base", "sales", "support", "returns")
KINDS = {"returns": {"use_dora": True, "use_rslora": True, "r": 6}}
NEW_TOKENS = 8
WEIGHTS = "adapter_model.safetensors"


def _request(model="base", question=QUESTIONS[0], **settings):
    settings = {"max_new_tokens": NEW_TOKENS} | settings
    return GenerationRequest(model, ({"role": "user", "content": question},), **settings)


def _with_weights(model, seed, **settings):
    """A LoRA adapter that changes what the model says."""
    adapted = attach_adapter(model, AdapterSection(**{"r": 4, "lora_alpha": 8, **settings}), seed)
    generator = torch.Generator().manual_seed(seed)
    for parameter in trainable(adapted).values():
        parameter.data.normal_(0, 0.3, generator=generator)
    return adapted


@pytest.fixture(scope="session")
def adapter_folders(tiny_model_folder, tmp_path_factory):
    """One adapter in PEFT's format for each tuned model."""
    folders = {}
    for seed, name in enumerate(MODELS[1:], start=1):
        folders[name] = tmp_path_factory.mktemp("adapters") / name
        base = LlamaForCausalLM.from_pretrained(tiny_model_folder)
        save_adapter(_with_weights(base, seed, **KINDS.get(name, {})), folders[name], str(tiny_model_folder))
    return folders


@pytest.fixture
def engine(tiny_model, tiny_tokenizer, tiny_template, adapter_folders):
    engine = Engine(tiny_model, tiny_tokenizer, tiny_template, "base")
    for name, folder in adapter_folders.items():
        engine.add_adapter(name, folder)
    return engine


@pytest.fixture
def reference(tiny_base, tiny_template, adapter_folders):
    """`reference(request)`: token ids by transformers' own greedy search, one request and one model at a time."""
    loaded = {name: load_model(tiny_base, "float32") for name in MODELS}
    models = {name: load_adapter(loaded[name], folder) for name, folder in adapter_folders.items()}
    models["base"] = loaded["base"]

    def generate(request, end_ids=()):
        prompt = torch.tensor([tiny_template.prompt_ids(request.messages)])
        found = models[request.model].generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            do_sample=False,
            max_new_tokens=request.max_new_tokens,
            eos_token_id=[tiny_template.end_token_id, *end_ids],
            pad_token_id=tiny_template.end_token_id,
        )
        return [token for token in found[0, prompt.shape[1] :].tolist() if token != tiny_template.end_token_id]

    return generate


def _tokens(engine, requests):
    """The token ids of each answer, end tokens left out."""
    make, answers = engine._answer, {}
    engine._answer = lambda index, *rest: answers.setdefault(index, make(index, *rest))
    completions = complete(engine, requests)
    del engine._answer
    tokens = [answers[index].tokens for index in range(len(requests))]
    assert [completion.completion_tokens for completion in completions] == list(map(len, tokens))
    return tokens


def _mixed():
    return [_request(model, question) for question in QUESTIONS for model in MODELS]


def test_greedy_tokens_equal_transformers_in_a_mixed_batch(engine, reference):
    requests = _mixed()
    found = _tokens(engine, requests)
    assert found == [reference(request) for request in requests]
    assert all(found)
    for start in range(0, len(requests), len(MODELS)):
        assert len({tuple(tokens) for tokens in found[start : start + len(MODELS)]}) == len(MODELS)


def test_adapters_do_not_change_the_base_model(engine, tiny_base, tiny_tokenizer, tiny_template):
    untouched = Engine(load_model(tiny_base, "float32"), tiny_tokenizer, tiny_template, "base")
    requests = [_request(question=question) for question in QUESTIONS]
    expected = complete(untouched, requests)
    assert complete(engine, requests) == expected
    complete(engine, _mixed())
    assert complete(engine, requests) == expected


def test_models_are_offered_with_the_base_first(engine, adapter_folders):
    assert engine.models == MODELS
    engine.add_adapter("sales", adapter_folders["sales"])
    assert engine.models == MODELS


@pytest.mark.parametrize("largest", [1, 2, 5])
def test_any_size_of_batch_gives_the_same_answers(engine, monkeypatch, largest):
    requests = [_request(model, question) for question in (*QUESTIONS, "shop?") for model in MODELS[:2]]
    expected = complete(engine, requests)
    sizes = []
    generate = engine._generate
    monkeypatch.setattr(
        engine, "_generate", lambda answers, prompts: sizes.append(len(prompts)) or generate(answers, prompts)
    )
    monkeypatch.setattr("luthier.inference.engine.LARGEST_BATCH", largest)
    assert complete(engine, requests) == expected
    assert sorted(sizes) == sorted(2 * ([largest] * (5 // largest) + [5 % largest] * (5 % largest > 0)))


def test_rows_leave_the_batch_as_they_finish(engine, reference):
    requests = [
        _request("sales", question, max_new_tokens=tokens) for tokens, question in enumerate(QUESTIONS, start=1)
    ]
    widths = []
    forward = engine._forward
    engine._forward = lambda ids, *rest: widths.append(len(ids)) or forward(ids, *rest)
    assert _tokens(engine, requests) == [reference(request) for request in requests]
    assert widths == [4, 3, 2, 1]


def test_an_end_token_stops_one_row_and_the_others_go_on(tiny_model, tiny_tokenizer, tiny_template):
    requests = [_request(question=question) for question in QUESTIONS]
    whole = _tokens(Engine(tiny_model, tiny_tokenizer, tiny_template, "base"), requests)
    tiny_tokenizer.eos_token = tiny_tokenizer.convert_ids_to_tokens(whole[1][3])
    stopping = Engine(tiny_model, tiny_tokenizer, tiny_template, "base")
    end = tiny_tokenizer.eos_token_id
    expected = [tokens[: tokens.index(end)] if end in tokens else tokens for tokens in whole]
    assert _tokens(stopping, requests) == expected
    completions = complete(stopping, requests)
    reasons = ["stop" if end in tokens else "length" for tokens in whole]
    assert [completion.finish_reason for completion in completions] == reasons
    assert reasons[1] == "stop"
    assert completions[1].completion_tokens <= 3


def test_counts_and_length(engine, tiny_template):
    requests = _mixed()
    for request, completion in zip(requests, complete(engine, requests), strict=True):
        assert completion.prompt_tokens == len(tiny_template.prompt_ids(request.messages))
        assert (completion.finish_reason, completion.completion_tokens) == ("length", NEW_TOKENS)


def test_events_come_in_pieces_and_end_once(engine, tiny_tokenizer):
    requests = [_request("sales"), _request("base", QUESTIONS[1])]
    tokens = _tokens(engine, requests)
    texts, finished = ["", ""], []
    for event in engine.stream(requests):
        assert event.index not in finished
        texts[event.index] += event.text
        if event.finish_reason:
            finished.append(event.index)
    assert sorted(finished) == [0, 1]
    assert texts == [tiny_tokenizer.decode(ids).rstrip("\ufffd") for ids in tokens]


def test_a_stop_string_across_tokens_ends_the_answer(engine, tiny_tokenizer):
    request = _request("support", QUESTIONS[1], max_new_tokens=20)
    (tokens,) = _tokens(engine, [request])
    whole = complete(engine, [request])[0].text
    place = len(tiny_tokenizer.decode(tokens[:10]).rstrip("\ufffd"))
    stop = whole[place - 1 : place + 1]
    assert len(stop) == 2
    events = list(engine.stream([_request("support", QUESTIONS[1], max_new_tokens=20, stop=("never", stop))]))
    assert "".join(event.text for event in events) == whole[: whole.index(stop)]
    assert events[-1].finish_reason == "stop"


def test_sampling_by_seed_does_not_depend_on_the_batch(engine):
    sampled = [_request("sales", question, temperature=1.0, seed=seed) for seed, question in enumerate(QUESTIONS)]
    alone = [_tokens(engine, [request])[0] for request in sampled]
    others = [_request("sales", "order " * 9), _request("sales", "how long", temperature=0.8)]
    assert _tokens(engine, [others[0], *sampled, others[1]])[1:-1] == alone
    assert _tokens(engine, sampled) == alone
    greedy = _tokens(engine, [_request("sales", question) for question in QUESTIONS])
    assert all(first != second for first, second in zip(alone, greedy, strict=True))
    reseeded = _request("sales", QUESTIONS[0], temperature=1.0, seed=99)
    assert _tokens(engine, [reseeded])[0] != alone[0]


def test_a_small_top_p_is_greedy(engine):
    request = _request("sales", temperature=1.0, top_p=1e-6, seed=0)
    assert _tokens(engine, [request]) == _tokens(engine, [_request("sales")])


def test_closing_the_iterator_lets_the_next_one_in(engine):
    request = _request("sales", max_new_tokens=500)
    stream = engine.stream([request, _request("base")])
    next(stream)
    answers = []
    other = threading.Thread(target=lambda: answers.extend(complete(engine, [_request("base")])), daemon=True)
    other.start()
    other.join(0.3)
    assert other.is_alive()
    assert not answers
    stream.close()
    other.join(60)
    assert answers == complete(engine, [_request("base")])
    with pytest.raises(StopIteration):
        next(stream)


def test_an_error_in_the_middle_lets_the_next_one_in(engine, monkeypatch):
    monkeypatch.setattr(engine, "_forward", _raise)
    with pytest.raises(RuntimeError, match="out of memory"):
        complete(engine, [_request("sales")])
    monkeypatch.undo()
    assert complete(engine, [_request("base")])[0].completion_tokens == NEW_TOKENS


def _raise(*_):
    raise RuntimeError("out of memory")


def test_between_events_the_caller_computes_as_ever(engine):
    with closing(engine.stream([_request()])) as stream:
        next(stream)
        assert not torch.is_inference_mode_enabled()
        assert torch.is_grad_enabled()
        weight = torch.ones(2, requires_grad=True)
        (weight * 2).sum().backward()
    assert weight.grad.tolist() == [2.0, 2.0]


def test_threads_take_turns(engine):
    requests = {model: [_request(model, question) for question in QUESTIONS] for model in MODELS}
    expected = {model: complete(engine, group) for model, group in requests.items()}
    found = {}
    threads = [
        threading.Thread(target=lambda model=model: found.update({model: complete(engine, requests[model])}))
        for model in MODELS
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected


def test_an_unknown_model_is_refused_before_any_work(engine):
    stream = engine.stream([_request("base"), _request("marketing")])
    with pytest.raises(ModelError, match=r"no model 'marketing' \(base, sales, support, returns\)"):
        next(stream)


def test_a_prompt_beyond_the_context_is_refused_before_any_work(engine, tiny_template):
    prompt = len(tiny_template.prompt_ids(_request().messages))
    longest = engine._longest = prompt + NEW_TOKENS
    assert complete(engine, [_request()])[0].completion_tokens == NEW_TOKENS
    stream = engine.stream([_request(), _request(max_new_tokens=NEW_TOKENS + 1)])
    with pytest.raises(TemplateError, match=f"{prompt} prompt tokens and {NEW_TOKENS + 1} new ones.*{longest} tokens"):
        next(stream)


def test_the_context_is_the_models_own(engine):
    assert engine._longest == 2048


def test_no_requests_no_events(engine):
    assert list(engine.stream([])) == []


def _saved_adapter(folder, **config):
    """An adapter of another base model than the tiny one."""
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_key_value_heads": 2} | config
    base = LlamaForCausalLM(LlamaConfig(vocab_size=320, num_attention_heads=4, **shape))
    save_adapter(_with_weights(base, seed=5, r=6), folder, "another")
    return folder


def _damaged_adapter(folder):
    _saved_adapter(folder)
    (folder / WEIGHTS).write_bytes(b"damaged")
    return folder


def _incomplete_adapter(folder):
    weights = load_file(_saved_adapter(folder) / WEIGHTS)
    weights.popitem()
    save_file(weights, folder / WEIGHTS)
    return folder


@pytest.mark.parametrize(
    "broken",
    [
        lambda folder: _saved_adapter(folder, hidden_size=64),
        lambda folder: _saved_adapter(folder, num_hidden_layers=3),
        _incomplete_adapter,
        _damaged_adapter,
        lambda folder: folder,
    ],
    ids=["wider", "deeper", "incomplete", "damaged", "missing"],
)
@pytest.mark.parametrize("first", [True, False], ids=["first", "second"])
def test_an_adapter_that_does_not_fit_is_refused_and_changes_nothing(
    tiny_model, tiny_tokenizer, tiny_template, adapter_folders, tmp_path, broken, first
):
    engine = Engine(tiny_model, tiny_tokenizer, tiny_template, "base")
    requests = [_request()]
    if not first:
        engine.add_adapter("sales", adapter_folders["sales"])
        requests.append(_request("sales"))
    expected = complete(engine, requests)
    with pytest.raises(ModelError, match=r"cannot load the adapter|no adapter_model\.safetensors"):
        engine.add_adapter("support", broken(tmp_path / "adapter"))
    assert engine.models == MODELS[: len(requests)]
    assert complete(engine, requests) == expected
    engine.add_adapter("support", adapter_folders["support"])
    assert complete(engine, requests) == expected
    assert complete(engine, [_request("support")])[0].text != expected[0].text
