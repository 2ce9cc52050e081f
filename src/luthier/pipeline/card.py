"""The model card of a run (Mitchell et al. 2019, Model Cards for Model Reporting), filled from its lineage."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from luthier.core.artefacts import Artefact
from luthier.core.errors import EvaluationError, RecipeError
from luthier.core.recipe import read_yaml
from luthier.evaluation import METRICS, Assessment, Metric, difference_text, figure_text, forgetting_sentence
from luthier.pipeline.project import Project

RECIPE = "recipe.yaml"
_WEAKEST = 3
_SECTIONS = ("data", "adapter", "training")
"""Of the recipe, what a card tells."""
_WITHOUT = "delete the file for a card without it"
_TRAINED = (
    "rows",
    "steps",
    "tokens",
    "target_tokens",
    "train_loss",
    "validation_loss",
    "kept_step",
    "dtype",
    "seconds",
)


@dataclass(frozen=True, slots=True)
class _Origins:
    """A run and what it came from; `recipe` is the one that it was trained by, empty where its folder is gone."""

    run: Artefact
    dataset: Artefact
    base: Artefact
    recipe: Mapping[str, Any]
    sources: Sequence[Artefact]


def model_card(project: Project, run: Artefact, assessment: Assessment) -> str:
    """Markdown with the header that model hubs read: what it is, what it was made from, how good it is, where it
    fails."""
    origins = _origins(project, run)
    header = {
        "base_model": str(origins.base.summary.get("name", origins.base.id)),
        "tags": ["luthier", project.recipe.task],
    }
    return (
        "\n\n".join(
            [
                f"---\n{yaml.safe_dump(header, sort_keys=False)}---",
                f"# {project.recipe.name}: {run.id}",
                f"{run.id} was tuned from {header['base_model']} ({origins.base.id}) on {origins.dataset.id}.",
                *_use(origins),
                *_verdict(assessment),
                *_limits(assessment),
                *_data(origins),
                *_training(origins),
                *_figures(assessment),
            ]
        )
        + "\n"
    )


def _origins(project: Project, run: Artefact) -> _Origins:
    dataset, base = (project.registry.get(parent) for parent in run.parents[:2])
    recipe = _trained_by(project.workspace.root / run.path / RECIPE) if run.path is not None else {}
    sources = [project.registry.get(parent) for parent in dataset.parents]
    return _Origins(run, dataset, base, recipe, [source for source in sources if source.kind == "source"])


def _trained_by(path: Path) -> Mapping[str, Any]:
    """The recipe that a run keeps, empty where it is gone. Raises EvaluationError where it is damaged."""
    if not path.is_file():
        return {}
    try:
        recipe = read_yaml(path.read_text(encoding="utf-8"), path.name, "not valid YAML")
    except (OSError, ValueError, RecipeError) as error:
        raise EvaluationError("the run's own recipe cannot be read", where=str(path), allowed=_WITHOUT) from error
    if not isinstance(recipe, dict) or not all(isinstance(recipe.get(name, {}), dict) for name in _SECTIONS):
        raise EvaluationError("the run's own recipe is no recipe", where=str(path), allowed=_WITHOUT)
    return recipe


def _use(origins: _Origins) -> Iterable[str]:
    system = origins.recipe.get("data", {}).get("system")
    yield "## Use"
    yield (
        "It is meant for questions like those in its training data"
        + (f", behind this system prompt:\n\n> {system}" if system else ".")
        + "\n\nWhat lies outside of them was not tested."
    )


def _verdict(assessment: Assessment) -> Iterable[str]:
    yield "## Verdict"
    lines = [f"- {gate.gate}: {gate.verdict}. {gate.reason}" for gate in assessment.gates]
    yield "\n".join([f"**{assessment.verdict}** beside {assessment.reference} ({assessment.id})", "", *lines])


def _limits(assessment: Assessment) -> Iterable[str]:
    """What the evaluation found that a user should know beforehand."""
    yield "## Limits"
    metrics = assessment.metrics
    lines = [
        f"- {metric.label}: {figure_text(metric, metrics[metric.name])}"
        for metric in METRICS
        if metric.name in ("facts_wrong", "facts_unsupported", "never_stopped") and metric.name in metrics
    ]
    lines += [f"- {forgetting_sentence(assessment.forgetting)}"] if assessment.forgetting else []
    topics = [one for one in assessment.slices if one.metric == "facts_recalled"]
    weakest = sorted(topics, key=lambda one: one.candidate.value)[:_WEAKEST]
    lines += [f"- weak on {one.by} {one.name}: {one.candidate.value:.0%} of {one.examples} recalled" for one in weakest]
    yield "\n".join(lines) or "Nothing was measured that would tell."


def _data(origins: _Origins) -> Iterable[str]:
    summary = origins.dataset.summary
    yield "## Training data"
    yield _table(
        ("source", "SHA-256"), [(str(one.summary["file"]), str(one.summary["sha256"])[:16]) for one in origins.sources]
    )
    counts = f"{summary.get('read')} records were read, {summary.get('kept')} kept, {summary.get('dropped')} dropped"
    splits = summary.get("splits")
    if isinstance(splits, Mapping):
        counts += f"; rows: {', '.join(f'{rows} {split}' for split, rows in splits.items())}"
    redactions = summary.get("redactions")
    if isinstance(redactions, Mapping) and redactions:
        counts += f". Masked: {', '.join(f'{count} {kind}' for kind, count in redactions.items())}"
    yield f"{counts}."


def _training(origins: _Origins) -> Iterable[str]:
    yield "## Training"
    figures = [
        (name, _plain(origins.run.summary[name])) for name in _TRAINED if origins.run.summary.get(name) is not None
    ]
    settings = [
        (f"{section}.{name}", _plain(value))
        for section in ("adapter", "training")
        for name, value in origins.recipe.get(section, {}).items()
        if value is not None
    ]
    yield _table(("", ""), [*figures, *settings])


def _figures(assessment: Assessment) -> Iterable[str]:
    yield "## Evaluation"
    yield "95 % intervals in brackets; the difference pairs both models example by example."
    yield _table(
        ("", assessment.candidate, assessment.reference, "difference"),
        [_figure(metric, assessment) for metric in METRICS if metric.name in assessment.metrics],
    )


def _figure(metric: Metric, assessment: Assessment) -> tuple[str, ...]:
    name = metric.name
    return (
        metric.label,
        figure_text(metric, assessment.metrics.get(name)),
        figure_text(metric, assessment.reference_metrics.get(name)),
        difference_text(metric, assessment.differences.get(name)),
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
