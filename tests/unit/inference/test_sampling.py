import math

import pytest
import torch

from luthier.core.errors import GenerationError
from luthier.core.generation import GenerationRequest
from luthier.inference import sampling
from luthier.inference.sampling import Choice, Sampler, next_tokens

PROBABILITIES = torch.tensor([0.15, 0.5, 0.05, 0.3])
DRAWS = 2000


def _request(**settings):
    return GenerationRequest("base", (), **settings)


def _shares(probabilities=PROBABILITIES, dtype=torch.float32, **settings):
    """How often each token is drawn."""
    sampler = Sampler(_request(**{"temperature": 1.0, "seed": 0} | settings))
    logits = probabilities.log().to(dtype)[None]
    drawn = [next_tokens(logits, [sampler])[0].token for _ in range(DRAWS)]
    return torch.tensor(drawn).bincount(minlength=len(probabilities)) / DRAWS


def _assert_drawn(shares, kept, probabilities=PROBABILITIES):
    assert set(shares.nonzero()[:, 0].tolist()) == kept
    expected = torch.tensor([share if token in kept else 0.0 for token, share in enumerate(probabilities.tolist())])
    torch.testing.assert_close(shares, expected / expected.sum(), atol=0.04, rtol=0)


def test_temperature_zero_takes_the_likeliest_of_each_row():
    logits = torch.tensor([[0.0, 3.0, 1.0], [5.0, -1.0, 4.0], [-3.0, -2.0, -1.0]])
    assert next_tokens(logits, [Sampler(_request()) for _ in logits]) == [Choice(1), Choice(0), Choice(2)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_of_equal_logits_the_first_counts_as_argmax_has_it(dtype):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randint(-3, 4, (50, 1000), generator=generator).to(dtype)
    chosen = next_tokens(logits, [Sampler(_request()) for _ in logits])
    assert [choice.token for choice in chosen] == logits.argmax(-1).tolist()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_without_meaning_give_no_token_to_their_row_alone(bad, temperature):
    logits = torch.tensor([[0.0, 1.0], [bad, 0.0], [1.0, 0.0]])
    samplers = [Sampler(_request()), Sampler(_request(temperature=temperature)), Sampler(_request())]
    first, failed, last = next_tokens(logits, samplers)
    assert (first, last) == (Choice(1), Choice(0))
    assert isinstance(failed, GenerationError)


def test_tokens_are_drawn_by_their_probabilities():
    _assert_drawn(_shares(), {0, 1, 2, 3})


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_temperature_sharpens_or_flattens(temperature):
    _assert_drawn(_shares(temperature=temperature), {0, 1, 2, 3}, PROBABILITIES ** (1 / temperature))


TOP_P = [(0.1, {1}), (0.45, {1}), (0.7, {1, 3}), (0.9, {0, 1, 3}), (1.0, {0, 1, 2, 3})]


@pytest.mark.parametrize(("top_p", "kept"), TOP_P)
@pytest.mark.parametrize("likely", [1, 2, 1024])
def test_top_p_keeps_the_fewest_tokens_that_reach_it(top_p, kept, likely, monkeypatch):
    monkeypatch.setattr(sampling, "LIKELY", likely)
    _assert_drawn(_shares(top_p=top_p), kept)


@pytest.mark.parametrize(
    ("top_k", "kept"), [(1, {1}), (2, {1, 3}), (3, {0, 1, 3}), (4, {0, 1, 2, 3}), (9, {0, 1, 2, 3})]
)
def test_top_k_keeps_the_likeliest(top_k, kept):
    _assert_drawn(_shares(top_k=top_k), kept)


@pytest.mark.parametrize(("min_p", "kept"), [(0.05, {0, 1, 2, 3}), (0.25, {0, 1, 3}), (0.5, {1, 3}), (1.0, {1})])
def test_min_p_keeps_what_comes_near_the_likeliest(min_p, kept):
    _assert_drawn(_shares(min_p=min_p), kept)


def test_top_p_counts_what_top_k_leaves():
    _assert_drawn(_shares(top_k=2, top_p=0.6), {1})
    _assert_drawn(_shares(top_k=2, top_p=0.7), {1, 3})


def test_a_temperature_near_zero_is_greedy_and_does_not_overflow():
    logits = torch.tensor([[100.0, 400.0, 399.0]])
    assert next_tokens(logits, [Sampler(_request(temperature=1e-38, seed=0))]) == [Choice(1)]


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 5e-324},
        {"temperature": 1e-320, "top_k": 2},
        {"top_p": 5e-324},
        {"top_p": 1e-300, "top_k": 2},
        {"top_p": 0.0},
        {"temperature": 1e-320, "min_p": 1.0},
    ],
)
def test_settings_too_small_for_the_logits_type_are_greedy(settings):
    logits = torch.tensor([[1.0, 4.0, 3.0]])
    assert next_tokens(logits, [Sampler(_request(**{"temperature": 1.0, "seed": 0} | settings))]) == [Choice(1)]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("settings", [{"logit_bias": {0: 1e39}}, {"repetition_penalty": 1e-320}])
def test_settings_too_large_for_the_logits_type_fail_their_row_alone(settings, temperature):
    logits = torch.tensor([[1.0, 4.0], [1.0, 4.0]])
    failed, other = next_tokens(
        logits, [Sampler(_request(temperature=temperature, **settings), prompt=[1]), Sampler(_request())]
    )
    assert isinstance(failed, GenerationError)
    assert other == Choice(1)


def test_a_fault_of_one_rows_sampler_fails_it_alone(monkeypatch, caplog):
    def fault(*_):
        raise RuntimeError("a fault")

    monkeypatch.setattr(Sampler, "_draw", fault)
    failed, other = next_tokens(torch.tensor([[1.0, 4.0]] * 2), [Sampler(_request(temperature=1)), Sampler(_request())])
    assert isinstance(failed, GenerationError)
    assert str(failed) == "no next token could be chosen: a fault"
    assert "a fault" in caplog.text
    assert other == Choice(1)


def test_a_row_draws_the_same_whatever_else_is_in_the_batch():
    logits = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    alone = Sampler(_request(temperature=1.0, seed=7))
    together = [Sampler(_request(**s)) for s in ({}, {"temperature": 1.0, "seed": 7}, {"temperature": 0.7, "seed": 8})]
    for _ in range(20):
        expected = next_tokens(logits[1:2], [alone])
        assert next_tokens(logits, together)[1:2] == expected


def test_without_a_seed_answers_differ():
    first, second = (Sampler(_request(temperature=1.0)).random for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.initial_seed() != second.initial_seed()


def test_the_answers_to_one_request_draw_different_tokens_and_the_same_each_time():
    logits = torch.zeros(1, 1000)
    request = _request(temperature=1.0, seed=3)
    drawn = [next_tokens(logits, [Sampler(request, choice=choice)])[0].token for choice in (0, 1, 2, 1)]
    assert len(set(drawn)) == 3
    assert drawn[1] == drawn[3]


def test_bias_is_added_to_logits():
    logits = torch.tensor([[0.0, 3.0, 1.0]])
    assert next_tokens(logits, [Sampler(_request(logit_bias={2: 2.5, 1: -0.25}))])[0].token == 2
    assert next_tokens(logits, [Sampler(_request(logit_bias={1: -100.0}))])[0].token == 2
    _assert_drawn(_shares(logit_bias={1: -100.0}), {0, 2, 3})


def _greedy(logits, count, prompt=(), **settings):
    sampler = Sampler(_request(**settings), prompt)
    return [next_tokens(torch.tensor([logits]), [sampler])[0].token for _ in range(count)]


def test_a_presence_penalty_counts_once_and_a_frequency_penalty_each_time():
    assert _greedy([2.0, 1.0, 0.0], 4) == [0, 0, 0, 0]
    assert _greedy([2.0, 1.0, 0.0], 4, presence_penalty=1.5) == [0, 1, 0, 0]
    assert _greedy([2.0, 1.0, 0.0], 7, frequency_penalty=0.6) == [0, 0, 1, 0, 1, 0, 2]


def test_a_repetition_penalty_divides_what_is_above_zero_and_multiplies_what_is_below():
    assert _greedy([2.0, 1.5, -1.0], 3, repetition_penalty=1.5) == [0, 1, 0]
    assert _greedy([2.0, 1.5, -1.0], 1, prompt=[0, 0], repetition_penalty=1.5) == [1]
    assert _greedy([-1.0, -1.2], 1, prompt=[0], repetition_penalty=1.5) == [1]


def test_logprobs_are_the_models_own_and_the_likeliest_come_first():
    settings = {"logprobs": 2, "logit_bias": {2: 100.0}, "temperature": 0.5, "seed": 0}
    chosen = next_tokens(PROBABILITIES.log()[None], [Sampler(_request(**settings))])[0]
    assert chosen.token == 2
    assert chosen.logprob == pytest.approx(math.log(0.05))
    assert [token for token, _ in chosen.top] == [1, 3]
    assert [math.exp(logprob) for _, logprob in chosen.top] == pytest.approx([0.5, 0.3])
    assert next_tokens(PROBABILITIES.log()[None], [Sampler(_request(logprobs=0))])[0].top == ()
