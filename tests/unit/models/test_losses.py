"""The loss of rows in one batch is the loss of each alone, by the plain path as by the fast one."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
import transformers
from peft import PeftModel
from transformers import GPT2Config, GPT2LMHeadModel

from luthier.core.errors import ModelError
from luthier.core.recipe import AdapterSection
from luthier.core.rows import TokenRow
from luthier.models import fast_path
from luthier.models.adapter import attach_adapter, trainable
from luthier.models.batch import FlatBatch
from luthier.models.losses import RowsLoss, batches_by_tokens
from luthier.models.recompute import recompute_layers

MakeModel = Callable[[str], Any]
MakeRows = Callable[..., list[TokenRow]]
LENGTHS = (7, 30, 2, 12, 31)
FAST = {"Llama", "Qwen2", "Qwen3", "Gemma", "Gemma3Text", "Mistral", "Phi3", "GPT2", "OPT"}
SLOW = {"Gemma2", "Phi", "StableLm", "Bloom"}


LORA = AdapterSection(r=4, lora_alpha=8)


def adapted(model: Any, dtype: torch.dtype = torch.float32, settings: AdapterSection = LORA) -> Any:
    """The model with a LoRA whose B is not zero, so that a gradient reaches A too."""
    adapted_model = attach_adapter(model, settings, 0).to(dtype)
    with torch.no_grad():
        for number, parameter in enumerate(trainable(adapted_model).values()):
            generator = torch.Generator().manual_seed(number)
            parameter += 0.05 * torch.randn(parameter.shape, dtype=parameter.dtype, generator=generator)
    return adapted_model


def gradients(model: Any, loss: torch.Tensor) -> torch.Tensor:
    parameters = list(trainable(model).values())
    return torch.cat([gradient.flatten() for gradient in torch.autograd.grad(loss, parameters)])


def reference(model: Any, rows: Sequence[TokenRow]) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss sum and gradients of each row alone through transformers' whole forward pass."""
    model.get_base_model().set_attn_implementation("eager")
    total = torch.zeros((), dtype=next(iter(trainable(model).values())).dtype)
    for row in rows:
        logits = model(input_ids=torch.tensor([row.input_ids]), use_cache=False).logits[0]
        labels = torch.tensor(
            [token if target else -100 for token, target in zip(row.input_ids, row.targets, strict=True)]
        )
        total = total + F.cross_entropy(logits[:-1], labels[1:], ignore_index=-100, reduction="sum")
    return total.detach(), gradients(model, total)


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).detach().norm() / expected.norm())


@pytest.mark.parametrize("architecture", sorted(FAST | SLOW))
def test_loss_and_gradients_are_those_of_each_row_alone(
    architecture: str, make_model: MakeModel, random_rows: MakeRows
) -> None:
    model, rows = adapted(make_model(architecture)), random_rows(LENGTHS)
    expected_loss, expected_gradients = reference(model, rows)

    loss = RowsLoss(model)

    assert (loss.fast_path == "on") == (architecture in FAST), loss.fast_path
    for total in (loss.loss_sum(FlatBatch.of(rows)), loss.plain_sum(FlatBatch.of(rows))):
        assert relative_error(total, expected_loss) < 1e-5
        assert relative_error(gradients(model, total), expected_gradients) < 1e-4


@pytest.mark.parametrize(
    ("architecture", "parts"),
    [
        ("Llama", {"Attention", "MLP", "RMSNorm"}),
        ("Qwen3", {"Attention", "MLP", "RMSNorm"}),
        ("Mistral", {"Attention", "MLP", "RMSNorm"}),
        ("Phi3", {"RMSNorm"}),
        ("GPT2", set()),
    ],
)
def test_layers_of_llamas_shape_are_fused(architecture: str, parts: set[str], make_model: MakeModel) -> None:
    model = make_model(architecture)
    RowsLoss(model)

    fused = {
        type(module).__name__.removeprefix(architecture) for module in model.modules() if "forward" in vars(module)
    }
    assert fused == parts


def test_layers_over_one_input_are_computed_together_where_all_are_adapted(
    make_model: MakeModel, random_rows: MakeRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    exact = fast_path.lora_linears

    def counted(x: Any, layers: Any) -> Any:
        counts.append(len(layers))
        return exact(x, layers)

    monkeypatch.setattr(fast_path, "lora_linears", counted)
    rows = random_rows((9,))
    for targets, expected in (("all-linear", [3, 1, 2, 1]), (["q_proj", "gate_proj", "up_proj"], [1, 2])):
        model = adapted(make_model("Llama"), settings=LORA.model_copy(update={"target_modules": targets}))
        loss = RowsLoss(model)
        layers = model.get_base_model().config.num_hidden_layers
        counts.clear()
        loss.loss_sum(FlatBatch.of(rows))

        assert counts == expected * layers


def test_an_attention_that_only_looks_like_llamas_keeps_its_own_forward(
    make_model: MakeModel, random_rows: MakeRows
) -> None:
    model = make_model("Llama")
    attention = model.model.layers[0].self_attn

    class Louder(type(attention)):  # type: ignore[misc]
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            output, weights = super().forward(*args, **kwargs)
            return 1.5 * output, weights

    attention.__class__ = Louder
    loss, rows = RowsLoss(model), random_rows(LENGTHS)

    assert loss.fast_path == "on"
    assert "forward" not in vars(attention)
    assert relative_error(loss.loss_sum(FlatBatch.of(rows)), loss.plain_sum(FlatBatch.of(rows))) < 1e-5


@pytest.mark.parametrize("change", [{"use_rslora": True}, {"use_dora": True}, {"init_lora_weights": "pissa"}], ids=str)
def test_every_kind_of_adapter_takes_the_fast_path(
    change: dict[str, object], make_model: MakeModel, random_rows: MakeRows
) -> None:
    model, rows = adapted(make_model("Llama"), settings=LORA.model_copy(update=change)), random_rows(LENGTHS)
    expected_loss, expected_gradients = reference(model, rows)

    loss = RowsLoss(model)

    assert loss.fast_path == "on"
    total = loss.loss_sum(FlatBatch.of(rows))
    assert relative_error(total, expected_loss) < 1e-5
    assert relative_error(gradients(model, total), expected_gradients) < 1e-4


@pytest.mark.parametrize("architecture", ["Llama", "Qwen2", "Qwen3", "Gemma3Text", "Mistral"])
def test_fast_path_is_exact_in_fp64(architecture: str, make_model: MakeModel, random_rows: MakeRows) -> None:
    model, rows = adapted(make_model(architecture).double(), torch.float64), random_rows(LENGTHS)
    loss = RowsLoss(model)
    assert loss.fast_path == "on"

    fast, plain = loss.loss_sum(FlatBatch.of(rows)), loss.plain_sum(FlatBatch.of(rows))

    # transformers keeps rotary tables and normalisation in fp32; both paths share them.
    assert relative_error(fast, plain.detach()) < 1e-9
    fast_gradients = gradients(model, loss.loss_sum(FlatBatch.of(rows)))
    assert relative_error(fast_gradients, gradients(model, loss.plain_sum(FlatBatch.of(rows)))) < 1e-9


@pytest.mark.parametrize("fast", [True, False])
def test_packed_rows_have_the_gradients_they_have_alone(
    fast: bool, make_model: MakeModel, random_rows: MakeRows
) -> None:
    model, rows = adapted(make_model("Llama").double(), torch.float64), random_rows(LENGTHS)
    loss = RowsLoss(model, fast)

    together = gradients(model, loss.loss_sum(FlatBatch.of(rows)))

    alone = sum((gradients(model, loss.loss_sum(FlatBatch.of([row]))) for row in rows), torch.zeros(()))
    assert relative_error(together, alone) < 1e-9


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("architecture", ["Llama", "Bloom"])
def test_row_losses_are_those_of_each_row_whatever_the_batch(
    architecture: str, fast: bool, make_model: MakeModel, random_rows: MakeRows
) -> None:
    model, rows = adapted(make_model(architecture)), random_rows(LENGTHS)
    loss = RowsLoss(model, fast)

    together, apart = loss.row_losses(rows), loss.row_losses(rows, tokens_per_batch=1)

    assert [(row.row_id, row.target_tokens) for row in together] == [(row.id, row.target_tokens) for row in rows]
    expected = [float(reference(model, [row])[0]) for row in rows]
    assert [row.loss_sum for row in together] == pytest.approx(expected, rel=1e-5)
    assert [row.loss_sum for row in apart] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("architecture", ["Llama", "Bloom"])
def test_correct_tokens_are_those_that_the_model_would_have_written(
    architecture: str, fast: bool, make_model: MakeModel, random_rows: MakeRows
) -> None:
    model, [row] = adapted(make_model(architecture)), random_rows([12])
    likeliest = model(input_ids=torch.tensor([row.input_ids])).logits[0].argmax(-1).tolist()
    ids = (*row.input_ids[:9], likeliest[8], *row.input_ids[10:])
    row = replace(row, input_ids=ids)
    likeliest = model(input_ids=torch.tensor([ids])).logits[0].argmax(-1).tolist()
    expected = sum(ids[place] == likeliest[place - 1] for place in range(12) if row.targets[place])

    [found] = RowsLoss(model, fast).row_losses([row])

    assert found.correct_tokens == expected >= 1


def test_rows_without_targets_cost_nothing(tiny_model: Any, random_rows: MakeRows) -> None:
    first, second = random_rows([6, 9])
    mute = replace(first, targets=(False,) * 6)

    losses = RowsLoss(tiny_model).row_losses([mute, second])

    assert (losses[0].loss_sum, losses[0].target_tokens) == (0.0, 0)
    assert losses[1].loss_sum > 0


def test_a_plain_model_has_losses_too_and_none_for_no_rows(tiny_model: Any, random_rows: MakeRows) -> None:
    loss = RowsLoss(tiny_model)

    assert loss.fast_path == "on"
    assert loss.row_losses([]) == []
    assert loss.row_losses(random_rows([5]))[0].target_tokens == 3


@pytest.mark.parametrize("fast", [True, False])
def test_rows_are_measured_in_batches_whose_logits_fit(
    fast: bool, tiny_model: Any, random_rows: MakeRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plain path has all logits of a batch at once."""
    loss = RowsLoss(tiny_model, fast)
    tokens: list[int] = []
    scores = loss._token_scores
    monkeypatch.setattr(loss, "_token_scores", lambda batch: (tokens.append(batch.tokens), scores(batch))[1])
    rows = random_rows([100] * 9 + [700, 30])
    assert [row.row_id for row in loss.row_losses(rows)] == [row.id for row in rows]
    assert tokens == ([1630] if fast else [500, 400, 700, 30])


def test_fast_path_may_be_declined(tiny_model: Any) -> None:
    assert RowsLoss(tiny_model, fast=False).fast_path == "off: not asked for"


def test_probe_leaves_the_adapter_as_it_was(tiny_model: Any) -> None:
    model = attach_adapter(tiny_model, AdapterSection(r=4, lora_alpha=8), 0)
    before = {name: parameter.detach().clone() for name, parameter in trainable(model).items()}

    assert RowsLoss(model).fast_path == "on"

    after = trainable(model)
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert all(parameter.grad is None for parameter in after.values())


@pytest.mark.parametrize("wrong", ["lora_a", "lora_b", "input"])
def test_fused_layer_with_a_wrong_gradient_is_found_out(
    wrong: str, tiny_model: Any, random_rows: MakeRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = fast_path.lora_linears

    def scaled(tensor: torch.Tensor, name: str) -> torch.Tensor:
        if name != wrong:
            return tensor
        return tensor + 0.3 * (tensor - tensor.detach())

    def inexact(x: Any, layers: Any) -> Any:
        changed = [
            layer._replace(lora_a=scaled(layer.lora_a, "lora_a"), lora_b=scaled(layer.lora_b, "lora_b"))
            for layer in layers
        ]
        return exact(scaled(x, "input"), changed)

    model = attach_adapter(tiny_model, AdapterSection(r=4, lora_alpha=8), 0)
    monkeypatch.setattr(fast_path, "lora_linears", inexact)

    loss = RowsLoss(model)

    assert "gradients differ from the plain path's" in loss.fast_path
    monkeypatch.setattr(fast_path, "lora_linears", None)
    assert float(loss.loss_sum(FlatBatch.of(random_rows([5]))).detach()) > 0


@pytest.mark.parametrize(("leak", "reason"), [(1.0, "its loss differs"), (3e-4, "its rows see each other")])
def test_attention_that_mixes_rows_is_found_out(
    leak: float, reason: str, tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = fast_path.rows_attention

    def leaky(query: Any, key: Any, value: Any, *others: Any) -> torch.Tensor:
        return exact(query, key, value, *others) + leak * value.sum((0, 1))

    monkeypatch.setattr(fast_path, "rows_attention", leaky)

    assert RowsLoss(tiny_model).fast_path.startswith(f"off: {reason}")


def test_rows_count_as_apart_only_where_neighbours_change_nothing(tiny_model: Any) -> None:
    def of_tokens(batch: FlatBatch) -> torch.Tensor:
        return batch.labels.double().sum()

    def of_neighbours(batch: FlatBatch) -> torch.Tensor:
        return of_tokens(batch) + 0.01 * batch.input_ids.double().mean()

    def of_place(batch: FlatBatch) -> torch.Tensor:
        return of_tokens(batch) + 10 * batch.predictors.double().mean()

    assert fast_path.keeps_rows_apart(tiny_model, of_tokens)
    assert not fast_path.keeps_rows_apart(tiny_model, of_neighbours)
    assert not fast_path.keeps_rows_apart(tiny_model, of_place)


def test_any_failure_of_the_fast_path_leaves_the_plain_one(
    tiny_model: Any, random_rows: MakeRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> torch.Tensor:
        raise AttributeError("no such thing")

    monkeypatch.setattr(fast_path, "rows_attention", broken)
    model = attach_adapter(tiny_model, AdapterSection(r=4, lora_alpha=8), 0)
    loss = RowsLoss(model)

    assert loss.fast_path == "off: AttributeError: no such thing"
    assert float(loss.loss_sum(FlatBatch.of(random_rows([5]))).detach()) > 0


def test_normalisation_that_only_looks_like_the_common_one_is_found_out(tiny_model: Any) -> None:
    class OtherRMSNorm(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.variance_epsilon = torch.nn.Parameter(torch.ones(32), requires_grad=False), 1e-6

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * (0.5 + self.weight)

    tiny_model.model.norm = OtherRMSNorm()

    assert "loss differs from the plain path's" in RowsLoss(tiny_model).fast_path
    assert "forward" not in vars(tiny_model.model.norm)


def test_switching_the_adapter_off_reaches_the_fused_layers(tiny_model: Any, random_rows: MakeRows) -> None:
    rows = random_rows(LENGTHS)
    before = [row.loss_sum for row in RowsLoss(tiny_model).row_losses(rows)]
    model: PeftModel = adapted(tiny_model)
    loss = RowsLoss(model)

    tuned = [row.loss_sum for row in loss.row_losses(rows)]
    with model.disable_adapter():
        off = [row.loss_sum for row in loss.row_losses(rows)]

    assert off == pytest.approx(before, rel=1e-6)
    assert tuned != pytest.approx(before, rel=1e-3)


def test_fast_path_adds_nothing_to_the_saved_model(tiny_model: Any, tmp_path: Any) -> None:
    names = set(tiny_model.state_dict())
    RowsLoss(tiny_model).row_losses([])

    assert set(tiny_model.state_dict()) == names
    tiny_model.save_pretrained(tmp_path)
    assert "luthier" not in json.dumps(json.loads((tmp_path / "config.json").read_text()))


def test_batches_hold_neighbours_up_to_the_limit(random_rows: MakeRows) -> None:
    rows = random_rows([3, 3, 4, 11, 2, 8, 9])

    groups = batches_by_tokens(rows, 10)

    assert [[len(row) for row in group] for group in groups] == [[3, 3, 4], [11], [2, 8], [9]]
    assert [row for group in groups for row in group] == rows


def test_flat_batch_points_at_the_token_before_each_target() -> None:
    rows = [TokenRow("a", (7, 8, 9), (False, True, False)), TokenRow("b", (4, 5, 6), (False, True, True))]

    batch = FlatBatch.of(rows)

    assert batch.input_ids.tolist() == [[7, 8, 9, 4, 5, 6]]
    assert batch.layout.position_ids.tolist() == [0, 1, 2, 0, 1, 2]
    assert batch.predictors.tolist() == [0, 3, 4]
    assert batch.labels.tolist() == [8, 5, 6]
    assert batch.row_of_target.tolist() == [0, 1, 1]
    assert (batch.tokens, batch.target_tokens) == (6, 3)


def sharing_rows(random_rows: MakeRows) -> list[TokenRow]:
    """Three rows behind one text, two behind another, and one alone; the first tokens of the texts are no targets."""
    texts = [row.input_ids for row in random_rows((20, 11), seed=5)]
    ends = random_rows(LENGTHS, seed=6)
    return [
        TokenRow(f"{text}-{end.id}", texts[text] + end.input_ids, (False,) * len(texts[text]) + end.targets)
        for text, end in zip((0, 1, 0, 1, 0), ends, strict=True)
    ] + random_rows((9,), seed=7)


@pytest.mark.parametrize("most_tokens", [1, 45, 1000], ids=["several passes each", "some in one pass", "one pass"])
@pytest.mark.parametrize("architecture", sorted(FAST))
def test_what_rows_share_is_computed_once_and_changes_nothing(
    architecture: str, most_tokens: int, make_model: MakeModel, random_rows: MakeRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, rows = adapted(make_model(architecture)), sharing_rows(random_rows)
    expected_loss, expected_gradients = reference(model, rows)
    loss = RowsLoss(model)
    computed = 0
    hidden = loss._hidden

    def counted(batch: FlatBatch, *args: Any, **kwargs: Any) -> torch.Tensor:
        nonlocal computed
        computed += batch.tokens
        return hidden(batch, *args, **kwargs)

    monkeypatch.setattr(loss, "_hidden", counted)

    total, found = sum_of_parts(model, loss.loss_sums([[row] for row in rows], most_tokens))

    assert computed == sum(map(len, rows)) - 2 * 20 - 11
    assert relative_error(total, expected_loss) < 1e-5
    assert relative_error(found, expected_gradients) < 1e-4


@pytest.mark.parametrize("most_tokens", [1, 1000])
@pytest.mark.parametrize("recomputed", [False, True])
def test_sharing_is_exact_in_fp64_also_where_layers_are_recomputed(
    recomputed: bool, most_tokens: int, make_model: MakeModel, random_rows: MakeRows
) -> None:
    model, rows = adapted(make_model("Qwen3").double(), torch.float64), sharing_rows(random_rows)
    loss = RowsLoss(model)
    expected = loss.plain_sum(FlatBatch.of(rows))
    expected_gradients, expected = gradients(model, expected), expected.detach()
    if recomputed:
        recompute_layers(model)

    total, found = sum_of_parts(model, loss.loss_sums([[row] for row in rows], most_tokens))

    assert relative_error(total, expected) < 1e-9
    assert relative_error(found, expected_gradients) < 1e-9


def test_row_losses_and_row_sums_share_too(make_model: MakeModel, random_rows: MakeRows) -> None:
    model, rows = adapted(make_model("Llama")), sharing_rows(random_rows)
    loss = RowsLoss(model)
    batch = loss.batch(rows)

    assert batch.tokens == sum(map(len, rows)) - 2 * 20 - 11
    torch.testing.assert_close(loss.row_sums(batch), loss.row_sums(FlatBatch.of(rows)), rtol=1e-5, atol=1e-5)
    expected = [float(reference(model, [row])[0]) for row in rows]
    assert [row.loss_sum for row in loss.row_losses(rows)] == pytest.approx(expected, rel=1e-5)


def test_where_the_plain_path_stays_nothing_is_shared(make_model: MakeModel, random_rows: MakeRows) -> None:
    loss, rows = RowsLoss(make_model("Llama"), fast=False), sharing_rows(random_rows)

    assert loss.batch(rows).tokens == sum(map(len, rows))
    assert len(list(loss.loss_sums([rows[:2], rows[2:]], 1000))) == 2


@pytest.mark.parametrize("fault", ["blind", "broken"])
def test_a_model_that_cannot_share_is_found_out(
    fault: str, make_model: MakeModel, random_rows: MakeRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prefix that the rows behind it do not see costs nothing of what the fast path gives elsewhere."""
    exact = fast_path.rows_attention

    def blind(query: Any, key: Any, value: Any, layout: Any, *others: Any) -> torch.Tensor:
        if fault == "broken" and any(bucket.prefix for bucket in layout.buckets):
            raise RuntimeError("no prefixes here")
        buckets = tuple(replace(bucket, prefix=None) for bucket in layout.buckets)
        return exact(query, key, value, replace(layout, buckets=buckets), *others)

    monkeypatch.setattr(fast_path, "rows_attention", blind)
    loss, rows = RowsLoss(make_model("Llama")), sharing_rows(random_rows)

    assert loss.fast_path == "on"
    assert loss.batch(rows).tokens == sum(map(len, rows))


def sum_of_parts(model: Any, parts: Iterator[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """The sum of the parts, and the gradient that taking each part's leaves in the parameters."""
    total = torch.zeros((), dtype=torch.float64)
    for part in parts:
        part.backward()
        total += part.detach()
    return total, torch.cat([parameter.grad.flatten() for parameter in trainable(model).values()])


def test_a_row_beyond_the_models_positions_is_refused_in_a_sentence(random_rows: MakeRows) -> None:
    config = GPT2Config(vocab_size=320, n_positions=64, n_embd=32, n_layer=2, n_head=4)
    loss = RowsLoss(GPT2LMHeadModel(config).eval().requires_grad_(False))
    assert loss.fast_path == "on"
    with pytest.raises(ModelError, match="row-1 has 65 tokens, and the model reads 64"):
        loss.row_losses(random_rows((64, 65)))
    with pytest.raises(ModelError, match="row-0 has 65 tokens"):
        loss.plain_sum(FlatBatch.of(random_rows((65,))))


WINDOW = 100
WINDOWED: dict[str, dict[str, Any]] = {
    "Phimoe": {"sliding_window": WINDOW, "num_local_experts": 2},
    "GptOss": {"sliding_window": WINDOW, "num_local_experts": 4, "head_dim": 8},
    "Starcoder2": {"sliding_window": WINDOW},
}


def made(architecture: str) -> Any:
    """One with weights wide enough for its attention to count, and a window longer than the rows of a probe."""
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config_class = getattr(transformers, f"{architecture}Config")
    config = config_class(vocab_size=320, num_key_value_heads=2, **sizes, **WINDOWED[architecture])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: Any = transformers.AutoModelForCausalLM.from_config(config)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data *= 4
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize(
    ("architecture", "path"),
    [
        ("Starcoder2", "on"),
        ("Phimoe", "off: how far its layers look back stands in masks alone"),
        ("GptOss", "off: ValueError: its attention has s_aux, which row attention does not compute"),
    ],
)
def test_a_window_longer_than_the_probe_is_kept_or_the_plain_path_is(
    architecture: str, path: str, random_rows: MakeRows
) -> None:
    model = made(architecture)
    [row] = random_rows((2 * WINDOW,))
    logits = model(input_ids=torch.tensor([row.input_ids])).logits[0, :-1]
    ids, targets = torch.tensor(row.input_ids[1:]), torch.tensor(row.targets[1:])
    expected = float(F.cross_entropy(logits[targets], ids[targets], reduction="sum"))
    loss = RowsLoss(model)
    assert loss.fast_path == path
    assert float(loss.loss_sum(FlatBatch.of([row]))) == pytest.approx(expected, rel=1e-6)


def test_a_model_that_an_adapter_breaks_is_refused_in_a_sentence() -> None:
    """Its router is a linear layer that returns a pair, which PEFT takes for a tensor."""
    with pytest.raises(ModelError, match="the model cannot be run: AttributeError: 'tuple' object has no attribute"):
        RowsLoss(attach_adapter(made("Phimoe"), LORA, 0))
