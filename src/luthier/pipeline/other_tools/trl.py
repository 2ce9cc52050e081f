"""TRL: the fields of its scripts, which take transformers' TrainingArguments too, and their data sets."""

from collections.abc import Mapping

from luthier.pipeline.other_tools.common import TRAINING_ARGUMENTS, preference_loss
from luthier.pipeline.other_tools.config import Config, Handler, Places, ReadConfig, mappings, nothing, source_of

FIELDS: Mapping[str, str] = {
    **TRAINING_ARGUMENTS,
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
}
"""Fields that mean the same under another name."""
_OF_KTO = frozenset(("training.desirable_weight", "training.undesirable_weight"))
_OF_PREFERENCES = _OF_KTO | {"training.beta", "training.preference_loss"}


def _datasets(read: ReadConfig, config: Config, places: Places) -> None:
    if "dataset_name" in config and "datasets" not in config:
        split = config.get("dataset_train_split")
        read.sources.append({**places.source(str(config["dataset_name"])), **({"split": split} if split else {})})
        return
    for dataset in mappings(config.get("datasets", [])):
        source = source_of(dataset, places)
        if source is None:
            read.leave_out("datasets", dataset)
        else:
            read.sources.append(source)


def settle(read: ReadConfig, config: Config) -> None:
    """What TRL's scripts do unless told otherwise."""
    if not config.get("use_peft"):
        read.fields["adapter.method"] = "full"
    if not read.fields.keys().isdisjoint(_OF_PREFERENCES):
        read.fields["task"] = "preference"  # a configuration does not say which trainer takes it
        if not read.fields.keys().isdisjoint(_OF_KTO):
            read.fields["training.preference_loss"] = "kto"
    if "data.max_length" in read.fields:
        read.fields["data.over_length"] = "truncate"


HANDLERS: Mapping[str, Handler] = {
    "loss_type": preference_loss,
    "dataset_name": _datasets,
    "datasets": _datasets,
    "dataset_train_split": nothing,
}
