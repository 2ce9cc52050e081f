"""Padding is marked as such, and little of it is there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.models.padded import batches_by_length, learned_positions, padded, position_limit


def test_shorter_texts_are_filled_up_and_masked() -> None:
    batch = padded([(5, 6, 7), (8,)], padding=9)

    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 9, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]


@given(st.lists(st.integers(1, 60), max_size=60), st.integers(1, 100))
def test_batches_hold_each_text_once_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = list(batches_by_length(lengths, budget))
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or max(lengths[place] for place in batch) * len(batch) <= budget


def test_positions_that_start_after_the_padding_are_not_counted() -> None:
    from transformers import BertConfig, BertModel, RobertaConfig, RobertaModel

    sizes = {
        "vocab_size": 8,
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "max_position_embeddings": 14,
    }
    assert position_limit(BertModel(BertConfig(**sizes))) == 14
    assert position_limit(RobertaModel(RobertaConfig(**sizes))) == 12


@pytest.mark.parametrize(
    ("architecture", "limit"), [("GPT2", 1024), ("OPT", 2048), ("Llama", None), ("Bloom", None), ("Gemma", None)]
)
def test_only_a_table_of_positions_has_an_end(architecture, limit, make_model):
    assert learned_positions(make_model(architecture)) == limit
