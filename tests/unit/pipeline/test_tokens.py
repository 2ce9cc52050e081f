"""Rows of a dataset as the model reads them."""

import pytest

import luthier
from luthier.core.errors import DatasetError
from luthier.pipeline.base import open_base


def test_rows_are_encoded_as_training_encodes_them(prepared_shop):
    with luthier.open_project(prepared_shop) as project:
        shown = luthier.show_tokens(project, split="test", limit=2)
        rows = luthier.show_rows(project, None, "test", 2)
        assert [read.row for read in shown] == rows
        assert [read.tokens for read in shown] == open_base(project).tokens(rows)
    for read in shown:
        assert sum(run.tokens for run in read.runs) == len(read.tokens)
        learned = "".join(run.text for run in read.runs if run.target)
        assert learned.removesuffix("<|im_end|>") == read.row.messages[-1]["content"]


def test_one_row_is_found_in_any_split(prepared_shop):
    with luthier.open_project(prepared_shop) as project:
        wanted = luthier.show_rows(project, None, "validation", 2)[1]
        [read] = luthier.show_tokens(project, row=wanted.id)
        assert read.row == wanted
        with pytest.raises(DatasetError, match=r"no row row-17 \(an id as `data show` prints it\)"):
            luthier.show_tokens(project, row="row-17")
