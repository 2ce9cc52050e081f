"""Are rows read as the model was made to read: template, tokenizer, and which tokens count in the loss."""

import re
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

import torch

from luthier.core.rows import Row, TokenRow
from luthier.models.template import ChatTemplate
from luthier.models.token_view import token_runs
from luthier.training.finding import Finding, judged
from luthier.training.first_pass import HIGH_FOR_LEARNT, Guess
from luthier.training.objective import CausalObjective

MOST_LOST = 0.05
"""Share of texts that may come back otherwise than they went in."""
SHORT = 8
"""Characters from which a text that is found in another says something."""
SMALL_EMBEDDING = 0.3
"""Of the median norm: rows that training has never reached stay small or shrink (Land and Bartolo 2024, Fishing for
Magikarp, section 3.2)."""
ALIKE = 0.999
"""Cosine from which two embeddings are taken for one."""
SAMPLED_EMBEDDINGS = 4096
MARKUP = re.compile(r"<\|[^|<>\s]{1,40}\|>|</?s>|<(?:start|end)_of_turn>")
"""What templates write that is meant to be one token."""


class TokenIds(Protocol):
    """A row as the model reads it."""

    @property
    def input_ids(self) -> tuple[int, ...]: ...


def check_rows(
    rows: Sequence[TokenIds], vocabulary: int, longest: int | None, start: int | None, starts: bool = False
) -> list[Finding]:
    """Findings about rows as tokens: ids that the model knows, lengths that it reads, one start token. `longest` and
    `start` are None where model or tokenizer have none; `starts` says whether the tokenizer itself puts one in front of
    a text."""
    largest, length = max(max(row.input_ids) for row in rows), max(len(row.input_ids) for row in rows)
    advice = "the tokenizer has tokens that the model has no embedding for: luthier tokenizer extend"
    findings = [judged("token_ids", "pass" if largest < vocabulary else "fail", largest, vocabulary - 1, advice)]
    if longest is not None:
        advice = f"rows are longer than the model reads: set data.max_length to {longest}"
        findings.append(judged("longest_row", "pass" if length <= longest else "fail", length, longest, advice))
    if start is not None:
        findings.append(_start([row.input_ids[:2] for row in rows], start, starts))
    return findings


def check_ends(rows: Sequence[TokenRow], ends: Collection[int]) -> Finding:
    """The share of answers, runs of targets, whose last one is an end token, without which a model never learns to
    stop. `ends` are the tokens that end an answer or a text."""
    lasts = [token for row in rows for token in _last_targets(row)]
    share = sum(token in ends for token in lasts) / len(lasts) if lasts else 0.0
    advice = "answers whose end is not learnt make a model that never stops: look at luthier data tokens"
    return judged("end_token", "pass" if share == 1 else "warn" if share else "fail", share, 1, advice)


def check_masks(
    rows: Sequence[Row], tokens: Sequence[TokenRow], tokenizer: Any, control_tokens: Collection[int]
) -> Finding | None:
    """The share of conversations whose targets, as text, are not what the assistant says in them, or hold more. None
    where there is no conversation without tools, whose calls templates write in ways of their own."""
    plain = [(row, read) for row, read in zip(rows, tokens, strict=True) if row.messages and not _has_tools(row)]
    if not plain:
        return None
    wrong = sum(not _masks_answers(row, read, tokenizer, control_tokens) for row, read in plain) / len(plain)
    advice = "the loss does not count the assistant's words, or counts others: look at luthier data tokens"
    return judged("loss_mask", "fail" if wrong else "pass", wrong, 0, advice)


def check_round_trip(texts: Sequence[str], tokenizer: Any) -> Finding:
    """The share of texts that are others when they have been tokens: the model cannot see, or say, all of them. Spaces
    are not looked at, nor what the tokenizer means to change, such as upper case."""
    normalizer = tokenizer.backend_tokenizer.normalizer
    normal = [normalizer.normalize_str(text) if normalizer else text for text in texts]
    lost = sum(_compact(_again(tokenizer, text)) != _compact(kept) for text, kept in zip(texts, normal, strict=True))
    share = lost / len(texts)
    advice = "texts lose characters that the tokenizer does not know: clean them, or take another base model"
    return judged("round_trip", "pass" if share <= MOST_LOST else "warn", share, MOST_LOST, advice)


def check_template(template: ChatTemplate, rows: Sequence[Row], vocabulary: Collection[str]) -> Finding | None:
    """How many marks the template writes that look like tokens and are none in the `vocabulary`: then it is another
    model's. None where there is no conversation."""
    unknown: dict[str, None] = {}
    conversations = [row for row in rows if row.messages]
    for row in conversations:
        text = template.render(row.messages, tools=row.tools)
        for message in row.messages:
            text = text.replace(message["content"], "") if message["content"] else text
        unknown |= dict.fromkeys(mark for mark in MARKUP.findall(text) if mark not in vocabulary)
    if not conversations:
        return None
    advice = f"the template writes {', '.join(unknown)}, no token of this tokenizer: is it this model's template?"
    return judged("template", "warn" if unknown else "pass", len(unknown), 0, advice)


def check_end_known(
    objective: CausalObjective, rows: Sequence[TokenRow], ends: Collection[int], guess: Guess
) -> Finding | None:
    """The mean loss of the end tokens alone: a model that learnt by this template knows when an answer is over. None
    where the rows have none."""
    only_ends = [
        TokenRow(row.id, row.input_ids, tuple(t and i in ends for i, t in zip(row.input_ids, row.targets, strict=True)))
        for row in rows
    ]
    figures = objective.validation([row for row in only_ends if row.target_tokens])
    if figures is None:
        return None
    limit = HIGH_FOR_LEARNT * guess.loss
    advice = "the model does not know this end of an answer: another model's template, or one it has yet to learn"
    return judged("end_loss", "pass" if figures["loss"] <= limit else "warn", figures["loss"], limit, advice)


def check_added_tokens(
    rows: Sequence[TokenIds], embeddings: torch.Tensor, added: Mapping[int, str], trains: bool
) -> Finding | None:
    """How many of the added tokens in the rows have embeddings, [vocabulary, width], that mean nothing yet: far smaller
    than others, the mean of all, or another added token's. None where the rows have no added token."""
    used = sorted({token for row in rows for token in row.input_ids} & set(added))
    if not used:
        return None
    sample = embeddings[:: max(1, len(embeddings) // SAMPLED_EMBEDDINGS)].detach().float()
    usual, mean = statistics.median(sample.norm(dim=1).tolist()), sample.mean(dim=0)
    vectors = embeddings[used].detach().float()
    unit = torch.nn.functional.normalize(vectors, dim=1)
    alike = (unit @ unit.T).fill_diagonal_(0).amax(dim=1)
    empty = (vectors.norm(dim=1) < SMALL_EMBEDDING * usual) | (alike > ALIKE)
    empty |= unit @ torch.nn.functional.normalize(mean, dim=0) > ALIKE
    names = [added[token] for token, one in zip(used, empty.tolist(), strict=True) if one]
    cure = "they train, and need many rows" if trains else "train them: adapter.train_modules or method full"
    advice = f"the model has not learnt what {', '.join(names[:4])} means: {cure}"
    return judged("added_tokens", "warn" if names else "pass", len(names), 0, advice)


def _start(openings: Iterable[tuple[int, ...]], start: int, starts: bool) -> Finding:
    first_two = list(openings)
    double = sum(two == (start, start) for two in first_two) / len(first_two)
    if double:
        advice = "rows begin with two start tokens: template and tokenizer both add one"
        return Finding("start_token", "fail", double, 0, advice)
    without = sum(two[:1] != (start,) for two in first_two) / len(first_two) if starts else 0.0
    advice = "rows lack the start token that the tokenizer puts in front of a text: is this the model's template?"
    return judged("start_token", "warn" if without else "pass", without, 0, advice)


def _last_targets(row: TokenRow) -> list[int]:
    """The last token of each run of targets."""
    after = (*row.targets[1:], False)
    return [
        token
        for token, target, next_one in zip(row.input_ids, row.targets, after, strict=True)
        if target and not next_one
    ]


def _has_tools(row: Row) -> bool:
    return bool(row.tools) or any("tool_calls" in message or message["role"] == "tool" for message in row.messages)


def _masks_answers(row: Row, read: TokenRow, tokenizer: Any, control_tokens: Collection[int]) -> bool:
    """Whether the targets are the answers one after another, and nothing that others say is between them."""
    runs = token_runs(tokenizer, read, control_tokens)
    rest = _compact("".join(run.text for run in runs if run.target and not run.special))
    between = ""
    for message in row.messages:
        if message["role"] == "assistant":
            before, found, after = rest.partition(_compact(_again(tokenizer, message["content"])) or "\0")
            if message["content"].strip() and not found:
                return False
            between, rest = (between + before, after) if found else (between, rest)
    others = (_compact(message["content"]) for message in row.messages if message["role"] != "assistant")
    return not any(len(said) >= SHORT and said in between + rest for said in others)


def _again(tokenizer: Any, text: str) -> str:
    """The text after it has been tokens."""
    ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    back: str = tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return back


def _compact(text: str) -> str:
    """Without spaces, of which tokenizers have ways of their own."""
    return "".join(text.replace("▁", " ").split())
