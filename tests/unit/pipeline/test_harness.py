"""Runs where lm-evaluation-harness is installed, which is an extra."""

import importlib
import sys

import pytest

from luthier.core.errors import EvaluationError

pytestmark = pytest.mark.filterwarnings("ignore")  # the harness and its own dependencies warn
TEXTS = [
    ("How long does delivery take in Leeds?", " In Leeds delivery takes 2 days."),
    ("In York a refund takes ", "3 days."),
    ("", "Returns are free within 30 days."),
    ("word " * 700, "A context that is too long for the model is cut on the left."),
]


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    monkeypatch.delitem(sys.modules, "luthier.pipeline.harness", raising=False)
    with pytest.raises(EvaluationError, match=r"pip install 'luthier\[harness\]'"):
        importlib.import_module("luthier.pipeline.harness")


@pytest.fixture
def both(evaluated):
    """The run with its adapter by Luthier, and merged into the base model by the harness's own class."""
    pytest.importorskip("lm_eval")
    from lm_eval.models.huggingface import HFLM

    from luthier.models.methods import load_trained
    from luthier.pipeline.base import open_base
    from luthier.pipeline.engine import run_folder
    from luthier.pipeline.harness import HarnessModel

    base, run = open_base(evaluated), evaluated.registry.latest("run").id
    merged = load_trained(run_folder(evaluated, run), base.load, base.dtype).merge_and_unload()
    return HarnessModel(evaluated, run), HFLM(pretrained=merged, tokenizer=base.tokenizer, batch_size=2)


def instances(kind, arguments):
    from lm_eval.api.instance import Instance

    return [Instance(kind, {}, argument, number) for number, argument in enumerate(arguments)]


def test_likelihoods_are_those_of_the_merged_model(both):
    ours, theirs = (model.loglikelihood(instances("loglikelihood", TEXTS), disable_tqdm=True) for model in both)
    assert [value for value, _ in ours] == pytest.approx([value for value, _ in theirs], rel=1e-4)
    assert [greedy for _, greedy in ours] == [greedy for _, greedy in theirs]


def test_whole_texts_too(both):
    texts = [("Returns are free within 30 days. " * 150,), ("Short.",)]
    ours, theirs = (
        model.loglikelihood_rolling(instances("loglikelihood_rolling", texts), disable_tqdm=True) for model in both
    )
    assert ours == pytest.approx(theirs, rel=1e-4)


def test_answers_too_and_they_stop_where_the_task_says(both):
    asked = [
        ("How long does delivery take?", {"until": [until], "max_gen_toks": 12, "do_sample": False})
        for until in ("\n\n", "e")
    ]
    ours, theirs = (model.generate_until(instances("generate_until", asked), disable_tqdm=True) for model in both)
    assert ours == theirs
    assert "e" not in ours[1]


def test_tasks_that_draw_are_refused(both):
    with pytest.raises(EvaluationError, match="draws its answers"):
        both[0].generate_until(instances("generate_until", [("Hi", {"temperature": 0.7})]))
