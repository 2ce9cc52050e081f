"""The cache is keyed by content and survives damage."""

import os
from pathlib import Path

import pytest

from luthier.core.errors import WorkspaceError
from luthier.core.files import default_cache_root
from luthier.core.identity import file_digest
from luthier.models import cache as cache_module
from luthier.models.cache import ModelCache


@pytest.fixture
def cache(tmp_path: Path) -> ModelCache:
    return ModelCache(tmp_path / "cache")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "a.json", tmp_path / "b.safetensors"]
    for path in paths:
        path.write_text(path.name)
    return paths


def test_root_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "mine"))
    assert default_cache_root() == tmp_path / "mine"

    monkeypatch.delenv("LUTHIER_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache_root() == tmp_path / "xdg" / "luthier"

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_cache_root() == tmp_path / "home" / ".cache" / "luthier"


def test_names_are_known_while_their_folder_is_there(cache: ModelCache) -> None:
    folder = cache.folder("ab" * 32)
    folder.mkdir(parents=True)
    assert cache.lookup("pypi:x") is None

    cache.remember(("pypi:x", "pypi:x==1"), "pypi:x==1", folder)

    assert cache.lookup("pypi:x") == cache.lookup("pypi:x==1") == ("pypi:x==1", folder)
    assert ModelCache(cache.root).lookup("pypi:x") == ("pypi:x==1", folder)
    folder.rmdir()
    assert cache.lookup("pypi:x") is None


def test_folder_depends_on_content_alone(cache: ModelCache) -> None:
    assert cache.folder("ab" * 32) == cache.folder("ab" * 32) != cache.folder("cd" * 32)
    assert cache.folder("ab" * 32).parent == cache.root / "models"


def test_digest_reads_files_only_once_until_they_change(
    cache: ModelCache, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = cache.digest(files)
    assert first == file_digest(files)

    with monkeypatch.context() as patch:
        patch.setattr(cache_module, "file_digest", lambda _: pytest.fail("read again"))
        assert cache.digest(files) == first

    stat = files[0].stat()
    files[0].write_text("A.json")
    os.utime(files[0], ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert cache.digest(files) == file_digest(files) != first


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"pypi:x": {"exact": "pypi:x==1"}}', '{"pypi:x": 3}'])
def test_damaged_index_counts_as_empty(content: str, cache: ModelCache, files: list[Path]) -> None:
    cache.root.mkdir()
    for index in ("names", "digests"):
        (cache.root / f"{index}.json").write_text(content)

    assert cache.lookup("pypi:x") is None
    assert cache.digest(files) == file_digest(files)


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path, files: list[Path]) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(
        WorkspaceError, match=r"cache: the cache of models cannot be written: File exists \(set LUTHIER"
    ):
        ModelCache(tmp_path / "cache").digest(files)


def test_a_user_without_a_home_is_told_to_name_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUTHIER_CACHE", "~no-such-user/models")
    with pytest.raises(WorkspaceError, match=r"^LUTHIER_CACHE: there is no home folder to keep models in"):
        default_cache_root()
