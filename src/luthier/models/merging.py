"""Adapters made part of the weights, and several adapters made one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftConfig, PeftModel
from transformers import PreTrainedModel

from luthier.core.errors import ModelError
from luthier.models.adapter import ADAPTER_NAME, lora_layers, plain_adapter_errors, refuse_unsafe_adapter

PROBE_TOKENS = 24


def merged(model: Any) -> PreTrainedModel:
    """A model whose adapter, if it has one, has become part of its weights. It says the same, to rounding: merge in
    fp32, and narrow the weights afterwards."""
    plain = model.merge_and_unload() if hasattr(model, "peft_config") else model
    assert isinstance(plain, PreTrainedModel)
    return plain


@torch.no_grad()
def probe_logits(model: Any) -> torch.Tensor:
    """What a model says to a fixed row of random tokens, in fp32."""
    vocabulary = int(model.get_input_embeddings().num_embeddings)
    ids = torch.randint(vocabulary, (1, PROBE_TOKENS), generator=torch.Generator().manual_seed(0))
    logits: torch.Tensor = model(input_ids=ids).logits
    return logits.float()


def composed(
    model: PreTrainedModel, folders: Sequence[Path], weights: Sequence[float], density: float | None = None
) -> Any:
    """The model with one LoRA made of several.

    Without a `density`, what the adapters add to each weight is added up, times their `weights`, exactly: the rank is
    the sum of their ranks. With one, TIES (Yadav et al. 2023) keeps the largest share `density` of each, drops what
    goes against the majority's sign, and is cut to the largest of the ranks.
    Raises ModelError for adapters that are no plain LoRA or of another model.
    """
    configs = [_plain_lora(folder) for folder in folders]
    names = [f"part {number}" for number in range(len(folders))]
    with plain_adapter_errors(folders[0]):
        adapted = PeftModel(model, configs[0], names[0])
    for name, folder in zip(names, folders, strict=True):
        with plain_adapter_errors(folder):
            found = adapted.load_adapter(str(folder), name, is_trainable=False)
        if strange := [*found.missing_keys, *found.unexpected_keys]:
            raise ModelError(f"the adapter is of another model, the first weight: {strange[0]}", where=str(folder))
    try:
        if density is None:
            adapted.add_weighted_adapter(names, list(weights), ADAPTER_NAME, combination_type="cat")
        else:
            rank = max(config.r for config in configs)
            adapted.add_weighted_adapter(
                names, list(weights), ADAPTER_NAME, combination_type="ties_svd", density=density, svd_rank=rank
            )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ModelError(f"the adapters cannot be composed: {error}") from error
    # PEFT puts the scaling into the matrices and forgets that rsLoRA would scale once more.
    adapted.peft_config[ADAPTER_NAME].use_rslora = False
    for layer in lora_layers(adapted):
        layer.scaling[ADAPTER_NAME] = 1.0
    adapted.set_adapter(ADAPTER_NAME)
    for name in names:
        adapted.delete_adapter(name)
    return adapted.eval().requires_grad_(False)


def _plain_lora(folder: Path) -> LoraConfig:
    refuse_unsafe_adapter(folder)
    with plain_adapter_errors(folder):
        config = PeftConfig.from_pretrained(str(folder))
    if not isinstance(config, LoraConfig) or config.use_dora or config.bias != "none" or config.modules_to_save:
        raise ModelError("only plain LoRA adapters can be composed", where=str(folder), allowed="method lora, no DoRA")
    return config
