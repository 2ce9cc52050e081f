"""One answer while it grows: which of its text may be shown, and when it is finished."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from luthier.core.generation import FinishReason, GenerationRequest

INCOMPLETE = "\ufffd"
"""What a decoder prints for bytes that do not yet make a character."""


@dataclass(slots=True)
class Answer:
    """`index` is the number of the request; `decode` turns token ids into text without special tokens."""

    index: int
    request: GenerationRequest
    prompt_tokens: int
    decode: Callable[[Sequence[int]], str]
    tokens: list[int] = field(default_factory=list)
    shown: int = 0
    """Characters of the text given out so far."""
    finish_reason: FinishReason | None = None

    def add(self, token: int, is_end: bool) -> str:
        """Take the next token; the text that can be shown now: whole characters, and nothing of a stop string."""
        if is_end:
            self.finish_reason = "stop"
        else:
            self.tokens.append(token)
        text = self.decode(self.tokens)
        if cut := self._stop_string_at(text):
            text, self.finish_reason = text[: cut[0]], "stop"
        elif self.finish_reason is None and len(self.tokens) >= self.request.max_new_tokens:
            self.finish_reason = "length"
        end = len(text) if self.finish_reason else self._safe_end(text)
        fresh, self.shown = text[self.shown : end], max(self.shown, end)
        return fresh

    def _stop_string_at(self, text: str) -> tuple[int] | None:
        places = [place for stop in self.request.stop if (place := text.find(stop)) >= 0]
        return (min(places),) if places else None

    def _safe_end(self, text: str) -> int:
        """Where text ends that no later token can take back: before broken characters and half stop strings."""
        end = len(text.rstrip(INCOMPLETE))
        for stop in self.request.stop:
            for length in range(min(len(stop) - 1, end), 0, -1):
                if text.endswith(stop[:length], 0, end):
                    end -= length
                    break
        return end
