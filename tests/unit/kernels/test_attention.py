"""Row attention is plain masked attention, in values and gradients, and rows are blind to each other."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.kernels import attention
from luthier.kernels.attention import rows_attention
from luthier.kernels.layout import RowLayout

HEAD_DIM = 6
SCALING = 0.37

Tensors = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def random_states(tokens: int, heads: int, key_value_heads: int) -> Tensors:
    generator = torch.Generator().manual_seed(tokens)
    query, key, value = (
        torch.randn(tokens, count, HEAD_DIM, dtype=torch.float64, generator=generator).requires_grad_()
        for count in (heads, key_value_heads, key_value_heads)
    )
    return query, key, value


def plain_attention(states: Tensors, lengths: list[int], window: int | None) -> torch.Tensor:
    """Softmax over whole T x T scores, masked to earlier tokens of the same row within the window."""
    query, key, value = states
    group = query.shape[1] // key.shape[1]
    row = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    distance = torch.arange(len(row))[:, None] - torch.arange(len(row))[None]
    seen = (row[:, None] == row[None]) & (distance >= 0) & (distance < (window or len(row)))
    scores = torch.einsum("qhd,khd->hqk", query, key.repeat_interleave(group, 1)) * SCALING
    weights = scores.masked_fill(~seen, float("-inf")).softmax(-1)
    return torch.einsum("hqk,khd->qhd", weights, value.repeat_interleave(group, 1))


def assert_equal_to_plain(lengths: list[int], heads: int, key_value_heads: int, window: int | None) -> None:
    states = random_states(sum(lengths), heads, key_value_heads)
    expected = plain_attention(states, lengths, window)
    found = rows_attention(*states, RowLayout.of(lengths), SCALING, window)
    upstream = torch.randn(expected.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
    expected_gradients = torch.autograd.grad(expected, states, upstream)
    found_gradients = torch.autograd.grad(found, states, upstream)
    torch.testing.assert_close(found_gradients, expected_gradients, rtol=0, atol=1e-9)


@pytest.mark.parametrize("longest_plain_row", [512, 8, 0], ids=["plain", "both", "torch"])
@pytest.mark.parametrize("window", [None, 1, 5, 100])
@pytest.mark.parametrize(("heads", "key_value_heads"), [(4, 4), (4, 2), (6, 1)])
@pytest.mark.parametrize("lengths", [[1], [13], [7, 7, 7], [20, 3, 1, 17, 16, 4]], ids=str)
def test_equals_plain_masked_attention(
    lengths: list[int],
    heads: int,
    key_value_heads: int,
    window: int | None,
    longest_plain_row: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attention, "LONGEST_PLAIN_ROW", longest_plain_row)

    assert_equal_to_plain(lengths, heads, key_value_heads, window)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 25), min_size=1, max_size=8),
    st.sampled_from([(1, 1), (2, 1), (4, 2), (3, 3)]),
    st.none() | st.integers(1, 30),
)
def test_equals_plain_masked_attention_for_any_rows(
    lengths: list[int], heads: tuple[int, int], window: int | None
) -> None:
    assert_equal_to_plain(lengths, *heads, window)


@pytest.mark.parametrize("longest_plain_row", [512, 0], ids=["plain", "torch"])
def test_no_gradient_crosses_rows(longest_plain_row: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "LONGEST_PLAIN_ROW", longest_plain_row)
    lengths = [5, 6, 5, 30]
    states = random_states(sum(lengths), 4, 2)
    output = rows_attention(*states, RowLayout.of(lengths), SCALING)

    gradients = torch.autograd.grad(output[5:11].square().sum(), states)

    for gradient in gradients:
        assert torch.count_nonzero(gradient[:5]) == 0
        assert torch.count_nonzero(gradient[11:]) == 0
        assert torch.count_nonzero(gradient[5:11]) > 0


def test_a_row_reads_the_same_whatever_lies_beside_it() -> None:
    query, key, value = (states.detach() for states in random_states(40, 4, 2))
    together = rows_attention(query, key, value, RowLayout.of([18, 22]), SCALING)
    alone = rows_attention(query[18:], key[18:], value[18:], RowLayout.of([22]), SCALING)

    torch.testing.assert_close(together[18:], alone, rtol=0, atol=1e-12)


def test_a_token_does_not_see_later_ones() -> None:
    states = random_states(9, 2, 2)
    output = rows_attention(*states, RowLayout.of([9]), SCALING)

    gradients = torch.autograd.grad(output[4].sum(), states)

    assert all(torch.count_nonzero(gradient[5:]) == 0 for gradient in gradients)


def test_takes_states_that_are_views() -> None:
    """Models hand over transposed views; the values must be those of their contiguous copies."""
    states = random_states(12, 4, 2)
    views: Tensors = tuple(state.detach().transpose(0, 1).contiguous().transpose(0, 1) for state in states)  # type: ignore[assignment]
    layout = RowLayout.of([5, 7])

    assert not views[0].is_contiguous()
    torch.testing.assert_close(
        rows_attention(*views, layout, SCALING), rows_attention(*states, layout, SCALING), rtol=0, atol=1e-12
    )


def test_leaves_its_inputs_as_they_are() -> None:
    states = random_states(6, 1, 1)
    before = [state.detach().clone() for state in states]

    rows_attention(*states, RowLayout.of([6]), SCALING).sum().backward()

    assert all(torch.equal(state.detach(), copy) for state, copy in zip(states, before, strict=True))
