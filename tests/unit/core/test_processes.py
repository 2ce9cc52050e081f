"""How many processes torchrun has started."""

import pytest

from luthier.core.errors import TrainingError
from luthier.core.processes import process_count


def test_one_without_torchrun_and_as_many_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    assert process_count("LOCAL_WORLD_SIZE") == 1
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "16")
    assert process_count("LOCAL_WORLD_SIZE") == 16


@pytest.mark.parametrize("said", ["", "0", "-1", "two", "1.5", "\u0663", "9" * 5_000])
def test_what_is_no_number_of_processes_is_refused(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", said)
    with pytest.raises(TrainingError, match=r"torchrun: LOCAL_WORLD_SIZE is .* \(a whole number from 1\)"):
        process_count("LOCAL_WORLD_SIZE")
