"""Bring a database to the newest revision of the one migration chain."""

from threading import Lock

from sqlalchemy import Connection, inspect, text

from luthier.core.errors import WorkspaceError

HEAD = "0001"
"""The newest revision in `migrations/versions`."""

_ALEMBIC = Lock()
"""Alembic keeps the migration under way in module globals."""


def upgrade(connection: Connection, where: str) -> None:
    """Run the migrations that are missing, inside the transaction that `connection` is in.

    Raises WorkspaceError, naming `where`, for a database that a newer luthier made.
    """
    current = _revision(connection)
    if current == HEAD:
        return
    from alembic import command  # imported late: it takes 0.3 seconds, and most databases are at the head
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "luthier.store:migrations")
    config.attributes["connection"] = connection
    if current and current not in {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}:
        raise WorkspaceError(
            f"a newer luthier made this database (revision {current}, this one knows up to {HEAD})",
            where=where,
            allowed="install that version or a newer one",
        )
    with _ALEMBIC:
        command.upgrade(config, "head")


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
