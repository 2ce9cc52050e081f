"""LLaMA-Factory: its own fields, and data sets by the names that its `dataset_info.json` describes."""

import json
from collections.abc import Mapping
from pathlib import Path

from luthier.core.errors import RecipeError
from luthier.pipeline.other_tools.common import TRAINING_ARGUMENTS, preference_loss
from luthier.pipeline.other_tools.config import Config, Handler, Places, ReadConfig, nothing

FIELDS: Mapping[str, str] = {
    **TRAINING_ARGUMENTS,
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
}
"""Fields that mean the same under another name."""
_PRETRAINING = "pt"
"""The stage that goes on learning the words of plain texts."""


def _method(read: ReadConfig, config: Config, _: Places) -> None:
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


def _datasets(read: ReadConfig, config: Config, places: Places) -> None:
    """Names stand for what its `dataset_info.json` says of them."""
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
        plain = config.get("stage") == _PRETRAINING
        columns = _text_column(about) if plain else _columns(about)
        if plain:
            source["format"] = "text"
        read.sources.append({**source, **({"columns": columns} if columns else {})})


def _text_column(about: Config) -> dict[str, object]:
    """The column that a stage of plain text reads, which is that of the prompt: by default `instruction`."""
    column = (about.get("columns") or {}).get("prompt", "instruction")
    return {} if column == "text" else {"text": column}


def _columns(about: Config) -> dict[str, object]:
    """Columns of a data set whose names differ from those that its format has."""
    columns: Config = about.get("columns") or {}
    chat = about.get("formatting") == "sharegpt"
    names = {"prompt": "instruction", "query": "input", "response": "output", "kto_tag": "label"}
    if chat:
        own_tags = (about.get("tags") or {}).get("role_tag", "from") == "from"
        names = {"messages": "conversations" if own_tags else "messages", "kto_tag": "label"}
    return {names.get(name, name): column for name, column in columns.items() if names.get(name, name) != column}


def _dataset_info(folder: str, places: Places) -> Config:
    found = places.find(f"{folder}/dataset_info.json")
    if found is None:
        return {}
    try:
        described = json.loads(found.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecipeError(f"cannot be read: {error}", where=str(found)) from error
    return described if isinstance(described, dict) else {}


def settle(read: ReadConfig, config: Config) -> None:
    """What LLaMA-Factory does unless told otherwise."""
    pretrains = config.get("stage") == _PRETRAINING
    read.fields.setdefault("training.packing", pretrains)
    if pretrains and "cutoff_len" in config:
        read.leave_out(
            "cutoff_len", config["cutoff_len"], "the end of a longer text is cut off, not read as another text"
        )
    if isinstance(r := read.fields.get("adapter.r"), int):
        read.fields.setdefault("adapter.lora_alpha", 2 * r)
    if "data.max_length" in read.fields:
        read.fields["data.over_length"] = "truncate"


HANDLERS: Mapping[str, Handler] = {
    "dataset": _datasets,
    "pref_loss": preference_loss,
    "finetuning_type": _method,
    "freeze_trainable_layers": nothing,
}
