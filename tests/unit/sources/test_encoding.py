from pathlib import Path

import pytest

from luthier.sources import open_text

WESTERN = "Where is my café order? It cost €40 – naïve me.\n"


def written(folder: Path, content: bytes) -> str:
    path = folder / "file.txt"
    path.write_bytes(content)
    with open_text(path) as handle:
        return handle.read()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_reads_common_encodings(tmp_path: Path, encoding: str) -> None:
    text = WESTERN * 20
    assert written(tmp_path, text.encode(encoding)) == text


def test_other_alphabets_are_guessed(tmp_path: Path) -> None:
    text = "Здравствуйте, где мой заказ? Я жду его уже вторую неделю, помогите пожалуйста.\n" * 30
    assert written(tmp_path, text.encode("cp1251")) == text


def test_a_line_from_elsewhere_does_not_spoil_the_file(tmp_path: Path) -> None:
    good, bad = "schöne Stühle – €5\n", "Stühle für Änne\n"
    assert written(tmp_path, (good * 3).encode() + bad.encode("cp1252") + good.encode()) == good * 3 + bad + good
