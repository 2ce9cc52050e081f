"""Each of ten planted faults is named by `luthier check`, and sound models raise no alarm."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from luthier.models.initialisation import initialise
from luthier.training import check_initialisation, check_weights

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "planted_faults.py"
SPEC = importlib.util.spec_from_file_location("planted_faults", SCRIPT)
planted = importlib.util.module_from_spec(SPEC)
sys.modules["planted_faults"] = planted
SPEC.loader.exec_module(planted)

OTHERS = [family for family in planted.FAMILIES if family not in ("Llama", "BERT")]


def slow(family):
    return pytest.param(family, marks=pytest.mark.slow)


@pytest.fixture(scope="session")
def sound(tmp_path_factory):
    """`sound("Llama")`: the folder of a tiny sound model of a family, made once."""
    made = {}

    def make(family):
        if family not in made:
            made[family] = tmp_path_factory.mktemp("sound") / family
            planted.save_tiny(family, made[family])
        return made[family]

    return make


@pytest.fixture
def base(sound, tmp_path):
    """`base("Llama")`: a copy of it that may be damaged."""
    return lambda family: Path(shutil.copytree(sound(family), tmp_path / family))


@pytest.mark.parametrize("family", ["Llama", "BERT", *map(slow, OTHERS)])
def test_a_sound_model_raises_no_alarm(family, base, tmp_path):
    planted.lay_out(tmp_path / "shop", base(family), classifies=family == "BERT")
    checked = planted.check(tmp_path / "shop", [])
    assert [finding for finding in checked.findings if finding.verdict != "pass"] == []
    assert {"first_loss", "labels", "overfit_rows", "reload"} <= {finding.check for finding in checked.findings}


@pytest.mark.parametrize("fault", planted.FAULTS)
@pytest.mark.parametrize("family", ["Llama", slow("GPT-2")])
def test_a_planted_fault_is_named(family, fault, base, tmp_path):
    _assert_named(planted.FAULTS[fault], base(family), tmp_path / "shop", classifies=False)


@pytest.mark.parametrize("fault", [name for name, fault in planted.FAULTS.items() if fault.of_encoders])
def test_a_fault_of_a_classifier_is_named(fault, base, tmp_path):
    _assert_named(planted.FAULTS[fault], base("BERT"), tmp_path / "shop", classifies=True)


def _assert_named(fault, folder, workspace, classifies):
    with fault.plant(folder) as overrides:
        planted.lay_out(workspace, folder, classifies)
        checked = planted.check(workspace, overrides)
    alarms = {finding.check: finding for finding in checked.findings if finding.verdict != "pass"}
    assert fault.named_by in alarms
    assert alarms[fault.named_by].advice


@pytest.mark.parametrize("scheme", ["default", "gpt2", "small", "xavier"])
@pytest.mark.parametrize("family", ["Llama", "GPT-2"])
def test_a_faulty_initialisation_is_caught(family, scheme):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(planted.CAUSAL[family]())
        initialise(model, scheme)
    assert {finding.verdict for finding in _weight_findings(model, scheme)} == {"pass"}
    sound = {name: weight.clone() for name, weight in model.state_dict().items()}
    for change in (10.0, 0.1, 0.0):
        model.load_state_dict(sound)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(change if parameter.dim() > 1 else 1)
        failed = {finding.check for finding in _weight_findings(model, scheme) if finding.verdict == "fail"}
        assert "initialisation" in failed, change
        assert change or "zero_weights" in failed


def _weight_findings(model, scheme):
    return [check_initialisation(model, scheme), *check_weights(model, dict(model.named_parameters()), 1e-4)]
