"""Merged weights say what the adapter says, and a composed adapter adds what its parts add."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel

from luthier.core.errors import ModelError
from luthier.core.recipe import AdapterSection
from luthier.models.adapter import attach_adapter, lora_layers, save_adapter, trainable
from luthier.models.merging import composed, merged, probe_logits
from luthier.models.methods import prepare

MakeModel = Callable[[str], Any]
LORA = AdapterSection(r=4, lora_alpha=8)
VARIANTS = {
    "lora": LORA,
    "rslora": LORA.model_copy(update={"use_rslora": True}),
    "dora": LORA.model_copy(update={"use_dora": True}),
    "biases": LORA.model_copy(update={"bias": "all"}),
    "ia3": AdapterSection(method="ia3"),
    "full": AdapterSection(method="full"),
}


def tuned(model: Any, settings: AdapterSection = LORA, seed: int = 0) -> Any:
    """The model with everything moved that trains."""
    ready = prepare(model, settings, seed)
    with torch.no_grad():
        for number, parameter in enumerate(trainable(ready).values()):
            generator = torch.Generator().manual_seed(100 * seed + number)
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return ready


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("family", ["Qwen2", "GPT2"])
def test_a_merged_model_says_what_the_adapter_says(family: str, variant: str, make_model: MakeModel) -> None:
    model = tuned(make_model(family), VARIANTS[variant])
    expected = probe_logits(model)

    plain = merged(model)

    torch.testing.assert_close(probe_logits(plain), expected, rtol=0, atol=1e-5)
    assert not any("lora" in name or "ia3" in name for name, _ in plain.named_parameters())


def deltas(model: Any) -> dict[str, torch.Tensor]:
    """What the adapter adds to each weight, by the name of the layer."""
    named = {name.removeprefix("base_model.model."): layer for name, layer in model.named_modules()}
    layers = set(map(id, lora_layers(model)))
    return {name: layer.get_delta_weight("default").detach() for name, layer in named.items() if id(layer) in layers}


@pytest.fixture
def save(make_model: MakeModel, tmp_path: Path) -> Callable[..., tuple[Path, dict[str, torch.Tensor]]]:
    """`save(seed, **changes)`: an adapter's folder, and what it adds to each weight."""

    def saved(seed: int, **changes: Any) -> tuple[Path, dict[str, torch.Tensor]]:
        model = tuned(make_model("Llama"), LORA.model_copy(update=changes), seed)
        folder = tmp_path / f"adapter-{seed}"
        save_adapter(model, folder, "tiny")
        return folder, deltas(model)

    return saved


@pytest.mark.parametrize("changes", [{}, {"use_rslora": True}], ids=str)
def test_a_weighted_sum_is_exact_and_plain_peft_loads_it(
    changes: dict[str, Any], save: Any, make_model: MakeModel, tmp_path: Path
) -> None:
    (one, of_one), (other, of_other) = save(1, **changes), save(2, r=6, **changes)

    model = composed(make_model("Llama"), [one, other], [0.7, -0.2])

    save_adapter(model, tmp_path / "both", "tiny")
    loaded = PeftModel.from_pretrained(make_model("Llama"), str(tmp_path / "both"))
    found = deltas(loaded)
    assert found.keys() == of_one.keys()
    for name, delta in found.items():
        torch.testing.assert_close(delta, 0.7 * of_one[name] - 0.2 * of_other[name], rtol=0, atol=1e-6)
    assert trainable(model) == {}


def test_ties_trims_elects_signs_and_averages_what_agrees(save: Any, make_model: MakeModel) -> None:
    """Yadav et al. 2023, section 3, and the closest matrix of rank 4 to what that gives."""
    (one, of_one), (other, of_other) = save(1), save(2)

    found = deltas(composed(make_model("Llama"), [one, other], [1.0, 0.5], density=0.4))

    for name, delta in found.items():
        parts = torch.stack([_trimmed(of_one[name], 0.4), _trimmed(of_other[name], 0.4)])
        agrees = parts.sign() == torch.where(parts.sum(0) >= 0, 1, -1)
        expected = (torch.tensor([1.0, 0.5])[:, None, None] * parts * agrees).sum(0) / agrees.sum(0).clamp(min=1)
        u, sizes, v = torch.linalg.svd(expected, full_matrices=False)
        torch.testing.assert_close(delta, (u[:, :4] * sizes[:4]) @ v[:4], rtol=0, atol=1e-5)


def _trimmed(delta: torch.Tensor, density: float) -> torch.Tensor:
    kept = delta.abs().flatten().topk(int(density * delta.numel())).values.min()
    return delta * (delta.abs() >= kept)


@pytest.mark.parametrize("changes", [{"use_dora": True}, {"bias": "all"}], ids=str)
def test_other_kinds_are_refused(changes: dict[str, Any], save: Any, make_model: MakeModel) -> None:
    (one, _), (other, _) = save(1), save(2, **changes)
    with pytest.raises(ModelError, match=r"only plain LoRA adapters can be composed \(method lora, no DoRA\)"):
        composed(make_model("Llama"), [one, other], [0.5, 0.5])


def test_adapters_of_another_model_are_refused(save: Any, make_model: MakeModel, tmp_path: Path) -> None:
    one, _ = save(1)
    save_adapter(attach_adapter(make_model("GPT2"), LORA, 0), tmp_path / "strange", "tiny")
    with pytest.raises(ModelError, match="the adapter"):
        composed(make_model("Llama"), [one, tmp_path / "strange"], [0.5, 0.5])


def test_a_cut_off_adapter_is_one_sentence(save: Any, make_model: MakeModel) -> None:
    (one, _), (other, _) = save(1), save(2)
    weights = other / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelError, match=f"^{other}: cannot load the adapter: "):
        composed(make_model("Llama"), [one, other], [0.5, 0.5])
