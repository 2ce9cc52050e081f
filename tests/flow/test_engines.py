"""Wherever records are cleaned, the same files and recipe give the same dataset."""

import json
import subprocess
import sys

import pytest

LUTHIER = (sys.executable, "-c", "import luthier.cli; luthier.cli.main()")
"""The command in a process of its own: a process keeps to the engine that it began with."""


@pytest.mark.slow
def test_a_ray_that_is_started_here_gives_the_same_dataset(prepared_shop):
    [local] = (folder.name for folder in (prepared_shop / ".luthier" / "datasets").iterdir())
    ended = subprocess.run(
        [*LUTHIER, "prepare", "-o", "data.engine=ray", "--json"],
        cwd=prepared_shop,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["dataset"] == local
    assert "cleaned 54 of 54 records" in ended.stderr, "the dataset that was there is made anew"


@pytest.mark.slow
def test_a_cluster_that_cannot_be_reached_is_named(prepared_shop):
    ended = subprocess.run(
        [*LUTHIER, "prepare", "-o", "data.engine=ray://127.0.0.1:1"],
        cwd=prepared_shop,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("luthier: recipe: data.engine: cannot reach ray://127.0.0.1:1")
    assert "Traceback" not in ended.stderr
