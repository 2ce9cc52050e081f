"""What is forgotten while the sample data is learnt: full fine-tuning, frozen layers and LoRA, with replay and L2-SP.

Each way trains SmolLM2-135M-Instruct anew on the demo's data. What is learnt is the loss on its test rows, what is
forgotten the rise of the loss on the bundled passages of general English, both in nats per token. Replayed are answers
of the base model itself to everyday questions, which it writes first: general rows that nobody has to look for.

    python benchmarks/bench_forgetting.py [--epochs 1] [--sources raw/chats.jsonl]
"""

import argparse
import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import luthier
from luthier.core.generation import GenerationRequest, complete
from luthier.core.rows import Origin, Row, TokenRow
from luthier.evaluation import general_texts
from luthier.models.losses import RowsLoss
from luthier.models.methods import load_trained
from luthier.pipeline.base import Base, open_base
from luthier.pipeline.demo import copy_sample
from luthier.pipeline.engine import RunsGenerator
from luthier.pipeline.prepare import dataset_rows, find_dataset
from luthier.pipeline.project import Project

REPLAY = "training.replay={sources: [general.jsonl], share: 0.25}"
FULL = ("adapter={method: full}", "training.learning_rate=1e-4")
FREEZE = ("adapter={method: freeze, last_layers: 6}", "training.learning_rate=2e-4")
LORA = ("training.learning_rate=1e-3",)
WAYS: Mapping[str, tuple[str, ...]] = {
    "full": FULL,
    "full, replay": (*FULL, REPLAY),
    "full, L2-SP 0.1": (*FULL, "training.l2_sp=0.1"),
    "full, L2-SP 1": (*FULL, "training.l2_sp=1"),
    "last 6 of 30 layers": FREEZE,
    "LoRA": LORA,
    "LoRA, replay": (*LORA, REPLAY),
}
SUBJECTS = (
    *("the sea", "bread", "winter", "trains", "chess", "the moon", "gardens", "rivers", "music", "paper", "sleep"),
    *("glass", "birds", "history", "maps", "clocks", "mathematics", "tea", "fire", "cities", "dreams", "bicycles"),
    *("the heart", "language", "painting", "wolves", "democracy", "mountains", "salt", "films", "the wind", "money"),
)
QUESTIONS = (
    "Tell me something interesting about {}.",
    "Write a short story that has something to do with {}.",
    "What should a beginner know about {}?",
    "Explain to a child why people care about {}.",
)


def write_general_rows(project: Project, base: Base, path: Path) -> None:
    """Answers of the base model to everyday questions, drawn at temperature 1."""
    asked = [question.format(subject) for subject in SUBJECTS for question in QUESTIONS]
    requests = [
        GenerationRequest(
            base.artefact.id, ({"role": "user", "content": text},), max_new_tokens=96, temperature=1.0, seed=number
        )
        for number, text in enumerate(asked)
    ]
    answers = complete(RunsGenerator(project, base), requests)
    rows = [{"question": text, "answer": answer.text} for text, answer in zip(asked, answers, strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows if row["answer"].strip()), encoding="utf-8")


def losses(model: object, splits: Mapping[str, list[TokenRow]]) -> dict[str, float]:
    loss = RowsLoss(model)
    found = {}
    for name, rows in splits.items():
        measured = loss.row_losses(rows)
        found[name] = sum(row.loss_sum for row in measured) / sum(row.target_tokens for row in measured)
    return found


def train_and_measure(
    folder: Path, overrides: tuple[str, ...], base: Base, splits: Mapping[str, list[TokenRow]]
) -> tuple[dict[str, float], float]:
    """The losses after training in one way, and how many seconds it took."""
    with luthier.open_project(folder, overrides=overrides) as project:
        begin = time.monotonic()
        trained = luthier.train(project)
        seconds = time.monotonic() - begin
        return losses(load_trained(trained.path, base.load, base.dtype), splits), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--sources", help="one file of the sample's raw ones instead of all")
    parser.add_argument("--ways", type=int, default=len(WAYS), help="only so many of them")
    chosen = parser.parse_args()
    shared = [f"training.num_train_epochs={chosen.epochs}", "training.eval_steps=100000"]
    if chosen.sources:
        shared.append(f"data.sources=[{{path: {chosen.sources}}}]")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "shop")
        copy_sample(folder)
        with luthier.open_project(folder, overrides=shared) as project:
            rows = luthier.prepare(project).splits
            base = open_base(project)
            write_general_rows(project, base, folder / "general.jsonl")
            general = [Row(f"{n}", Origin("general", n), text=text) for n, text in enumerate(general_texts(), start=1)]
            test = dataset_rows(project, find_dataset(project, base), "test")
            splits = {"test": base.tokens(test), "general": base.tokens(general)}
            before = losses(base.load(), splits)
        print(
            f"{rows['train']} training rows, {rows['test']} test rows, {chosen.epochs} epochs, {base.dtype}", flush=True
        )
        print(f"{'':<22}{'test loss':>10}{'general':>10}{'rise':>8}{'seconds':>9}")
        print(f"{'before':<22}{before['test']:>10.3f}{before['general']:>10.3f}", flush=True)
        for name, overrides in list(WAYS.items())[: chosen.ways]:
            after, seconds = train_and_measure(folder, (*shared, *overrides), base, splits)
            rise = after["general"] - before["general"]
            print(f"{name:<22}{after['test']:>10.3f}{after['general']:>10.3f}{rise:>+8.3f}{seconds:>9.0f}", flush=True)


if __name__ == "__main__":
    main()
