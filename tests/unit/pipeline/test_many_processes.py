"""`luthier train` in several processes, as torchrun and Ray start them."""

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


def _luthier(shop, command, *overrides):
    """`luthier train`, ended."""
    options = [part for override in (*SETTINGS, *overrides) for part in ("-o", override)]
    return subprocess.run(
        [*map(str, command), "train", "--json", *options],
        cwd=shop,
        capture_output=True,
        text=True,
        timeout=280,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )


def _torchrun(shop, *overrides):
    """The figures of a training by two processes."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", LUTHIER]
    done = _luthier(shop, launcher, *overrides)
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


def test_ray_starts_the_same_training(prepared_shop):
    torchrun = _torchrun(prepared_shop)
    done = _luthier(prepared_shop, [LUTHIER], "training.engine=ray", "training.num_workers=2")
    assert done.returncode == 0, done.stderr
    assert "training: 8 of 8" in done.stderr
    ray = json.loads(done.stdout)
    assert ray["processes"] == 2
    for name in ("train_loss", "validation_loss"):
        assert ray[name] == pytest.approx(torchrun[name], abs=1e-6)
    with luthier.open_project(prepared_shop) as project:
        assert luthier.list_artefacts(project, "run")[0].artefact.id == ray["run"]


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["training.num_workers=99"], "recipe: training.num_workers: 99 processes, and Ray has "),
        (["adapter.target_modules=q_prj"], "no linear layer is called 'q_prj' (did you mean q_proj?)"),
    ],
    ids=str,
)
def test_what_a_worker_finds_wrong_is_said_here(prepared_shop, overrides, says):
    done = _luthier(prepared_shop, [LUTHIER], "training.engine=ray", *overrides)
    assert done.returncode == 1
    assert says in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
