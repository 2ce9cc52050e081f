"""Errors are one sentence: where, what, and what is allowed; and the tree in the docstring is the tree in the code."""

import re

from luthier.core import errors
from luthier.core.errors import GateRefused, LuthierError, SourceError


def test_sentence_has_place_fault_and_what_is_allowed() -> None:
    error = SourceError("no column 'body'", where="tickets.csv, row 3", allowed="id, text")

    assert str(error) == "tickets.csv, row 3: no column 'body' (id, text)"
    assert (error.what, error.where, error.allowed) == ("no column 'body'", "tickets.csv, row 3", "id, text")
    assert str(SourceError("empty")) == "empty"


def test_only_a_gate_has_an_exit_code_of_its_own() -> None:
    codes = {cls.__name__: cls.exit_code for cls in LuthierError.__subclasses__()}

    assert {name for name, code in codes.items() if code != 1} == {"GateRefused"}
    assert GateRefused.exit_code == 2


def test_drawn_tree_is_complete() -> None:
    drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or ""))

    known = (value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, LuthierError))
    assert drawn == {cls.__name__ for cls in known} - {"LuthierError"}
