"""Row attention is plain masked attention, in values and gradients, and rows are blind to each other."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.kernels import attention, layout
from luthier.kernels.attention import rows_attention
from luthier.kernels.layout import Prefix, RowLayout
from luthier.kernels.padded_heads import Turns

HEAD_DIM = 6
SCALING = 0.37
TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 6e-2}

Tensors = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def random_states(queries: int, keys: int, heads: int, key_value_heads: int, dtype: torch.dtype) -> Tensors:
    generator = torch.Generator().manual_seed(queries)
    query, key, value = (
        torch.randn(tokens, count, HEAD_DIM, dtype=torch.float64, generator=generator).to(dtype).requires_grad_()
        for tokens, count in ((queries, heads), (keys, key_value_heads), (keys, key_value_heads))
    )
    return query, key, value


def row_states(tokens: int, heads: int, key_value_heads: int) -> Tensors:
    return random_states(tokens, tokens, heads, key_value_heads, torch.float64)


def angles(positions: torch.Tensor, dtype: torch.dtype, turned: int = 4) -> Turns:
    angle = positions[:, None].double() * torch.tensor([1.0, 0.1], dtype=torch.float64)[: turned // 2]
    angle = torch.cat([angle, angle], -1)
    return Turns(angle.cos().to(dtype), angle.sin().to(dtype))


def turned(heads: torch.Tensor, turns: Turns) -> torch.Tensor:
    """Rotary embedding by its definition: pairs of numbers as complex ones, times e^(i angle)."""
    half = turns.cosine.shape[1] // 2
    pairs = torch.complex(heads[..., :half], heads[..., half : 2 * half])
    pairs = pairs * torch.complex(turns.cosine[:, None, :half], turns.sine[:, None, :half])
    return torch.cat([pairs.real, pairs.imag, heads[..., 2 * half :]], -1)


def plain_attention(states: Tensors, rows: RowLayout, window: int | None, turns: Turns | None) -> torch.Tensor:
    """Row by row: softmax over whole scores, masked to earlier tokens within the window, in float64."""
    query, key, value = (of.double() for of in states)
    if turns:
        turns = Turns(*(part.double() for part in turns))
        query = turned(query, Turns(turns.cosine[rows.before :], turns.sine[rows.before :]))
        key = turned(key, turns)
    group = query.shape[1] // key.shape[1]
    parts: dict[int, torch.Tensor] = {}
    for bucket in rows.buckets:
        for places in bucket.tokens.tolist():
            own = [place for place in places if place >= 0]
            before = list(range(bucket.prefix.start, sum(bucket.prefix))) if bucket.prefix else []
            keys = [*before, *(place + rows.before for place in own)]
            distance = (len(before) + torch.arange(len(own)))[:, None] - torch.arange(len(keys))[None]
            seen = (distance >= 0) & (distance < (window or len(keys)))
            k, v = (of[keys].repeat_interleave(group, 1) for of in (key, value))
            scores = torch.einsum("qhd,khd->hqk", query[own], k) * SCALING
            weights = scores.masked_fill(~seen, float("-inf")).softmax(-1)
            parts |= dict(zip(own, torch.einsum("hqk,khd->qhd", weights, v), strict=True))
    return torch.stack([parts[place] for place in range(len(query))])


def assert_equal_to_plain(
    rows: RowLayout,
    heads: tuple[int, int],
    window: int | None = None,
    turns: bool = False,
    dtype: torch.dtype = torch.float64,
) -> None:
    tokens = sum(rows.lengths)
    states = random_states(tokens, rows.before + tokens, *heads, dtype)
    positions = torch.cat([torch.arange(rows.before), rows.position_ids])
    turning = angles(positions, dtype) if turns else None
    expected = plain_attention(states, rows, window, turning)
    found = rows_attention(*states, rows, SCALING, window, turning)
    upstream = torch.randn(expected.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).to(dtype)

    tolerance = TOLERANCES[dtype]
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=tolerance)
    expected_gradients = torch.autograd.grad(expected, states, upstream.double())
    found_gradients = torch.autograd.grad(found, states, upstream)
    for mine, theirs in zip(found_gradients, expected_gradients, strict=True):
        assert (mine.double() - theirs).norm() <= tolerance * max(1.0, float(theirs.norm()))


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("turns", [False, True], ids=["turned already", "turned here"])
@pytest.mark.parametrize("in_blocks", [False, True], ids=["whole", "in blocks"])
@pytest.mark.parametrize("window", [None, 1, 5, 100])
@pytest.mark.parametrize("heads", [(4, 4), (4, 2), (6, 1)], ids=str)
@pytest.mark.parametrize("lengths", [[1], [13], [7, 7, 7], [20, 3, 1, 17, 16, 4]], ids=str)
def test_equals_plain_masked_attention(
    lengths: list[int],
    heads: tuple[int, int],
    window: int | None,
    in_blocks: bool,
    turns: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if in_blocks:
        _small_blocks(monkeypatch)

    assert_equal_to_plain(RowLayout.of(lengths), heads, window, turns)


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("dtype", list(TOLERANCES), ids=str)
@pytest.mark.parametrize("in_blocks", [False, True], ids=["whole", "in blocks"])
@pytest.mark.parametrize("window", [None, 7])
@pytest.mark.parametrize("turns", [False, True], ids=["turned already", "turned here"])
def test_rows_after_a_shared_prefix(
    turns: bool, window: int | None, in_blocks: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One prefix stands before the batch and one is a row of it; a third row has none."""
    if in_blocks:
        _small_blocks(monkeypatch)
    outside, inside = Prefix(2, 9), Prefix(12, 11)
    prefixes = [None, outside, inside, outside, None, inside]
    rows = RowLayout.of([11, 5, 14, 30, 3, 6], prefixes, before=12)

    assert_equal_to_plain(rows, (4, 2), window, turns, dtype)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 25), min_size=1, max_size=8),
    st.sampled_from([(1, 1), (2, 1), (4, 2), (3, 3)]),
    st.none() | st.integers(1, 30),
)
def test_equals_plain_masked_attention_for_any_rows(
    lengths: list[int], heads: tuple[int, int], window: int | None
) -> None:
    assert_equal_to_plain(RowLayout.of(lengths), heads, window)


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("in_blocks", [False, True], ids=["whole", "in blocks"])
def test_no_gradient_crosses_rows(in_blocks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if in_blocks:
        _small_blocks(monkeypatch)
    lengths = [5, 6, 5, 30]
    states = row_states(sum(lengths), 4, 2)
    output = rows_attention(*states, RowLayout.of(lengths), SCALING)

    gradients = torch.autograd.grad(output[5:11].square().sum(), states)

    for gradient in gradients:
        assert torch.count_nonzero(gradient[:5]) == 0
        assert torch.count_nonzero(gradient[11:]) == 0
        assert torch.count_nonzero(gradient[5:11]) > 0


def test_a_row_reads_the_same_whatever_lies_beside_it() -> None:
    query, key, value = (states.detach() for states in row_states(40, 4, 2))
    together = rows_attention(query, key, value, RowLayout.of([18, 22]), SCALING)
    alone = rows_attention(query[18:], key[18:], value[18:], RowLayout.of([22]), SCALING)

    torch.testing.assert_close(together[18:], alone, rtol=0, atol=1e-12)


def test_a_token_does_not_see_later_ones() -> None:
    states = row_states(9, 2, 2)
    output = rows_attention(*states, RowLayout.of([9]), SCALING)

    gradients = torch.autograd.grad(output[4].sum(), states)

    assert all(torch.count_nonzero(gradient[5:]) == 0 for gradient in gradients)


@pytest.mark.usefixtures("form")
def test_takes_states_that_are_views() -> None:
    """Models hand over transposed views; the values must be those of their contiguous copies."""
    states = row_states(12, 4, 2)
    views: Tensors = tuple(state.detach().transpose(0, 1).contiguous().transpose(0, 1) for state in states)  # type: ignore[assignment]
    rows = RowLayout.of([5, 7])

    assert not views[0].is_contiguous()
    torch.testing.assert_close(
        rows_attention(*views, rows, SCALING), rows_attention(*states, rows, SCALING), rtol=0, atol=1e-12
    )


@pytest.mark.usefixtures("form")
def test_leaves_its_inputs_as_they_are() -> None:
    states = row_states(6, 1, 1)
    before = [state.detach().clone() for state in states]

    rows_attention(*states, RowLayout.of([6]), SCALING).sum().backward()

    assert all(torch.equal(state.detach(), copy) for state, copy in zip(states, before, strict=True))


def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several blocks of queries, weights computed once more, several buckets of rows of one length."""
    monkeypatch.setattr(attention, "QUERY_BLOCK", 3)
    monkeypatch.setattr(attention, "KEPT_KEYS", 4)
    monkeypatch.setattr(layout, "BUCKET_SCORES", 100)
