from collections.abc import Iterator
from pathlib import Path

import pytest

from luthier.core.workspace import Workspace
from luthier.registry import Registry
from luthier.store import Store


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "shop")


@pytest.fixture
def store(workspace: Workspace) -> Iterator[Store]:
    with Store.open(workspace.database) as opened:
        yield opened


@pytest.fixture
def registry(store: Store, workspace: Workspace) -> Registry:
    return Registry(store, workspace)
