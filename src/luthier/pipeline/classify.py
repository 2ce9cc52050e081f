"""`luthier classify`: the labels that a run gives to texts."""

from collections.abc import Sequence
from dataclasses import dataclass

from luthier.core.artefacts import Artefact
from luthier.core.errors import ModelError
from luthier.core.recipe import RedactSection
from luthier.core.rows import Origin, Row
from luthier.data.clean import mend_row
from luthier.data.redaction import redact_row
from luthier.pipeline.base import open_base
from luthier.pipeline.engine import task_of
from luthier.pipeline.labels import run_classifier
from luthier.pipeline.project import Project
from luthier.pipeline.release import released

MOST_LABELS = 3


@dataclass(frozen=True, slots=True)
class Classified:
    """A text, and the labels that a run finds likeliest for it, the likeliest first, with their probabilities."""

    text: str
    labels: tuple[tuple[str, float], ...]

    def to_json(self) -> dict[str, object]:
        labels = [{"label": label, "probability": probability} for label, probability in self.labels]
        return {"text": self.text, "labels": labels}


def classify(project: Project, texts: Sequence[str], model: str | None = None) -> list[Classified]:
    """What a run makes of these texts: the named one, else the released one, else the latest.

    Texts are mended and masked as the rows were that it learned from. Raises ModelError for a run that gives no labels
    and for a text that is too long, TemplateError for one that cannot be read.
    """
    run = _run(project, model)
    base = open_base(project)
    classifier = run_classifier(project, base, run.id)
    redact = project.recipe.data.clean.redact
    rows = [_read(text, redact if redact and redact.mode == "mask" else None) for text in texts]
    tokens = base.tokens(rows)
    longest = max(map(len, tokens), default=0)
    if classifier.max_tokens is not None and longest > classifier.max_tokens:
        raise ModelError(f"a text has {longest} tokens, and the model reads {classifier.max_tokens}", where=run.id)
    found = classifier.log_probabilities([row.input_ids for row in tokens]).exp()
    best = found.topk(min(MOST_LABELS, len(classifier.labels)), dim=1)
    return [
        Classified(
            text,
            tuple((classifier.labels[number], float(share)) for number, share in zip(numbers, shares, strict=True)),
        )
        for text, numbers, shares in zip(texts, best.indices.tolist(), best.values.tolist(), strict=True)
    ]


def _read(text: str, redact: RedactSection | None) -> Row:
    row = redact_row(mend_row(Row("text", Origin("text", 1), text=text)), redact)
    assert isinstance(row, Row), "masking drops nothing"
    return row


def _run(project: Project, model: str | None) -> Artefact:
    release = released(project)
    if model is not None and not (release and model == project.recipe.name):
        run = project.registry.get(model, "run")
    else:
        run = project.registry.get(release.parents[0], "run") if release else project.registry.latest("run")
    if task_of(run) != "classification" or project.recipe.task != "classification":
        raise ModelError(f"{run.id} gives no labels", where="task", allowed="a run of task classification")
    return run
