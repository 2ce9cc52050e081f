"""Masks are drawn as in BERT and repeat themselves; the losses are those of transformers on whole logits."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
import transformers

from luthier.core.errors import ModelError
from luthier.core.recipe import AdapterSection
from luthier.core.rows import TokenRow
from luthier.models.adapter import trainable
from luthier.models.loading import load_tokenizer
from luthier.models.masking import HELD_OUT, MaskedLoss, MaskedRow, load_masked
from luthier.models.methods import load_trained, prepare, save_trained
from luthier.models.sources import BaseFiles

SIZES = {"vocab_size": 120, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
MASK, SPECIAL = 4, 5


class Tokenizer:
    """As much of one as masking asks of it: 120 tokens, of which the first five are special."""

    mask_token_id, pad_token_id, all_special_ids = MASK, 0, list(range(SPECIAL))

    def __len__(self) -> int:
        return 120


def row(length: int, number: int = 0) -> TokenRow:
    ids = torch.randint(SPECIAL, 120, (length,), generator=torch.Generator().manual_seed(number)).tolist()
    return TokenRow(f"row-{number}", (2, *ids, 3), (False, *[True] * length, False))


@pytest.fixture(params=["Bert", "Roberta", "DistilBert"])
def model(request: pytest.FixtureRequest) -> Any:
    config = getattr(transformers, f"{request.param}Config")(**SIZES, intermediate_size=32, pad_token_id=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made: Any = transformers.AutoModelForMaskedLM.from_config(config)
    return made.eval()


def test_the_same_row_and_draw_are_masked_alike_and_another_draw_otherwise() -> None:
    text = row(100)
    first = MaskedRow(text, "0/3").masked(MASK, range(SPECIAL, 120))

    assert MaskedRow(text, "0/3").masked(MASK, range(SPECIAL, 120)) == first
    assert MaskedRow(text, "0/4").masked(MASK, range(SPECIAL, 120)) != first
    assert len(first[1]) == MaskedRow(text, "0/3").target_tokens == 15


def test_eighty_ten_ten() -> None:
    became: Counter[str] = Counter()
    places: Counter[int] = Counter()
    for number in range(400):
        text = row(100, number)
        ids, masked = MaskedRow(text, "0/0").masked(MASK, range(SPECIAL, 120))
        places.update(masked)
        assert [ids[place] for place in range(102) if place not in masked] == [
            text.input_ids[place] for place in range(102) if place not in masked
        ]
        for place in masked:
            kept = ids[place] == text.input_ids[place]
            became["mask" if ids[place] == MASK else "kept" if kept else "other"] += 1
    assert became["mask"] / 6000 == pytest.approx(0.8, abs=0.02)
    assert became["kept"] / 6000 == pytest.approx(0.1, abs=0.02)
    assert {0, 101}.isdisjoint(places)
    assert set(places) == set(range(1, 101))


def test_at_least_one_token_is_predicted_where_one_may_be() -> None:
    assert MaskedRow(row(2), "").target_tokens == 1
    assert MaskedRow(TokenRow("ends", (2, 3), (False, False)), "").target_tokens == 0


def test_losses_are_those_of_whole_logits(model: Any) -> None:
    rows = [MaskedRow(row(length, length), "0/0") for length in (30, 7, 2, 61)]
    rows.append(MaskedRow(TokenRow("ends", (2, 3), (False, False)), "0/0"))
    loss = MaskedLoss(model, Tokenizer())

    expected: list[float] = []
    correct: list[int] = []
    for text in rows[:-1]:
        ids, places = text.masked(MASK, range(SPECIAL, 120))
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0, places]
        labels = torch.tensor([text.row.input_ids[place] for place in places])
        expected.append(F.cross_entropy(logits, labels, reduction="sum").item())
        correct.append(int((logits.argmax(dim=1) == labels).sum()))

    found = loss.row_losses(rows)
    assert [one.row_id for one in found] == [text.id for text in rows[:-1]]
    assert [one.loss_sum for one in found] == pytest.approx(expected, rel=1e-5)
    assert [one.target_tokens for one in found] == [text.target_tokens for text in rows[:-1]]
    assert [one.correct_tokens for one in found] == correct
    total = loss.loss_sum(rows)
    assert total.item() == pytest.approx(sum(expected), rel=1e-5)
    total.backward()
    assert model.get_input_embeddings().weight.grad.abs().sum() > 0
    assert model(input_ids=torch.tensor([[2, 7, 3]])).logits.shape == (1, 3, 120)


METHODS = {
    "full": AdapterSection(method="full"),
    "freeze": AdapterSection(method="freeze", last_layers=1),
    "lora": AdapterSection(r=4, lora_alpha=8),
}


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=torch.tensor([[2, 9, 8, 7, 3]])).logits
    return found


@pytest.fixture
def with_head(tiny_encoder_folder: Path, tmp_path: Path) -> BaseFiles:
    """The tiny encoder after its new head was saved with it."""
    tokenizer = load_tokenizer(BaseFiles("tiny-bert", tiny_encoder_folder, ""))
    head = load_masked(BaseFiles("tiny-bert", tiny_encoder_folder, ""), "float32", 0)
    assert head.weights
    save_trained(prepare(head.model, METHODS["full"], 0, head.weights), tmp_path / "with-head", "tiny", tokenizer)
    return BaseFiles("with-head", tmp_path / "with-head" / "model", "")


@pytest.mark.parametrize("method", METHODS)
def test_what_was_saved_is_loaded_again(method: str, with_head: BaseFiles, tiny_tokenizer: Any, tmp_path: Path) -> None:
    head = load_masked(with_head, "float32", 0)
    assert head.weights == ()
    model = prepare(head.model, METHODS[method], 0, head.weights)
    with torch.no_grad():
        for number, parameter in enumerate(trainable(model).values()):
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number))
    save_trained(model, tmp_path / "run", "with-head", tiny_tokenizer)

    def load(files: BaseFiles, _: Any) -> Any:
        return load_masked(files, "float32", 0).model

    again = load_trained(tmp_path / "run", lambda: load(with_head, ""), "float32", load)
    torch.testing.assert_close(logits(again), logits(model))
    if method != "lora":
        config = json.loads((tmp_path / "run" / "model" / "config.json").read_text())
        assert config["architectures"] == ["BertForMaskedLM"]


def test_a_new_head_trains_with_frozen_layers_and_not_beside_an_adapter(tiny_encoder_folder: Path) -> None:
    files = BaseFiles("tiny-bert", tiny_encoder_folder, "")
    head = load_masked(files, "float32", 0)

    names = trainable(prepare(head.model, METHODS["freeze"], 0, head.weights))

    assert "cls.predictions.transform.dense.weight" in names
    assert not any("embeddings" in name for name in names)
    with pytest.raises(ModelError, match=r"^adapter\.method: the model has no head .*\(full, freeze\)"):
        prepare(load_masked(files, "float32", 0).model, METHODS["lora"], 0, head.weights)


def test_held_out_rows_are_masked_whatever_the_seed() -> None:
    assert MaskedRow(row(40), HELD_OUT).masked(MASK, range(SPECIAL, 120)) == MaskedRow(row(40), HELD_OUT).masked(
        MASK, range(SPECIAL, 120)
    )
