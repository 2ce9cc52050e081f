import subprocess
import sys
from pathlib import Path

import pytest

from luthier.core.artefacts import BaseModel, Dataset, Run, Source
from luthier.core.errors import RegistryError
from luthier.core.workspace import Workspace
from luthier.registry import Registry
from luthier.store import Store

SOURCE = Source(id="source-0a1b2c3d4e5f", path=Path("raw/tickets.csv"), summary={"rows": 3})
DATASET = Dataset(id="dataset-111111111111", parents=(SOURCE.id,), path=Path(".luthier/datasets/dataset-111111111111"))
OTHER = Dataset(id="dataset-111122222222", parents=(SOURCE.id,))
RUN = Run(id="run-abcdefabcdef", parents=(DATASET.id,), path=Path(".luthier/runs/run-abcdefabcdef"))

ADD = """
import sys
from pathlib import Path
from luthier.core.artefacts import Dataset, Source
from luthier.core.workspace import Workspace
from luthier.registry import Registry
from luthier.store import Store
workspace = Workspace(Path(sys.argv[1]))
with Store.open(workspace.database) as store:
    for number in range(20):
        registry = Registry(store, workspace)
        registry.add(Source(id="source-0a1b2c3d4e5f"))
        registry.add(Dataset(id="dataset-111111111111", parents=("source-0a1b2c3d4e5f",)))
"""


@pytest.fixture
def filled(registry: Registry) -> Registry:
    for artefact in (SOURCE, DATASET, OTHER):
        registry.add(artefact)
    registry.add(RUN, environment={"python": "3.11.2"})
    return registry


def test_what_is_added_is_found(filled: Registry) -> None:
    assert filled.get(DATASET.id) == DATASET
    assert filled.entry(RUN.id).environment == {"python": "3.11.2"}


def test_adding_twice_changes_nothing_but_the_order(filled: Registry) -> None:
    before = {entry.artefact.id: entry.artefact for entry in filled.list()}
    filled.add(DATASET)
    assert {entry.artefact.id: entry.artefact for entry in filled.list()} == before
    assert filled.latest("dataset") == DATASET


def test_two_processes_add_the_same(workspace: Workspace) -> None:
    command = [sys.executable, "-c", ADD, str(workspace.root)]
    writers = [subprocess.Popen(command) for _ in range(2)]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    with Store.open(workspace.database) as store:
        entries = Registry(store, workspace).list()
    assert [entry.artefact.id for entry in entries] == [DATASET.id, SOURCE.id]
    assert entries[0].artefact.parents == (SOURCE.id,)


def test_parents_come_first(registry: Registry) -> None:
    with pytest.raises(RegistryError, match=f"{DATASET.id} cannot come from {SOURCE.id}"):
        registry.add(DATASET)
    with pytest.raises(RegistryError, match="source-0 cannot come from source-0"):
        registry.add(Source(id="source-0", parents=("source-0",)))
    assert registry.list() == []


@pytest.mark.parametrize("reference", [RUN.id, "run-abcd", "run-abcdefabcde", "support"])
def test_ids_prefixes_and_aliases_lead_to_the_artefact(filled: Registry, reference: str) -> None:
    filled.set_alias("support", RUN.id, "first")
    assert filled.get(reference) == RUN


def test_a_beginning_that_several_ids_share_names_them(filled: Registry) -> None:
    with pytest.raises(RegistryError, match=f"'dataset-1111' is the beginning.*{DATASET.id}, {OTHER.id}"):
        filled.get("dataset-1111")
    assert filled.get("dataset-11112") == OTHER


@pytest.mark.parametrize("reference", ["run-abc", "run-", "run", "", "abcdefabcdef", "run-%%%%", "run-____"])
def test_too_short_a_beginning_is_none(filled: Registry, reference: str) -> None:
    with pytest.raises(RegistryError, match=f"nothing is called '{reference}'"):
        filled.get(reference)


def test_a_misspelt_name_gets_a_suggestion(filled: Registry) -> None:
    filled.set_alias("support", RUN.id, "first")
    with pytest.raises(RegistryError, match=r"nothing is called 'suport' \(did you mean support\?\)"):
        filled.get("suport")
    with pytest.raises(RegistryError, match=f"did you mean {RUN.id}"):
        filled.get("run-abcdefabcdee")
    with pytest.raises(RegistryError, match="at least 4 characters after its kind"):
        filled.get("zzz")


def test_the_wrong_kind_is_refused_with_what_there_is(filled: Registry) -> None:
    assert filled.get("run-abcd", "run") == RUN
    with pytest.raises(RegistryError, match=rf"{DATASET.id} is of kind dataset, not run \({RUN.id}\)"):
        filled.get(DATASET.id, "run")
    with pytest.raises(RegistryError, match=r"not release \(there is no release yet\)"):
        filled.get(RUN.id, "release")


def test_lists_are_newest_first_and_by_kind(filled: Registry) -> None:
    assert [entry.artefact.id for entry in filled.list()] == [RUN.id, OTHER.id, DATASET.id, SOURCE.id]
    assert [entry.artefact.id for entry in filled.list("dataset")] == [OTHER.id, DATASET.id]
    with pytest.raises(RegistryError, match=r"no kind 'datasets' \(source, dataset, base"):
        filled.list("datasets")


def test_the_latest_of_a_kind(filled: Registry) -> None:
    assert filled.latest("dataset") == OTHER
    with pytest.raises(RegistryError, match="there is no evaluation in this workspace yet"):
        filled.latest("evaluation")


def test_an_alias_moves_and_every_move_is_kept(filled: Registry) -> None:
    filled.set_alias("support", RUN.id, "the gate passed")
    filled.set_alias("support", "dataset-11112", "by mistake")
    assert filled.aliases()["support"].target == OTHER.id
    assert [(change.target, change.previous, change.reason) for change in filled.alias_history("support")] == [
        (RUN.id, None, "the gate passed"),
        (OTHER.id, RUN.id, "by mistake"),
    ]
    assert filled.alias_history("other") == ()


def test_an_alias_needs_a_target_and_a_name_that_is_no_id(filled: Registry) -> None:
    with pytest.raises(RegistryError, match="nothing is called 'run-0000'"):
        filled.set_alias("support", "run-0000", "first")
    for name in ("run-abcd", "chatcmpl-1", "Support", "", "a b", "../x", "-x"):
        with pytest.raises(RegistryError, match="cannot be an alias"):
            filled.set_alias(name, RUN.id, "first")
    assert filled.aliases() == {}


def test_removing_refuses_while_children_or_aliases_point_there(filled: Registry) -> None:
    filled.set_alias("support", RUN.id, "first")
    with pytest.raises(RegistryError, match=f"{SOURCE.id} is still in use .*: {DATASET.id}, {OTHER.id}"):
        filled.remove(SOURCE.id)
    with pytest.raises(RegistryError, match=f"{RUN.id} is still in use .*: alias support"):
        filled.remove("support")
    assert len(filled.list()) == 4


def test_removing_deletes_row_and_folder(filled: Registry, workspace: Workspace) -> None:
    folder = workspace.folder("run", RUN.id)
    folder.mkdir(parents=True)
    (folder / "adapter.safetensors").write_bytes(b"x" * 1000)
    assert filled.remove("run-abcd") == 1000
    assert not folder.exists()
    with pytest.raises(RegistryError):
        filled.get(RUN.id)
    assert filled.remove(DATASET.id) == 0


def test_files_outside_the_state_folder_are_never_deleted(filled: Registry, workspace: Workspace) -> None:
    raw = workspace.root / "raw"
    raw.mkdir()
    (raw / "tickets.csv").write_text("body,reply\n")
    (workspace.state / "datasets").mkdir()
    (workspace.state / "datasets" / "keep").write_text("x")
    places = [raw / "tickets.csv", Path("raw/tickets.csv"), Path(".luthier"), Path(".luthier/datasets"), Path()]
    for number, path in enumerate(places):
        filled.add(BaseModel(id=f"base-{number:012}", path=path))
        assert filled.remove(f"base-{number:012}") == 0
    assert (raw / "tickets.csv").read_text() == "body,reply\n"
    assert (workspace.state / "datasets" / "keep").exists()
    assert workspace.database.exists()


def test_files_that_another_artefact_needs_stay(filled: Registry, workspace: Workspace) -> None:
    folder = workspace.folder("run", RUN.id)
    folder.mkdir(parents=True)
    filled.add(Run(id="run-999999999999", path=RUN.path))
    assert filled.remove("run-9999") == 0
    assert folder.is_dir()
