from collections.abc import Iterator
from pathlib import Path

import pytest

from luthier.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "luthier.db") as opened:
        yield opened
