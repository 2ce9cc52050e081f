"""How long-running work tells what it is doing, without knowing who listens."""

from typing import Protocol


class Reporter(Protocol):
    def say(self, text: str) -> None:
        """One line about what happens now."""
        ...

    def progress(self, what: str, done: int, total: int, detail: str = "") -> None:
        """How far the work called `what` is; `done == total` ends it."""
        ...


class Silent:
    """A reporter that tells nobody."""

    def say(self, text: str) -> None:
        pass

    def progress(self, what: str, done: int, total: int, detail: str = "") -> None:
        pass
