import random

import torch

from luthier.inference.key_values import BLOCK, SHORTEST_BAND, Bands, KeyValueShape, band_limit
from luthier.kernels.cached_attention import AttentionArguments

SHAPE = KeyValueShape(layers=2, heads=3, head_dim=4, dtype=torch.float32)


def _states(length):
    return torch.randn(2, 2, 3, length, 4)


def _write(segment, keys):
    """Let one step store `keys`, [layers, rows, heads, head_dim], and their negatives as values."""
    for layer in range(SHAPE.layers):
        query = torch.zeros(len(keys[layer]), 6, 4)
        segment.attend(layer, query, keys[layer], -keys[layer], AttentionArguments(1.0))


def test_rows_keep_their_states_while_others_come_and_go():
    source, bands, kept = random.Random(0), Bands(SHAPE), {}
    for step in range(120):
        if source.random() < 0.3:
            name, states = f"row-{step}", _states(source.randrange(1, 300))
            bands.join(name, states)
            kept[name] = states
        if kept and source.random() < 0.2:
            gone = source.choice(sorted(kept))
            del kept[gone]
            bands.of(gone).leave(gone)
        bands.make_room()
        for band in bands:
            segment = band.next_tokens()
            keys = torch.randn(SHAPE.layers, segment.tokens, SHAPE.heads, SHAPE.head_dim)
            _write(segment, keys)
            for row, owner in enumerate(band.owners):
                new = torch.stack([keys[:, row], -keys[:, row]], 1)[:, :, :, None]
                kept[owner] = torch.cat([kept[owner], new], 3)
        for owner, states in kept.items():
            assert bands.of(owner).limit >= states.shape[3]
            torch.testing.assert_close(bands.of(owner).states(owner), states, rtol=0, atol=0)
    assert kept


def test_a_row_moves_on_when_its_band_is_full_and_the_last_one_leaves_nothing():
    bands = Bands(SHAPE)
    bands.join("row", _states(SHORTEST_BAND - 1))
    (band,) = bands
    assert (band.limit, bands.token_slots % BLOCK) == (SHORTEST_BAND, 0)
    _write(band.next_tokens(), torch.ones(2, 1, 3, 4))
    bands.make_room()
    (band,) = bands
    assert band.limit == 2 * SHORTEST_BAND
    band.leave("row")
    assert bands.token_slots == 0
    assert list(bands) == []


def test_a_row_that_leaves_takes_its_numbers_with_it():
    bands = Bands(SHAPE)
    for name in ("first", "bad", "last"):
        bands.join(name, _states(20))
    (band,) = bands
    band.states("bad").fill_(torch.nan)
    kept = band.states("last").clone()
    band.leave("bad")
    torch.testing.assert_close(band.states("last"), kept, rtol=0, atol=0)
    band.join("new", _states(9))
    assert torch.isfinite(band._states[:, :, : len(band.owners)]).all()


def test_a_token_takes_keys_and_values_of_each_layer():
    assert SHAPE.token_bytes == 2 * 2 * 3 * 4 * 4
    assert [band_limit(length) for length in (1, 256, 257, 512, 1025)] == [256, 256, 512, 512, 2048]
