import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from luthier.kernels.cached_attention import cached_attention, visible

LENGTH = 11


def _states(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("key_value_heads", [1, 2, 4])
@pytest.mark.parametrize("sliding_window", [None, 3])
@pytest.mark.parametrize("new", [1, 5, LENGTH])
def test_it_equals_torchs_attention(key_value_heads, sliding_window, new):
    query = _states(3, 4, new, 8)
    keys, values = _states(2, 3, key_value_heads, LENGTH, 8, seed=1)
    positions = torch.stack([torch.arange(LENGTH - new, LENGTH) - late for late in (0, 2, 3)]).clamp(min=0)
    seen = torch.arange(LENGTH) <= positions[..., None]
    if sliding_window:
        seen &= torch.arange(LENGTH) > positions[..., None] - sliding_window
    expected = F.scaled_dot_product_attention(query, keys, values, attn_mask=seen[:, None], scale=0.3, enable_gqa=True)
    mask = visible(positions, LENGTH, sliding_window, torch.float64)[:, None]
    torch.testing.assert_close(cached_attention(query, keys, values, mask, 0.3), expected)


def test_a_softcap_bends_scores_before_the_mask():
    query, keys, values = _states(1, 1, 2, 4), _states(1, 1, 3, 4, seed=1), _states(1, 1, 3, 4, seed=2)
    mask = visible(torch.tensor([1, 2]), 3, None, torch.float64)[None, None]
    weights = torch.softmax(5 * torch.tanh(query @ keys.mT / 5) + mask, -1)
    torch.testing.assert_close(cached_attention(query, keys, values, mask, 1.0, softcap=5.0), weights @ values)
