"""A run whose base model was in NF4, from the plan to its answers."""

import sys

import pytest
from safetensors.torch import load_file

import luthier
from luthier.core.errors import ModelError
from luthier.core.generation import GenerationRequest, complete
from luthier.pipeline.base import open_base
from luthier.pipeline.engine import RunsGenerator
from luthier.pipeline.objectives import load_run

OVERRIDES = ["model.quantization=nf4", "training.num_train_epochs=2", "training.find_learning_rate=false"]


@pytest.fixture
def in_nf4(prepared_shop, reporter):
    pytest.importorskip("bitsandbytes", reason="needs the extra nf4")
    with luthier.open_project(prepared_shop, overrides=OVERRIDES, reporter=reporter) as project:
        yield project


def test_it_is_checked_and_planned(in_nf4, prepared):
    findings = {finding.check: finding for finding in luthier.check(in_nf4).findings}
    assert {findings[name].verdict for name in ("weights_readable", "gradient")} == {"pass"}
    assert findings["overfit_rows"].value < 0.95 * findings["first_loss"].value

    four, whole = (luthier.plan(project).figures.memory for project in (in_nf4, prepared))

    matrices = 2 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 64)
    assert 8 * (whole.weights - four.weights) / matrices == pytest.approx(32 - 4.127, abs=0.001)
    assert four.gradients == whole.gradients


def test_it_is_trained_resumed_evaluated_and_answers_on_the_weights_as_they_are(in_nf4, reporter, monkeypatch):
    from luthier.pipeline import train as module

    trained = luthier.train(in_nf4)
    [summary] = [line for line in reporter.said if "weights train" in line]
    assert summary.endswith("fast path on except in adapted layers, whose base weights are in nf4: PEFT computes these")
    assert trained.figures["unmoved_weights"] == 0
    tell = module._tell

    def stop(*arguments):
        tell(*arguments)
        if arguments[-1].step == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "_tell", stop)
        with pytest.raises(KeyboardInterrupt):
            luthier.train(in_nf4)
    assert luthier.train(in_nf4, resume=True).run == trained.run

    base = open_base(in_nf4)
    model = load_run(in_nf4, base, in_nf4.registry.get(trained.run))
    assert not [name for name, module in model.named_modules() if type(module).__name__ == "Linear4bit"]
    assert len(load_file(trained.path / "adapter" / "adapter_model.safetensors")) == 28
    evaluated = luthier.evaluate(in_nf4, trained.run).to_json()["metrics"]
    found = evaluated["validation_loss"]["value"]
    assert found != trained.figures["validation_loss"]
    assert found == pytest.approx(trained.figures["validation_loss"], rel=0.05)
    with luthier.open_project(in_nf4.workspace.root) as project:
        [of_nf4], [of_none] = (
            complete(RunsGenerator(one, base), [_question(trained.run)]) for one in (in_nf4, project)
        )
        again = luthier.evaluate(project, trained.run).to_json()["metrics"]
    assert of_nf4 == of_none
    assert again["validation_loss"] == evaluated["validation_loss"]


@pytest.mark.parametrize("stage", [luthier.check, luthier.plan, luthier.train])
def test_without_the_extra_a_sentence_says_so_before_anything_is_loaded(prepared_shop, monkeypatch, stage):
    from luthier.models import loading

    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    monkeypatch.setattr(loading, "_loaded", lambda *_: pytest.fail("the model was loaded"))
    with (
        luthier.open_project(prepared_shop, overrides=OVERRIDES) as project,
        pytest.raises(ModelError, match=r"nf4 needs bitsandbytes, which is not installed.*'luthier\[nf4\]'"),
    ):
        stage(project)


def _question(model):
    return GenerationRequest(model, ({"role": "user", "content": "Where is my parcel?"},), max_new_tokens=8)
