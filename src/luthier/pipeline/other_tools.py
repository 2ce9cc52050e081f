"""Configurations of LLaMA-Factory, axolotl and TRL as recipes, with a list of what has no counterpart here."""

import json
import os
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from luthier.core.errors import RecipeError
from luthier.core.recipe import PreferenceLoss, Recipe, parse_recipe

Tool = Literal["LLaMA-Factory", "axolotl", "TRL"]
Config = Mapping[str, Any]

_TRAINING_ARGUMENTS = {
    name: f"training.{name}"
    for name in (
        *("learning_rate", "num_train_epochs", "per_device_train_batch_size", "gradient_accumulation_steps"),
        *("packing", "warmup_ratio", "weight_decay", "max_grad_norm", "eval_steps", "load_best_model_at_end", "seed"),
    )
}
"""Fields of transformers' TrainingArguments, which LLaMA-Factory and TRL take too, and where a recipe has them."""
FIELDS: Mapping[Tool, Mapping[str, str]] = {
    "LLaMA-Factory": {
        **_TRAINING_ARGUMENTS,
        "model_name_or_path": "model.base",
        "default_system": "data.system",
        "cutoff_len": "data.max_length",
        "val_size": "data.split.validation",
        "lora_rank": "adapter.r",
        "lora_alpha": "adapter.lora_alpha",
        "lora_target": "adapter.target_modules",
        "use_rslora": "adapter.use_rslora",
        "use_dora": "adapter.use_dora",
        "loraplus_lr_ratio": "training.loraplus_lr_ratio",
        "early_stopping_steps": "training.early_stopping_patience",
        "pref_beta": "training.beta",
        "kto_chosen_weight": "training.desirable_weight",
        "kto_rejected_weight": "training.undesirable_weight",
        "max_new_tokens": "evaluation.max_new_tokens",
    },
    "axolotl": {
        "base_model": "model.base",
        "default_system_message": "data.system",
        "sequence_len": "data.max_length",
        "val_set_size": "data.split.validation",
        "lora_r": "adapter.r",
        "lora_alpha": "adapter.lora_alpha",
        "lora_target_modules": "adapter.target_modules",
        "peft_use_rslora": "adapter.use_rslora",
        "peft_use_dora": "adapter.use_dora",
        "loraplus_lr_ratio": "training.loraplus_lr_ratio",
        "rl_beta": "training.beta",
        "orpo_alpha": "training.beta",
        "kto_desirable_weight": "training.desirable_weight",
        "kto_undesirable_weight": "training.undesirable_weight",
        "micro_batch_size": "training.per_device_train_batch_size",
        "gradient_accumulation_steps": "training.gradient_accumulation_steps",
        "num_epochs": "training.num_train_epochs",
        "learning_rate": "training.learning_rate",
        "sample_packing": "training.packing",
        "warmup_ratio": "training.warmup_ratio",
        "weight_decay": "training.weight_decay",
        "max_grad_norm": "training.max_grad_norm",
        "eval_steps": "training.eval_steps",
        "early_stopping_patience": "training.early_stopping_patience",
        "load_best_model_at_end": "training.load_best_model_at_end",
        "seed": "training.seed",
    },
    "TRL": {
        **_TRAINING_ARGUMENTS,
        "model_name_or_path": "model.base",
        "max_length": "data.max_length",
        "max_seq_length": "data.max_length",
        "beta": "training.beta",
        "desirable_weight": "training.desirable_weight",
        "undesirable_weight": "training.undesirable_weight",
        "lora_r": "adapter.r",
        "lora_alpha": "adapter.lora_alpha",
        "lora_target_modules": "adapter.target_modules",
        "use_rslora": "adapter.use_rslora",
        "use_dora": "adapter.use_dora",
    },
}
"""Fields that mean the same under another name."""
_LORA_FIELDS = frozenset(
    (
        *("adapter.r", "adapter.lora_alpha", "adapter.target_modules", "adapter.use_rslora", "adapter.use_dora"),
        *("adapter.init_lora_weights", "training.loraplus_lr_ratio"),
    )
)
_OF_KTO = frozenset(("training.desirable_weight", "training.undesirable_weight"))
_OF_PREFERENCES = _OF_KTO | {"training.beta", "training.preference_loss"}
PREFERENCE_LOSSES = typing.get_args(PreferenceLoss)
SAME_HERE: Mapping[str, Sequence[object]] = {
    "adapter": ("lora",),
    "use_peft": (True,),
    "lora_dropout": (0, 0.0),
    "lr_scheduler_type": ("cosine",),
    "lr_scheduler": ("cosine",),
    "optim": ("adamw_torch", "adamw_torch_fused"),
    "optimizer": ("adamw_torch", "adamw_torch_fused"),
    "train_on_inputs": (False,),
    "train_on_prompt": (False,),
    "assistant_only_loss": (True,),
    "completion_only_loss": (True,),
    "lora_target_linear": (True,),
    "lora_target_modules": ("all-linear",),
    "eval_strategy": ("steps",),
    "peft_type": ("LORA",),
    "lora_task_type": ("CAUSAL_LM",),
}
"""Settings whose value says what is done here anyway."""
WITHOUT_EFFECT = frozenset(
    [
        *("do_train", "do_eval", "output_dir", "overwrite_output_dir", "overwrite_cache", "logging_dir", "plot_loss"),
        *("logging_steps", "logging_first_step", "logging_strategy", "report_to", "run_name", "resume_from_checkpoint"),
        *("save_steps", "save_strategy", "save_total_limit", "save_only_model", "saves_per_epoch", "evals_per_epoch"),
        *("dataset_prepared_path", "dataset_dir", "preprocessing_num_workers", "dataset_num_proc"),
        *("dataloader_num_workers", "dataset_processes", "per_device_eval_batch_size", "eval_batch_size"),
        *("bf16", "tf32", "fp16", "pure_bf16", "gradient_checkpointing", "gradient_checkpointing_kwargs"),
        *("flash_attention", "flash_attn", "attn_implementation", "sdp_attention", "xformers_attention"),
        *("pad_to_sequence_len", "group_by_length", "ddp_timeout", "local_rank", "model_type", "tokenizer_type"),
        *("is_llama_derived_model", "strict", "debug", "eval_table_size", "eval_sample_packing", "log_level"),
        *("wandb_project", "wandb_entity", "wandb_watch", "wandb_name", "wandb_log_model", "wandb_run_id"),
        *(
            "push_to_hub",
            "hub_model_id",
            "hf_use_auth_token",
            "hub_strategy",
            "use_liger_kernel",
            "lora_fan_in_fan_out",
        ),
    ]
)
"""Where things are stored and reported and how the hardware is used, which Luthier decides by itself."""
_TASKS = {
    "sft": "chat",
    "pt": "completion",
    "dpo": "preference",
    "kto": "preference",
    "orpo": "preference",
    "simpo": "preference",
    "ipo": "preference",
}
_DTYPES = {"bfloat16": "bfloat16", "float32": "float32", "auto": "auto"}
_AXOLOTL_FORMATS = {
    "alpaca": "alpaca",
    "sharegpt": "sharegpt",
    "completion": "text",
    "chat_template": "messages",
    "messages": "messages",
}


@dataclass(slots=True)
class ReadConfig:
    """What a configuration of another tool says: fields of a recipe by dotted name, and what has none."""

    tool: Tool
    fields: dict[str, object] = field(default_factory=dict)
    sources: list[dict[str, object]] = field(default_factory=list)
    without_counterpart: list[str] = field(default_factory=list)

    def leave_out(self, name: str, value: object, why: str = "") -> None:
        shown = json.dumps(value, ensure_ascii=False, default=str)
        self.without_counterpart.append(f"{name}: {shown}{f' ({why})' if why else ''}")

    def recipe(self, name: str, where: str) -> str:
        """A recipe of this name as YAML, with what is left out as comments.

        Raises RecipeError, at `where`, for values that no recipe takes.
        """
        tree: dict[str, Any] = {section: {} for section in Recipe.model_fields} | {"name": name}
        for path, value in {**self.fields, "data.sources": self.sources or [{"path": "raw"}]}.items():
            *parents, last = path.split(".")
            node = tree
            for parent in parents:
                node = node.setdefault(parent, {})
            node[last] = value
        tree = {section: value for section, value in tree.items() if value != {}}
        text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, default_flow_style=False)
        parse_recipe(text, where=where)
        comments = [f"# Read from a configuration of {self.tool}. Without counterpart here:"] * bool(
            self.without_counterpart
        )
        return "\n".join([*comments, *(f"#   {left_out}" for left_out in self.without_counterpart), text])


def read_config(file: Path, root: Path) -> ReadConfig:
    """Read a YAML or JSON configuration of one of the tools. Paths in it become relative to `root`, the workspace.

    Raises RecipeError for a file that cannot be read or is of none of them.
    """
    config = _load(file)
    read = ReadConfig(_tool_of(config, file))
    names = FIELDS[read.tool]
    handled = {**_COMMON, **_SPECIAL[read.tool]}
    places = _Places(file.resolve().parent, root.resolve())
    for name, value in config.items():
        if value is None or value == "":
            continue
        if value in SAME_HERE.get(name, ()):
            continue
        if name in handled:
            handled[name](read, config, places)
        elif name in names:
            read.fields[names[name]] = value
        elif name not in WITHOUT_EFFECT and value not in (False, {}, []):
            read.leave_out(name, value)
    _settle(read, config)
    return read


@dataclass(frozen=True, slots=True)
class _Places:
    """Where the configuration lies, and the workspace."""

    beside: Path
    root: Path

    def find(self, name: str) -> Path | None:
        """A file or folder as the tool would find it: from where it is run, or beside the configuration."""
        return next((place for start in (Path.cwd(), self.beside) if (place := start / name).exists()), None)

    def source(self, name: str) -> dict[str, object]:
        """A source by its path if it is there, or looks like one; else of the Hub."""
        found = self.find(name)
        if found is not None:
            return {"path": os.path.relpath(found.resolve(), self.root)}
        return {"path": name} if name.startswith((".", "/", "~")) or Path(name).suffix in _ENDINGS else {"hub": name}


_ENDINGS = (".json", ".jsonl", ".csv", ".tsv", ".parquet", ".txt", ".gz", ".zst")
_Handler = Callable[[ReadConfig, Config, _Places], None]


def _load(file: Path) -> Config:
    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"cannot be read: {error.strerror or error}", where=str(file)) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError("neither YAML nor JSON", where=str(file)) from error
    if not isinstance(config, dict):
        raise RecipeError("holds no fields", where=str(file), allowed="a YAML or JSON file with one mapping")
    return {str(name): value for name, value in config.items()}


def _tool_of(config: Config, file: Path) -> Tool:
    if "base_model" in config:
        return "axolotl"
    if "model_name_or_path" not in config:
        raise RecipeError(
            "neither base_model nor model_name_or_path is in it",
            where=str(file),
            allowed="a configuration of LLaMA-Factory, axolotl or TRL",
        )
    marks = {"stage", "finetuning_type", "cutoff_len", "template", "lora_rank"}
    return "LLaMA-Factory" if marks & set(config) else "TRL"


def _task(read: ReadConfig, config: Config, _: _Places) -> None:
    name = "stage" if "stage" in config else "rl"
    task = _TASKS.get(str(config[name]))
    if task is None:
        read.leave_out(name, config[name])
        return
    read.fields["task"] = task
    if config[name] in PREFERENCE_LOSSES:
        read.fields["training.preference_loss"] = config[name]
    elif task == "preference":
        read.leave_out(name, config[name], "taken as dpo")


def _preference_loss(read: ReadConfig, config: Config, _: _Places) -> None:
    """The loss that a trainer of preferences was told: their `sigmoid` is DPO."""
    name = "pref_loss" if read.tool == "LLaMA-Factory" else "loss_type"
    loss = {"sigmoid": "dpo"}.get(str(config[name]), config[name])
    if loss in PREFERENCE_LOSSES:
        read.fields["training.preference_loss"] = loss
    else:
        read.leave_out(name, config[name])


def _targets(read: ReadConfig, config: Config, _: _Places) -> None:
    value = config.get("lora_target", config.get("lora_target_modules"))
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    read.fields["adapter.target_modules"] = "all-linear" if value in (["all"], ["all-linear"]) else value


def _epochs(read: ReadConfig, config: Config, _: _Places) -> None:
    name = "num_epochs" if read.tool == "axolotl" else "num_train_epochs"
    value = config[name]
    read.fields["training.num_train_epochs"] = max(1, round(value)) if isinstance(value, int | float) else value
    if isinstance(value, float) and not value.is_integer():
        read.leave_out(name, value, f"taken as {max(1, round(value))}: epochs are whole")


def _dtype(read: ReadConfig, config: Config, _: _Places) -> None:
    name = "dtype" if "dtype" in config else "torch_dtype"
    if str(config[name]) in _DTYPES:
        read.fields["model.dtype"] = _DTYPES[str(config[name])]
    else:
        read.leave_out(name, config[name], "auto takes its place")


def _validation(read: ReadConfig, config: Config, _: _Places) -> None:
    name = "val_set_size" if read.tool == "axolotl" else "val_size"
    value = config[name]
    if isinstance(value, int | float) and 0 <= value < 0.8:
        read.fields["data.split.validation"] = value
    else:
        read.leave_out(name, value, "shares below 0.8 have one: data.split.validation")


def _pissa(read: ReadConfig, config: Config, _: _Places) -> None:
    name = next(name for name in ("pissa_init", "peft_init_lora_weights", "init_lora_weights") if name in config)
    if str(config[name]).startswith("pissa") or (config[name] is True and name == "pissa_init"):
        read.fields["adapter.init_lora_weights"] = "pissa"
    elif config[name] not in (True, False):
        read.leave_out(name, config[name])


def _quantization(read: ReadConfig, config: Config, _: _Places) -> None:
    name = "load_in_8bit" if "load_in_8bit" in config else "quantization_bit"
    if config[name] in (True, 8):
        read.fields["model.quantization"] = "int8"
    elif config[name]:
        read.leave_out(name, config[name], "int8 has one: model.quantization")


def _method(read: ReadConfig, config: Config, _: _Places) -> None:
    value = config["finetuning_type"]
    if value in ("lora", "full"):
        read.fields["adapter.method"] = value
        return
    layers = config.get("freeze_trainable_layers", 2)
    if value != "freeze" or not isinstance(layers, int) or layers == 0:
        read.leave_out("finetuning_type", value)
        return
    read.fields["adapter.method"] = "freeze"
    read.fields["adapter.last_layers" if layers > 0 else "adapter.first_layers"] = abs(layers)


def _axolotl_datasets(read: ReadConfig, config: Config, places: _Places) -> None:
    for dataset in _mappings(config["datasets"]):
        source = _source_of(dataset, places)
        if source is None:
            read.leave_out("datasets", dataset)
            continue
        kind = dataset.get("type")
        form = _AXOLOTL_FORMATS.get(str(kind).partition(".")[0]) if isinstance(kind, str) else None
        if form:
            source["format"] = form
        elif kind:
            read.leave_out("datasets.type", kind, f"the format of {dataset['path']} is told from its records")
        column = dataset.get("field_messages") if form in ("messages", "sharegpt") else dataset.get("field")
        if form and column:
            named = {"sharegpt": "conversations", "text": "text"}.get(form, "messages")
            if column != named:
                source["columns"] = {named: column}
        read.sources.append(source)


def _trl_datasets(read: ReadConfig, config: Config, places: _Places) -> None:
    if "dataset_name" in config and "datasets" not in config:
        split = config.get("dataset_train_split")
        read.sources.append({**places.source(str(config["dataset_name"])), **({"split": split} if split else {})})
        return
    for dataset in _mappings(config.get("datasets", [])):
        source = _source_of(dataset, places)
        if source is None:
            read.leave_out("datasets", dataset)
        else:
            read.sources.append(source)


def _factory_datasets(read: ReadConfig, config: Config, places: _Places) -> None:
    """Names of LLaMA-Factory stand for what its `dataset_info.json` says of them."""
    described = _dataset_info(str(config.get("dataset_dir", "data")), places)
    names = config["dataset"] if isinstance(config["dataset"], list) else str(config["dataset"]).split(",")
    for name in (str(name).strip() for name in names):
        about = described.get(name)
        if not isinstance(about, dict):
            read.leave_out("dataset", name, "no dataset_info.json tells what it is: put its files into raw")
            continue
        if "file_name" in about:
            folder = Path(str(config.get("dataset_dir", "data")))
            source = places.source(str(folder / str(about["file_name"])))
        elif "hf_hub_url" in about:
            source = {"hub": about["hf_hub_url"]}
        else:
            read.leave_out("dataset", name, "it comes neither from a file nor from the Hub")
            continue
        columns = _factory_columns(about)
        read.sources.append({**source, **({"columns": columns} if columns else {})})


def _factory_columns(about: Config) -> dict[str, object]:
    """Columns of a data set whose names differ from those that its format has."""
    columns: Config = about.get("columns") or {}
    chat = about.get("formatting") == "sharegpt"
    names = {"prompt": "instruction", "query": "input", "response": "output", "kto_tag": "label"}
    if chat:
        own_tags = (about.get("tags") or {}).get("role_tag", "from") == "from"
        names = {"messages": "conversations" if own_tags else "messages", "kto_tag": "label"}
    return {names.get(name, name): column for name, column in columns.items() if names.get(name, name) != column}


def _dataset_info(folder: str, places: _Places) -> Config:
    found = places.find(f"{folder}/dataset_info.json")
    if found is None:
        return {}
    try:
        described = json.loads(found.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecipeError(f"cannot be read: {error}", where=str(found)) from error
    return described if isinstance(described, dict) else {}


def _source_of(dataset: Config, places: _Places) -> dict[str, object] | None:
    """The source of an entry with `path`, or with `data_files` where the path only names their kind."""
    files = dataset.get("data_files")
    name = files[0] if isinstance(files, list) and len(files) == 1 else files
    if not isinstance(name, str):
        name = dataset.get("path")
    if not isinstance(name, str):
        return None
    source = places.source(name)
    if "hub" in source and dataset.get("split"):
        source["split"] = dataset["split"]
    return source


def _mappings(value: object) -> Iterator[Config]:
    yield from (each for each in (value if isinstance(value, list) else [value]) if isinstance(each, dict))


def _nothing(*_: object) -> None:
    """Said together with another field."""


def _settle(read: ReadConfig, config: Config) -> None:
    """What the tools do unless told otherwise, where that differs from what is done here."""
    switch = {"axolotl": "adapter", "TRL": "use_peft"}.get(read.tool)
    if switch and not config.get(switch):
        read.fields["adapter.method"] = "full"
    if read.fields.get("adapter.method", "lora") != "lora":
        for name in _LORA_FIELDS & read.fields.keys():
            del read.fields[name]
    needs_weights = (
        read.fields.get("adapter.method", "lora") != "lora"
        or read.fields.get("adapter.use_dora") is True
        or "adapter.init_lora_weights" in read.fields
    )
    if needs_weights and read.fields.pop("model.quantization", None):
        name = "load_in_8bit" if "load_in_8bit" in config else "quantization_bit"
        read.leave_out(name, config[name], "DoRA, PiSSA and all but adapters need the weights as they are")
    read.fields.setdefault("training.packing", False)
    if read.tool == "TRL" and not read.fields.keys().isdisjoint(_OF_PREFERENCES):
        read.fields["task"] = "preference"  # its configurations do not say which trainer takes them
        if not read.fields.keys().isdisjoint(_OF_KTO):
            read.fields["training.preference_loss"] = "kto"
    if read.tool == "LLaMA-Factory" and "adapter.r" in read.fields:
        read.fields.setdefault("adapter.lora_alpha", 2 * int(str(read.fields["adapter.r"])))
    if read.tool != "axolotl" and "data.max_length" in read.fields:
        read.fields["data.over_length"] = "truncate"


_COMMON: Mapping[str, _Handler] = {
    "stage": _task,
    "rl": _task,
    "lora_target": _targets,
    "lora_target_modules": _targets,
    "num_train_epochs": _epochs,
    "num_epochs": _epochs,
    "dtype": _dtype,
    "torch_dtype": _dtype,
    "load_in_8bit": _quantization,
    "quantization_bit": _quantization,
    "val_size": _validation,
    "val_set_size": _validation,
    "pissa_init": _pissa,
    "peft_init_lora_weights": _pissa,
    "init_lora_weights": _pissa,
}
_SPECIAL: Mapping[Tool, Mapping[str, _Handler]] = {
    "LLaMA-Factory": {
        "dataset": _factory_datasets,
        "pref_loss": _preference_loss,
        "finetuning_type": _method,
        "freeze_trainable_layers": _nothing,
    },
    "axolotl": {"datasets": _axolotl_datasets},
    "TRL": {
        "loss_type": _preference_loss,
        "dataset_name": _trl_datasets,
        "datasets": _trl_datasets,
        "dataset_train_split": _nothing,
    },
}
