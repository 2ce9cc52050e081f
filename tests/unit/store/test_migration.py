from pathlib import Path

import alembic.command
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from luthier.core.errors import WorkspaceError
from luthier.store import Store
from luthier.store.migration import HEAD
from luthier.store.tables import metadata


def test_the_chain_is_one_and_ends_at_the_head_that_the_code_names() -> None:
    config = Config()
    config.set_main_option("script_location", "luthier.store:migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_migrations_make_exactly_the_tables_of_the_code(store: Store) -> None:
    with store.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_names_of_constraints_are_the_same_in_both(store: Store) -> None:
    with store.read() as connection:
        tables = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
        made = {row.name: row.sql for row in tables}
    for table in metadata.sorted_tables:
        for constraint in table.constraints:
            assert f"CONSTRAINT {constraint.name} " in made[table.name]


def test_a_database_of_a_newer_luthier_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "luthier.db"
    with Store.open(path) as store, store.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(WorkspaceError, match=rf"a newer luthier made this database \(revision 9999.*{HEAD}\)"):
        Store.open(path)


def test_opening_again_migrates_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "luthier.db"
    migrated: list[object] = []
    plain = alembic.command.upgrade
    monkeypatch.setattr("alembic.command.upgrade", lambda *asked: (migrated.append(asked), plain(*asked)))
    Store.open(path).close()
    assert len(migrated) == 1
    with Store.open(path) as store, store.read() as connection:
        assert len(migrated) == 1
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == HEAD
