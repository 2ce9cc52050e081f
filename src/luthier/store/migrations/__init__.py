"""The one chain of migrations, in the layout that Alembic expects."""
