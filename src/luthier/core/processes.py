"""What torchrun and Ray tell a process of the others."""

import os
import re

from luthier.core.errors import TrainingError


def process_count(variable: str) -> int:
    """How many processes were started, as one of their variables says: WORLD_SIZE of all, LOCAL_WORLD_SIZE of those on
    this machine; 1 without it.

    Raises TrainingError where it says no number.
    """
    count = os.environ.get(variable, "1")
    if not re.fullmatch("[1-9][0-9]{0,8}", count):
        raise TrainingError(f"{variable} is {count!r}", where="torchrun", allowed="a whole number from 1")
    return int(count)
