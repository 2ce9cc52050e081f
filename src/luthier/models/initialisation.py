"""How the weights of a model that begins from nothing are drawn: schemes by name, for every architecture.

`default` leaves what transformers draws. The others draw each matrix from a normal distribution around zero:

- `gpt2`: standard deviation 0.02, of matrices that write into the residual stream 0.02 / sqrt(2 x layers) (Radford et
  al. 2019, Language Models are Unsupervised Multitask Learners, section 2.3).
- `small`: sqrt(2 / (5 x width)), into the residual stream 2 / (layers x sqrt(width)) (Nguyen and Salazar 2019,
  Transformers without Tears; Black et al. 2022, GPT-NeoX-20B, section 2.1).
- `xavier`: sqrt(2 / (inputs + outputs)) (Glorot and Bengio 2010, equation 16); embeddings 1 / sqrt(width).
"""

import math
import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from transformers import CONFIG_MAPPING
from transformers.pytorch_utils import Conv1D

from luthier.core.recipe import Initialisation

INTO_THE_STREAM = re.compile(
    r"(?:o_proj|out_proj|down_proj|c_proj|out_lin|lin2|dense_4h_to_h|attention\.dense|output\.dense|fc2|wo)\.weight$"
)
"""Names of the matrices whose outputs are added to the residual stream, in the architectures of transformers."""


def initialise(model: Any, scheme: Initialisation) -> None:
    """Draw the matrices of a model anew by a scheme, with torch's generator as it is. `default` changes nothing.

    Norms and biases stay as they are, and so does a matrix that is one and the same as another already drawn.
    """
    if scheme == "default":
        return
    drawn: set[int] = set()
    with torch.no_grad():
        for name, weight in _matrices(model):
            if id(weight) not in drawn:
                weight.normal_(0.0, _spread(model, name, weight, scheme))
                drawn.add(id(weight))
        for module in model.modules():
            if isinstance(module, nn.Embedding) and module.padding_idx is not None:
                module.weight[module.padding_idx].zero_()


def spread_by_scheme(model: Any, scheme: Initialisation) -> dict[str, float]:
    """The standard deviation that each matrix of a new model has by a scheme, by its name.

    Of `default` that is the usual `initializer_range` of the architecture, whatever this model's configuration says;
    empty for one that has none.
    """
    if scheme == "default":
        usual = getattr(CONFIG_MAPPING[model.config.model_type](), "initializer_range", None)
        return {name: float(usual) for name, _ in _matrices(model)} if usual else {}
    return {name: _spread(model, name, weight, scheme) for name, weight in _matrices(model)}


def _matrices(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    for prefix, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Embedding | Conv1D):
            yield f"{prefix}.weight", module.weight


def _spread(model: Any, name: str, weight: torch.Tensor, scheme: Initialisation) -> float:
    sizes = model.config.get_text_config()
    width, layers = int(sizes.hidden_size), int(sizes.num_hidden_layers)
    into_the_stream = INTO_THE_STREAM.search(name) is not None
    if scheme == "gpt2":
        return 0.02 / math.sqrt(2 * layers) if into_the_stream else 0.02
    if scheme == "small":
        return 2 / (layers * math.sqrt(width)) if into_the_stream else math.sqrt(2 / (5 * width))
    assert scheme == "xavier"
    if isinstance(model.get_submodule(name.removesuffix(".weight")), nn.Embedding):
        return 1 / math.sqrt(width)
    return math.sqrt(2 / sum(weight.shape))
