"""Prepare a dataset: read, clean, drop duplicates, split, write; every record accounted for."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from luthier.core.errors import DatasetError, RecipeError
from luthier.core.files import atomic_directory
from luthier.core.identity import file_digest
from luthier.core.recipe import CleanSection, DataSection, SplitSection, Task
from luthier.core.rows import Row
from luthier.data.boilerplate import SAMPLED_RECORDS, Boilerplate, Phrases, find_boilerplate
from luthier.data.clean import cleaning_steps, shaping_steps, spoken
from luthier.data.dataset import LEDGER_NAME, ROWS_NAME
from luthier.data.dedupe import exact_duplicates, near_duplicates
from luthier.data.encoder_passes import encoder_passes
from luthier.data.engine import running_on
from luthier.data.fairness import uneven_treatment
from luthier.data.language import known_languages
from luthier.data.layout import Layout, resolve_layout
from luthier.data.leakage import drop_leaks, rows_of_file, split_leakage
from luthier.data.passes import CorpusPass, run_passes
from luthier.data.ragged import Numbers, Ragged, joined, offsets_of
from luthier.data.reasons import reason_kind
from luthier.data.redaction import redact_value, redaction_rules
from luthier.data.report import Purpose, values_to_keep, write_report
from luthier.data.scratch import preparation_digest, scratch_folder
from luthier.data.semantic import Embed
from luthier.data.sketch import text_hashes
from luthier.data.split import Bonds, components_of, ranks_of, split_rows
from luthier.data.stage import LengthLimit, stage_records
from luthier.data.staged import Mask, Stage
from luthier.data.topics import TOPIC_SAMPLE, topic_names
from luthier.data.transform import Rules, sample_rows
from luthier.data.writing import NO_SPLIT, Duplicates, Verdicts, write_dataset
from luthier.sources import Manifest, Threading, sample_fields, spread_fields, write_shards

Progress = Callable[[str], None]
Links = Sequence[tuple[int, int]]
"""Pairs of rows to keep together."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A written dataset; `sources` are (name, SHA-256) of the files it was made from, `held_out` of those whose
    rows it must not have, `report` plain JSON values."""

    id: str
    folder: Path
    report: Mapping[str, object]
    sources: tuple[tuple[str, str], ...]
    held_out: tuple[tuple[str, str], ...]


def prepare(
    data: DataSection,
    root: Path,
    folder_for: Callable[[str], Path],
    purpose: Purpose,
    progress: Progress = lambda _: None,
    embed: Embed | None = None,
) -> Prepared:
    """Make the dataset that a recipe describes, with its report. Paths are relative to `root`.

    `data.held_out` names files, not folders. `folder_for` gives the folder of a dataset id. `embed` turns texts into
    vectors, and is called only where the recipe `needs_encoder`. The same files and recipe (and vectors) give the same
    id on every machine and engine. One that was killed or stopped goes on after the last partition that it finished.
    Raises SourceError, RecipeError, DatasetError (no row is left) or WorkspaceError (cannot write); then nothing is
    left behind.
    """
    started = time.perf_counter()
    _check_languages(data.clean.languages)
    if data.clean.redact:
        redaction_rules(data.clean.redact)
    paths = [(root / source.path, source.path) for source in data.sources]
    held_out = [row for name in data.held_out for row in rows_of_file(root / name, name, data, purpose.task)]
    digest = preparation_digest(data, [path for path, _ in paths], f"{purpose.counter.name} {purpose.task}")
    with scratch_folder(folder_for("any").parent, digest) as scratch:
        threading = [Threading(source.thread_by, source.agents) for source in data.sources]
        manifest = write_shards(paths, scratch / "shards", progress, threading)
        layouts = _layouts(data, manifest)
        limit = LengthLimit(data.max_length, purpose.counter, data.over_length)
        with running_on(data.engine):
            found = _find_boilerplate(data, layouts, manifest, purpose.task, progress)
            rules = _rules(data, layouts, purpose.task, found)
            stage = stage_records(manifest, rules, limit, scratch / "staged", progress)
        passes = _corpus_passes(data.clean, held_out, embed, scratch, progress)
        verdicts, leakage = _judge(stage, data, passes, scratch, progress)
        progress("writing the dataset")
        dataset_id, report = write_dataset(stage, verdicts, manifest, scratch)
        formats = {source.path: layout.shown for source, layout in zip(data.sources, layouts, strict=True)}
        report = {"dataset": dataset_id, **report, "formats": formats, "leakage": leakage}
        if found is not None:
            report["boilerplate"] = [each.to_json() for each in found]
        progress("writing the report")
        keep = values_to_keep(manifest, layouts, data.clean.redact)
        folder = folder_for(dataset_id)
        with atomic_directory(folder) as partial:
            for name in (ROWS_NAME, LEDGER_NAME):
                (scratch / name).replace(partial / name)
            told = write_report(partial, report, keep, purpose, data.clean.redact)
    seconds = round(time.perf_counter() - started, 3)
    full_report = {**report, **told, "path": str(folder), "seconds": seconds}
    sources = tuple((entry.name, entry.digest) for entry in manifest.sources)
    kept_out = tuple((name, file_digest([root / name])) for name in data.held_out)
    return Prepared(dataset_id, folder, full_report, sources, kept_out)


def _check_languages(languages: Sequence[str]) -> None:
    if languages and (unknown := sorted(set(languages) - known_languages())):
        raise RecipeError(
            f"data.clean.languages: unknown {', '.join(unknown)}",
            where="recipe",
            allowed=f"ISO 639-1 codes: {', '.join(sorted(known_languages()))}",
        )


def _layouts(data: DataSection, manifest: Manifest) -> list[Layout]:
    return [
        resolve_layout(source, entry.fields, sample_fields(manifest, number), data.split.group_by)
        for number, (source, entry) in enumerate(zip(data.sources, manifest.sources, strict=True))
    ]


def _find_boilerplate(
    data: DataSection, layouts: Sequence[Layout], manifest: Manifest, task: Task, progress: Progress
) -> list[Boilerplate] | None:
    """What recurs at the edges of turns in a sample of the records, masked; None where it is not to be looked for."""
    if data.clean.boilerplate not in ("flag", "remove"):
        return None
    progress("looking for boilerplate")
    rules = Rules(layouts, shaping_steps(data.system, task), data.split.group_by, data.clean.redact)
    sample = sample_rows(spread_fields(manifest, SAMPLED_RECORDS), rules)
    return find_boilerplate(sample, lambda sentence: str(redact_value(sentence, data.clean.redact, Counter())))


def _rules(data: DataSection, layouts: Sequence[Layout], task: Task, found: Sequence[Boilerplate] | None) -> Rules:
    """What is done to each record. What had to be counted over all records before comes in here: `found`."""
    phrases = None
    if found is not None:
        phrases = Phrases.found(found)
    elif data.clean.boilerplate:
        phrases = Phrases.listed(data.clean.boilerplate)
    steps = cleaning_steps(data.clean, data.system, task, phrases)
    return Rules(layouts, steps, data.split.group_by, data.clean.redact)


def _corpus_passes(
    clean: CleanSection, held_out: Sequence[Row], embed: Embed | None, scratch: Path, progress: Progress
) -> Sequence[CorpusPass]:
    """What is looked for in all rows together, after duplicates are gone and before the split."""
    kept_out = [CorpusPass(partial(drop_leaks, held_out=held_out), drops=True)] if held_out else []
    fairness = [CorpusPass(partial(uneven_treatment, scratch=scratch), drops=False)] if clean.uneven_treatment else []
    return [*kept_out, *encoder_passes(clean, embed, scratch, progress), *fairness]


def _judge(
    stage: Stage, data: DataSection, passes: Sequence[CorpusPass], scratch: Path, progress: Progress
) -> tuple[Verdicts, dict[str, object]]:
    """What becomes of the records that cleaning let pass, and what leaks from one split to another.

    Raises DatasetError if none is kept.
    """
    progress("looking for duplicates")
    duplicates, together = _find_duplicates(stage, data.clean.near_duplicates)
    kept = stage.eligible.copy()
    kept[[*duplicates.exact, *duplicates.near]] = False
    remarks = run_passes(stage, kept, passes)
    if not kept.any():
        raise _nothing_left(stage)
    splits = np.full(len(kept), NO_SPLIT, np.int8)
    progress("dividing the rows")
    words = stage.write_word_sets(kept, scratch / "word_sets.bin")
    components = components_of(words.mapped(), _bonds(stage, kept, together))
    splits[kept] = _split(stage, kept, components, data.split)
    return Verdicts(splits, duplicates, remarks), split_leakage(words.mapped(), splits[kept])


def _find_duplicates(stage: Stage, threshold: float | None) -> tuple[Duplicates, Links]:
    """Without a threshold nothing is dropped, but what is alike stays together."""
    exact = exact_duplicates(stage.keys, stage.eligible, stage.present)
    first = np.ones_like(stage.eligible)
    first[list(exact)] = False
    near = near_duplicates(stage, stage.eligible & first, stage.present & first, threshold)
    if threshold is None:
        return Duplicates({}, {}), [*near.siblings, *((lead, row) for row, lead in exact.items())]
    return Duplicates(exact, near.matches), near.siblings


def _bonds(stage: Stage, kept: Mask, together: Links) -> Bonds:
    """What keeps rows together that are kept, beyond their words."""
    place = np.cumsum(kept) - 1
    pairs = np.array(together, np.int64).reshape(-1, 2)
    groups = [
        Ragged(text_hashes(batch["groups"].flatten()), offsets_of(batch["groups"].value_lengths()))
        for batch in stage.batches(kept, ["groups"])
    ]
    return Bonds(joined(groups), place[pairs[kept[pairs].all(axis=1)]])


def _split(stage: Stage, kept: Mask, components: Numbers, settings: SplitSection) -> npt.NDArray[np.int8]:
    """The number of the split of each row that is kept."""
    ids = np.concatenate([np.array(batch["id"].to_pylist(), np.bytes_) for batch in stage.batches(kept, ["id"])])
    return split_rows(ids, components, _strata(stage, kept, settings.stratify), settings)


def _strata(stage: Stage, kept: Mask, by: Literal["label", "topic"] | None) -> Numbers:
    """Numbers for what has its share of rows in every split, for each row that is kept."""
    if by == "label":
        labels = (batch["label"].to_pylist() for batch in stage.batches(kept, ["label"]))
        return ranks_of([label or "" for label in batch] for batch in labels)
    if by == "topic":
        sample = np.zeros_like(kept)
        sample[np.flatnonzero(kept)[:: 1 + int(kept.sum()) // TOPIC_SAMPLE]] = True
        return ranks_of([topic_names(*((spoken(row) for _, row in stage.rows(some)) for some in (sample, kept)))])
    return np.zeros(int(kept.sum()), np.int64)


def _nothing_left(stage: Stage) -> DatasetError:
    reasons = Counter(
        reason_kind(reason)
        for part in stage.parts
        for batch in part.batches(["reasons"])
        for reason in batch["reasons"].flatten().to_pylist()
    )
    why = ", ".join(f"{kind} ({count})" for kind, count in reasons.most_common())
    return DatasetError(f"no rows are left of {len(stage.keys)} records: {why}", where="data")
