"""What is not a finite number is null, at any depth; all else stays."""

import json
import math

from luthier.core.plain_json import finite


def test_numbers_that_are_not_finite_are_null_at_any_depth() -> None:
    value = {"loss": math.nan, "curve": [{"step": 1, "loss": -math.inf}, (math.inf, 0.5)], "name": "a", "best": None}
    assert finite(value) == {"loss": None, "curve": [{"step": 1, "loss": None}, [None, 0.5]], "name": "a", "best": None}
    assert json.loads(json.dumps(finite(value), allow_nan=False))["curve"][1] == [None, 0.5]


def test_what_is_finite_is_the_same() -> None:
    value = {"steps": 3, "ok": True, "losses": [1.5, 2], "nested": {"text": "NaN"}}
    assert finite(value) == value
