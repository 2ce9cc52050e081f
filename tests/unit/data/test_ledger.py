import pytest

from luthier.core.rows import Origin
from luthier.data.ledger import LedgerEntry, Tally
from luthier.data.reasons import reason_kind

REASONS = ("too short: 1 words", "too short: 2 words", "language: looks like de")


def test_counts_by_file_and_kind_of_reason() -> None:
    tally = Tally([("a", 2), ("b", 1)])
    tally.add(0, kept=1, dropped=1)
    tally.add(1, kept=0, dropped=1)
    tally.add_reasons(REASONS)
    tally.add_reasons(REASONS[:1])
    tally.check()
    assert [(count.path, count.read, count.kept, count.dropped) for count in tally.files] == [
        ("a", 2, 1, 1),
        ("b", 1, 0, 1),
    ]
    assert tally.totals() == {"read": 3, "kept": 1, "dropped": 2}
    assert tally.reasons == {"too short": 2, "language": 1}


def test_a_record_that_is_missing_is_noticed() -> None:
    tally = Tally([("a", 2)])
    tally.add(0, kept=1, dropped=0)
    with pytest.raises(AssertionError, match="records lost or doubled"):
        tally.check()


@pytest.mark.parametrize(
    ("kept", "rows", "reasons"),
    [(True, (), ()), (False, (), ()), (True, ("row-1",), ("x",)), (False, ("row-1",), ("x",))],
)
def test_a_record_is_either_kept_or_dropped(kept: bool, rows: tuple[str, ...], reasons: tuple[str, ...]) -> None:
    with pytest.raises(AssertionError):
        LedgerEntry(Origin("a", 1), kept, rows, reasons, "{}")


def test_kind_of_reason() -> None:
    assert reason_kind("unreadable: not valid JSON: x") == "unreadable"
    assert reason_kind("no user turn") == "no user turn"
