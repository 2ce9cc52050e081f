"""Print docs/reference/cli.md: every command with its arguments, options and JSON fields."""

import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from typer.main import get_command

from luthier.cli.app import app

HEAD = """# Command line

<!-- Written by: python scripts/write_cli_reference.py > docs/reference/cli.md -->

Commands work on the workspace that the current folder lies in. What is decided once lives in its recipe,
`luthier.yaml`; `-o training.learning_rate=1e-3` overrides a field of it for one command. `luthier --version` prints the
version, `--help` after any command what it takes.

Exit codes: 0 done; 1 an error that is yours to mend, said in one sentence on standard error, wrong arguments included;
2 refused by a gate; 130 stopped by Ctrl-C. Progress goes to standard error, results to standard output. With `--json`
standard output holds one JSON object and nothing else; its fields below are stable, more may be added.
"""

TOKENIZERS = {
    "dataset": "whose training rows were read",
    "base": "the base model's tokenizer: `name`, `vocabulary`, `texts`, `words`, `tokens`, `tokens_per_word`, "
    "`characters_per_token`, `split_share`, and of words that cost most tokens by being split, `most_split`, each its "
    "`word`, `occurrences`, `tokens_each`",
    "other": "the same of the tokenizer that was named or made, or null",
}

TRAINED = {
    "run": "id",
    "task": "what it was trained for, the recipe's task",
    "path": "the run's folder",
    "rows": "rows of the dataset that were trained on",
    "replayed_rows": "general rows that were mixed in (`training.replay`)",
    "tokens": "unpadded input tokens over all epochs",
    "target_tokens": "tokens that counted in the loss",
    "tokens_per_second": "over the loop, validation and saving left out",
    "dtype": "precision of the base weights and of activations: bfloat16, float16 or float32",
    "health": "verdict of the checks before the first step, pass or warn; null where they were off or it was resumed",
    "unmoved_weights": "tensors that should train and are as they were at the start; none should be",
    "fast_path": "on or off",
    "train_loss": "mean of the last epoch, in nats per target token, of a classifier per text",
    "validation_loss": "of the weights that were kept; null without validation rows",
    "validation": "all figures of that validation by name: `loss`, and by task `accuracy`, `macro_f1`, `margin`",
    "peak_memory_bytes": "of the process",
    "seconds": "wall time",
    "fast_path_reason": "why it is off, or null",
    "shares_prefixes": "whether what rows of a step open with is computed once",
    "steps": "optimiser steps",
    "epochs": "how often each row was to be read (`training.num_train_epochs`)",
    "processes": "how many trained together",
    "kept_step": "the step whose weights were kept",
    "stopped_early": "whether validation had stopped getting better",
    "skipped_steps": "steps without a finite loss or gradient",
    "loss_scale": "what the loss was multiplied by in the last backward pass: 1, but in float16",
    "spiked_steps": "steps whose loss stood far out of those before; they change no weight",
    "rollbacks": "how often two spikes in a row brought back the weights of the last validation",
}

JSON_FIELDS: dict[str, dict[str, str]] = {
    "demo": {
        "base": "`facts`: share of golden questions that the base model answered with every fact",
        "tuned": "the same of the tuned model",
        "verdict": "pass, fail or inconclusive",
        "train": "the fields of `luthier train`",
        "seconds": "wall time",
        "workspace": "where everything lies",
        "release": "the release, or null where the verdict was not pass",
        "asked": "questions asked over HTTP: `question`, `expected`, `base`, `tuned`",
        "lineage": "lines of the tree from the raw files to the last answer",
    },
    "prepare": {
        "dataset": "id",
        "path": "the dataset's folder",
        "read": "source records, each counted once",
        "kept": "those that gave a row",
        "dropped": "those that did not; read = kept + dropped",
        "verdict": "is it enough, clean, balanced: `question`, `answer` (yes, partly, no), `why`",
        "splits": "rows in `train`, `validation`, `test`",
        "files": "for each file `path`, `read`, `kept`, `dropped`",
        "seconds": "wall time",
        "formats": "layout found in each file",
        "leakage": "splits with rows like another's: `found`, and `complete` if all were compared",
        "reasons": "records dropped for each kind of reason; a record may have several",
        "redactions": "personal data that was replaced, by kind",
        "flags": "rows that are kept with a remark, by kind",
    },
    "data stats": {
        "dataset": "id",
        "read": "source records",
        "kept": "those that gave a row",
        "dropped": "those that did not",
        "splits": "rows in `train`, `validation`, `test`",
        "kinds": "rows by what they are",
        "words": "lengths by split: `bars`, pairs of a range and its rows, and `longest`",
        "tokens": "the same in tokens, of `rows` that were looked at, with `mean` and `mean_targets`",
        "labels": "rows of each class by split",
        "flags": "rows by kind of remark",
        "languages": "rows that were looked at, by ISO 639-1 code",
        "topics": "the largest first: `terms` that tell it from others, `texts`",
        "verdict": "is it enough, clean, balanced: `question`, `answer` (yes, partly, no), `why`",
    },
    "data diff": {
        "same": "records of which both made equal rows in the same split, or dropped for the same kinds of reasons",
        "counts": "the other records, by what became of them",
        "examples": "up to ten of each: `file`, `row`, `what`",
    },
    "tokenizer train": {
        "path": "folder of the tokenizer",
        **TOKENIZERS,
    },
    "tokenizer report": TOKENIZERS,
    "tokenizer extend": {
        "path": "folder of the model",
        "model_base": "how the recipe's `model.base` names it",
        "words": "new tokens: `word`, `occurrences`, `pieces` so far, `tokens_saved`; with and without a space before "
        "it a word is two",
        **TOKENIZERS,
    },
    "data leakage": {
        "rows": "rows held out",
        "complete": "false where there were too many alike rows to compare all",
        "leaks": "the most alike first: `likeness`, and of `held_out` and `known` the `file`, `row` and `text`",
    },
    "check": {
        "verdict": "pass, warn or fail",
        "findings": "`check`, `verdict`, `value`, `limit` (null where they are not finite), `advice`; see the guide "
        "[when a model will not learn](../guides/when-a-model-will-not-learn.md)",
        "suggested_learning_rate": "by the range test; null where it was left out",
        "parts": "seconds of each part of the check; `luthier train` runs rows, weights and first pass by itself",
        "seconds": "wall time",
        "health_report": "id",
    },
    "doctor": {
        "verdict": "pass, warn or fail: the worst of the findings",
        "machine": "processor, memory, platform, versions of packages",
        "measured": "`matmul_flops` (in the type that model.dtype: auto takes), `float32_matmul_flops`, "
        "`weight_bytes_per_second`",
        "findings": "`check`, `verdict`, `found`, `advice`",
        "extras": "optional parts: `name`, `installed`, `brings`",
        "models": "by estimate, for LoRA: `weights`, `memory_bytes`, `fits`, `tokens_per_second`",
    },
    "plan": {
        "memory_bytes": "at the peak",
        "seconds": "of training: `low`, `expected`, `high`",
        "cost": "the same in `currency`: planning.price_per_hour and electricity",
        "advice": "sentences",
        "data": "`enough`, `forecast`; and `curve` with planning.learning_curve, else null: `points` (`rows`, `loss`), "
        "`rows` that there are, the loss `at_all` of them and `at_double`, the `gain` of doubling as a share of the "
        "loss, each a range, and `floor` and `power` of the law",
        "plan": "id",
        "path": "folder of the page and of all this as JSON",
        "page": "the plan as one HTML page",
        "measured": "false where there were no weights to run: then all is calculated",
        "workload": "what it is made for: `rows`, `tokens`, `target_tokens`, `longest`, `source`",
        "machines": "this one first, then those of the price table by projection: `name`, `memory_bytes` needed, "
        "`device_bytes`, `fits`, `how` (what to change), `tokens_per_second`, `seconds`, `cost` as ranges, "
        "`kilowatt_hours`, `measured`, `source` of its figures",
        "proposals": "for fields of the recipe: `field`, `value`, `now`, `reason`",
        "methods": "others on the same rows here, by calculation: `name`, `trained` (weights), `memory_bytes`, `fits`, "
        "`seconds`, `remark`",
        "do_or_buy": "`lines` (`side` do or buy, `what`, `once`, `a_month`, `assumption`), over `months` the sums `do` "
        "and `buy` (null without a quote), and a `sentence`",
        "currency": "of the price table",
        "memory": "bytes by what holds them: `weights`, `gradients`, `optimiser`, `activations`, `logits`, `runtime`",
        "probe_seconds": "wall time of the estimate",
    },
    "train": TRAINED,
    "pretrain": TRAINED,
    "evaluate": {
        "evaluation": "id",
        "verdict": "pass, fail or inconclusive",
        "metrics": "by name: `value` and its 95 % interval, `low` and `high`",
        "confusions": "of a classifier, the labels taken for others most often: `expected`, `given`, `count`, `of`",
        "gates": "`gate`, `verdict`, `reason`",
        "diagnosis": "of the run's curves: `state`, `step` (or null), `sentence`, `advice`; or null",
        "run": "the run that was measured",
        "candidate": "the same",
        "reference": "what it was measured against: the released run, or the base model",
        "reference_metrics": "the metrics of the reference",
        "differences": "by name: the candidate's metric less the reference's, example by example, with its interval",
        "slices": "parts: `by`, `name`, `metric`, `examples`, `candidate`, `reference`, `difference`",
        "variants": "questions asked otherwise: `change`, `name`, `questions`, `recalled`, `difference`",
        "forgetting": "`base`, `rise` of the loss on general text, `lost` skills; or null",
        "path": "folder of the report and all answers",
        "page": "the report as one HTML page",
        "seconds": "wall time",
    },
    "compose": {
        "run": "id",
        "path": "its folder",
        "of": "the runs whose adapters it is made of",
        "weights": "of each of them",
        "density": "of TIES, or null",
    },
    "export": {
        "run": "what was exported",
        "path": "the new folder",
        "dtype": "precision of its weights",
        "difference": "between the logits of the run and of the written model, relative to their norm",
    },
    "classify": {
        "texts": "each its `text` and `labels`, the likeliest first, each a `label` and its `probability`",
    },
    "release promote": {
        "release": "id",
        "alias": "the name that is served",
        "run": "what it points to",
        "evaluation": "the evaluation that allowed it",
        "forced": "the reason given with --force, or null",
    },
    "monitor": {
        "since": "begin of the window in seconds since the epoch, UTC, or null for all time",
        "first": "time of the first request, or null",
        "last": "time of the last one",
        "total": "`requests`, `errors`, `prompt_tokens`, `completion_tokens`, `latency` and `first_token` (seconds: "
        "`p50`, `p95`), `up`, `down`, `corrections`",
        "models": "for each name and run `model`, `run` and `figures` as in `total`",
    },
    "registry list": {
        "artefacts": "the latest first, each with the fields of `luthier registry show`",
    },
    "registry show": {
        "id": "made from the content",
        "kind": "source, dataset, base, health, plan, run, evaluation, release or feedback",
        "aliases": "names that point to it",
        "created_at": "when it was first made, in seconds since the epoch, UTC",
        "parents": "ids of what it was made from",
        "path": "where its files lie, relative to the workspace where they are inside it, or null",
        "summary": "its figures",
        "environment": "packages, machine and git state where it was made, or null",
    },
    "registry gc": {
        "removed": "paths, relative to the workspace",
        "strange": "the same of folders that stay: older than all that the database knows, so of one that was lost",
        "bytes_freed": "what their files took",
    },
    "registry lineage": {
        "reference": "the id that was asked for",
        "nodes": "`id`, `kind`, `detail`, `created_at`, `aliases`, `removed`",
        "edges": "pairs of parent and child",
        "omitted": "by id, how many more requests it answered than are among the nodes",
    },
}
"""Top-level fields by command."""


def reference() -> str:
    """The whole page, as Markdown."""
    return "\n".join([HEAD, *(_section(name, command) for name, command in commands(get_command(app)))])


def commands(group: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """(name as typed, command) of every command, groups left out."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{above}{name} ")
        else:
            yield f"{above}{name}", command


def _section(name: str, command: Any) -> str:
    usage = " ".join(["luthier", name, *(_metavar(each) for each in command.params if _is_argument(each))])
    parts = [f"## luthier {name}\n", f"{command.help}\n", f"```\n{usage}\n```\n"]
    if rows := [f"| `{_spelling(each)}` | {each.help}{_default(each)} |" for each in command.params]:
        parts += ["| | |\n|---|---|", *rows, ""]
    if fields := JSON_FIELDS.get(name):
        parts += [
            "| field of the JSON | |\n|---|---|",
            *(f"| `{field}` | {text} |" for field, text in fields.items()),
            "",
        ]
    return "\n".join(parts)


def _is_argument(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "argument")


def _metavar(parameter: Any) -> str:
    name = parameter.name.upper()
    return name if parameter.required else f"[{name}]"


def _spelling(parameter: Any) -> str:
    if _is_argument(parameter):
        return _metavar(parameter)
    return ", ".join(parameter.opts) + ("" if parameter.is_flag else f" {_value(parameter)}")


def _value(parameter: Any) -> str:
    """What stands behind an option: its choices, or the kind of value."""
    kind = parameter.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "\\|".join(choice.value for choice in kind)
    return {int: "INTEGER", float: "NUMBER", Path: "PATH"}.get(kind, "TEXT")


def _default(parameter: Any) -> str:
    value = parameter.default.value if isinstance(parameter.default, Enum) else parameter.default
    return "" if value is None or value is False else f" Default: `{value}`."


if __name__ == "__main__":
    sys.stdout.write(reference())
