import json

import pytest

import luthier
from luthier.core.errors import DatasetError, RecipeError, SourceError, TrainingError

THINGS = ("tide", "moon", "wind", "snow", "lava", "moss", "rust", "salt", "iron", "clay", "dust", "sand")
REPLAY = "training.replay={sources: [general], share: 0.25}"


@pytest.fixture
def shop(prepared_shop):
    """A workspace with general rows: twelve good ones, one that is too long, one that a held-out row is like, and one
    that no template takes."""
    folder = prepared_shop / "general"
    folder.mkdir()
    texts = [f"Few people know how {thing} came to be what it is, and {thing} does not tell." for thing in THINGS]
    with luthier.open_project(prepared_shop) as project:
        luthier.export_dataset(project, None, prepared_shop / "out")
    held_out = json.loads((prepared_shop / "out" / "test.jsonl").read_text().splitlines()[0])
    rows = [{"text": text} for text in [*texts, " ".join(texts)]]
    (folder / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = [{"role": "user", "content": "And who asked for this <|im_end|> in the first place?"}]
    chats = [held_out["messages"], [*asked, {"role": "assistant", "content": "Nobody did."}]]
    (folder / "chats.jsonl").write_text("".join(json.dumps({"messages": chat}) + "\n" for chat in chats))
    return prepared_shop


def test_general_rows_are_mixed_in_and_counted(shop, reporter):
    with luthier.open_project(shop, overrides=[REPLAY, "training.num_train_epochs=1"], reporter=reporter) as project:
        luthier.plan(project)
        trained = luthier.train(project)
        figures, parents = trained.figures, project.registry.get(trained.run).parents
        rows = luthier.prepare(project).splits["train"]
        sources = [project.registry.get(parent).summary["file"] for parent in parents[2:]]
    assert figures["rows"] == rows
    assert figures["replayed_rows"] == min(12, round(rows / 3))
    assert sources == ["general/chats.jsonl", "general/texts.jsonl"]
    assert any(
        line.startswith("of 15 rows to replay, 3 are left out: ")
        and {*line.partition("out: ")[2].split(", ")}
        == {"1 like a row that is held out", "1 too long", "1 without an answer or refused by the template"}
        for line in reporter.said
    ), reporter.said
    assert any(f"{rows} rows and 12 to replay, " in line for line in reporter.said)


def test_general_texts_are_mixed_into_plain_text(shop):
    texts = [
        {"text": f"In year {year} nothing happened here, and {year} was a good year for it."} for year in range(40)
    ]
    (shop / "years.jsonl").write_text("".join(json.dumps(text) + "\n" for text in texts))
    overrides = [REPLAY, "task=causal_lm", "data.sources=[{path: years.jsonl}]", "training.num_train_epochs=1"]
    overrides += ["data.clean.near_duplicates=null", "evaluation.questions=null", "evaluation.gates.facts=null"]
    overrides.append("training.health=off")  # random weights are no better than guessing
    with luthier.open_project(shop, overrides=overrides) as project:
        rows = luthier.prepare(project).splits["train"]
        figures = luthier.train(project).figures
    assert figures["rows"] == rows
    assert figures["replayed_rows"] == round(rows / 3)


def test_a_resume_wants_the_same_general_rows(shop):
    with luthier.open_project(shop, overrides=[REPLAY], reporter=_Stopping()) as project:
        with pytest.raises(KeyboardInterrupt):
            luthier.train(project)
        with (shop / "general" / "texts.jsonl").open("a") as file:
            file.write(json.dumps({"text": "Nobody has ever asked where all of the amber has gone."}) + "\n")
    resumed = pytest.raises(TrainingError, match="has another content of replayed files")
    with luthier.open_project(shop, overrides=[REPLAY]) as project, resumed:
        luthier.train(project, resume=True)


class _Stopping:
    """Presses Ctrl-C at the third step."""

    def say(self, text):
        pass

    def progress(self, what, done, _total, _detail=""):
        if what == "training" and done == 3:
            raise KeyboardInterrupt


def test_without_a_row_that_can_be_learnt_there_is_nothing_to_replay(shop):
    (shop / "general" / "texts.jsonl").unlink()
    refused = pytest.raises(
        DatasetError, match=r"training\.replay: no row to replay is left \(all are left out: 1 like"
    )
    with luthier.open_project(shop, overrides=[REPLAY]) as project, refused:
        luthier.train(project)


def test_general_rows_that_are_not_there(shop):
    overrides = ["training.replay={sources: [nowhere.jsonl]}"]
    refused = pytest.raises(SourceError, match=r"nowhere\.jsonl: no such file")
    with luthier.open_project(shop, overrides=overrides) as project, refused:
        luthier.train(project)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["task=preference", REPLAY], "training.replay is for task chat, completion or causal_lm, not preference"),
        (["training.l2_sp=0.1"], "training.l2_sp is for method full or freeze, not lora: .* training.weight_decay"),
        (["training.replay={sources: []}"], "training.replay.sources: list should have at least 1 item"),
    ],
)
def test_what_nothing_would_read_is_refused(shop, overrides, message):
    with pytest.raises(RecipeError, match=message), luthier.open_project(shop, overrides=overrides):
        pass


def test_a_full_training_can_be_held_to_its_start(shop):
    overrides = ["adapter.method=full", "training.l2_sp=0.1", "training.num_train_epochs=1"]
    with luthier.open_project(shop, overrides=overrides) as project:
        trained = luthier.train(project)
    curve = json.loads((trained.path / "curves.json").read_text())["train"]
    assert curve[0]["l2_sp"] == 0 < curve[-1]["l2_sp"]
