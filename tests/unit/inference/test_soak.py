"""Random arrivals, lengths, adapters and cancellations from several threads, for as long as it takes."""

import random
import threading
import time
from contextlib import closing

import psutil
import pytest
import torch
from peft import LoraConfig, get_peft_model

from luthier.core.generation import GenerationRequest, complete
from luthier.inference import Engine, MemoryBudget

CALLERS = 6
WORDS = ("refund", "order", "the shop", "parcel", "is it free?", "how long", "a label", "days")
MEBIBYTE = 1 << 20


def _adapter(model, folder, seed):
    config = LoraConfig(r=2 + seed, target_modules="all-linear", use_dora=seed == 2)
    adapted = get_peft_model(model, config)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in adapted.named_parameters():
        if "lora_A" in name or "lora_B" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
    adapted.save_pretrained(folder)


def _request(source, models):
    """One of sixty requests, so that what each says alone need not be computed too often."""
    number = source.randrange(60)
    own = random.Random(number)
    question = " ".join(own.choices(WORDS, k=own.choice([1, 3, 10, 60])))
    sampled = {"temperature": 1.0, "seed": number} if number % 3 == 0 else {}
    salt = own.choice(["", "tenant"])
    return GenerationRequest(
        own.choice(models),
        ({"role": "user", "content": question},),
        max_new_tokens=own.choice([1, 5, 20, 90]),
        cache_salt=salt,
        **sampled,
    )


def _key(request):
    return (request.model, request.messages[0]["content"], request.max_new_tokens, request.seed)


def _call(engine, seed, models, end, answers, faults):
    """Ask until the time is over; every fourth call is broken off."""
    source = random.Random(seed)
    try:
        while time.monotonic() < end:
            requests = [_request(source, models) for _ in range(source.choice([1, 1, 4]))]
            texts, cut = [""] * len(requests), source.randrange(1, 30) if source.random() < 0.25 else None
            with closing(engine.stream(requests)) as events:
                for number, event in enumerate(events):
                    texts[event.index] += event.text
                    if event.is_last:
                        assert event.error is None
                        answers.append((requests[event.index], texts[event.index]))
                    if number == cut:
                        break
            if source.random() < 0.3:
                time.sleep(source.random() / 20)
    except Exception as error:
        faults.append(error)


@pytest.mark.parametrize(
    "seconds", [1, pytest.param(600, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])], ids=["short", "long"]
)
def test_answers_are_those_of_each_request_alone_and_nothing_leaks(
    seconds, make_model, tiny_tokenizer, tiny_template, tmp_path
):
    models = ("base", "adapter-0", "adapter-1", "adapter-2")
    memory = MemoryBudget(key_values=MEBIBYTE, prefixes=MEBIBYTE // 4, adapters=50_000)
    crowded = Engine(make_model("Llama"), tiny_tokenizer, tiny_template, "base", memory)
    calm = Engine(make_model("Llama"), tiny_tokenizer, tiny_template, "base")
    for seed, name in enumerate(models[1:]):
        _adapter(make_model("Llama"), tmp_path / name, seed)
        crowded.add_adapter(name, tmp_path / name)
        calm.add_adapter(name, tmp_path / name)
    answers, faults = [], []
    end = time.monotonic() + seconds
    callers = [
        threading.Thread(target=_call, args=(crowded, seed, models, end, answers, faults)) for seed in range(CALLERS)
    ]
    for caller in callers:
        caller.start()
    time.sleep(seconds / 2)
    half_way = psutil.Process().memory_info().rss
    for caller in callers:
        caller.join()
    grown = psutil.Process().memory_info().rss - half_way
    while crowded._thread is not None:
        time.sleep(0.01)
    assert not faults
    assert len(answers) > 10 * seconds
    assert crowded._scheduler.idle
    assert crowded._runner.token_slots == 0
    assert crowded._scheduler._prefixes.blocks * 32 * crowded._runner.token_bytes <= memory.prefixes
    assert grown < 50 * MEBIBYTE
    alone = {}
    for request, text in answers:
        if _key(request) not in alone:
            alone[_key(request)] = complete(calm, [request])[0].text
        assert text == alone[_key(request)]
