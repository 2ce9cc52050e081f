from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from luthier.core.artefacts import ARTEFACT_TYPES, Dataset, Run, Source
from luthier.core.errors import WorkspaceError
from luthier.store import Store
from luthier.store.artefacts import find_entry, list_entries, put_artefact
from luthier.store.tables import artefacts

numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    kind=st.sampled_from(sorted(ARTEFACT_TYPES)),
    summary=st.dictionaries(st.text(), json_values, max_size=4),
    environment=st.none() | st.dictionaries(st.text(), json_values, max_size=3),
)
def test_an_artefact_comes_back_equal(
    store: Store, kind: str, summary: dict[str, object], environment: dict[str, object] | None
) -> None:
    artefact = ARTEFACT_TYPES[kind](id=f"{kind}-0", path=Path("some/place"), summary=summary)
    with store.write() as connection:
        put_artefact(connection, artefact, environment)
        entry = find_entry(connection, artefact.id)
        connection.rollback()
    assert entry is not None
    assert (entry.artefact, entry.environment) == (artefact, environment)


def test_parents_keep_their_order(store: Store) -> None:
    names = tuple(f"source-{name}" for name in "zcabx")
    with store.write() as connection:
        for name in sorted(names):
            put_artefact(connection, Source(id=name))
        put_artefact(connection, Dataset(id="dataset-1", parents=names))
        entry = find_entry(connection, "dataset-1")
    assert entry is not None
    assert entry.artefact.parents == names


def test_the_same_id_again_refreshes_and_becomes_the_latest(store: Store) -> None:
    with store.write() as connection:
        for name in ("source-1", "source-2"):
            put_artefact(connection, Source(id=name))
        put_artefact(connection, Run(id="run-1", parents=("source-1",), summary={"seconds": 9}), {"python": "3.11"})
        put_artefact(connection, Run(id="run-2"))
        first = find_entry(connection, "run-1")
        put_artefact(connection, Run(id="run-1", parents=("source-2",), path=Path("new"), summary={"seconds": 7}))
        second = find_entry(connection, "run-1")
        order = [entry.artefact.id for entry in list_entries(connection, "run")]
    assert first is not None
    assert second is not None
    assert second.artefact == Run(
        id="run-1", parents=("source-1", "source-2"), path=Path("new"), summary={"seconds": 7}
    )
    assert second.environment == {"python": "3.11"}
    assert second.created_at == first.created_at
    assert second.made_at > first.made_at
    assert order == ["run-1", "run-2"]


def test_a_missing_artefact_is_none(store: Store) -> None:
    with store.read() as connection:
        assert find_entry(connection, "run-1") is None


@pytest.mark.parametrize("change", [{"format_version": 99}, {"kind": "tokenizer"}])
def test_what_a_newer_luthier_wrote_is_refused(store: Store, change: dict[str, object]) -> None:
    with store.write() as connection:
        put_artefact(connection, Source(id="source-1"))
        connection.execute(update(artefacts).values(change))
    with pytest.raises(WorkspaceError, match="source-1 was written by a newer luthier"), store.read() as connection:
        find_entry(connection, "source-1")
