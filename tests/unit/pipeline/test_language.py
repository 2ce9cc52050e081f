"""Models that learn the words of plain text, from a base model or from nothing."""

import json
from pathlib import Path

import pytest
import yaml

import luthier
from luthier.core.errors import DatasetError, ModelError, RecipeError, TemplateError

LLAMA = {"model_type": "llama", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
LLAMA |= {"num_attention_heads": 4, "max_position_embeddings": 512}
BERT = LLAMA | {"model_type": "bert", "max_position_embeddings": 128}


@pytest.fixture
def shop(prepared_shop, tiny_encoder_folder):
    """`shop(task, **model)`: the workspace for another task; by default of the encoder or decoder that fits it."""

    def change(task, **model):
        path = prepared_shop / "luthier.yaml"
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
        if task == "masked_lm":
            recipe["model"]["base"] = str(tiny_encoder_folder)
            recipe["data"]["max_length"] = 64
        if model:
            recipe["model"] = model
        recipe |= {"task": task, "adapter": {"method": "full"}, "evaluation": {}}
        recipe["data"]["clean"] = {"min_words": 2}
        recipe["training"] |= {"learning_rate": 3e-3, "num_train_epochs": 6}
        path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
        return prepared_shop

    return change


@pytest.mark.parametrize("task", ["causal_lm", "masked_lm"])
def test_a_base_model_goes_on_learning_from_plain_text(shop, task):
    with luthier.open_project(shop(task)) as project:
        luthier.prepare(project)
        rows = luthier.show_rows(project, None, "train", 100)
        assert all(row.text and not row.messages for row in rows)
        assert any("\n" in row.text for row in rows), "a conversation is a text, a line a turn"
        assert luthier.check(project).findings[1].verdict == "pass"
        assert "tokens" in luthier.plan(project).figures.data.forecast
        trained = luthier.train(project)
        found = luthier.evaluate(project)
    metrics, before = found.assessment.metrics, found.assessment.reference_metrics
    assert metrics["test_loss"].value < before["test_loss"].value
    assert metrics["validation_loss"].value == pytest.approx(trained.figures["validation_loss"], rel=1e-4)
    assert ("test_bits_per_byte" in metrics) == (task == "causal_lm")
    assert ("general_loss" in metrics) == (task == "causal_lm"), "the tiny encoder cannot read texts so long"
    if task == "masked_lm":
        assert "accuracy" in json.loads((trained.path / "curves.json").read_text())["validation"][0]
        assert trained.figures["target_tokens"] < 0.2 * trained.figures["tokens"]


def test_masked_training_goes_on_with_the_masks_that_it_would_have_drawn(shop, monkeypatch):
    with luthier.open_project(shop("masked_lm"), overrides=["training.num_train_epochs=2"]) as project:
        luthier.prepare(project)
        whole = luthier.train(project)

        def stop_after(steps, tell):
            def told(*arguments):
                tell(*arguments)
                if arguments[-1].step == steps:
                    raise KeyboardInterrupt

            return told

        from luthier.pipeline import train as module

        with monkeypatch.context() as patch:
            patch.setattr(module, "_tell", stop_after(3, module._tell))
            with pytest.raises(KeyboardInterrupt):
                luthier.train(project)
        again = luthier.train(project, resume=True)
    assert again.run == whole.run


@pytest.mark.parametrize(("task", "config", "kind"), [("causal_lm", LLAMA, "bpe"), ("masked_lm", BERT, "wordpiece")])
def test_a_model_is_trained_from_nothing(shop, command, task, config, kind):
    folder = shop("chat" if task == "causal_lm" else task)
    with luthier.open_project(folder) as project:
        luthier.prepare(project)
        luthier.train_tokenizer(project, kind, 300, folder / "own")
    shop(task, config=config, tokenizer="own", dtype="float32")
    with luthier.open_project(folder) as project:
        luthier.prepare(project)
        checked = {finding.check: finding.verdict for finding in luthier.check(project).findings}
        assert checked["first_loss"] == "pass"
    ended = command(folder, "pretrain", "--json")
    assert ended.code == 0, ended.err
    with luthier.open_project(folder) as project:
        found = luthier.evaluate(project)
    assert found.assessment.metrics["test_loss"].value < 0.9 * found.assessment.reference_metrics["test_loss"].value
    saved = json.loads((Path(ended.json["path"]) / "model" / "config.json").read_text())
    assert (saved["model_type"], saved["hidden_size"]) == (config["model_type"], 32)
    assert (Path(ended.json["path"]) / "model" / "tokenizer.json").is_file()
    assert "100.0%" not in ended.err
    weights = [line for line in ended.err.splitlines() if "weights train" in line]
    assert len(weights) == 1
    counts = weights[0].split("full: ")[1].split(" weights")[0].split(" of ")
    assert counts[0] == counts[1]


def test_each_verb_says_which_recipe_it_is_for(shop):
    with luthier.open_project(shop("causal_lm")) as project, pytest.raises(RecipeError, match=r"has a base model"):
        luthier.pretrain(project)
    with luthier.open_project(shop("causal_lm", config=LLAMA, tokenizer="own")) as project:
        with pytest.raises(RecipeError, match=r"the model begins from nothing \(run: luthier pretrain\)"):
            luthier.train(project)
        with pytest.raises(ModelError, match=r"no tokenizer\.json"):
            luthier.prepare(project)


def test_a_decoder_cannot_fill_masks_and_what_is_too_long_is_refused(shop, tiny_model_folder):
    with (
        luthier.open_project(shop("masked_lm"), overrides=[f"model.base={tiny_model_folder}"]) as project,
        pytest.raises(TemplateError, match="has no mask token"),
    ):
        luthier.prepare(project)
    folder = shop("masked_lm")
    (folder / "raw" / "long.md").write_text("# Long\n\n" + "Returns are free within 30 days. " * 30)
    with luthier.open_project(folder, overrides=["data.max_length=4096"]) as project:
        luthier.prepare(project)
        with pytest.raises(DatasetError, match=r"has \d+ tokens, and the model reads 64"):
            luthier.train(project)


def test_a_model_without_a_chat_template_does_not_chat(shop):
    with luthier.open_project(shop("causal_lm")) as project:
        luthier.prepare(project)
        luthier.train(project)
        with pytest.raises(TemplateError, match=r"^task: this needs a model that answers"):
            luthier.open_chat(project)
