"""JSON as its standard has it: it knows no NaN and no Infinity, which Python would write."""

import math
from collections.abc import Mapping


def finite(value: object) -> object:
    """The value with None, JSON's null, for every number in it that is not finite; tuples become lists."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return value
