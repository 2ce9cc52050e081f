"""`adapter`: what of the model trains."""

import typing
from typing import Annotated, Literal

from pydantic import Field, model_validator

from luthier.core.recipe.section import Positive, Section

Method = Literal["lora", "ia3", "full", "freeze"]


class AdapterSection(Section):
    """What of the model trains: an adapter, as in PEFT, or weights of its own. Each field belongs to some methods."""

    method: Method = Field(
        "lora",
        description="lora: low-rank matrices beside linear layers; ia3: a factor for each output of some; full: all "
        "weights; freeze: some layers and modules",
    )
    r: Positive = Field(16, description="lora: rank of the matrices that train")
    lora_alpha: Positive = Field(32, description="lora: what they add is scaled by lora_alpha / r")
    target_modules: str | tuple[str, ...] = Field("all-linear", description="lora: all-linear, or names of modules")
    use_rslora: bool = Field(False, description="lora: scale by lora_alpha / sqrt(r): large ranks go on helping")
    use_dora: bool = Field(
        False, description="lora: train how long each row of a weight is apart from where it points; takes longer"
    )
    init_lora_weights: Literal["default", "pissa"] = Field(
        "default",
        description="lora: default begins with no change; pissa with the strongest directions of the base weights, and "
        "is saved as a plain adapter of twice the rank",
    )
    bias: Literal["none", "all", "lora_only"] = Field(
        "none", description="lora: which biases train too: none, all of the model's, or those of adapted layers"
    )
    first_layers: Annotated[int, Field(ge=0)] = Field(0, description="freeze: so many layers train, from the input on")
    last_layers: Annotated[int, Field(ge=0)] = Field(0, description="freeze: so many layers train, up to the output")
    train_modules: tuple[str, ...] = Field(
        (), description="freeze: patterns of module names that train too, e.g. ['*norm*', lm_head]"
    )

    @model_validator(mode="after")
    def _fields_are_of_the_method(self) -> "AdapterSection":
        for name, field in type(self).model_fields.items():
            if getattr(self, name) != field.default and self.method not in _methods_of(name):
                raise ValueError(f"{name} is for method {', '.join(_methods_of(name))}, not {self.method}")
        if self.method == "freeze" and not (self.first_layers or self.last_layers or self.train_modules):
            raise ValueError("method freeze needs first_layers, last_layers or train_modules: what is to train")
        if self.use_dora and self.init_lora_weights == "pissa":
            raise ValueError("use_dora and init_lora_weights: pissa exclude each other")
        if self.bias != "none" and self.init_lora_weights == "pissa":
            raise ValueError("bias and init_lora_weights: pissa exclude each other")
        return self


def _methods_of(field: str) -> tuple[Method, ...]:
    """The methods that a field of the adapter section belongs to."""
    if field == "method":
        return typing.get_args(Method)
    return ("freeze",) if field in ("first_layers", "last_layers", "train_modules") else ("lora",)
