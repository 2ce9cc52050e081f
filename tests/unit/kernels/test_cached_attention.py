import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from luthier.kernels import native
from luthier.kernels.cached_attention import AttentionArguments, cached_attention, decode_attention, visible

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


def _decoding(key_value_heads, dtype):
    """States and turns of three new tokens behind 10, 4 and no others, and room for eleven."""
    states, turns = _states(3, 4 + 2 * key_value_heads, 8), _states(3, 4, seed=3)
    cosine, sine = (torch.cat([turn, turn], -1).to(dtype) for turn in (turns.cos(), turns.sin()))
    keys, values = _states(2, 3, key_value_heads, LENGTH, 8, seed=1).to(dtype)
    return states.to(dtype), cosine, sine, keys, values, torch.tensor([10, 4, 0])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("sliding_window", [None, 3])
@pytest.mark.parametrize("key_value_heads", [1, 2, 4])
def test_decoding_turns_keeps_and_attends(key_value_heads, sliding_window, dtype):
    states, cosine, sine, keys, values, places = _decoding(key_value_heads, dtype)
    wide = states.double()
    turned = wide * cosine[:, None].double() + wide.roll(4, -1) * sine[:, None].double() * torch.tensor(
        [-1.0] * 4 + [1.0] * 4
    )
    query, key, value = turned[:, :4], turned[:, 4 : 4 + key_value_heads], wide[:, 4 + key_value_heads :]
    kept_keys, kept_values = keys.double(), values.double()
    for row, place in enumerate(places.tolist()):
        kept_keys[row, :, place], kept_values[row, :, place] = key[row].to(dtype).double(), value[row]
    mask = visible(places[:, None], LENGTH, sliding_window, torch.float64)[:, None]
    expected = cached_attention(query[:, :, None], kept_keys, kept_values, mask, 0.3)[:, :, 0]

    found = decode_attention(states, cosine, sine, keys, values, places, AttentionArguments(0.3, sliding_window))

    # The kernel's exponential is exact to two units in the last place of float32.
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 3e-2}[dtype]
    torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(keys.double(), kept_keys, rtol=0, atol=tolerance)
    assert torch.equal(values.double(), kept_values)


@pytest.mark.parametrize("why", ["softcap", "half of a head", "no kernels"])
def test_what_has_no_kernel_is_left_alone(why, monkeypatch):
    states, cosine, sine, keys, values, places = _decoding(2, torch.float32)
    before = keys.clone()
    if why == "no kernels":
        monkeypatch.setattr(native, "serves", lambda *_: False)
    if why == "half of a head":
        cosine, sine = cosine[:, :4], sine[:, :4]
    arguments = AttentionArguments(0.3, softcap=5.0 if why == "softcap" else None)
    assert decode_attention(states, cosine, sine, keys, values, places, arguments) is None
    assert torch.equal(keys, before)
