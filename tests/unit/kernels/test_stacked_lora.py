import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from luthier.kernels.stacked_lora import AdapterPlan, AdapterSpan, LinearDelta, StackedLinear

IN, OUT = 6, 5
WEIGHT, BIAS = torch.randn(2 * OUT, IN), torch.randn(2 * OUT)
PARTS = {"q": slice(0, OUT), "k": slice(OUT, 2 * OUT)}
RANDOM = torch.Generator().manual_seed(0)


def _numbers(*shape):
    return torch.randn(*shape, generator=RANDOM)


ADAPTERS = [
    {"q": LinearDelta(_numbers(3, IN), _numbers(OUT, 3)), "k": LinearDelta(_numbers(2, IN), _numbers(OUT, 2))},
    {"k": LinearDelta(_numbers(1, IN), _numbers(OUT, 1))},
    {"q": LinearDelta(_numbers(2, IN), _numbers(OUT, 2), output_scale=_numbers(OUT), output_shift=_numbers(OUT))},
    {"q": LinearDelta(output_scale=_numbers(OUT))},
    {"q": LinearDelta(input_scale=_numbers(IN)), "k": LinearDelta()},
    {},
]


def _alone(x, adapter):
    """What one adapter makes of [tokens, IN], part by part."""
    outputs = []
    for part, columns in PARTS.items():
        delta = adapter.get(part, LinearDelta())
        shared = next((d.input_scale for d in adapter.values() if d.input_scale is not None), None)
        y = F.linear(x if shared is None else x * shared, WEIGHT[columns], BIAS[columns])
        if delta.a is not None:
            y = y + x @ delta.a.T @ delta.b.T
        if delta.output_scale is not None:
            y = y * delta.output_scale
        outputs.append(y if delta.output_shift is None else y + delta.output_shift)
    return torch.cat(outputs, 1)


@pytest.fixture
def stacked():
    plan = AdapterPlan()
    linear = StackedLinear(lambda x: F.linear(x, WEIGHT, BIAS), IN, PARTS, plan, torch.float32)
    linear.resize([], len(ADAPTERS), max(linear.rank_of(adapter) for adapter in ADAPTERS))
    for slot, adapter in enumerate(ADAPTERS, start=1):
        linear.fill(slot, adapter)
    return plan, linear


def _computed(stacked, slots_of_spans):
    """(result, what each token's adapter alone gives) for random input and spans of tokens with these slots."""
    plan, linear = stacked
    slots = [slot for span in slots_of_spans for slot in span]
    x = torch.randn(len(slots), IN)
    start, spans = 0, []
    for span in slots_of_spans:
        if any(span):
            spans.append(AdapterSpan(start, start + len(span), span))
        start += len(span)
    plan.spans = spans
    untouched = x.clone()
    found = linear(x)
    torch.testing.assert_close(x, untouched, rtol=0, atol=0)
    expected = [_alone(row[None], ADAPTERS[slot - 1] if slot else {}) for row, slot in zip(x, slots, strict=True)]
    return found, torch.cat(expected)


@pytest.mark.parametrize(
    "spans",
    [[[0, 0]], [[1, 1, 1]], [[2], [4]], [[0, 1, 2, 3, 4, 5, 6, 1, 0]], [[1, 2], [0, 0], [3], [5, 5]], [[6, 6], [0, 4]]],
)
def test_each_token_gets_its_own_adapter(stacked, spans):
    torch.testing.assert_close(*_computed(stacked, spans))


def test_a_slot_is_filled_anew_without_a_trace_of_the_last_adapter(stacked):
    _, linear = stacked
    linear.fill(3, {})
    linear.fill(5, ADAPTERS[1])
    plan, _ = stacked
    x = torch.randn(3, IN)
    plan.spans = [AdapterSpan(0, 3, [3, 5, 0])]
    torch.testing.assert_close(
        linear(x), torch.cat([_alone(x[:1], {}), _alone(x[1:2], ADAPTERS[1]), _alone(x[2:], {})])
    )


def test_adapters_stay_when_there_is_room_for_more(stacked):
    plan, linear = stacked
    linear.resize([4, 1, 3], 7, linear.rank + 2)
    x = torch.randn(4, IN)
    plan.spans = [AdapterSpan(0, 4, [1, 2, 3, 0])]
    expected = [_alone(x[i : i + 1], adapter) for i, adapter in enumerate([ADAPTERS[3], ADAPTERS[0], ADAPTERS[2], {}])]
    torch.testing.assert_close(linear(x), torch.cat(expected))
    assert (linear.slots, linear.rank) == (7, 5)


def test_a_token_without_usable_numbers_does_not_reach_others(stacked):
    plan, linear = stacked
    x = torch.randn(3, IN)
    plan.spans = [AdapterSpan(0, 3, [1, 2, 0])]
    expected = linear(x)
    x[1] = torch.inf
    found = linear(x)
    torch.testing.assert_close(found[[0, 2]], expected[[0, 2]])
    assert not torch.isfinite(found[1]).any()
