import pytest
import yaml

import luthier
from luthier.core.errors import EvaluationError
from luthier.pipeline.evaluate import CARD


def test_the_card_is_filled_from_the_lineage(evaluated):
    found = luthier.evaluate(evaluated)
    card = (found.path / CARD).read_text(encoding="utf-8")
    _, header, text = card.split("---\n", 2)
    assert yaml.safe_load(header) == {"base_model": "tiny-llama", "tags": ["luthier", "chat"]}
    run = evaluated.registry.get(found.run)
    assert text.lstrip().startswith(f"# shop: {run.id}\n")
    for part in (
        f"on {run.parents[0]}",
        "> You are the shop.",
        f"**{found.verdict}** beside {run.parents[1]}",
        "| raw/chats.jsonl | ",
        "54 records were read, 52 kept, 2 dropped; rows:",
        "| training.learning_rate | 0.005 |",
        f"| target_tokens | {run.summary['target_tokens']} |",
        "answers that never stopped:",
        "The loss on general text changed by",
        "| test loss (nats per token) | ",
    ):
        assert part in text, part
    assert "None" not in text.replace("null", "")


def test_a_run_whose_folder_is_gone_has_a_card_too(evaluated):
    run = evaluated.registry.latest("run")
    (evaluated.workspace.root / run.path / "recipe.yaml").unlink()
    card = (luthier.evaluate(evaluated).path / CARD).read_text(encoding="utf-8")
    assert "training.learning_rate" not in card
    assert "system prompt" not in card


@pytest.mark.parametrize("content", ["data: [", "- a\n", "data: none\n"])
def test_a_damaged_recipe_of_the_run_is_one_sentence(evaluated, content):
    (evaluated.workspace.root / evaluated.registry.latest("run").path / "recipe.yaml").write_text(content)
    with pytest.raises(EvaluationError, match=r"recipe\.yaml: the run's own recipe .* \(delete the file"):
        luthier.evaluate(evaluated)
