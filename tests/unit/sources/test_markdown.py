from pathlib import Path

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
