"""Template, tokenizer and masks: what is wrong with them is named, and what is right raises no alarm."""

import math

import pytest
import torch

from luthier.core.rows import Origin, Row, TokenRow
from luthier.models.losses import RowsLoss
from luthier.models.template import ChatTemplate
from luthier.training import (
    CausalObjective,
    Guess,
    check_added_tokens,
    check_end_known,
    check_ends,
    check_masks,
    check_round_trip,
    check_rows,
    check_template,
)

TURNS = (
    {"role": "system", "content": "You are the shop."},
    {"role": "user", "content": "How long does a refund take?"},
    {"role": "assistant", "content": "The refund takes about 5 working days."},
    {"role": "user", "content": "And an exchange of the order?"},
    {"role": "assistant", "content": "Returns are free within 30 days."},
)
CONVERSATION = Row("row-0", Origin("chats.jsonl", 1), TURNS)


@pytest.fixture
def read(tiny_template):
    return tiny_template.encode(CONVERSATION)


def _masked(read, targets):
    return TokenRow(read.id, read.input_ids, tuple(targets))


def _check_masks(tokenizer, template, read):
    return check_masks([CONVERSATION], [read], tokenizer, template.control_tokens)


def test_masks_on_the_assistants_words_pass(tiny_tokenizer, tiny_template, read):
    found = _check_masks(tiny_tokenizer, tiny_template, read)
    assert (found.check, found.verdict, found.value, found.advice) == ("loss_mask", "pass", 0, "")


@pytest.mark.parametrize(
    "targets",
    [
        lambda row: [False, *[True] * (len(row) - 1)],
        lambda row: [not target for target in row.targets],
        lambda row: [False] * len(row),
        lambda row: (False, *row.targets[:-1]),
        lambda row: [target and place > len(row) // 2 for place, target in enumerate(row.targets)],
    ],
    ids=["everything", "the others", "nothing", "shifted by one", "the last answer alone"],
)
def test_other_masks_fail(tiny_tokenizer, tiny_template, read, targets):
    found = _check_masks(tiny_tokenizer, tiny_template, _masked(read, targets(read)))
    assert (found.verdict, found.value) == ("fail", 1)
    assert "data tokens" in found.advice


def test_targets_that_begin_too_early_lose_the_end(tiny_template, read):
    early = _masked(read, (*read.targets[1:], False))
    assert check_ends([read], {tiny_template.end_token_id}).verdict == "pass"
    assert check_ends([early], {tiny_template.end_token_id}).verdict == "fail"


def test_one_answer_of_two_without_its_end_is_half(tiny_template, read):
    ends = [place for place, token in enumerate(read.input_ids) if token == tiny_template.end_token_id]
    last = max(place for place in ends if read.targets[place])
    found = check_ends(
        [_masked(read, (target and place != last for place, target in enumerate(read.targets)))],
        {tiny_template.end_token_id},
    )
    assert (found.verdict, found.value) == ("warn", 0.5)


def test_tools_and_texts_have_no_masks_to_look_at(tiny_tokenizer, tiny_template):
    text = Row("text", Origin("a.md", 1), text="Returns are free.")
    tools = Row("tools", Origin("a.jsonl", 1), TURNS, tools=({"type": "function"},))
    for row in (text, tools):
        assert check_masks([row], [TokenRow("", (1,), (False,))], tiny_tokenizer, {}) is None
    assert check_template(tiny_template, [text], ()) is None


def test_texts_come_back_from_tokens(tiny_tokenizer):
    assert check_round_trip(["The refund, 5 days — für Jürgen 🙂", ""], tiny_tokenizer).verdict == "pass"


def test_texts_that_lose_letters_are_a_warning(tiny_encoder_folder):
    from luthier.models.loading import tokenizer_in

    tokenizer = tokenizer_in(tiny_encoder_folder)
    assert check_round_trip(["Returns are free within 30 days"], tokenizer).verdict == "pass"
    found = check_round_trip(["Returns are free", "Жук"], tokenizer)
    assert (found.verdict, found.value) == ("warn", 0.5)


def test_the_models_own_template_passes(tiny_tokenizer, tiny_template):
    found = check_template(tiny_template, [CONVERSATION], tiny_tokenizer.get_vocab())
    assert (found.verdict, found.value) == ("pass", 0)


def test_another_models_template_is_named(tiny_tokenizer):
    tiny_tokenizer.chat_template = (
        "{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n{{ m['content'] }}<|im_end|>"
        "{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n{% endif %}"
    )
    found = check_template(ChatTemplate(tiny_tokenizer), [CONVERSATION], tiny_tokenizer.get_vocab())
    assert (found.verdict, found.value) == ("warn", 2)
    assert "<|start_header_id|>, <|end_header_id|>" in found.advice


def test_marks_that_people_write_are_no_template(tiny_tokenizer, tiny_template):
    asked = Row("row", Origin("a", 1), ({"role": "user", "content": "What is <|foo|>?"}, TURNS[2]))
    assert check_template(tiny_template, [asked], tiny_tokenizer.get_vocab()).verdict == "pass"


def test_a_model_that_does_not_know_the_end_is_a_warning(tiny_model, tiny_template, read):
    objective, guess = CausalObjective(RowsLoss(tiny_model)), Guess(math.log(320), known=True)
    ends = {tiny_template.end_token_id}
    found = check_end_known(objective, [read], ends, guess)
    assert (found.verdict, found.limit) == ("warn", pytest.approx(0.7 * guess.loss))
    assert found.value == pytest.approx(guess.loss, rel=0.1)
    assert check_end_known(objective, [read], ends, Guess(20.0, known=True)).verdict == "pass"
    assert check_end_known(objective, [read], {0}, guess) is None


@pytest.mark.parametrize(
    ("row", "starts", "verdict"),
    [((1, 5), True, "pass"), ((5, 6), True, "warn"), ((5, 6), False, "pass"), ((1, 1, 5), True, "fail")],
)
def test_one_start_token(row, starts, verdict):
    [*_, found] = check_rows([TokenRow("row", row, (False,) * len(row))], 9, None, 1, starts)
    assert (found.check, found.verdict) == ("start_token", verdict)


def _embeddings(change=lambda _: None):
    weights = torch.randn(200, 16, generator=torch.Generator().manual_seed(0)) + 0.3
    change(weights)
    return check_added_tokens(
        [TokenRow("row", (1, 7, 198, 199), (False,) * 4)], weights, {197: "<c>", 198: "<a>", 199: "<b>"}, trains=False
    )


def test_added_tokens_that_mean_something_pass():
    assert _embeddings().verdict == "pass"
    assert check_added_tokens([TokenRow("row", (1,), (False,))], torch.ones(9, 2), {5: "<a>"}, False) is None


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda weights: weights[198].mul_(0.01), "<a>"),
        (lambda weights: weights[199].zero_(), "<b>"),
        (lambda weights: weights[198].copy_(weights[:198].mean(dim=0) * 5), "<a>"),
        (lambda weights: weights[198].copy_(weights[199]), "<a>, <b>"),
    ],
    ids=["small", "zero", "the mean", "alike"],
)
def test_added_tokens_that_mean_nothing_are_named(change, named):
    found = _embeddings(change)
    assert (found.verdict, found.value) == ("warn", named.count("<"))
    assert f"what {named} means" in found.advice
    assert "adapter.train_modules" in found.advice
