"""Converted models once more in float32, for processors that compute in it.

Weights of the type that is computed in are not read but mapped: the system shares their pages between processes, and
may drop them while memory is short. Weights that have to be widened would be each process's own.
"""

import shutil
from pathlib import Path

import torch
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from luthier.core.errors import WorkspaceError
from luthier.core.files import atomic_directory, default_cache_root
from luthier.core.recipe import Dtype

_NARROW = {"BF16": torch.bfloat16, "F16": torch.float16}
_SPARE = 2
"""Times the widened files that the disk must have room for."""


def widened(folder: Path, dtype: Dtype) -> Path:
    """Where to load a model with weights of this type from: for a model of the cache that is narrower than float32, and
    float32 asked for, a folder beside it that is written on first use; else `folder`.

    Of models in other folders no copy is made, nor where the disk has little room.
    """
    if dtype != "float32" or folder.parent != default_cache_root() / "models":
        return folder
    weights = sorted(folder.glob("*.safetensors"))
    target = folder.with_name(f"{folder.name}-float32")
    with FileLock(default_cache_root() / "widened.lock"):
        if target.is_dir():
            return target
        wide = sum(path.stat().st_size for path in weights) * 2
        if not any(map(_is_narrow, weights)) or shutil.disk_usage(folder).free < _SPARE * wide:
            return folder
        try:
            with atomic_directory(target) as partial:
                for path in folder.iterdir():
                    if path in weights:
                        save_file(_widened(path), partial / path.name, metadata={"format": "pt"})
                    else:
                        shutil.copyfile(path, partial / path.name)
        except (WorkspaceError, SafetensorError):
            return folder
    return target


def _is_narrow(path: Path) -> bool:
    with safe_open(path, framework="pt") as file:
        return any(file.get_slice(name).get_dtype() in _NARROW for name in file.keys())  # noqa: SIM118


def _widened(path: Path) -> dict[str, torch.Tensor]:
    return {
        name: tensor.float() if tensor.dtype in _NARROW.values() else tensor for name, tensor in load_file(path).items()
    }
