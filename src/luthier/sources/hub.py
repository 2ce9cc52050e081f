"""Data sets of the Hugging Face Hub: the files of one commit that can be read."""

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from luthier.core.errors import RecipeError, SourceError
from luthier.core.files import atomic_directory
from luthier.core.recipe import read_yaml
from luthier.sources.compression import PACKED

_ID = re.compile(r"(?P<repository>[A-Za-z0-9][\w.-]*/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
_COMMIT_DIGITS = 12
_CARD = "README.md"
_DATA_SUFFIXES = (".parquet", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".txt")
_PATTERNS = [f"*{suffix}{packed}" for suffix in _DATA_SUFFIXES for packed in ("", *PACKED)]
_NO_DATA = re.compile(r"(^|/)(dataset_infos\.json|\.[^/]+|requirements\.txt)$")
"""Files beside the data of many repositories, which hold no rows."""


def fetch_dataset(hub: str, split: str, place: Path, say: Callable[[str], None]) -> list[Path]:
    """The data files of `org/name` or `org/name@revision`, in a folder of their commit under `place`, by name.

    A commit that was fetched before is not fetched again, and one that is named in full needs no network. With `split`
    only that split's files. Raises SourceError without network, for an unknown data set or split, and one without files
    that can be read.
    """
    found = _ID.fullmatch(hub)
    if found is None:
        raise SourceError("is no Hub id", where=hub, allowed="org/name or org/name@revision")
    repository, revision = found["repository"], found["revision"]
    commit = revision if revision and re.fullmatch(r"[0-9a-f]{40}", revision) else _commit(repository, revision, hub)
    folder = place / f"{repository.replace('/', '--')}@{commit[:_COMMIT_DIGITS]}"
    if not folder.is_dir():
        say(f"fetching {repository} from the Hub")
        _download(repository, commit, folder, hub)
    return _files(folder, split, hub)


def files_of_split(names: Sequence[str], split: str, card: str) -> list[str]:
    """The names that belong to a split: by the patterns of the data set's card, otherwise those that hold its name.

    The card begins with YAML whose `configs` list `data_files` of `split` and `path`, as the Hub documents it.
    """
    patterns = list(_card_patterns(card, split))
    if patterns:
        return [name for name in names if any(fnmatch(name, pattern) for pattern in patterns)]
    whole_word = re.compile(rf"(?<![A-Za-z0-9]){re.escape(split)}(?![A-Za-z0-9])")
    return [name for name in names if whole_word.search(name)]


def _commit(repository: str, revision: str | None, hub: str) -> str:
    from huggingface_hub import HfApi

    with _plain_errors(hub):
        info = HfApi().dataset_info(repository, revision=revision)
    if not info.sha:
        raise SourceError("the Hub names no commit of this data set", where=hub)
    return str(info.sha)


def _download(repository: str, commit: str, folder: Path, hub: str) -> None:
    from huggingface_hub import snapshot_download

    with atomic_directory(folder) as partial:
        with _plain_errors(hub):
            snapshot_download(
                repository,
                repo_type="dataset",
                revision=commit,
                allow_patterns=[*_PATTERNS, _CARD],
                local_dir=partial,
            )
        shutil.rmtree(partial / ".cache", ignore_errors=True)


@contextmanager
def _plain_errors(hub: str) -> Iterator[None]:
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        yield
    except GatedRepoError as error:
        raise SourceError("its owner must grant access to it first", where=hub, allowed="then set HF_TOKEN") from error
    except RepositoryNotFoundError as error:
        raise SourceError("the Hub has no such data set, or it is private", where=hub) from error
    except RevisionNotFoundError as error:
        raise SourceError("the data set has no such revision", where=hub) from error
    except HfHubHTTPError as error:
        raise SourceError(f"cannot be fetched from the Hub: {_one_line(error)}", where=hub) from error
    except Exception as error:  # what is raised without network depends on the HTTP client
        raise SourceError(f"cannot reach the Hub: {_one_line(error)}", where=hub) from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _files(folder: Path, split: str, hub: str) -> list[Path]:
    names = sorted(
        name
        for path in folder.rglob("*")
        if path.is_file() and not _NO_DATA.search(name := path.relative_to(folder).as_posix()) and name != _CARD
    )
    if not names:
        raise SourceError("holds no file that can be read", where=hub, allowed=", ".join(_DATA_SUFFIXES))
    if not split:
        return [folder / name for name in names]
    card = folder / _CARD
    chosen = files_of_split(names, split, card.read_text(encoding="utf-8", errors="replace") if card.is_file() else "")
    if not chosen:
        raise SourceError(f"has no split {split!r}", where=hub, allowed=f"its files are: {', '.join(names[:10])}")
    return [folder / name for name in chosen]


def _card_patterns(card: str, split: str) -> Iterator[str]:
    if not card.startswith("---"):
        return
    try:
        head = read_yaml(card.split("---", 2)[1], _CARD, "not valid YAML")
    except RecipeError:
        return
    configs = head.get("configs") if isinstance(head, Mapping) else None
    for config in configs if isinstance(configs, list) else []:
        files = config.get("data_files") if isinstance(config, Mapping) else None
        for entry in files if isinstance(files, list) else []:
            if isinstance(entry, Mapping) and entry.get("split") == split:
                paths = entry.get("path", [])
                yield from (str(path) for path in (paths if isinstance(paths, list) else [paths]))
