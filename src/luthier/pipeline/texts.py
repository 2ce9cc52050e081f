"""Losses of models that learn the words of plain text, for an evaluation."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain

from luthier.core.rows import Row, RowLoss, TokenRow
from luthier.evaluation import HeldOutRow, Measured
from luthier.models.losses import RowsLoss
from luthier.models.masking import HELD_OUT, MaskedLoss, MaskedRow, load_masked
from luthier.pipeline.base import Base
from luthier.pipeline.measure import general_rows, held_out_row
from luthier.pipeline.objectives import load_run
from luthier.pipeline.project import Project


def measure_texts(
    project: Project, base: Base, held_out: Mapping[str, Sequence[Row]], models: Sequence[str]
) -> tuple[dict[str, Measured], dict[str, HeldOutRow]]:
    """Each model's losses on validation and test rows and on general text, by its id, and what is known of the test
    rows. Of rows with masked words the masks are the same for every model."""
    rows = (held_out["test"], held_out["validation"], general_rows())
    splits = [base.tokens(some) for some in rows]
    masked = project.recipe.task == "masked_lm"
    measured = {}
    for model in models:
        project.reporter.say(f"measuring the loss of {model}")
        losses = _losses(project, base, model, splits, masked)
        measured[model] = Measured(model, test=losses[0], validation=losses[1], general=losses[2])
    known = [held_out_row(base, row, encoded) for row, encoded in zip(rows[0], splits[0], strict=True)]
    if masked:  # not all that could be predicted is
        known = [replace(row, target_bytes=0) for row in known]
    return measured, {row.row_id: row for row in known}


def _losses(
    project: Project, base: Base, model: str, splits: Sequence[Sequence[TokenRow]], masked: bool
) -> list[list[RowLoss]]:
    """Of rows with masked words those that the model can read: general text may be too long."""
    run = None if model == base.artefact.id else load_run(project, base, project.registry.get(model))
    if not masked:
        loss = RowsLoss(base.load() if run is None else run)
        return [loss.row_losses(rows) for rows in splits]
    encoder = load_masked(base.files, base.dtype, project.recipe.training.seed).model if run is None else run
    by_masks = MaskedLoss(encoder, base.tokenizer)
    longest = by_masks.max_tokens or max(map(len, chain(*splits)), default=0)
    return [by_masks.row_losses([MaskedRow(row, HELD_OUT) for row in rows if len(row) <= longest]) for rows in splits]
