"""What a task makes of a row, whatever format it came in."""

from dataclasses import replace

from luthier.core.recipe import Task
from luthier.core.rows import Message, Row, changed
from luthier.data.reasons import Dropped, dropped


def fit_task(row: Row, task: Task) -> Row | Dropped:
    """The row as the task takes it, or why the task has no use for it.

    - chat: conversations and plain text. A labelled text becomes a question that its label answers. Of a preference
      pair the chosen answer stays; conversations that people disliked go.
    - completion: plain text, or one prompt and its completion; the turns before the last answer are joined.
    - causal_lm, masked_lm: everything as plain text, a line a turn.
    - classification: what has a label, conversations as one text.
    - preference: what has a rejected answer or a rating.
    - seq2seq: the last request and its answer.
    """
    if task in ("causal_lm", "masked_lm"):
        return changed(row, messages=(), tools=(), text=row.plain(), label=None, rejected=())
    if task == "classification":
        text = row.plain()
        return replace(row, messages=(), tools=(), text=text) if row.label else dropped("no label")
    if task == "preference":
        return row if row.rejected or row.rating else dropped("no preference", "neither rejected answer nor rating")
    if row.rating == "down":
        return dropped("rated down")
    answered = changed(row, messages=_as_exchange(row), text="" if row.label else row.text, rejected=())
    if task == "chat" or not answered.messages:
        return answered if answered.messages or task != "seq2seq" else dropped("no request", "plain text")
    return _one_exchange(answered, keep_earlier=task == "completion")


def _as_exchange(row: Row) -> tuple[Message, ...]:
    """The conversation, or of a labelled text the text and its label."""
    if row.messages or not row.label:
        return row.messages
    return Message(role="user", content=row.text), Message(role="assistant", content=row.label)


def _one_exchange(row: Row, *, keep_earlier: bool) -> Row | Dropped:
    """System turns, one request and one answer. The request is all that was said before, or the user's last turns."""
    if row.tools or any("tool_calls" in message for message in row.messages):
        return dropped("tool calls", "only chat rows can have them")
    turns = [message for message in row.messages if message["role"] != "system"]
    while turns and turns[-1]["role"] != "assistant":
        turns.pop()
    answer: list[str] = []
    while turns and turns[-1]["role"] == "assistant":
        answer.insert(0, turns.pop()["content"])
    if not keep_earlier:
        earlier = [place for place, message in enumerate(turns) if message["role"] != "user"]
        turns = turns[earlier[-1] + 1 :] if earlier else turns
    if not answer:
        return row  # Settling says what it lacks.
    if not turns:
        return dropped("no request", "no user turn comes before the last answer")
    system = [message for message in row.messages if message["role"] == "system"]
    request = Message(role="user", content="\n".join(message["content"] for message in turns))
    return replace(row, messages=(*system, request, Message(role="assistant", content="\n".join(answer))))
