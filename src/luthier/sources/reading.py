"""Files of any known format, record by record."""

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from luthier.core.errors import SourceError
from luthier.sources.compression import PACKED, format_suffix
from luthier.sources.delimited import read_delimited
from luthier.sources.docx import read_docx
from luthier.sources.html_pages import read_html
from luthier.sources.json_values import read_json, read_json_lines
from luthier.sources.kinds import told_by_content
from luthier.sources.markdown import read_markdown
from luthier.sources.mbox import read_mail, read_mbox
from luthier.sources.parquet import read_parquet
from luthier.sources.pdf import read_pdf
from luthier.sources.plain_text import read_plain_text
from luthier.sources.records import Record
from luthier.sources.xlsx import read_xlsx

Reader = Callable[[Path, str], Iterator[Record]]
TEXT_READERS: Mapping[str, Reader] = {
    ".csv": read_delimited,
    ".tsv": read_delimited,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".json": read_json,
    ".md": read_markdown,
    ".markdown": read_markdown,
    ".html": read_html,
    ".htm": read_html,
    ".txt": read_plain_text,
}
"""By ending; that of gzip or zstd may stand behind it."""
READERS: Mapping[str, Reader] = {
    **TEXT_READERS,
    ".parquet": read_parquet,
    ".xlsx": read_xlsx,
    ".docx": read_docx,
    ".pdf": read_pdf,
    ".mbox": read_mbox,
    ".eml": read_mail,
}
SUFFIXES = tuple(READERS)
MAX_UNREADABLE = 0.01
"""Share of a file's records that may be unreadable before the file is refused."""
_WITHOUT_LINES = (".parquet", ".xlsx", ".docx", ".pdf")


def is_readable(path: Path) -> bool:
    """Whether there is a reader for files with this name."""
    return format_suffix(path) in (TEXT_READERS if path.suffix.lower() in PACKED else READERS)


def read_records(path: Path, name: str, agents: Sequence[str] = ()) -> Iterator[Record]:
    """All records of a file, readable or not, in order; `name` is how the recipe calls it. Memory does not grow.

    `agents` are addresses and domains of the company, for mails; without any they are told from the mails.
    What the first bytes tell of the format counts for more than the ending. Raises SourceError for a file that is
    missing, empty or of an unknown kind, and at the end for one with more than 1 % of unreadable records, naming the
    first. Records whose fault stands alone do not count, unless there are no others.
    """
    count, unreadable, alone = 0, 0, 0
    first: Record | None = None
    try:
        _refuse_no_file(path, name)
        suffix = _suffix(path, name)
        for record in _reader(suffix, agents)(path, name):
            count += 1
            if record.error is not None:
                unreadable += 1
                alone += record.alone
                first = first if first and not first.alone else record
            yield record
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror or error}", where=name) from error
    if count == 0:
        raise SourceError("holds no records", where=name)
    if first is not None and (unreadable == count or unreadable - alone > MAX_UNREADABLE * count):
        raise SourceError(
            first.error or "",
            where=f"{name}, {'row' if suffix in _WITHOUT_LINES else 'line'} {first.line}",
            allowed=f"{unreadable} of {count} records unreadable; at most {MAX_UNREADABLE:.0%} may be",
        )


def _reader(suffix: str, agents: Sequence[str]) -> Reader:
    if agents and suffix == ".mbox":
        return partial(read_mbox, agents=agents)
    return partial(read_mail, agents=agents) if agents and suffix == ".eml" else READERS[suffix]


def _refuse_no_file(path: Path, name: str) -> None:
    if not path.exists():
        siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        close = difflib.get_close_matches(path.name, siblings, n=1)
        raise SourceError("no such file", where=name, allowed=f"did you mean {close[0]}?" if close else None)
    if not path.is_file():
        raise SourceError("is a folder, not a file" if path.is_dir() else "is no file", where=name)
    if path.stat().st_size == 0:
        raise SourceError("the file is empty", where=name)


def _suffix(path: Path, name: str) -> str:
    """The ending by which to read a file. Raises SourceError where there is none, OSError for damaged packed data."""
    allowed = f"{', '.join(SUFFIXES)}; text formats also with {' or '.join(PACKED)} behind"
    kind = told_by_content(path)
    if kind is not None and kind.suffix is None:
        raise SourceError(f"is {kind.what}", where=name, allowed=allowed)
    if kind is not None and kind.suffix is not None:
        return kind.suffix
    if not is_readable(path):
        ending = "".join(path.suffixes[-2:] if path.suffix.lower() in PACKED else [path.suffix]) or "no ending"
        raise SourceError(f"cannot read files with {ending}", where=name, allowed=allowed)
    return format_suffix(path)
