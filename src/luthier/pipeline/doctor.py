"""`luthier doctor`: what this machine is, what will work on it, and how to mend what will not."""

import shutil
import sqlite3
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import psutil
import torch
from packaging.requirements import Requirement

from luthier.core.errors import WorkspaceError
from luthier.core.files import default_cache_root
from luthier.core.recipe import AdapterSection, Dtype
from luthier.core.sizes import GIGABYTE, gigabytes
from luthier.kernels import native
from luthier.kernels.allocator import free_memory
from luthier.kernels.ceiling import matmul_flops, weight_bytes_per_second
from luthier.models.loading import DTYPES, resolve_dtype
from luthier.planning import ForwardPass, ModelShape, Setup, Way, operations_per_token, trained_by
from luthier.registry import capture
from luthier.store.lock import workspace_lock
from luthier.training import Verdict, overall

LEAST_MEMORY, ENOUGH_MEMORY = 2 * GIGABYTE, 4 * GIGABYTE
"""A model of 135 million weights is trained in the former; the demo runs in the latter."""
LEAST_DISK, ENOUGH_DISK = 1 * GIGABYTE, 5 * GIGABYTE
BASE_MODELS = (
    (576, 1536, 30, 9, 3, 49_152, True),
    (960, 2560, 32, 15, 5, 49_152, True),
    (2048, 8192, 16, 32, 8, 128_256, True),
    (3072, 8192, 28, 24, 8, 128_256, True),
    (4096, 14_336, 32, 32, 8, 128_256, False),
)
"""Sizes of SmolLM2 with 135 and 360 million weights and of Llama with 1, 3 and 8 billion, as SIZES names them."""
SIZES = (
    *("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads"),
    *("vocab_size", "tie_word_embeddings"),
)
FORWARD = ForwardPass(tokens=2048, targets=1024, row_tokens=300)
"""What a usual batch holds."""
SHARE_OF_CEILING = 0.17
"""The demo's training: 606 tokens a second of 0.5 billion operations each, of 1.8 TFLOP/s measured there."""
EXTRAS = {
    "harness": "lm-evaluation-harness measures a run on its tasks",
    "nf4": "model.quantization: nf4 trains adapters on base weights of four bits",
    "ray": "data.engine and training.engine: ray cleans and trains on a cluster",
    "trackers": "training.report_to: TensorBoard, MLflow, Weights & Biases",
}
"""What the optional parts bring, by the name that pip installs them under."""


@dataclass(frozen=True, slots=True)
class Symptom:
    """One thing looked at: what it is here, and what to do where that is not well."""

    check: str
    verdict: Verdict
    found: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Extra:
    """An optional part of luthier."""

    name: str
    installed: bool
    brings: str


@dataclass(frozen=True, slots=True)
class Prospect:
    """What an estimate says of training LoRA on a base model of this size: whether it fits, and how fast at best."""

    weights: int
    memory_bytes: int
    fits: bool
    tokens_per_second: float


@dataclass(frozen=True, slots=True)
class Diagnosed:
    """All that the doctor found."""

    machine: Mapping[str, object]
    measured: Mapping[str, float]
    symptoms: tuple[Symptom, ...]
    extras: tuple[Extra, ...]
    prospects: tuple[Prospect, ...]

    @property
    def verdict(self) -> Verdict:
        return overall(symptom.verdict for symptom in self.symptoms)

    def to_json(self) -> dict[str, object]:
        return {
            "verdict": self.verdict,
            "machine": dict(self.machine),
            "measured": dict(self.measured),
            "findings": [asdict(symptom) for symptom in self.symptoms],
            "extras": [asdict(extra) for extra in self.extras],
            "models": [asdict(prospect) for prospect in self.prospects],
        }


def doctor(folder: Path = Path()) -> Diagnosed:
    """Look at this machine and at a folder that is, or is to become, a workspace. Takes a few seconds."""
    name = resolve_dtype("auto")
    dtype = DTYPES[name]
    measured = {
        "matmul_flops": matmul_flops(dtype),
        "float32_matmul_flops": matmul_flops(torch.float32),
        "weight_bytes_per_second": weight_bytes_per_second(dtype),
    }
    free = free_memory()
    symptoms = (
        _products(dtype, measured),
        _kernels(),
        _threads(),
        _load(),
        _memory(free),
        _gpu(),
        *(_disk(name, place) for name, place in (("workspace", folder), ("model cache", default_cache_root()))),
        _locks(folder),
        _packages(),
    )
    return Diagnosed(
        capture(folder),
        measured,
        symptoms,
        tuple(Extra(name, not _missing(name), brings) for name, brings in EXTRAS.items()),
        tuple(_prospect(sizes, name, free, measured["matmul_flops"]) for sizes in BASE_MODELS),
    )


def _products(dtype: torch.dtype, measured: Mapping[str, float]) -> Symptom:
    name = str(dtype).removeprefix("torch.")
    found = (
        f"{name}: {measured['matmul_flops'] / 1e12:.2f} TFLOP/s, "
        f"weights read at {measured['weight_bytes_per_second'] / GIGABYTE:.0f} GB/s"
    )
    if dtype == torch.bfloat16:
        return Symptom("products", "pass", found)
    advice = "a processor with AVX-512 BF16 or AMX computes in bfloat16: half the memory, and several times as fast"
    return Symptom("products", "warn", found, advice)


def _kernels() -> Symptom:
    library = native.library()
    if not isinstance(library, native.NativeError):
        return Symptom("kernels", "pass", "compiled for this processor")
    advice = "install a C++ compiler (Debian: apt install g++), or training takes more passes over memory"
    return Symptom("kernels", "warn", f"torch's own operations: {library}", advice)


def _threads() -> Symptom:
    threads, quota = torch.get_num_threads(), _cpu_quota(Path("/sys/fs/cgroup/cpu.max"))
    found = f"{threads} threads"
    if quota is None or threads <= quota:
        return Symptom("threads", "pass", found)
    advice = f"set OMP_NUM_THREADS={max(1, int(quota))}: threads that wait for each other slow training down"
    return Symptom("threads", "warn", f"{found}, and the container may use {quota:g} processors", advice)


def _cpu_quota(path: Path) -> float | None:
    """Processors that a container may use, None where nothing limits them."""
    try:
        quota, period = path.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else int(quota) / int(period)


def _load() -> Symptom:
    busy, threads = psutil.getloadavg()[0], psutil.cpu_count() or 1
    found = f"{busy:.1f} processes ran in the last minute, on {threads} processors"
    if busy < max(1.0, 0.5 * threads):
        return Symptom("load", "pass", found)
    return Symptom("load", "warn", found, "train when nothing else runs: one busy neighbour can halve the speed")


def _memory(free: int) -> Symptom:
    found = f"{gigabytes(free)} free"
    if free >= ENOUGH_MEMORY:
        return Symptom("memory", "pass", found)
    verdict: Verdict = "warn" if free >= LEAST_MEMORY else "fail"
    advice = f"the demo takes {ENOUGH_MEMORY // GIGABYTE} GB; close other programs, or raise the container's limit"
    return Symptom("memory", verdict, found, advice)


def _gpu() -> Symptom:
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name(0)
        return Symptom("gpu", "warn", name, "it is not used: training and serving run on the processor")
    if torch.version.cuda:
        advice = "pip install torch from its index for CPUs, and save some gigabytes"
        return Symptom("gpu", "warn", f"none, and torch is built for CUDA {torch.version.cuda}", advice)
    return Symptom("gpu", "pass", "none, and none is needed")


def _disk(name: str, place: Path) -> Symptom:
    existing = next(path for path in (place.absolute(), *place.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    check, found = f"disk, {name}", f"{gigabytes(free)} free in {existing}"
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        return Symptom(check, "fail", f"{existing} cannot be written: {error.strerror}", "choose another folder")
    if free >= ENOUGH_DISK:
        return Symptom(check, "pass", found)
    advice = "models, datasets and runs take some gigabytes" + ("; LUTHIER_CACHE moves it" if "cache" in name else "")
    return Symptom(check, "warn" if free >= LEAST_DISK else "fail", found, advice)


def _locks(folder: Path) -> Symptom:
    """Network file systems often have neither locks nor shared memory, which the registry's database needs."""
    try:
        with tempfile.TemporaryDirectory(dir=folder.absolute()) as scratch:
            with workspace_lock(Path(scratch) / "lock", "doctor"):
                pass
            connection = sqlite3.connect(Path(scratch) / "test.db")
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            connection.close()
    except (OSError, sqlite3.Error, WorkspaceError) as error:
        return Symptom("locks", "fail", f"the folder has no locks: {error}", "make the workspace on a local disk")
    if mode != "wal":
        return Symptom("locks", "fail", "the folder cannot share a database", "make the workspace on a local disk")
    return Symptom("locks", "pass", "the folder can lock files and share a database")


def _packages() -> Symptom:
    missing = _missing("")
    if missing:
        return Symptom("packages", "fail", ", ".join(missing), "pip install --upgrade luthier")
    return Symptom("packages", "pass", "all that luthier needs is installed, in versions that it knows")


def _missing(extra: str) -> list[str]:
    """Requirements of luthier, or of one of its optional parts, that are not installed in a version that fits."""
    try:
        lines = metadata.requires("luthier") or []
    except metadata.PackageNotFoundError:  # run from a source folder that was never installed
        lines = []
    missing = []
    for line in lines:
        requirement = Requirement(line)
        of_extra = requirement.marker is not None and "extra" in str(requirement.marker)
        if of_extra != bool(extra) or (requirement.marker and not requirement.marker.evaluate({"extra": extra})):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            missing.append(f"{requirement.name} is not installed")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            missing.append(f"{requirement.name} {version} is not {requirement.specifier}")
    return missing


def _prospect(sizes: tuple[int, ...], dtype: Dtype, free: int, flops: float) -> Prospect:
    """LoRA as in a new recipe on a model of these sizes."""
    lora = AdapterSection()
    shape = ModelShape.of(dict(zip(SIZES, sizes, strict=True)))
    setup = Setup(shape, trained_by(shape, lora), Way(dtype), FORWARD, lora.r)
    needed = setup.memory.total
    speed = SHARE_OF_CEILING * flops / operations_per_token(setup)
    return Prospect(shape.parameters, needed, needed <= free, speed)
