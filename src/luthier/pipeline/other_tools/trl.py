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


HANDLERS: Mapping[str, Handler] = {
    "loss_type": preference_loss,
    "dataset_name": _datasets,
    "datasets": _datasets,
    "dataset_train_split": nothing,
}
