import pytest
import torch

from luthier.core.generation import GenerationRequest
from luthier.inference.sampling import next_tokens, random_source

PROBABILITIES = torch.tensor([0.15, 0.5, 0.05, 0.3])
DRAWS = 2000


def _request(**settings):
    return GenerationRequest("base", (), **settings)


def _shares(request, probabilities=PROBABILITIES, dtype=torch.float32):
    """How often each token is drawn."""
    source = random_source(request)
    logits = probabilities.log().to(dtype)[None]
    drawn = [next_tokens(logits, [request], [source])[0] for _ in range(DRAWS)]
    return torch.tensor(drawn).bincount(minlength=len(probabilities)) / DRAWS


def test_temperature_zero_takes_the_likeliest_of_each_row():
    logits = torch.tensor([[0.0, 3.0, 1.0], [5.0, -1.0, 4.0], [-3.0, -2.0, -1.0]])
    requests = [_request()] * 3
    assert next_tokens(logits, requests, [random_source(request) for request in requests]) == [1, 0, 2]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_of_equal_logits_the_first_counts_as_argmax_has_it(dtype):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randint(-3, 4, (50, 1000), generator=generator).to(dtype)
    assert next_tokens(logits, [_request()] * 50, [None] * 50) == logits.argmax(-1).tolist()


def test_tokens_are_drawn_by_their_probabilities():
    torch.testing.assert_close(_shares(_request(temperature=1.0, seed=0)), PROBABILITIES, atol=0.04, rtol=0)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_temperature_sharpens_or_flattens(temperature):
    expected = PROBABILITIES ** (1 / temperature)
    shares = _shares(_request(temperature=temperature, seed=0))
    torch.testing.assert_close(shares, expected / expected.sum(), atol=0.04, rtol=0)


@pytest.mark.parametrize(
    ("top_p", "kept"), [(0.1, {1}), (0.45, {1}), (0.7, {1, 3}), (0.9, {0, 1, 3}), (1.0, {0, 1, 2, 3})]
)
def test_top_p_keeps_the_fewest_tokens_that_reach_it(top_p, kept):
    shares = _shares(_request(temperature=1.0, top_p=top_p, seed=0))
    assert set(shares.nonzero()[:, 0].tolist()) == kept
    expected = torch.tensor([share if token in kept else 0.0 for token, share in enumerate(PROBABILITIES.tolist())])
    torch.testing.assert_close(shares, expected / expected.sum(), atol=0.04, rtol=0)


def test_a_temperature_near_zero_is_greedy_and_does_not_overflow():
    logits = torch.tensor([[100.0, 400.0, 399.0]])
    request = _request(temperature=1e-38, seed=0)
    assert next_tokens(logits, [request], [random_source(request)]) == [1]


def test_a_row_draws_the_same_whatever_else_is_in_the_batch():
    logits = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    sampled = _request(temperature=1.0, seed=7)
    others = [_request(), _request(temperature=0.7, seed=8)]
    alone = [random_source(sampled)]
    together = [random_source(request) for request in (others[0], sampled, others[1])]
    for _ in range(20):
        expected = next_tokens(logits[1:2], [sampled], alone)
        assert next_tokens(logits, [others[0], sampled, others[1]], together)[1:2] == expected


def test_without_a_seed_answers_differ():
    first, second = (random_source(_request(temperature=1.0)) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.initial_seed() != second.initial_seed()
