"""`luthier train` in several processes, as torchrun starts them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

import luthier

pytestmark = pytest.mark.slow
SETTINGS = ["training.num_train_epochs=2", "training.eval_steps=4"]
LUTHIER = Path(sys.executable).with_name("luthier")


def _torchrun(shop, *overrides):
    """The figures of a training by two processes."""
    options = [part for override in (*SETTINGS, *overrides) for part in ("-o", override)]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launcher, str(LUTHIER), "train", "--json", *options],
        cwd=shop,
        capture_output=True,
        text=True,
        timeout=250,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _alone(shop, *overrides):
    twice = "training.gradient_accumulation_steps=2"
    with luthier.open_project(shop, overrides=[*SETTINGS, twice, *overrides]) as project:
        return luthier.train(project).to_json()


@pytest.mark.parametrize(
    "settings",
    [
        [],
        ["training.sharding=fsdp"],
        ["training.sharding=fsdp", "adapter.method=full", "training.learning_rate=1e-3"],
        ["training.sharding=fsdp", "training.gradient_checkpointing=true"],
        ["training.sharding=fsdp", "model.dtype=float16", "adapter.method=full", "training.learning_rate=1e-3"],
    ],
    ids=str,
)
def test_two_processes_make_the_run_that_one_makes(prepared_shop, settings):
    alone = _alone(prepared_shop, *settings)
    together = _torchrun(prepared_shop, *settings)
    assert together["processes"] == 2
    close = 2e-3 if together["dtype"] == "float16" else 1e-4
    for name in ("train_loss", "validation_loss"):
        assert together[name] == pytest.approx(alone[name], abs=close)
    assert together["fast_path"] == ("off" if "training.sharding=fsdp" in settings else "on")
    weights = [
        {
            name: weight.shape
            for path in Path(run["path"]).rglob("*.safetensors")
            for name, weight in load_file(path).items()
        }
        for run in (alone, together)
    ]
    assert weights[0] == weights[1]
    with luthier.open_project(prepared_shop) as project:
        assert luthier.evaluate(project, together["run"]).to_json()["metrics"]["validation_loss"][
            "value"
        ] == pytest.approx(together["validation_loss"], rel=1e-3)
