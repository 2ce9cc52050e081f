"""Runs of tokens are, end to end, what the model reads, and agree with the loss mask."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from luthier.core.rows import Origin, Row, TokenRow
from luthier.models.token_view import Run, token_runs

ROW = Row(
    "row-1",
    Origin("raw", 1),
    (
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Naïve 東京?"},
        {"role": "assistant", "content": "Yes 🎻."},
        {"role": "user", "content": "And?"},
        {"role": "assistant", "content": "No."},
    ),
)


def test_a_conversation_is_what_the_template_renders(tiny_template, tiny_tokenizer):
    tokens = tiny_template.encode(ROW)
    runs = token_runs(tiny_tokenizer, tokens, tiny_template.control_tokens)
    assert "".join(run.text for run in runs) == tiny_template.render(ROW.messages)
    assert sum(run.tokens for run in runs) == len(tokens)
    assert sum(run.tokens for run in runs if run.target) == tokens.target_tokens
    assert [(run.text, run.special) for run in runs if run.target] == [
        ("Yes 🎻.", False),
        ("<|im_end|>", True),
        ("No.", False),
        ("<|im_end|>", True),
    ]
    assert {run.text for run in runs if run.special} == {"<|im_start|>", "<|im_end|>"}


def test_plain_text_is_all_target_but_its_first_token(tiny_template, tiny_tokenizer):
    tokens = tiny_template.encode(Row("row-2", Origin("raw", 2), text="the refund"))
    runs = token_runs(tiny_tokenizer, tokens, tiny_template.control_tokens)
    assert [run.target for run in runs] == [False, True, True]
    assert runs[-1] == Run("<|im_end|>", 1, target=True, special=True)
    assert runs[0].tokens == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=30))
def test_no_letter_is_lost_between_tokens(tiny_tokenizer, text):
    ids = tuple(tiny_tokenizer(text)["input_ids"])
    [run] = token_runs(tiny_tokenizer, TokenRow("row", ids, (True,) * len(ids)), ())
    assert run == Run(text, len(ids), target=True, special=False)
