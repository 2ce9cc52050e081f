"""The database of a workspace, and the lock on it."""

from luthier.store.artefacts import Entry
from luthier.store.database import Store
from luthier.store.lock import workspace_lock

__all__ = ["Entry", "Store", "workspace_lock"]
