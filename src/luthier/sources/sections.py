"""Documents in sections under headings."""

from collections.abc import Iterator

from luthier.core.rows import Origin
from luthier.sources import lines
from luthier.sources.records import Record

PATH_SEPARATOR = " > "


class Sections:
    """Gathers lines under the path of headings they stand below, and makes a record of each section with text."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._levels: dict[int, str] = {}
        self._body: list[str] = []
        self._characters = 0
        self._start = 1
        self._row = 0

    def add(self, line: str | lines.LongLine) -> None:
        """One line of the present section; what goes beyond the limit is not held."""
        text, characters = (line.start, line.characters) if isinstance(line, lines.LongLine) else (line, len(line))
        if self._characters <= lines.MAX_CHARACTERS:
            self._body.append(text)
        self._characters += characters

    def take_back(self) -> None:
        """Forget the line that was added last."""
        self._characters -= len(self._body.pop())

    def heading(self, level: int, title: str, place: int) -> Iterator[Record]:
        """Begin a section at line or paragraph `place`; gives the record of the one that it ends, if there is any."""
        yield from self.finish()
        self._levels = {above: name for above, name in self._levels.items() if above < level} | {level: title}
        self._start = place

    def finish(self) -> Iterator[Record]:
        """The record of the present section, if it has text."""
        text = "\n".join(self._body).strip()
        too_long = self._characters > lines.MAX_CHARACTERS
        self._body, self._characters = [], 0
        if not text:
            return
        self._row += 1
        origin = Origin(self._name, self._row)
        if too_long:
            start = text[: lines.START_CHARACTERS]
            yield Record(origin, self._start, {}, lines.too_long("a section"), start, alone=True)
        else:
            yield Record(origin, self._start, {"title": PATH_SEPARATOR.join(self._levels.values()), "body": text})
