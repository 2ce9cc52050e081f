"""Training that was killed or stopped goes on where it was, and ends where it would have ended."""

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import luthier
from luthier.cli.console import TerminalReporter
from luthier.core.progress import Silent

KILLED = """
import os, signal, sys
import luthier

class Killer:
    def say(self, text):
        pass

    def progress(self, what, done, total, detail=""):
        if what == "training" and done == int(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGKILL)

with luthier.open_project(".", reporter=Killer()) as project:
    luthier.train(project)
"""


def press_ctrl_c(_reporter, what, done, *_):
    if what == "training" and done == 7:
        signal.raise_signal(signal.SIGINT)


@pytest.fixture(scope="module")
def _stopped_once(_prepared_once, tmp_path_factory):
    class Stopper(Silent):
        progress = press_ctrl_c

    shop = Path(shutil.copytree(_prepared_once, tmp_path_factory.mktemp("stopped") / "shop"))
    with luthier.open_project(shop, reporter=Stopper()) as project, pytest.raises(KeyboardInterrupt):
        luthier.train(project)
    return shop


@pytest.fixture
def stopped_shop(_stopped_once, tmp_path):
    """A workspace of its own for each test, whose training was stopped by Ctrl-C after step 7."""
    return Path(shutil.copytree(_stopped_once, tmp_path / "stopped" / "shop"))


def assert_same_training(shop, undisturbed):
    """The one run of each workspace has the same figures and curves; nothing else is left."""
    [found], [expected] = (list((folder / ".luthier" / "runs").iterdir()) for folder in (shop, undisturbed))
    figures, reference = (json.loads((run / "run.json").read_text()) for run in (found, expected))
    for name in ("rows", "steps", "tokens", "target_tokens", "kept_step"):
        assert figures[name] == reference[name]
    for name in ("train_loss", "validation_loss"):
        assert figures[name] == pytest.approx(reference[name], abs=1e-3)
    curves, reference_curves = (json.loads((run / "curves.json").read_text()) for run in (found, expected))
    for name in ("train", "validation"):
        for point, other in zip(curves[name], reference_curves[name], strict=True):
            assert point == pytest.approx(other, abs=1e-3)


def resumed_from(ended):
    assert ended.code == 0, ended.err
    return int(re.search(r"going on from step (\d+) of \d+", ended.err)[1])


def test_killed_training_goes_on_from_its_last_checkpoint(command, prepared_shop, evaluated_shop):
    killed = subprocess.run([sys.executable, "-c", KILLED, "17"], cwd=prepared_shop, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert resumed_from(command(prepared_shop, "train", "--resume")) == 10  # the last validation
    assert_same_training(prepared_shop, evaluated_shop)


def test_stopped_training_leaves_its_curves(command, prepared_shop, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(TerminalReporter, "progress", press_ctrl_c)
        stopped = command(prepared_shop, "train")
    assert stopped.code == 130
    assert stopped.err.endswith("Training was stopped. Go on with: luthier train --resume\nluthier: stopped\n")
    [partial] = (prepared_shop / ".luthier" / "runs").iterdir()
    assert [point["step"] for point in json.loads((partial / "curves.json").read_text())["train"]] == list(range(1, 8))
    assert (partial / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_stopped_training_goes_on_from_the_very_step(command, stopped_shop, evaluated_shop):
    assert resumed_from(command(stopped_shop, "train", "--resume")) == 7
    assert_same_training(stopped_shop, evaluated_shop)


def test_there_is_nothing_to_resume(command, prepared_shop):
    refused = command(prepared_shop, "train", "--resume")
    assert (refused.code, refused.err) == (
        1,
        "luthier: there is nothing to resume: no training was interrupted\n",
    )


@pytest.mark.parametrize(
    ("overrides", "differing"),
    [
        (["training.seed=1"], "training.seed"),
        (["adapter.r=4", "training.learning_rate=1e-4"], "adapter.r, training.learning_rate"),
    ],
)
def test_another_recipe_does_not_go_on(command, stopped_shop, overrides, differing):
    options = [word for override in overrides for word in ("-o", override)]
    refused = command(stopped_shop, "train", "--resume", *options)
    assert refused.code == 1
    assert refused.err == f"luthier: there is nothing to resume: the interrupted training has another {differing}\n"


def test_another_dataset_does_not_go_on(command, stopped_shop):
    with (stopped_shop / "raw" / "tickets.csv").open("a") as tickets:
        tickets.write('"Do you sell gift cards in the shop?","We sell gift cards of any value."\n')
    assert command(stopped_shop, "prepare").code == 0
    refused = command(stopped_shop, "train", "--resume")
    assert refused.err == "luthier: there is nothing to resume: the interrupted training has another dataset\n"


def test_starting_anew_puts_the_interrupted_training_aside(command, stopped_shop, evaluated_shop):
    trained = command(stopped_shop, "train")
    assert trained.code == 0
    [abandoned] = (stopped_shop / ".luthier" / "runs").glob("*.abandoned")
    assert f"starting anew; the interrupted training is in {abandoned.name}\n" in trained.err
    collected = command(stopped_shop, "registry", "gc")
    assert f"removed .luthier/runs/{abandoned.name}\n" in collected.out
    assert_same_training(stopped_shop, evaluated_shop)


def test_training_that_cannot_be_set_up_leaves_nothing(command, prepared_shop):
    refused = command(prepared_shop, "train", "-o", "adapter.target_modules=[q_projj]")
    assert refused.code == 1
    assert "did you mean q_proj?" in refused.err
    assert not (prepared_shop / ".luthier" / "runs").exists()


def test_preparing_that_was_stopped_goes_on(command, lay_out_shop, tmp_path, monkeypatch):
    lay_out_shop(tmp_path)

    def say(_reporter, text):
        if text == "writing the dataset":
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(TerminalReporter, "say", say)
        stopped = command(tmp_path, "prepare")
    assert (stopped.code, stopped.err) == (130, "luthier: stopped\n")
    datasets = tmp_path / ".luthier" / "datasets"
    [left] = datasets.iterdir()
    assert left.suffix == ".partial"
    went_on = command(tmp_path, "prepare")
    assert went_on.code == 0
    assert re.search(r"going on after (\d+) of \1 partitions\n", went_on.err)
    assert [folder.suffix for folder in datasets.iterdir()] == [""]
