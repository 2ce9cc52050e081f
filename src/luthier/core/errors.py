"""Every error that a user can meet.

LuthierError                 exit code 1: one plain sentence, no stack trace
├── RecipeError              the recipe has a wrong field, value or reference
├── WorkspaceError           the folder is no workspace, is locked, or cannot be written
├── SourceError              a source file is missing, empty, unreadable or lacks a column
├── DatasetError             a dataset cannot be made or read
├── ModelError               a base model or adapter cannot be found, loaded or trusted
│   └── WeightsError         its weights are incomplete, or infinite or undefined somewhere
├── TemplateError            a chat template cannot be used for training or serving
├── RequestError             a request asks for what the model or this machine cannot give
├── GenerationError          a request went wrong while it was answered
│   └── DeadlineError        it took longer than it was given
├── TrainingError            training cannot start, resume or go on
├── EvaluationError          an evaluation cannot be made
├── RegistryError            an artefact or alias does not exist or is still in use
├── ServingError             the server cannot start
└── GateRefused              exit code 2: a gate said no

A command that Ctrl-C ended exits with 130.
"""


class LuthierError(Exception):
    """What went wrong, where (file, row, field), and what is allowed, as one sentence for a person."""

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, allowed: str | None = None) -> None:
        self.what, self.where, self.allowed = what, where, allowed
        sentence = f"{where}: {what}" if where else what
        super().__init__(f"{sentence} ({allowed})" if allowed else sentence)


class RecipeError(LuthierError):
    pass


class WorkspaceError(LuthierError):
    pass


class SourceError(LuthierError):
    pass


class DatasetError(LuthierError):
    pass


class ModelError(LuthierError):
    pass


class WeightsError(ModelError):
    pass


class TemplateError(LuthierError):
    pass


class RequestError(LuthierError):
    pass


class GenerationError(LuthierError):
    pass


class DeadlineError(GenerationError):
    pass


class TrainingError(LuthierError):
    pass


class EvaluationError(LuthierError):
    pass


class RegistryError(LuthierError):
    pass


class ServingError(LuthierError):
    pass


class GateRefused(LuthierError):
    exit_code = 2
