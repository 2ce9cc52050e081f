"""Is each target predicted from the tokens before it? The loss that trains, beside one computed plainly."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from luthier.models.adapter import without_adapter
from luthier.models.loading import plain_attention
from luthier.training.finding import Finding, judged
from luthier.training.objective import Prediction

MOST_APART = 0.05
"""Of the plain loss: rounding in bfloat16 is a tenth of that."""


@torch.no_grad()
def plain_logits(model: Any, input_ids: Sequence[int]) -> torch.Tensor:
    """What transformers' own forward pass makes of one text alone: [tokens, vocabulary] in fp32 or wider, of a
    classifier [1, labels]."""
    core = without_adapter(model)
    before = core.config._attn_implementation
    core.set_attn_implementation(plain_attention(core))
    try:
        logits: torch.Tensor = core(input_ids=torch.tensor([list(input_ids)])).logits
    finally:
        core.set_attn_implementation(before)
    flat = logits.flatten(0, -2)
    return flat.to(torch.promote_types(flat.dtype, torch.float32))


def check_labels(loss: float, model: Any, prediction: Prediction) -> Finding:
    """By how much the mean `loss` that trains differs from that of the same prediction in plain logits, as a share of
    it. Another offset of the labels that would explain it is named."""
    logits = plain_logits(model, prediction.input_ids)
    labels = torch.tensor(prediction.labels)

    def at(offset: int) -> float:
        moved = (torch.tensor(prediction.places) + offset).clamp(0, len(logits) - 1)
        return float(F.cross_entropy(logits[moved], labels))

    apart = {offset: abs(loss - at(offset)) for offset in (0, -1, 1)}
    share = apart[0] / max(at(0), MOST_APART)
    if share <= MOST_APART:
        return judged("labels", "pass", share, MOST_APART, "")
    likeliest = min(apart, key=lambda offset: apart[offset])
    shifted = " as if the labels were shifted by one" if likeliest else ""
    return judged("labels", "fail", share, MOST_APART, f"the loss is not that of the targets{shifted}")
