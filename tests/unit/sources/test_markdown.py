from pathlib import Path

import pytest

from luthier.sources import lines
from luthier.sources.markdown import read_markdown

TEXT = """---
title: skipped
---
Before any heading.

# Shop

Welcome.

## Returns ##

Thirty days.

```
# no heading
```

### Refunds

Five days.

Hours
-----

Nine to five.

## Empty

# End
Bye.
"""


def test_sections_with_their_path(tmp_path: Path) -> None:
    path = tmp_path / "book.md"
    path.write_text(TEXT, encoding="utf-8")
    found = [(r.origin.row, r.line, r.fields["title"], r.fields["body"]) for r in read_markdown(path, "book.md")]
    assert found == [
        (1, 1, "", "Before any heading."),
        (2, 6, "Shop", "Welcome."),
        (3, 10, "Shop > Returns", "Thirty days.\n\n```\n# no heading\n```"),
        (4, 18, "Shop > Returns > Refunds", "Five days."),
        (5, 22, "Shop > Hours", "Nine to five."),
        (6, 29, "End", "Bye."),
    ]


def test_a_section_that_is_too_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_CHARACTERS", 50)
    path = tmp_path / "book.md"
    many = "line\n" * 20
    path.write_text(f"# A\n\nshort\n\n# B\n\n{'x' * 99}\n\n# C\n\n{many}\n# D\n\nEnd.\n", encoding="utf-8")
    found = list(read_markdown(path, "book.md"))
    assert [record.error is None for record in found] == [True, False, False, True]
    assert found[1].error == "a section of more than 50 characters"
    assert found[3].fields == {"title": "D", "body": "End."}
