import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError

from luthier.core.artefacts import Dataset, Source
from luthier.core.errors import WorkspaceError
from luthier.store import Store
from luthier.store.artefacts import find_entry, list_entries, put_artefact
from luthier.store.tables import artefacts, parents

WRITE_PAIRS_FOREVER = """
import sys
from pathlib import Path
from luthier.core.artefacts import Dataset, Source
from luthier.store import Store
from luthier.store.artefacts import put_artefact
with Store.open(Path(sys.argv[1])) as store:
    number = 0
    while True:
        number += 1
        with store.write() as connection:
            put_artefact(connection, Source(id=f"source-{number}", summary={"rows": number}))
            put_artefact(connection, Dataset(id=f"dataset-{number}", parents=(f"source-{number}",)))
        print(number, flush=True)
"""

ADD_THE_SAME = """
import sys
from pathlib import Path
from luthier.core.artefacts import Dataset, Source
from luthier.store import Store
from luthier.store.artefacts import put_artefact
print("ready", flush=True)
sys.stdin.readline()
with Store.open(Path(sys.argv[1])) as store:
    for number in range(30):
        with store.write() as connection:
            put_artefact(connection, Source(id=f"source-{number}"))
            put_artefact(connection, Dataset(id=f"dataset-{number}", parents=(f"source-{number}",)))
"""


def count(store: Store, table: object) -> int:
    with store.read() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())  # type: ignore[arg-type]


def test_opening_sets_up_sqlite_for_several_processes(store: Store) -> None:
    with store.read() as connection:
        pragmas = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "foreign_keys", "busy_timeout")
        ]
    assert pragmas == ["wal", 1, 30_000]


def test_what_is_written_is_there_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "50% of ü" / "luthier.db"
    with Store.open(path) as store, store.write() as connection:
        put_artefact(connection, Source(id="source-1", path=Path("raw/tickets.csv"), summary={"rows": 3}))
    with Store.open(path) as store, store.read() as connection:
        entry = find_entry(connection, "source-1")
    assert entry is not None
    assert entry.artefact == Source(id="source-1", path=Path("raw/tickets.csv"), summary={"rows": 3})


def test_an_error_rolls_everything_back(store: Store) -> None:
    def write_and_fail() -> None:
        with store.write() as connection:
            put_artefact(connection, Source(id="source-1"))
            raise KeyError

    with pytest.raises(KeyError):
        write_and_fail()
    assert count(store, artefacts) == 0


def test_foreign_keys_hold(store: Store) -> None:
    with pytest.raises(IntegrityError), store.write() as connection:
        put_artefact(connection, Dataset(id="dataset-1", parents=("source-1",)))
    assert count(store, artefacts) == 0
    with store.write() as connection:
        put_artefact(connection, Source(id="source-1"))
        put_artefact(connection, Dataset(id="dataset-1", parents=("source-1",)))
    with pytest.raises(IntegrityError), store.write() as connection:
        connection.execute(delete(artefacts).where(artefacts.c.id == "source-1"))
    with store.write() as connection:
        connection.execute(delete(artefacts).where(artefacts.c.id == "dataset-1"))
    assert count(store, parents) == 0


def test_a_reader_sees_one_state_while_another_writes(store: Store) -> None:
    with store.read() as reader:
        assert list_entries(reader) == []
        with store.write() as writer:
            put_artefact(writer, Source(id="source-1"))
        assert list_entries(reader) == []
    assert count(store, artefacts) == 1


def test_threads_that_read_and_then_write_take_turns(store: Store) -> None:
    with store.write() as connection:
        put_artefact(connection, Source(id="source-1", summary={"count": 0}))

    def increment(_: int) -> None:
        with store.write() as connection:
            entry = find_entry(connection, "source-1")
            assert entry is not None
            value = entry.artefact.summary["count"]
            assert isinstance(value, int)
            put_artefact(connection, Source(id="source-1", summary={"count": value + 1}))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(increment, range(80)))
    with store.read() as connection:
        entry = find_entry(connection, "source-1")
    assert entry is not None
    assert entry.artefact.summary == {"count": 80}


def test_two_processes_open_a_new_database_and_add_the_same(tmp_path: Path) -> None:
    path = tmp_path / "luthier.db"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", ADD_THE_SAME, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.communicate("go\n", timeout=60)
    assert [writer.returncode for writer in writers] == [0, 0]
    with Store.open(path) as store:
        assert (count(store, artefacts), count(store, parents)) == (60, 30)


def test_a_killed_writer_leaves_whole_transactions(tmp_path: Path) -> None:
    path = tmp_path / "luthier.db"
    writer = subprocess.Popen([sys.executable, "-c", WRITE_PAIRS_FOREVER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    for _ in range(25):
        told = int(writer.stdout.readline())
    writer.send_signal(signal.SIGKILL)
    rest = writer.communicate(timeout=30)[0].split()
    assert writer.returncode == -signal.SIGKILL
    told = int(rest[-1]) if rest else told
    with Store.open(path) as store:
        pairs = count(store, parents)
        assert pairs in (told, told + 1)
        assert count(store, artefacts) == 2 * pairs
        with store.read() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "luthier.db"
    path.write_bytes(b"these are not the bytes of a database " * 100)
    with pytest.raises(WorkspaceError, match=r"luthier\.db: the file is no database \(put back a copy"):
        Store.open(path)


def test_a_damaged_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "luthier.db"
    with Store.open(path) as store, store.write() as connection:
        for number in range(300):
            put_artefact(connection, Source(id=f"source-{number}", summary={"text": "x" * 100}))
    pages = bytearray(path.read_bytes())
    pages[4096:] = b"\xff" * (len(pages) - 4096)
    path.write_bytes(pages)
    with pytest.raises(WorkspaceError, match="the database is damaged"), Store.open(path) as store:
        count(store, artefacts)


def test_a_damaged_value_is_refused(store: Store) -> None:
    with store.write() as connection:
        put_artefact(connection, Source(id="source-1", summary={"rows": 1}))
        connection.exec_driver_sql("""UPDATE artefacts SET summary = '{"rows": 1'""")
    with (
        pytest.raises(WorkspaceError, match="the database is damaged: what should be JSON"),
        store.read() as connection,
    ):
        find_entry(connection, "source-1")


def test_a_place_that_holds_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match="file/state: cannot be made: Not a directory"):
        Store.open(tmp_path / "file" / "state" / "luthier.db")
    with pytest.raises(WorkspaceError, match="the database cannot be opened"):
        Store.open(tmp_path)


def test_a_database_that_may_only_be_read_says_so(store: Store, tmp_path: Path) -> None:
    with store.read() as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")
    told = rf"{tmp_path.name}/luthier\.db: the database cannot be written"
    with pytest.raises(WorkspaceError, match=told), store.write() as connection:
        put_artefact(connection, Source(id="source-1"))


def test_a_full_disk_says_so_and_writes_nothing(store: Store) -> None:
    with store.read() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    summary = {"text": "x" * 100_000}
    with pytest.raises(WorkspaceError, match="the disk is full, nothing was written"), store.write() as connection:
        put_artefact(connection, Source(id="source-1", summary=summary))
    assert count(store, artefacts) == 0


def test_a_database_kept_busy_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("luthier.store.database.BUSY_SECONDS", 0.05)
    path = tmp_path / "luthier.db"
    with Store.open(path) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(WorkspaceError, match="another process keeps the database busy"), store.write():
            pass
        other.close()
        with store.write() as connection:
            put_artefact(connection, Source(id="source-1"))
        assert count(store, artefacts) == 1
