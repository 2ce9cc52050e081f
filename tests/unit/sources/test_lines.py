import io

import pytest

from luthier.sources import lines
from luthier.sources.lines import LongLine, bounded_lines


def test_a_long_line_is_read_past(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_CHARACTERS", 20)
    monkeypatch.setattr(lines, "START_CHARACTERS", 5)
    monkeypatch.setattr(lines, "_PIECE_CHARACTERS", 8)
    text = "short\r\n" + 'x"' * 17 + "\r\n" + "y" * 19 + "\n" + "z" * 20 + "\n" + "w" * 20
    found = list(bounded_lines(io.StringIO(text, newline="")))
    assert found[0] == "short\r\n"
    assert found[1] == LongLine('x"x"x', 36, 17)
    assert found[2] == "y" * 19 + "\n"
    assert [line.characters for line in found[3:] if isinstance(line, LongLine)] == [21, 20]
    assert len(found) == 5
