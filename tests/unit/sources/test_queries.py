import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.core.errors import SourceError
from luthier.sources import queries
from luthier.sources.queries import save_answer, why_it_may_write


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as database:
        database.execute("CREATE TABLE tickets (id, body, at)")
        rows = [(1, "Where is it?", "12:30"), ("two", "100 % cotton?", None), (3.5, b"bytes \xff", None)]
        database.executemany("INSERT INTO tickets VALUES (?, ?, ?)", rows)
        database.execute("INSERT INTO tickets VALUES (4, CAST(x'4fff4b' AS TEXT), NULL)")
        database.commit()
    return tmp_path


def answer(root: Path, query: str, database: str = "sqlite:///shop.db") -> list[dict[str, object]]:
    save_answer(query, database, root, root / "answer.jsonl")
    return [json.loads(line) for line in (root / "answer.jsonl").read_text().splitlines()]


def refused(root: Path, query: str, database: str = "sqlite:///shop.db") -> str:
    with pytest.raises(SourceError) as refusal:
        answer(root, query, database)
    assert "\n" not in str(refusal.value)
    assert not (root / "answer.jsonl").exists()
    return str(refusal.value)


def test_rows_of_a_query_whatever_their_types(shop: Path) -> None:
    assert answer(shop, "SELECT id, body, id FROM tickets ORDER BY rowid;") == [
        {"id": 1, "body": "Where is it?", "id_2": 1},
        {"id": "two", "body": "100 % cotton?", "id_2": "two"},
        {"id": 3.5, "body": "[7 bytes]", "id_2": 3.5},
        {"id": 4, "body": "O\ufffdK", "id_2": 4},
    ]
    assert answer(shop, "SELECT at FROM tickets WHERE at = '12:30' AND 'a' LIKE '%a'") == [{"at": "12:30"}]


def test_the_url_may_come_from_the_environment(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP", f"sqlite:///{shop / 'shop.db'}")
    assert answer(shop, "SELECT 1 AS a", "$SHOP") == [{"a": 1}]
    (shop / "answer.jsonl").unlink()
    assert refused(shop, "SELECT 1", "$SHOP_TOO").startswith(
        "query on $SHOP_TOO: the environment variable SHOP_TOO is not set"
    )


def test_the_same_answer_leaves_the_time_of_change(shop: Path) -> None:
    answer(shop, "SELECT 1")
    before = (shop / "answer.jsonl").stat()
    answer(shop, "SELECT 1")
    assert (shop / "answer.jsonl").stat().st_mtime_ns == before.st_mtime_ns
    answer(shop, "SELECT 2")
    assert (shop / "answer.jsonl").stat().st_mtime_ns > before.st_mtime_ns


def test_what_fails_is_told_in_a_sentence(shop: Path) -> None:
    assert (
        refused(shop, "SELECT a FROM nowhere") == "query on sqlite:///shop.db: the query failed: no such table: nowhere"
    )
    assert refused(shop, "SELECT 1 WHERE 1 = 0") == "query on sqlite:///shop.db: the query gave no rows"
    assert refused(shop, "SELECT 1", "sqlite:///none.db").endswith("no such database file: none.db")
    assert refused(shop, "SELECT 1", "shop.db").endswith("the database is no URL (sqlite:///shop.db, or the like)")
    assert refused(shop, "SELECT 1", "mongo://shop").endswith("databases of kind mongo are not known")
    (shop / "shop.db").write_text("no database, but some text that is long enough to be looked at by SQLite\n" * 20)
    assert refused(shop, "SELECT 1 FROM tickets").endswith("the query failed: file is not a database")


def test_no_message_holds_a_password(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP", "not a url, but hunter2")
    assert "hunter2" not in refused(shop, "SELECT 1", "$SHOP")
    monkeypatch.setenv("SHOP", "nosuch://me:hunter2@host/shop")
    assert "hunter2" not in refused(shop, "SELECT 1", "$SHOP")


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM tickets",
        "SELECT 1; DELETE FROM tickets",
        "SELECT 1 /* ; */; DROP TABLE tickets",
        "-- a comment\nUPDATE tickets SET id = 1",
        "WITH gone AS (DELETE FROM tickets RETURNING id) SELECT * FROM gone",
        "WITH a AS (SELECT 1) INSERT INTO tickets SELECT * FROM a",
        "SELECT * INTO copied FROM tickets",
        "SELECT 1 DROP TABLE tickets",
        "SELECT 1 /*! ; DELETE FROM tickets */",
        "SELECT $$ ' $$; DELETE FROM tickets; -- '",
        "SELECT 1 --' \n; DELETE FROM tickets --'",
        "PRAGMA user_version = 7",
        "EXPLAIN SELECT 1",
        "",
    ],
)
def test_a_statement_that_may_write_is_refused(shop: Path, query: str) -> None:
    assert why_it_may_write(query)
    assert "one statement that begins with SELECT or WITH" in refused(shop, query)


@pytest.mark.parametrize(
    "query",
    [
        "select 'DELETE; it''s', \"update\" from t -- drop; it's\n where `insert` > 1 /* ; into */",
        "(SELECT 1) UNION (SELECT 2);\n",
        "WITH a AS (SELECT updated_at FROM t) SELECT replace(x, 'a', 'b') FROM a",
    ],
)
def test_what_only_reads_is_let_through(query: str) -> None:
    assert why_it_may_write(query) is None


@given(st.text(alphabet="ab'\"-/*;$ \n", max_size=12))
def test_no_text_around_it_hides_a_second_statement(around: str) -> None:
    """What SQLite takes for two statements is refused."""
    query = f"SELECT 1 {around}; DELETE FROM t {around}"
    if why_it_may_write(query) is not None:
        return
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE t (a)")
        database.execute("INSERT INTO t VALUES (1)")
        try:
            database.executescript(query)
        except sqlite3.Error:
            return
        assert database.execute("SELECT count(*) FROM t").fetchone() == (1,)


def test_the_connection_refuses_what_gets_past_the_check(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("luthier.sources.queries.why_it_may_write", lambda _: None)
    assert "readonly database" in refused(shop, "DELETE FROM tickets")
    assert len(answer(shop, "SELECT * FROM tickets")) == 4


@pytest.mark.parametrize("cell", ["{not JSON", "[" * 100_000, "9" * 5_000])
def test_a_value_that_the_driver_cannot_read_is_one_sentence(
    shop: Path, monkeypatch: pytest.MonkeyPatch, cell: str
) -> None:
    """Drivers of other databases read columns of JSON by themselves, as this one is made to do here."""

    def connect(path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(path)
        connection.text_factory = json.loads
        return connection

    monkeypatch.setattr(queries, "_open_sqlite", connect)
    said = refused(shop, f"SELECT '{cell}'")
    assert said.startswith("query on sqlite:///shop.db: a value of the answer cannot be read: ")


@pytest.mark.parametrize("cell", ["[not JSON", "[" * 100_000, '["a", "\\ud800"]'])
def test_cells_are_text_whatever_they_hold(shop: Path, cell: str) -> None:
    assert answer(shop, f"SELECT '{cell}' AS messages") == [{"messages": cell}]
