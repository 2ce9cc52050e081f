import pytest
import yaml

import luthier
from luthier.core.errors import RegistryError


def test_listing_by_kind(evaluated):
    kinds = {entry.artefact.kind for entry in luthier.list_artefacts(evaluated)}
    assert kinds == {"source", "dataset", "base", "run", "evaluation"}
    [run] = luthier.list_artefacts(evaluated, "run")
    assert run.to_json()["parents"] == list(run.artefact.parents)
    with pytest.raises(RegistryError, match="there is no kind 'runs'"):
        luthier.list_artefacts(evaluated, "runs")


def test_an_artefact_is_shown_with_its_aliases(evaluated, judge):
    run = evaluated.registry.latest("run").id
    judge(evaluated, run, "pass")
    release = luthier.promote(evaluated).release
    for reference in ("shop", release, release[:12]):
        shown = luthier.show_artefact(evaluated, reference)
        assert (shown.artefact.id, shown.aliases) == (release, ("shop",))
    assert yaml.safe_load(shown.report()) == shown.to_json()


def test_the_lineage_goes_both_ways(evaluated):
    evaluation, dataset = evaluated.registry.latest("evaluation").id, evaluated.registry.latest("dataset").id
    for reference in (evaluation, dataset):
        traced = luthier.lineage(evaluated, reference)
        assert {evaluation, dataset} <= {node["id"] for node in traced.to_json()["nodes"]}
        assert "raw/chats.jsonl" in traced.report()


def test_removal_needs_that_nothing_depends_on_it(evaluated):
    evaluation = evaluated.registry.latest("evaluation")
    with pytest.raises(RegistryError, match=f"is still in use .remove or move first: {evaluation.id}"):
        luthier.remove_artefact(evaluated, evaluated.registry.latest("run").id)
    assert luthier.remove_artefact(evaluated, evaluation.id) > 0
    assert not (evaluated.workspace.root / evaluation.path).exists()


def test_garbage_of_killed_commands_is_removed(evaluated):
    left = evaluated.workspace.state / "runs" / ".run-1.abc"
    left.mkdir()
    (left / "file").write_text("12345")
    garbage = luthier.remove_garbage(evaluated)
    assert ([path.name for path in garbage.removed], garbage.bytes_freed) == ([".run-1.abc"], 5)
    assert (evaluated.workspace.state / ".gitignore").exists()
