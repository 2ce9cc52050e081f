"""Alembic runs this module: apply the migrations on the connection that `luthier.store.migration` hands over."""

from alembic import context

from luthier.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
