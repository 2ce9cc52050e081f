import json
import re
import shutil
import threading
import time
from contextlib import closing
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from luthier.core.errors import DeadlineError, GenerationError, ModelError, RequestError, TemplateError
from luthier.core.generation import GenerationRequest, Grammar, complete
from luthier.core.recipe import AdapterSection
from luthier.inference import Engine, MemoryBudget
from luthier.inference.key_values import BLOCK
from luthier.inference.prefix_cache import tokens_in_common
from luthier.inference.scheduler import MOST_PASSED, WORTH_WAITING
from luthier.models.adapter import attach_adapter, load_adapter, save_adapter, trainable
from luthier.models.adapter_stack import AdapterFiles
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
def engine(tiny_base, tiny_tokenizer, tiny_template, adapter_folders):
    engine = Engine(load_model(tiny_base, "float32"), tiny_tokenizer, tiny_template, "base")
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
    make, answers = engine._tasks, {}

    def tasks(index, *rest):
        made = make(index, *rest)
        answers[index] = made[0].answer
        return made

    engine._tasks = tasks
    completions = complete(engine, requests)
    del engine._tasks
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


def _sizes_of_steps(engine):
    """How many rows and prompt tokens each step from now on computes."""
    sizes = []
    compute = engine._runner.compute

    def counted(chunks):
        rows, logits = compute(chunks)
        sizes.append((len(rows), sum(count for _, count in chunks)))
        return rows, logits

    engine._runner.compute = counted
    return sizes


@pytest.mark.parametrize("largest", [1, 2, 5])
def test_any_size_of_batch_gives_the_same_answers(engine, monkeypatch, largest):
    requests = [_request(model, question) for question in (*QUESTIONS, "shop?") for model in MODELS[:2]]
    expected = complete(engine, requests)
    sizes = _sizes_of_steps(engine)
    monkeypatch.setattr("luthier.inference.scheduler.LARGEST_BATCH", largest)
    assert complete(engine, requests) == expected
    assert max(rows for rows, _ in sizes) == largest


@pytest.mark.parametrize("piece", [1, 7, 50])
def test_prompts_in_pieces_give_the_same_answers(engine, reference, monkeypatch, piece):
    monkeypatch.setattr("luthier.inference.scheduler.PROMPT_TOKENS_A_STEP", piece)
    sizes = _sizes_of_steps(engine)
    requests = [_request("sales", question) for question in QUESTIONS]
    assert _tokens(engine, requests) == [reference(request) for request in requests]
    assert max(tokens for _, tokens in sizes) == piece


def test_rows_leave_the_batch_as_they_finish(engine, reference):
    requests = [
        _request("sales", question, max_new_tokens=tokens) for tokens, question in enumerate(QUESTIONS, start=1)
    ]
    sizes = _sizes_of_steps(engine)
    assert _tokens(engine, requests) == [reference(request) for request in requests]
    assert [rows for rows, _ in sizes] == [4, 3, 2, 1]


def test_a_request_that_arrives_later_joins_the_batch_and_both_are_as_alone(engine):
    first, second = _request("sales", max_new_tokens=400), _request("support", QUESTIONS[1], max_new_tokens=10)
    expected = [complete(engine, [request])[0] for request in (first, second)]
    sizes = _sizes_of_steps(engine)
    with closing(engine.stream([first])) as events:
        text = next(events).text
        assert complete(engine, [second]) == expected[1:]
        text += "".join(event.text for event in events)
    assert text == expected[0].text
    assert 2 in [rows for rows, _ in sizes]


def test_an_end_token_stops_one_row_and_the_others_go_on(tiny_model, tiny_base, tiny_tokenizer, tiny_template):
    requests = [_request(question=question) for question in QUESTIONS]
    whole = _tokens(Engine(tiny_model, tiny_tokenizer, tiny_template, "base"), requests)
    tiny_tokenizer.eos_token = tiny_tokenizer.convert_ids_to_tokens(whole[1][3])
    stopping = Engine(load_model(tiny_base, "float32"), tiny_tokenizer, tiny_template, "base")
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


def _wait_until_idle(engine):
    end = time.monotonic() + 30
    while engine._thread is not None:
        assert time.monotonic() < end
        time.sleep(0.005)


def test_closing_the_iterator_cancels_its_requests_and_frees_their_memory(engine):
    expected = complete(engine, [_request("base")])
    stream = engine.stream([_request("sales", max_new_tokens=1500), _request("base", max_new_tokens=1500)])
    next(stream)
    assert complete(engine, [_request("base")]) == expected
    stream.close()
    _wait_until_idle(engine)
    assert engine._scheduler.idle
    assert engine._runner.token_slots == 0
    with pytest.raises(StopIteration):
        next(stream)


def test_an_error_in_the_middle_ends_all_and_the_next_one_is_answered(engine, monkeypatch, caplog):
    expected = complete(engine, [_request("base")])
    with monkeypatch.context() as patch:
        patch.setattr("luthier.inference.runner.flat_logits", _raise)
        with pytest.raises(RuntimeError, match="out of memory"):
            complete(engine, [_request("sales")])
    assert "out of memory" in caplog.text
    assert complete(engine, [_request("base")]) == expected
    _wait_until_idle(engine)
    assert engine._runner.token_slots == 0


def _raise(*_):
    raise RuntimeError("out of memory")


def test_a_prompt_without_room_in_memory_fails_alone(engine, monkeypatch):
    expected = complete(engine, [_request()])[0].text
    with monkeypatch.context() as patch:
        start = engine._runner.start
        patch.setattr(engine._runner, "start", lambda row, prefix: _raise() if row.adapter else start(row, prefix))
        errors, texts = _failures(engine, [_request("sales"), _request()])
    assert isinstance(errors[0], GenerationError)
    assert str(errors[0]) == "the request could not be begun: out of memory"
    assert texts == [expected]
    assert complete(engine, [_request("sales")])[0].text != expected
    _wait_until_idle(engine)
    assert engine._runner.token_slots == 0


def test_what_was_wanted_after_an_order_that_failed_is_done(engine, caplog):
    expected = complete(engine, [_request()])
    _wait_until_idle(engine)
    engine._orders.append(_raise)
    assert complete(engine, [_request()]) == expected
    assert "out of memory" in caplog.text


def test_between_events_the_caller_computes_as_ever(engine):
    with closing(engine.stream([_request()])) as stream:
        next(stream)
        assert not torch.is_inference_mode_enabled()
        assert torch.is_grad_enabled()
        weight = torch.ones(2, requires_grad=True)
        (weight * 2).sum().backward()
    assert weight.grad.tolist() == [2.0, 2.0]


def test_callers_of_several_threads_share_the_batch(engine):
    requests = {model: [_request(model, question) for question in QUESTIONS] for model in MODELS}
    expected = {model: complete(engine, group) for model, group in requests.items()}
    sizes = _sizes_of_steps(engine)
    found = {}
    threads = [
        threading.Thread(target=lambda model=model: found.update({model: complete(engine, requests[model])}))
        for model in MODELS
    ]
    with engine._guard:  # all of them have asked before the first step
        for thread in threads:
            thread.start()
        time.sleep(0.2)
    for thread in threads:
        thread.join()
    assert found == expected
    assert max(rows for rows, _ in sizes) > len(QUESTIONS)


def _failures(engine, requests):
    """Error of each request that failed, and the text of the others."""
    texts, errors = [""] * len(requests), {}
    for event in engine.stream(requests):
        texts[event.index] += event.text
        if event.error is not None:
            errors[event.index] = event.error
    return errors, [text for index, text in enumerate(texts) if index not in errors]


def test_an_unknown_model_fails_its_own_request_alone(engine):
    expected = complete(engine, [_request("base")])[0].text
    errors, texts = _failures(engine, [_request("marketing"), _request("base")])
    assert texts == [expected]
    assert isinstance(errors[0], ModelError)
    assert str(errors[0]) == "no model 'marketing' (base, sales, support, returns)"
    with pytest.raises(ModelError, match="marketing"):
        complete(engine, [_request("base"), _request("marketing")])


def test_a_conversation_that_the_template_refuses_fails_alone(engine):
    errors, texts = _failures(engine, [_request(), _request(question="<|im_end|>")])
    assert isinstance(errors[1], TemplateError)
    assert len(texts) == 1


def test_a_prompt_beyond_the_context_fails_alone(engine, tiny_template):
    prompt = len(tiny_template.prompt_ids(_request().messages))
    longest = engine._longest = prompt + NEW_TOKENS
    errors, texts = _failures(engine, [_request(), _request(max_new_tokens=NEW_TOKENS + 1)])
    assert texts == [complete(engine, [_request()])[0].text]
    assert isinstance(errors[1], RequestError)
    assert f"{prompt} prompt tokens and {NEW_TOKENS + 1} new ones" in str(errors[1])
    assert f"{longest} tokens" in str(errors[1])


def test_a_request_without_usable_numbers_fails_alone_and_leaves_nothing_behind(engine, monkeypatch):
    requests = [_request("sales", question) for question in QUESTIONS]
    expected = [completion.text for completion in complete(engine, requests)]
    compute = engine._runner.compute
    steps = []

    def compute_with_nan(chunks):
        rows, logits = compute(chunks)
        steps.append(len(rows))
        if len(steps) == 3:
            logits[1] = torch.nan
            engine._runner.states(rows[1]).fill_(torch.nan)
        return rows, logits

    monkeypatch.setattr(engine._runner, "compute", compute_with_nan)
    errors, texts = _failures(engine, requests)
    (failed,) = errors
    assert isinstance(errors[failed], GenerationError)
    assert "no usable numbers" in str(errors[failed])
    assert texts == [text for index, text in enumerate(expected) if index != failed]
    assert [completion.text for completion in complete(engine, requests)] == expected


def test_a_request_that_takes_too_long_fails_alone(engine):
    expected = complete(engine, [_request()])[0].text
    errors, texts = _failures(engine, [_request(max_new_tokens=1900, max_seconds=0.05), _request()])
    assert isinstance(errors[0], DeadlineError)
    assert str(errors[0]) == "no answer within 0.05 seconds"
    assert texts == [expected]
    _wait_until_idle(engine)
    assert engine._runner.token_slots == 0


def test_what_waits_fails_too_when_its_time_is_over(engine, monkeypatch):
    monkeypatch.setattr("luthier.inference.scheduler.LARGEST_BATCH", 1)
    errors, texts = _failures(engine, [_request(max_new_tokens=500), _request("sales", max_seconds=1e-6)])
    assert list(errors) == [1]
    assert len(texts) == 1


def test_a_request_larger_than_all_memory_fails_and_smaller_ones_take_turns(
    tiny_model, tiny_base, tiny_tokenizer, tiny_template
):
    requests = [_request(question=question) for question in QUESTIONS[:3]]
    ample = Engine(load_model(tiny_base, "float32"), tiny_tokenizer, tiny_template, "base")
    token_bytes = 2 * 2 * 2 * 8 * 4
    engine = Engine(tiny_model, tiny_tokenizer, tiny_template, "base", MemoryBudget(300 * token_bytes, 0, 0))
    sizes = _sizes_of_steps(engine)
    assert complete(engine, requests) == complete(ample, requests)
    assert {rows for rows, _ in sizes} == {1}
    with pytest.raises(RequestError, match=r"512 tokens of memory.*300 tokens, all that there is"):
        complete(engine, [_request(max_new_tokens=300)])


@pytest.mark.parametrize(
    "settings",
    [
        {"max_new_tokens": 0},
        {"temperature": -1},
        {"temperature": float("nan")},
        {"top_p": 1.5},
        {"n": 0},
        {"repetition_penalty": 0},
        {"logit_bias": {320: 1.0}},
        {"logit_bias": {3: float("inf")}},
    ],
)
def test_settings_that_mean_nothing_fail_their_request_alone(engine, settings):
    errors, texts = _failures(engine, [_request(**settings), _request()])
    assert isinstance(errors[0], RequestError)
    assert texts == [complete(engine, [_request()])[0].text]


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


def test_several_answers_to_one_request_are_those_of_separate_ones(engine):
    request = _request("sales", temperature=1.0, seed=5, n=3)
    found = complete(engine, [_request(), request])
    assert found[0] == complete(engine, [_request()])[0]
    assert found[1:] == [complete(engine, [_request("sales", temperature=1.0, seed=seed)])[0] for seed in (5, 6, 7)]
    assert len({completion.text for completion in found[1:]}) == 3


def test_logprobs_come_with_each_token(engine, tiny_base, tiny_template, tiny_tokenizer):
    request = _request(logprobs=3)
    (tokens,) = _tokens(engine, [request])
    found = [logprob for event in engine.stream([request]) for logprob in event.logprobs]
    ids = torch.tensor([tiny_template.prompt_ids(request.messages) + tokens])
    logits = load_model(tiny_base, "float32")(input_ids=ids).logits[0, -len(tokens) - 1 : -1]
    expected = torch.log_softmax(logits, -1)
    assert len(found) == len(tokens) == NEW_TOKENS
    for place, (token, logprob) in enumerate(zip(tokens, found, strict=True)):
        assert logprob.logprob == pytest.approx(float(expected[place, token]), abs=1e-4)
        assert logprob.text == tiny_tokenizer.decode([token])
        top = expected[place].topk(3)
        assert [value for _, value in logprob.top] == pytest.approx(top.values.tolist(), abs=1e-4)
        assert [text for text, _ in logprob.top] == [tiny_tokenizer.decode([token]) for token in top.indices]


LONG = "Is the shop open on Sunday, and where do I send a parcel? " * 4


def test_a_beginning_in_common_is_computed_once(engine, reference):
    requests = [_request("sales", f"{LONG}{question}") for question in QUESTIONS]
    expected = [reference(request) for request in requests]
    sizes = _sizes_of_steps(engine)
    assert _tokens(engine, requests) == expected
    first = sum(tokens for _, tokens in sizes)
    sizes.clear()
    assert _tokens(engine, requests) == expected
    again = sum(tokens for _, tokens in sizes)
    whole = sum(len(engine._template.prompt_ids(request.messages)) for request in requests)
    assert again < 32 * len(requests)
    assert again < first < whole - 3 * 64


def test_an_opening_shorter_than_a_block_is_computed_once(engine, reference):
    requests = [_request("sales", f"{LONG[:24]}{question}") for question in QUESTIONS[1:]]
    expected = [reference(request) for request in requests]
    prompts = [engine._template.prompt_ids(request.messages) for request in requests]
    shared = tokens_in_common(*prompts[:2])
    assert WORTH_WAITING <= shared < BLOCK <= len(prompts[0])
    sizes = _sizes_of_steps(engine)
    assert _tokens(engine, requests) == expected
    assert sum(tokens for _, tokens in sizes) <= sum(map(len, prompts)) - 2 * shared


def test_without_room_for_prefixes_nobody_waits_for_one(tiny_model, tiny_tokenizer, tiny_template):
    engine = Engine(tiny_model, tiny_tokenizer, tiny_template, "base", MemoryBudget(1 << 30, 100, 1 << 20))
    requests = [_request(question=f"{LONG[:100]}{question}") for question in QUESTIONS[:3]]
    sizes = _sizes_of_steps(engine)
    complete(engine, requests)
    assert sizes[0] == (3, sum(len(tiny_template.prompt_ids(request.messages)) for request in requests))


@pytest.mark.parametrize("other", [{"model": "support"}, {"model": "base"}, {"cache_salt": "another tenant"}])
def test_what_one_has_computed_is_not_shared_with_another(engine, other):
    request = _request("sales", LONG)
    complete(engine, [request])
    sizes = _sizes_of_steps(engine)
    complete(engine, [replace(request, **other)])
    assert sum(tokens for _, tokens in sizes) == len(engine._template.prompt_ids(request.messages))


def test_adapters_come_and_go_while_others_answer(engine, adapter_folders):
    request = _request("sales", max_new_tokens=400)
    expected = complete(engine, [request, _request("support")])
    with closing(engine.stream([request, _request("returns", max_new_tokens=1500)])) as events:
        text = next(event for event in events if event.index == 0).text
        engine.remove_adapter("support")
        assert "support" not in engine.models
        with pytest.raises(ModelError, match="no model 'support'"):
            complete(engine, [_request("support")])
        engine.add_adapter("support", adapter_folders["returns"])
        assert complete(engine, [_request("support")]) == complete(engine, [_request("returns")])
        engine.remove_adapter("returns")
        failure = None
        for event in events:
            text += event.text if event.index == 0 else ""
            failure = event.error or failure
    assert text == expected[0].text
    assert isinstance(failure, ModelError)
    assert str(failure) == "returns was taken off while it answered"
    with pytest.raises(ModelError, match=r"no adapter 'returns' \(sales, support\)"):
        engine.remove_adapter("returns")


def test_more_adapters_than_memory_take_turns(tiny_model, tiny_tokenizer, tiny_template, adapter_folders, engine):
    requests = _mixed()
    expected = complete(engine, requests)
    crowded = Engine(tiny_model, tiny_tokenizer, tiny_template, "base", MemoryBudget(1 << 30, 1 << 20, 1))
    for name, folder in adapter_folders.items():
        crowded.add_adapter(name, folder)
    assert complete(crowded, requests) == expected
    assert len(crowded._runner.adapters.resident) == 1


@pytest.fixture
def crowded(tiny_model, tiny_tokenizer, tiny_template, adapter_folders, monkeypatch):
    """An engine with room for one adapter at a time, and the list of adapters' folders that it reads after all are
    added."""
    engine, read = Engine(tiny_model, tiny_tokenizer, tiny_template, "base", MemoryBudget(1 << 30, 1 << 20, 1)), []
    for name, folder in adapter_folders.items():
        engine.add_adapter(name, folder)
    plain = AdapterFiles.read
    monkeypatch.setattr(AdapterFiles, "read", lambda files: (read.append(files.folder.name), plain(files))[1])
    return engine, read


def test_requests_for_an_adapter_at_work_pass_those_that_find_no_room(crowded):
    engine, read = crowded
    requests = [_request(("sales", "support")[place % 2], f"Q{place}", max_new_tokens=5) for place in range(12)]
    complete(engine, requests)
    assert len(read) <= 2, "each is loaded once, not for every request, and not at every step of waiting"


def test_only_so_many_pass_a_request_whose_adapter_finds_no_room(crowded):
    engine, _ = crowded
    many = MOST_PASSED + 10
    models = ["sales", "support", *["sales"] * many]
    requests = [_request(model, f"Q{place}", max_new_tokens=5) for place, model in enumerate(models)]
    ended = [event.index for event in engine.stream(requests) if event.is_last]
    assert ended.index(1) <= 1 + MOST_PASSED
    assert set(ended) == set(range(len(requests)))


def test_an_adapter_whose_files_are_gone_fails_its_requests_alone(
    tiny_model, tiny_tokenizer, tiny_template, adapter_folders, tmp_path
):
    engine = Engine(tiny_model, tiny_tokenizer, tiny_template, "base", MemoryBudget(1 << 30, 1 << 20, 1))
    folder = shutil.copytree(adapter_folders["sales"], tmp_path / "sales")
    engine.add_adapter("sales", folder)
    engine.add_adapter("support", adapter_folders["support"])
    expected = complete(engine, [_request("support")])[0].text
    shutil.rmtree(folder)
    errors, texts = _failures(engine, [_request("sales"), _request("support")])
    assert isinstance(errors[0], ModelError)
    assert texts == [expected]


def test_answers_match_their_grammar_and_the_others_are_as_ever(engine):
    free = [_request("sales", question) for question in QUESTIONS]
    expected = complete(engine, free)
    bound = [
        _request("sales", grammar=Grammar("regex", "(yes|no), [a-z]{2,5}!"), max_new_tokens=40),
        _request("base", grammar=Grammar("regex", "[0-9]{4}"), temperature=1.0, seed=1, n=3, max_new_tokens=40),
        _request("returns", grammar=Grammar("json_schema", '{"enum": ["red", "green"]}'), max_new_tokens=40),
    ]
    found = complete(engine, [*bound, *free])
    assert re.fullmatch("(yes|no), [a-z]{2,5}!", found[0].text)
    numbers = [completion.text for completion in found[1:4]]
    assert all(re.fullmatch("[0-9]{4}", number) for number in numbers)
    assert len(set(numbers)) == 3
    assert json.loads(found[4].text) in ("red", "green")
    assert {completion.finish_reason for completion in found[:5]} == {"stop"}
    assert found[5:] == expected


def test_a_grammar_that_cannot_be_kept_to_fails_its_request_alone(engine):
    expected = complete(engine, [_request()])[0].text
    impossible = Grammar("json_schema", '{"allOf": [{"type": "string"}, {"type": "integer"}]}')
    errors, texts = _failures(engine, [_request(grammar=impossible), _request()])
    assert isinstance(errors[0], RequestError)
    assert "Unsatisfiable" in str(errors[0])
    assert texts == [expected]


def test_a_grammar_that_leads_nowhere_fails_its_request_alone(engine, monkeypatch):
    expected = complete(engine, [_request()])[0].text
    monkeypatch.setattr("luthier.inference.grammar.Constraint.take", lambda self, _: self._matcher.consume_token(0))
    errors, texts = _failures(engine, [_request(grammar=Grammar("regex", "[0-9]{4}")), _request()])
    assert isinstance(errors[0], GenerationError)
    assert texts == [expected]
