"""One answer while it grows: which of its text may be shown, and when it is finished."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from luthier.core.generation import FinishReason, GenerationRequest

INCOMPLETE = "\ufffd"
"""What a decoder prints for bytes that do not yet make a character."""


@dataclass(slots=True)
class Answer:
    """`index` is the number of the request, `choice` that of the answer to it; `decode` turns token ids into text
    without special tokens."""

    index: int
    request: GenerationRequest
    prompt_tokens: int
    decode: Callable[[Sequence[int]], str]
    choice: int = 0
    tokens: list[int] = field(default_factory=list)
    text: str = ""
    """The whole characters of all tokens."""
    shown: int = 0
    """Characters of the text given out so far."""
    finish_reason: FinishReason | None = None
    _whole: int = 0
    _context: int = 0
    """The first `_whole` tokens make `text`; those from `_context` on are enough to decode what follows."""

    def add(self, token: int, is_end: bool) -> str:
        """Take the next token; the text that can be shown now: whole characters, and nothing of a stop string."""
        if is_end:
            self.finish_reason = "stop"
        else:
            self.tokens.append(token)
            self._extend_text()
        if cut := self._stop_string():
            self.text, self.finish_reason = self.text[: cut[0]], "stop"
        elif self.finish_reason is None and len(self.tokens) >= self.request.max_new_tokens:
            self.finish_reason = "length"
        end = len(self.text) if self.finish_reason else self._safe_end()
        fresh, self.shown = self.text[self.shown : end], max(self.shown, end)
        return fresh

    def _extend_text(self) -> None:
        """Decode the last few tokens, not all: some decoders treat the first token in their own way."""
        known = self.decode(self.tokens[self._context : self._whole])
        recent = self.decode(self.tokens[self._context :])
        if len(recent) > len(known) and not recent.endswith(INCOMPLETE):
            self.text += recent[len(known) :]
            self._context, self._whole = self._whole, len(self.tokens)

    def _stop_string(self) -> tuple[int] | None:
        places = [place for stop in self.request.stop if (place := self.text.find(stop)) >= 0]
        return (min(places),) if places else None

    def _safe_end(self) -> int:
        """Where text ends that no later token can take back: before half a stop string."""
        end = len(self.text)
        for stop in self.request.stop:
            for length in range(min(len(stop) - 1, end), 0, -1):
                if self.text.endswith(stop[:length], 0, end):
                    end -= length
                    break
        return end
