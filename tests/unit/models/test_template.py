"""What is trained on is what generation sees, and the loss covers what the assistant says and nothing else."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken
from tokenizers.processors import ByteLevel, TemplateProcessing

from luthier.core.errors import TemplateError
from luthier.core.rows import Message, Origin, Row, TokenRow
from luthier.models.template import ChatTemplate

CHATML_TURN = "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
CHATML = (
    "{% for message in messages %}" + CHATML_TURN + "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LAST_ANSWER_DIFFERS = "(' !' if loop.last and message['role'] == 'assistant' else '') + "
SYSTEM: Message = {"role": "system", "content": "Be brief."}
ASK: Message = {"role": "user", "content": "Is it open?"}
ANSWER: Message = {"role": "assistant", "content": "Yes, from 9."}
ASK_AGAIN: Message = {"role": "user", "content": "Till when?"}
ANSWER_AGAIN: Message = {"role": "assistant", "content": "Till 5."}
TALK = (SYSTEM, ASK, ANSWER, ASK_AGAIN, ANSWER_AGAIN)


def row(*messages: Message, text: str = "") -> Row:
    return Row("r1", Origin("chats.jsonl", 1), messages, text)


def texts_of_targets(tokenizer: Any, encoded: TokenRow) -> list[str]:
    """The text of each unbroken run of targets."""
    runs: list[list[int]] = []
    previous = False
    for token, target in zip(encoded.input_ids, encoded.targets, strict=True):
        if target and not previous:
            runs.append([])
        if target:
            runs[-1].append(token)
        previous = target
    return [tokenizer.decode(run) for run in runs]


def with_template(tokenizer: Any, template: str | None) -> Any:
    tokenizer.chat_template = template
    return tokenizer


def test_targets_are_the_assistant_turns_and_their_end_tokens(tiny_tokenizer: Any, tiny_template: ChatTemplate) -> None:
    encoded = tiny_template.encode(row(*TALK))

    assert encoded.id == "r1"
    assert texts_of_targets(tiny_tokenizer, encoded) == ["Yes, from 9.<|im_end|>", "Till 5.<|im_end|>"]
    assert tiny_tokenizer.decode(encoded.input_ids) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nIs it open?<|im_end|>\n"
        "<|im_start|>assistant\nYes, from 9.<|im_end|>\n<|im_start|>user\nTill when?<|im_end|>\n"
        "<|im_start|>assistant\nTill 5.<|im_end|>\n"
    )


@pytest.mark.parametrize("messages", [(ASK, ANSWER), (SYSTEM, ASK, ANSWER), (ANSWER,), TALK], ids=len)
def test_training_ids_start_with_what_generation_sees(tiny_template: ChatTemplate, messages: Sequence[Message]) -> None:
    encoded = tiny_template.encode(row(*messages))

    prompt = tiny_template.prompt_ids(messages[:-1])
    answer = [*encoded.input_ids[len(prompt) :]]
    assert list(encoded.input_ids[: len(prompt)]) == prompt
    assert encoded.targets[len(prompt)]
    assert not encoded.targets[len(prompt) - 1]
    assert tiny_template.end_token_id in answer


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20)), min_size=1, max_size=3), st.booleans())
def test_any_text_is_masked_exactly(
    tiny_tokenizer: Any, tiny_template: ChatTemplate, pairs: list[tuple[str, str]], with_system: bool
) -> None:
    messages: list[Message] = [SYSTEM] if with_system else []
    for question, answer in pairs:
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]

    encoded = tiny_template.encode(row(*messages))

    assert texts_of_targets(tiny_tokenizer, encoded) == [f"{answer}<|im_end|>" for _, answer in pairs]
    prompt = tiny_template.prompt_ids(messages[:-1])
    assert list(encoded.input_ids[: len(prompt)]) == prompt


def test_end_token_is_the_one_that_ends_assistant_turns(tiny_tokenizer: Any) -> None:
    tiny_tokenizer.eos_token = "<|endoftext|>"

    assert ChatTemplate(tiny_tokenizer).end_token_id == tiny_tokenizer.convert_tokens_to_ids("<|im_end|>")


def test_default_system_prompt_never_slips_in(tiny_tokenizer: Any, tiny_template: ChatTemplate) -> None:
    slipped_in = "slips this in"
    assert slipped_in in tiny_tokenizer.apply_chat_template([ASK], tokenize=False)

    for messages in [(ASK,), (ASK, ANSWER), (SYSTEM, ASK), (ANSWER,), ()]:
        assert slipped_in not in tiny_template.render(messages, add_generation_prompt=True)
        assert slipped_in not in tiny_tokenizer.decode(tiny_template.prompt_ids(messages))
    assert slipped_in not in tiny_tokenizer.decode(tiny_template.encode(row(ASK, ANSWER)).input_ids)
    assert tiny_template.render((ASK,)).startswith("<|im_start|>system\n<|im_end|>\n<|im_start|>user\n")


def test_template_without_default_gets_no_system_turn(tiny_tokenizer: Any) -> None:
    template = ChatTemplate(with_template(tiny_tokenizer, CHATML))

    assert template.render((ASK,)) == "<|im_start|>user\nIs it open?<|im_end|>\n"


def test_template_that_opens_with_a_control_token_has_no_default(tiny_tokenizer: Any) -> None:
    template = ChatTemplate(with_template(tiny_tokenizer, "{{ '<|endoftext|>' }}" + CHATML))

    assert template.render((ASK,)) == "<|endoftext|><|im_start|>user\nIs it open?<|im_end|>\n"


def test_default_that_cannot_be_replaced_by_an_empty_one_is_refused(tiny_tokenizer: Any) -> None:
    stubborn = (
        "{% if messages[0]['role'] != 'system' or not messages[0]['content'] %}"
        "{{ '<|im_start|>system\nI am in any case.<|im_end|>\n' }}{% endif %}" + CHATML
    )
    template = ChatTemplate(with_template(tiny_tokenizer, stubborn), "org/model")

    assert "in any case" not in template.render((SYSTEM, ASK))
    with pytest.raises(TemplateError, match=r"org/model: the template adds a system prompt of its own .*data\.system"):
        template.prompt_ids((ASK,))
    with pytest.raises(TemplateError, match="a system prompt of its own"):
        template.encode(row(ASK, ANSWER))


def test_template_without_system_role_serves_conversations_without_one(tiny_tokenizer: Any) -> None:
    no_system = "{% if messages and messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    template = ChatTemplate(with_template(tiny_tokenizer, no_system + CHATML), "org/model")

    assert template.encode(row(ASK, ANSWER)).target_tokens > 1
    with pytest.raises(TemplateError, match="org/model: the template refuses this conversation: no system"):
        template.encode(row(SYSTEM, ASK, ANSWER))


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (None, "no chat template"),
        (CHATML.replace("<|im_end|>", ""), "no end token"),
        (CHATML.replace("message['content']", "(message['content'] if loop.last else 'gone')"), "does not follow"),
        (CHATML.replace("'<|im_end|>", LAST_ANSWER_DIFFERS + "'<|im_end|>"), "when more turns"),
        (CHATML + "{% if not add_generation_prompt %}{{ '<|endoftext|>' }}{% endif %}", "when more turns"),
        (CHATML.replace("assistant\n' }}{% endif", "helper\n' }}{% endif"), "does not follow"),
        ("{{ messages.append(1) }}" + CHATML, "refuses this conversation"),
        ("{% for %}", "refuses this conversation"),
        ("{{ 1 / 0 }}", "refuses this conversation: division by zero"),
        ("{% for number in range(10 ** 9) %}{% endfor %}", "refuses this conversation: Range too big"),
        ("{{ ''.__class__.__mro__ }}" + CHATML, "refuses this conversation"),
    ],
    ids=[
        "none",
        "no end",
        "forgets",
        "last differs",
        "ends once",
        "other prompt",
        "changes messages",
        "no jinja",
        "divides by zero",
        "counts for ever",
        "leaves sandbox",
    ],
)
def test_refuses_templates_that_cannot_be_used(tiny_tokenizer: Any, template: str | None, reason: str) -> None:
    with pytest.raises(TemplateError, match=f"^org/model: .*{reason}"):
        ChatTemplate(with_template(tiny_tokenizer, template), "org/model")


@pytest.mark.parametrize("token", ["<|im_start|>", "<|im_end|>", "<|endoftext|>"])
@pytest.mark.parametrize("place", range(5))
def test_refuses_control_tokens_in_any_turn(tiny_template: ChatTemplate, place: int, token: str) -> None:
    messages: list[Message] = [*TALK]
    messages[place] = {"role": TALK[place]["role"], "content": f"hello {token}system"}

    with pytest.raises(TemplateError, match=f"a {TALK[place]['role']} turn holds the control token"):
        tiny_template.encode(row(*messages))
    with pytest.raises(TemplateError, match="holds the control token"):
        tiny_template.prompt_ids(messages)


def test_half_a_character_is_refused(tiny_template: ChatTemplate) -> None:
    with pytest.raises(TemplateError, match=r"a user turn holds half of a character, U\+D83D"):
        tiny_template.prompt_ids([{"role": "user", "content": "hello \ud83d"}])


def test_refuses_control_tokens_that_the_tokenizer_has_no_name_for(tiny_tokenizer: Any) -> None:
    tiny_tokenizer.add_tokens([AddedToken("<|eot|>", special=True), AddedToken("<think>", special=False)])
    template = ChatTemplate(tiny_tokenizer)

    with pytest.raises(TemplateError, match=r"a user turn holds the control token <\|eot\|>"):
        template.render(({"role": "user", "content": "<|eot|>"},))
    assert "<think>" in template.render(({"role": "user", "content": "<think>"},))


def test_end_token_may_be_one_that_the_tokenizer_has_no_name_for(tiny_tokenizer: Any) -> None:
    tiny_tokenizer.add_tokens([AddedToken("<|eot|>", special=True)])
    template = ChatTemplate(with_template(tiny_tokenizer, CHATML.replace("<|im_end|>", "<|eot|>")))

    assert template.end_token_id == tiny_tokenizer.convert_tokens_to_ids("<|eot|>")
    assert texts_of_targets(tiny_tokenizer, template.encode(row(ASK, ANSWER))) == ["Yes, from 9.<|eot|>"]


def test_tokenizers_that_trim_offsets_are_masked_too(tiny_tokenizer: Any) -> None:
    """Llama 3's tokenizer leaves the blank out of a token's offsets."""
    tiny_tokenizer.backend_tokenizer.post_processor = ByteLevel(trim_offsets=True)
    answer: Message = {"role": "assistant", "content": " the order"}

    encoded = ChatTemplate(tiny_tokenizer).encode(row(ASK, answer))

    assert texts_of_targets(tiny_tokenizer, encoded) == [" the order<|im_end|>"]


def test_refuses_a_token_across_the_start_of_an_answer(tiny_tokenizer: Any) -> None:
    """Generation starts after the whole prompt, so a training row must not melt the prompt's end into the answer."""
    tiny_tokenizer.add_tokens(["ant\nYes"])

    with pytest.raises(TemplateError, match="does not follow"):
        ChatTemplate(tiny_tokenizer).encode(row(ASK, ANSWER))


def test_turns_before_the_first_target_are_no_targets(tiny_template: ChatTemplate) -> None:
    whole = row(ASK, ANSWER, ASK, ANSWER)
    last = tiny_template.encode(whole, first_target=3)
    both = tiny_template.encode(whole)
    assert last.input_ids == both.input_ids
    assert (last.target_tokens, both.target_tokens) == (both.target_tokens / 2, 2 * last.target_tokens)
    assert not any(last.targets[: len(tiny_template.prompt_ids((ASK, ANSWER, ASK)))])


def test_a_pair_is_as_long_as_its_longer_conversation(tiny_template: ChatTemplate) -> None:
    longer: Message = {"role": "assistant", "content": f"{ANSWER['content']} And so on."}
    for chosen, rejected in ((ANSWER, longer), (longer, ANSWER)):
        pair = replace(row(ASK, chosen), rejected=(rejected,))
        count = len(tiny_template.encode(row(ASK, longer)))
        assert tiny_template.tokens_over(pair, count) is None
        assert tiny_template.tokens_over(pair, count - 1) == count
    with pytest.raises(TemplateError, match="control token"):
        tiny_template.tokens_over(replace(row(ASK, ANSWER), rejected=({**ANSWER, "content": "<|im_end|>"},)), 100)


def test_text_rows_are_all_target_and_end(tiny_tokenizer: Any, tiny_template: ChatTemplate) -> None:
    encoded = tiny_template.encode(row(text="Returns are free."))

    assert tiny_tokenizer.decode(encoded.input_ids) == "Returns are free.<|im_end|>"
    assert encoded.targets == (False, *[True] * (len(encoded) - 1))


def test_text_rows_begin_as_the_tokenizer_begins_texts(tiny_tokenizer: Any, tiny_template: ChatTemplate) -> None:
    """Models such as Llama 3 and Gemma expect their first token before any text."""
    plain = tiny_template.encode(row(text="Returns are free.")).input_ids
    tiny_tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|endoftext|> $A <|im_end|>", special_tokens=[("<|endoftext|>", 0), ("<|im_end|>", 2)]
    )

    encoded = ChatTemplate(tiny_tokenizer).encode(row(text="Returns are free."))

    assert encoded.input_ids == (0, *plain)
    assert encoded.targets == (False, *[True] * len(plain))


def test_empty_text_has_no_target(tiny_template: ChatTemplate) -> None:
    assert tiny_template.encode(row(text="")).target_tokens == 0


def test_refuses_control_tokens_in_text_rows(tiny_template: ChatTemplate) -> None:
    with pytest.raises(TemplateError, match=r"a text holds the control token <\|im_end\|>"):
        tiny_template.encode(row(text="first<|im_end|>second"))
