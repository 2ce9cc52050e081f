import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

from luthier.core.errors import DatasetError
from luthier.core.rows import TokenRow
from luthier.models.losses import RowsLoss
from luthier.pipeline.objectives import Lesson
from luthier.pipeline.quick_checks import refuse_unreadable
from luthier.training import CausalObjective

POSITIONS = 24


@pytest.fixture
def short_sighted():
    """A model that has embeddings of 24 positions."""
    config = GPT2Config(vocab_size=320, n_positions=POSITIONS, n_embd=32, n_layer=2, n_head=4)
    return GPT2LMHeadModel(config).eval().requires_grad_(False)


@pytest.fixture
def lesson(short_sighted, random_rows):
    rows = random_rows([POSITIONS, 9])
    return Lesson(short_sighted, CausalObjective(RowsLoss(short_sighted)), rows, rows, 320, True, replay=rows)


@pytest.mark.parametrize("part", ["rows", "validation", "replay"])
def test_a_row_that_the_model_cannot_read_is_named(lesson, random_rows, part):
    refuse_unreadable(lesson, "dataset-1")
    longer = dataclasses.replace(lesson, **{part: random_rows([9, POSITIONS + 1])})
    with pytest.raises(DatasetError, match=r"dataset-1: row-1 has 25 tokens, and the model reads 24 \(data.max_length"):
        refuse_unreadable(longer, "dataset-1")
    unknown = dataclasses.replace(lesson, **{part: [TokenRow("row-7", (5, 320), (False, True))]})
    with pytest.raises(DatasetError, match="row-7 holds token 320 of the tokenizer"):
        refuse_unreadable(unknown, "dataset-1")


@pytest.mark.parametrize("health", ["true", "false"])
def test_rows_beyond_the_models_positions_end_a_training_in_a_sentence(
    command, prepared_shop, short_sighted, tiny_model_folder, health
):
    short_sighted.save_pretrained(prepared_shop / "short")
    AutoTokenizer.from_pretrained(tiny_model_folder).save_pretrained(prepared_shop / "short")
    base = ["-o", "model.base=short", "-o", f"training.health={health}"]
    assert command(prepared_shop, "prepare", *base).code == 0
    ended = command(prepared_shop, "train", *base)
    assert ended.code == 1
    assert ended.err.splitlines()[-1].endswith(
        "tokens, and the model reads 24 (data.max_length: 24, then: luthier prepare)"
    )


def test_dropout_that_is_left_out_is_told(command, prepared_shop, tiny_model_folder):
    base = Path(shutil.copytree(tiny_model_folder, prepared_shop / "dropping"))
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"attention_dropout": 0.1}))
    overrides = ["-o", "model.base=dropping", "-o", "training.num_train_epochs=1"]
    assert command(prepared_shop, "prepare", *overrides).code == 0
    ended = command(prepared_shop, "train", *overrides)
    assert ended.code == 0
    assert "the model's attention_dropout is left out: it learns as it answers, without dropout" in ended.err
    assert "fast path on" in ended.err
