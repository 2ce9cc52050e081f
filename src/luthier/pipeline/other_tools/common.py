"""What the tools call the same."""

import typing
from collections.abc import Mapping, Sequence

from luthier.core.recipe import BaseQuantization, PreferenceLoss
from luthier.pipeline.other_tools.config import Config, Handler, Places, ReadConfig

TRAINING_ARGUMENTS = {
    name: f"training.{name}"
    for name in (
        *("learning_rate", "num_train_epochs", "per_device_train_batch_size", "gradient_accumulation_steps"),
        *("packing", "warmup_ratio", "weight_decay", "max_grad_norm", "eval_steps", "load_best_model_at_end", "seed"),
    )
}
"""Fields of transformers' TrainingArguments, which LLaMA-Factory and TRL take too, and where a recipe has them."""
PREFERENCE_LOSSES = typing.get_args(PreferenceLoss)
_DOUBLE_QUANTIZATION = ("bnb_4bit_use_double_quant", "double_quantization", "use_bnb_nested_quant")
SAME_HERE: Mapping[str, Sequence[object]] = {
    "adapter": ("lora", "qlora"),
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
    "bnb_4bit_quant_type": ("nf4",),
    "quantization_type": ("nf4",),
    **dict.fromkeys(_DOUBLE_QUANTIZATION, (True,)),
    "quantization_method": ("bnb", "bitsandbytes"),
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
    "pt": "causal_lm",
    "dpo": "preference",
    "kto": "preference",
    "orpo": "preference",
    "simpo": "preference",
    "ipo": "preference",
}
_ADAMW_8BIT = ("adamw_8bit", "adamw_bnb_8bit", "paged_adamw_8bit", "adamw_torch_8bit")
_QUANTIZATIONS: Mapping[str, Mapping[str, BaseQuantization]] = {
    "load_in_8bit": {"True": "int8"},
    "load_in_4bit": {"True": "nf4"},
    "quantization_bit": {"8": "int8", "4": "nf4"},
}
_DTYPES = ("auto", "bfloat16", "float16", "float32")


def _task(read: ReadConfig, config: Config, _: Places) -> None:
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


def preference_loss(read: ReadConfig, config: Config, _: Places) -> None:
    """The loss that a trainer of preferences was told: their `sigmoid` is DPO."""
    name = "pref_loss" if read.tool == "LLaMA-Factory" else "loss_type"
    loss = {"sigmoid": "dpo"}.get(str(config[name]), config[name])
    if loss in PREFERENCE_LOSSES:
        read.fields["training.preference_loss"] = loss
    else:
        read.leave_out(name, config[name])


def _targets(read: ReadConfig, config: Config, _: Places) -> None:
    value = config.get("lora_target", config.get("lora_target_modules"))
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    read.fields["adapter.target_modules"] = "all-linear" if value in (["all"], ["all-linear"]) else value


def _epochs(read: ReadConfig, config: Config, _: Places) -> None:
    name = "num_epochs" if read.tool == "axolotl" else "num_train_epochs"
    value = config[name]
    read.fields["training.num_train_epochs"] = max(1, round(value)) if isinstance(value, int | float) else value
    if isinstance(value, float) and not value.is_integer():
        read.leave_out(name, value, f"taken as {max(1, round(value))}: epochs are whole")


def _dtype(read: ReadConfig, config: Config, _: Places) -> None:
    name = "dtype" if "dtype" in config else "torch_dtype"
    if str(config[name]) in _DTYPES:
        read.fields["model.dtype"] = str(config[name])
    else:
        read.leave_out(name, config[name], "auto takes its place")


def _validation(read: ReadConfig, config: Config, _: Places) -> None:
    name = "val_set_size" if read.tool == "axolotl" else "val_size"
    value = config[name]
    if isinstance(value, int | float) and 0 <= value < 0.8:
        read.fields["data.split.validation"] = value
    else:
        read.leave_out(name, value, "shares below 0.8 have one: data.split.validation")


def _pissa(read: ReadConfig, config: Config, _: Places) -> None:
    name = next(name for name in ("pissa_init", "peft_init_lora_weights", "init_lora_weights") if name in config)
    if str(config[name]).startswith("pissa") or (config[name] is True and name == "pissa_init"):
        read.fields["adapter.init_lora_weights"] = "pissa"
    elif config[name] not in (True, False):
        read.leave_out(name, config[name])


def _quantization(read: ReadConfig, config: Config, _: Places) -> None:
    name = quantizes(config)
    if not name:
        return
    if quantization := _QUANTIZATIONS[name].get(str(config[name])):
        read.fields["model.quantization"] = quantization
    else:
        read.leave_out(name, config[name], "int8 and nf4 have one: model.quantization")


def _double_quantization(read: ReadConfig, config: Config, _: Places) -> None:
    """Switched off, of base weights in four bits: their scales are quantised here all the same."""
    name = next(name for name in _DOUBLE_QUANTIZATION if name in config)
    by = quantizes(config)
    if by and _QUANTIZATIONS[by].get(str(config[by])) == "nf4":
        read.leave_out(name, config[name], "nf4 quantises the scales too")


def quantizes(config: Config) -> str:
    """The field by which the base weights are quantised, empty where they are not."""
    return next((name for name in _QUANTIZATIONS if config.get(name)), "")


def _optimizer(read: ReadConfig, config: Config, _: Places) -> None:
    name = "optim" if "optim" in config else "optimizer"
    if config[name] in _ADAMW_8BIT:
        read.fields["training.optim"] = "adamw_8bit"
    else:
        read.leave_out(name, config[name])


COMMON: Mapping[str, Handler] = {
    "optim": _optimizer,
    "optimizer": _optimizer,
    "stage": _task,
    "rl": _task,
    "lora_target": _targets,
    "lora_target_modules": _targets,
    "num_train_epochs": _epochs,
    "num_epochs": _epochs,
    "dtype": _dtype,
    "torch_dtype": _dtype,
    **dict.fromkeys(_QUANTIZATIONS, _quantization),
    **dict.fromkeys(_DOUBLE_QUANTIZATION, _double_quantization),
    "val_size": _validation,
    "val_set_size": _validation,
    "pissa_init": _pissa,
    "peft_init_lora_weights": _pissa,
    "init_lora_weights": _pissa,
}
