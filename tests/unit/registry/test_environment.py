import json
import os
import subprocess
from email.message import Message
from importlib import metadata
from pathlib import Path

import pytest
import sqlalchemy

from luthier.registry import capture
from luthier.registry.environment import _cpuinfo

GIT = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]


def git(root: Path, *arguments: str) -> str:
    command = [*GIT, "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_it_records_versions_and_the_machine(tmp_path: Path) -> None:
    environment = capture(tmp_path)
    packages, cpu, memory = environment["packages"], environment["cpu"], environment["memory_bytes"]
    assert isinstance(packages, dict)
    assert packages["sqlalchemy"] == sqlalchemy.__version__
    assert "luthier" in packages
    assert "pytest" not in packages
    assert isinstance(cpu, dict)
    assert cpu["model"]
    assert cpu["threads"] == os.cpu_count()
    assert isinstance(memory, int)
    assert memory > 2**28
    assert json.loads(json.dumps(environment)) == environment


def test_it_records_versions_of_optional_parts_but_not_of_those_for_development(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    required = [
        "torch>=2.13",
        'peft>=0.21; python_version >= "3.11"',
        'gguf>=0.17; python_version < "3"',
        "ray[client,train]>=2.60; extra == 'ray'",
        "bitsandbytes>=0.50; python_version >= '3.11' and extra == 'nf4'",
        "wandb>=0.20; extra == 'trackers'",
        "ray>=2.60; extra == 'dev'",
        "pytest>=8.3; extra == 'dev'",
    ]
    about = Message()
    for extra in ("dev", "nf4", "ray", "trackers"):
        about["Provides-Extra"] = extra
    monkeypatch.setattr(metadata, "requires", lambda _: required)
    monkeypatch.setattr(metadata, "metadata", lambda _: about)
    installed = {"luthier": "0.1", "torch": "2.13", "peft": "0.21", "gguf": "1", "ray": "2.60", "bitsandbytes": "0.50"}

    def version(name: str) -> str:
        if name not in installed:
            raise metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(metadata, "version", version)
    packages = capture(tmp_path)["packages"]
    assert packages == {name: version for name, version in installed.items() if name != "gguf"}


def test_secrets_in_the_environment_stay_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_very_secret_value")
    assert "hf_very_secret_value" not in json.dumps(capture(tmp_path))


def test_git_state_of_the_workspace(tmp_path: Path) -> None:
    assert capture(tmp_path)["git"] is None
    git(tmp_path, "init", "-q")
    assert capture(tmp_path)["git"] == {"commit": None, "dirty": False}
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "luthier.yaml").write_text("name: shop\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    (shop / ".luthier").mkdir()
    (shop / ".luthier" / "luthier.db").write_text("x")
    (tmp_path / "elsewhere.txt").write_text("x")
    assert capture(shop)["git"] == {"commit": commit, "dirty": False}
    (shop / "luthier.yaml").write_text("name: changed\n")
    assert capture(shop)["git"] == {"commit": commit, "dirty": True}


def test_without_git_the_rest_is_still_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q")
    monkeypatch.setenv("PATH", "")
    environment = capture(tmp_path)
    assert environment["git"] is None
    assert environment["packages"]


def test_cpuinfo_of_both_families(tmp_path: Path) -> None:
    x86 = "processor\t: 0\nmodel name\t: Xeon 8481C\nflags\t\t: fpu avx2 amx_bf16\n\nprocessor\t: 1\nflags\t: none\n"
    arm = "processor\t: 0\nFeatures\t: fp asimd bf16\n\n"
    for text, expected in ((x86, ("Xeon 8481C", {"fpu", "avx2", "amx_bf16"})), (arm, ("", {"fp", "asimd", "bf16"}))):
        (tmp_path / "cpuinfo").write_text(text)
        assert _cpuinfo(tmp_path / "cpuinfo") == expected
    assert _cpuinfo(tmp_path / "absent") == ("", set())
