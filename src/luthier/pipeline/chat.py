"""`luthier chat`: a conversation with the base model, a run or the released one."""

from collections.abc import Iterator

from luthier.core.generation import GenerationRequest, Generator
from luthier.core.rows import Message
from luthier.pipeline.base import open_base
from luthier.pipeline.engine import RunsGenerator, conversation
from luthier.pipeline.project import Project
from luthier.pipeline.serve import resolve_model


class ChatSession:
    """Turns so far, and who answers. `model` is the id of the base model or a run."""

    def __init__(self, generator: Generator, model: str, system: str, max_new_tokens: int) -> None:
        self._generator, self.model = generator, model
        self._system, self._max_new_tokens = system, max_new_tokens
        self._turns: list[Message] = []

    def ask(self, question: str) -> Iterator[str]:
        """The answer, piece by piece. A conversation continues only with answers that were read to their end.

        Raises LuthierError for a question that cannot be answered.
        """
        turns: list[Message] = [*self._turns, {"role": "user", "content": question}]
        request = GenerationRequest(self.model, conversation(self._system, *turns), self._max_new_tokens)
        answer = ""
        for event in self._generator.stream([request]):
            if event.error is not None:
                raise event.error
            answer += event.text
            yield event.text
        self._turns = [*turns, {"role": "assistant", "content": answer}]


def open_chat(project: Project, model: str | None = None) -> ChatSession:
    """A conversation with the named model: an alias, a run or the base; the released or latest run for None."""
    base = open_base(project)
    chosen = resolve_model(project, base.artefact.id, model)
    recipe = project.recipe
    return ChatSession(RunsGenerator(project, base), chosen, recipe.data.system, recipe.serving.max_new_tokens)
