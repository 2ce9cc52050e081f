"""Sizes are shown in gigabytes of a thousand million bytes."""

import pytest

from luthier.core.sizes import GIGABYTE, gigabytes


@pytest.mark.parametrize(
    ("size", "shown"), [(0, "0.0 GB"), (2_449_999_999, "2.4 GB"), (2_450_000_001, "2.5 GB"), (12 * GIGABYTE, "12.0 GB")]
)
def test_bytes_are_shown_to_a_tenth_of_a_gigabyte(size: int, shown: str) -> None:
    assert gigabytes(size) == shown
