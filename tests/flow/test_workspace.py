"""A workspace that changes between two commands, or that two commands use at once."""

import shutil
from pathlib import Path

import pytest

import luthier

COMMANDS = (["check"], ["plan"], ["train"])


@pytest.mark.parametrize("arguments", COMMANDS)
def test_files_that_changed_ask_for_a_new_dataset(command, prepared_shop, arguments):
    with (prepared_shop / "raw" / "tickets.csv").open("a") as tickets:
        tickets.write('"Do you sell gift cards in the shop?","We sell gift cards of any value."\n')
    [dataset] = (path.name for path in (prepared_shop / ".luthier" / "datasets").iterdir())
    refused = command(prepared_shop, *arguments)
    assert refused.code == 1
    assert refused.err == f"luthier: raw/tickets.csv has changed since {dataset} was made (run: luthier prepare)\n"
    assert command(prepared_shop, "prepare").code == 0
    assert command(prepared_shop, "plan").code == 0


def test_a_file_that_was_added_asks_for_a_new_dataset(command, prepared_shop):
    (prepared_shop / "raw" / "more").mkdir()
    (prepared_shop / "raw" / "more" / "faq.md").write_text("# Parking\n\nYou may park behind the shop for an hour.\n")
    refused = command(prepared_shop, "train")
    assert refused.code == 1
    assert refused.err.startswith("luthier: raw/more/faq.md was added since dataset-")
    assert refused.err.endswith(" was made (run: luthier prepare)\n")


def test_raw_files_may_be_put_away_after_preparing(command, prepared_shop):
    shutil.rmtree(prepared_shop / "raw")
    assert command(prepared_shop, "plan").code == 0


@pytest.mark.parametrize("override", ["data.max_length=200", "data.system=You are another.", "data.split.seed=3"])
def test_another_data_section_asks_for_its_own_dataset(command, prepared_shop, override):
    refused = command(prepared_shop, "train", "-o", override)
    assert refused.err == "luthier: there is no dataset of this recipe yet (make it with: luthier prepare)\n"


def test_a_dataset_whose_files_are_gone(command, prepared_shop):
    shutil.rmtree(prepared_shop / ".luthier" / "datasets")
    refused = command(prepared_shop, "train")
    assert refused.code == 1
    assert "rows.parquet" in refused.err
    assert command(prepared_shop, "prepare").code == 0
    assert command(prepared_shop, "plan").code == 0


@pytest.mark.parametrize(
    "arguments", [["prepare"], *COMMANDS, ["evaluate"], ["release", "promote"], ["registry", "gc"]]
)
def test_two_commands_at_once(command, prepared_shop, arguments):
    with luthier.open_project(prepared_shop) as project, project.locked("train"):
        refused = command(prepared_shop, *arguments)
    assert refused.code == 1
    assert "another luthier command (train, process " in refused.err
    assert refused.err.endswith(") is working in this workspace (wait until it has ended)\n")
    assert len(refused.err.splitlines()) == 1


def test_what_only_looks_needs_no_lock(command, prepared_shop):
    with luthier.open_project(prepared_shop) as project, project.locked("train"):
        for arguments in (["registry", "list"], ["data", "show"], ["data", "why"], ["monitor"]):
            assert command(prepared_shop, *arguments).code == 0


def test_a_moved_workspace_works_on(command, evaluated_shop, tmp_path):
    moved = Path(shutil.move(evaluated_shop, tmp_path / "elsewhere"))
    ended = command(moved, "evaluate")
    assert ended.code == 0, ended.err


def test_commands_work_from_a_folder_below(command, prepared_shop):
    assert command(prepared_shop / "raw", "plan").code == 0


def test_the_same_files_make_the_same_dataset_and_run(command, prepared_shop, evaluated_shop):
    again = command(prepared_shop, "prepare", "--json").json["dataset"]
    assert [path.name for path in (prepared_shop / ".luthier" / "datasets").iterdir()] == [again]
    run = command(prepared_shop, "train", "--json").json["run"]
    assert [path.name for path in (evaluated_shop / ".luthier" / "runs").iterdir()] == [run]
