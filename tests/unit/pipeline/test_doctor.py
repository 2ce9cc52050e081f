"""The doctor names what is wrong with a machine, and is silent where all is well."""

import shutil
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import luthier
from luthier.kernels.native import NativeError
from luthier.pipeline import doctor as module
from luthier.pipeline.doctor import ENOUGH_MEMORY, EXTRAS, LEAST_MEMORY

PYPROJECT = Path(__file__).resolve().parents[3] / "pyproject.toml"


@pytest.fixture
def well(monkeypatch):
    """A machine on which all is well, whatever this one is."""
    monkeypatch.setattr(module, "matmul_flops", lambda _: 2e12)
    monkeypatch.setattr(module, "weight_bytes_per_second", lambda _: 4e10)
    monkeypatch.setattr(module, "resolve_dtype", lambda _: "bfloat16")
    monkeypatch.setattr(module, "_cpu_quota", lambda _: None)
    monkeypatch.setattr(module, "native", SimpleNamespace(library=lambda: None, NativeError=NativeError))
    monkeypatch.setattr(module, "free_memory", lambda: 16 * 10**9)
    monkeypatch.setattr(module.psutil, "getloadavg", lambda: (0.1, 0.1, 0.1))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 0, 10**11))
    monkeypatch.setattr(module, "_missing", lambda _: [])


def _verdicts(folder):
    return {one.check: one.verdict for one in luthier.doctor(folder).symptoms}


@pytest.mark.usefixtures("well")
def test_a_machine_on_which_all_is_well(tmp_path):
    found = luthier.doctor(tmp_path)
    assert found.verdict == "pass"
    assert set(_verdicts(tmp_path)) == {
        *("products", "kernels", "threads", "load", "memory", "gpu", "disk, workspace", "disk, model cache", "locks"),
        "packages",
    }
    assert not any(one.advice for one in found.symptoms)
    assert list(tmp_path.iterdir()) == []
    small, *_, large = found.prospects
    assert (small.fits, large.fits) == (True, False)
    assert [round(one.weights / 1e6) for one in found.prospects] == [135, 362, 1236, 3213, 8030]
    assert small.tokens_per_second == pytest.approx(0.17 * 2e12 / (4 * 135e6), rel=0.2)
    assert small.memory_bytes == pytest.approx(3.4e9, rel=0.1)


@pytest.mark.usefixtures("well")
@pytest.mark.parametrize(
    ("check", "verdict", "name", "value"),
    [
        ("products", "warn", "resolve_dtype", lambda _: "float32"),
        (
            "kernels",
            "warn",
            "native",
            SimpleNamespace(library=lambda: NativeError("no compiler"), NativeError=NativeError),
        ),
        ("threads", "warn", "_cpu_quota", lambda _: 0.5),
        ("memory", "warn", "free_memory", lambda: ENOUGH_MEMORY - 1),
        ("memory", "fail", "free_memory", lambda: LEAST_MEMORY - 1),
        ("packages", "fail", "_missing", lambda extra: [] if extra else ["peft is not installed"]),
    ],
)
def test_what_is_wrong_is_named(tmp_path, monkeypatch, check, verdict, name, value):
    monkeypatch.setattr(module, name, value)
    found = {one.check: one for one in luthier.doctor(tmp_path).symptoms}
    assert found[check].verdict == verdict
    assert found[check].advice
    assert {one.verdict for one in found.values() if one.check != check} == {"pass"}


@pytest.mark.usefixtures("well")
def test_a_busy_machine_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(module.psutil, "getloadavg", lambda: (64.0, 1.0, 1.0))
    assert _verdicts(tmp_path)["load"] == "warn"


@pytest.mark.usefixtures("well")
@pytest.mark.parametrize(("free", "verdict"), [(2 * 10**9, "warn"), (10**8, "fail")])
def test_a_full_disk_is_named(tmp_path, monkeypatch, free, verdict):
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 0, free))
    assert _verdicts(tmp_path)["disk, workspace"] == verdict


@pytest.mark.usefixtures("well")
def test_a_folder_without_locks_is_named(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(module, "workspace_lock", no_locks)
    assert _verdicts(tmp_path)["locks"] == "fail"


@pytest.mark.parametrize(("text", "quota"), [("max 100000\n", None), ("150000 100000\n", 1.5), ("odd", None)])
def test_the_share_of_a_container_is_read(tmp_path, text, quota):
    (tmp_path / "cpu.max").write_text(text)
    assert module._cpu_quota(tmp_path / "cpu.max") == quota
    assert module._cpu_quota(tmp_path / "gone") is None


def test_requirements_are_compared_with_what_is_installed(monkeypatch):
    monkeypatch.setattr(
        module.metadata,
        "requires",
        lambda _: [
            "pytest>=1",
            "torch<1",
            "no-such-package",
            "also-missing; extra == 'ray'",
            "skipped; python_version<'3'",
        ],
    )
    missing = module._missing("")
    assert missing[0].startswith("torch ")
    assert missing[1:] == ["no-such-package is not installed"]
    assert module._missing("ray") == ["also-missing is not installed"]


def test_every_optional_part_is_explained():
    extras = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(EXTRAS) == set(extras) - {"dev"}


@pytest.mark.usefixtures("well")
def test_the_command_prints_it_and_its_exit_code_says_whether_it_will_work(command, tmp_path, monkeypatch):
    ended = command(tmp_path, "doctor")
    assert ended.code == 0
    assert "135M weights" in ended.out
    monkeypatch.setattr(module, "free_memory", lambda: 10**8)
    assert command(tmp_path, "doctor", "--json").json["verdict"] == "fail"
    assert command(tmp_path, "doctor").code == 2
