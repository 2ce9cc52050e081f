"""axolotl: its own fields, and its list of data sets."""

from collections.abc import Mapping

from luthier.pipeline.other_tools.config import Config, Handler, Places, ReadConfig, mappings, source_of

FIELDS: Mapping[str, str] = {
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
}
"""Fields that mean the same under another name."""
_FORMATS = {
    "alpaca": "alpaca",
    "sharegpt": "sharegpt",
    "completion": "text",
    "chat_template": "messages",
    "messages": "messages",
}


def _datasets(read: ReadConfig, config: Config, places: Places) -> None:
    for dataset in mappings(config["datasets"]):
        source = source_of(dataset, places)
        if source is None:
            read.leave_out("datasets", dataset)
            continue
        kind = dataset.get("type")
        form = _FORMATS.get(str(kind).partition(".")[0]) if isinstance(kind, str) else None
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


def settle(read: ReadConfig, config: Config) -> None:
    """What axolotl does unless told otherwise."""
    if not config.get("adapter"):
        read.fields["adapter.method"] = "full"


HANDLERS: Mapping[str, Handler] = {
    "datasets": _datasets,
}
