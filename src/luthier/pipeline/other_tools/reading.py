"""A configuration of one of the tools, read."""

from collections.abc import Mapping
from pathlib import Path

from luthier.core.errors import RecipeError
from luthier.core.recipe import read_yaml
from luthier.pipeline.other_tools import axolotl, llama_factory, trl
from luthier.pipeline.other_tools.common import COMMON, SAME_HERE, WITHOUT_EFFECT, quantizes
from luthier.pipeline.other_tools.config import Config, Handler, Places, ReadConfig, Settle, Tool

FIELDS: Mapping[Tool, Mapping[str, str]] = {
    "LLaMA-Factory": llama_factory.FIELDS,
    "axolotl": axolotl.FIELDS,
    "TRL": trl.FIELDS,
}
_HANDLERS: Mapping[Tool, Mapping[str, Handler]] = {
    "LLaMA-Factory": llama_factory.HANDLERS,
    "axolotl": axolotl.HANDLERS,
    "TRL": trl.HANDLERS,
}
_SETTLE: Mapping[Tool, Settle] = {
    "LLaMA-Factory": llama_factory.settle,
    "axolotl": axolotl.settle,
    "TRL": trl.settle,
}
_LORA_FIELDS = frozenset(
    (
        *("adapter.r", "adapter.lora_alpha", "adapter.target_modules", "adapter.use_rslora", "adapter.use_dora"),
        *("adapter.init_lora_weights", "training.loraplus_lr_ratio"),
    )
)


def read_config(file: Path, root: Path) -> ReadConfig:
    """Read a YAML or JSON configuration of one of the tools. Paths in it become relative to `root`, the workspace.

    Raises RecipeError for a file that cannot be read or is of none of them.
    """
    config = _load(file)
    read = ReadConfig(_tool_of(config, file))
    names = FIELDS[read.tool]
    handled = {**COMMON, **_HANDLERS[read.tool]}
    places = Places(file.resolve().parent, root.resolve())
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


def _load(file: Path) -> Config:
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise RecipeError(f"cannot be read: {error.strerror or error}", where=str(file)) from error
    except UnicodeDecodeError as error:
        raise RecipeError("neither YAML nor JSON", where=str(file)) from error
    config = read_yaml(text, str(file), "neither YAML nor JSON")
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


def _settle(read: ReadConfig, config: Config) -> None:
    """What the tool does unless told otherwise, less what the method of training has no use for."""
    _SETTLE[read.tool](read, config)
    read.fields.setdefault("training.packing", False)
    if read.fields.get("adapter.method", "lora") != "lora":
        for name in _LORA_FIELDS & read.fields.keys():
            del read.fields[name]
    needs_weights = (
        read.fields.get("adapter.method", "lora") != "lora"
        or read.fields.get("adapter.use_dora") is True
        or "adapter.init_lora_weights" in read.fields
    )
    if needs_weights and read.fields.pop("model.quantization", None):
        name = quantizes(config)
        read.leave_out(name, config[name], "DoRA, PiSSA and all but adapters need the weights as they are")
