"""`graphengine doctor`: looking at the machine, and the report."""

import ctypes
import json
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from graphengine.cli import probe
from graphengine.cli.doctor import fact_lines
from graphengine.cli.facts import DriverFacts, Facts, PackageFacts, PackFacts, TorchFacts
from graphengine.settings import Settings, load_settings
from tests.cli.conftest import CommandLine
from tests.cli.test_diagnosis import HEALTHY, WITH_CUDA

ANSWERS = {
    "import torch": (0, "", ""),
    "json, torch": (0, '{"cuda": null, "hip": null, "cuda_works": false, "devices": ["cpu"]}\n', ""),
    "scipy": (1, "", "Traceback …\nImportError: numpy.core.multiarray failed to import\n"),
    "tokenizers": (-4, "", ""),
}


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[int, str, str]]:
    """What programs answer, by a part of their command line; others succeed in silence."""
    answers = dict(ANSWERS)

    def run(command: list[str], **_: object) -> "subprocess.CompletedProcess[str]":
        found = next((answer for part, answer in answers.items() if part in " ".join(command)), (0, "", ""))
        return subprocess.CompletedProcess(command, *found)

    monkeypatch.setattr("graphengine.cli.probe.subprocess.run", run)
    monkeypatch.setattr(
        "graphengine.cli.probe.shutil.which", lambda name: f"/usr/bin/{name}" if name in answers else None
    )
    return answers


@pytest.fixture
def settings(place: Path) -> Settings:
    (place / "output").mkdir()
    return load_settings(environ={"GRAPHENGINE_CACHE": str(place / "cache")})


def test_a_package_that_ends_its_process_is_an_import_that_fails(
    programs: dict[str, tuple[int, str, str]], settings: Settings
) -> None:
    packages = probe.gather(settings).packages
    assert packages["tokenizers"].error == "its process ended with code -4"
    assert packages["scipy"].error == "ImportError: numpy.core.multiarray failed to import"
    assert packages["numpy"].error is None
    assert packages["numpy"].version is not None


def test_what_torch_computes_on_is_asked_of_torch(
    programs: dict[str, tuple[int, str, str]], settings: Settings
) -> None:
    assert probe.gather(settings).torch == TorchFacts(devices=("cpu",))
    programs["json, torch"] = (1, "", "ModuleNotFoundError: No module named 'torch'")
    assert probe.gather(settings).torch is None


def test_the_driver_is_asked_of_its_library_and_its_tool(
    programs: dict[str, tuple[int, str, str]], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs["nvidia-smi"] = (0, "570.86, NVIDIA H200\n570.86, NVIDIA L4\n", "")

    def version(number: object) -> int:
        ctypes.cast(number, ctypes.POINTER(ctypes.c_int))[0] = 12080  # type: ignore[arg-type]  # byref of an int
        return 0

    monkeypatch.setattr("graphengine.cli.probe.ctypes.CDLL", lambda _: SimpleNamespace(cuDriverGetVersion=version))
    assert probe.gather(settings).driver == DriverFacts("570.86", (12, 8), ("NVIDIA H200", "NVIDIA L4"))


def test_without_a_driver_there_is_none(
    programs: dict[str, tuple[int, str, str]], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(_: str) -> object:
        raise OSError("libcuda.so.1: cannot open shared object file")

    monkeypatch.setattr("graphengine.cli.probe.ctypes.CDLL", absent)
    assert probe.gather(settings).driver is None


def test_a_program_that_does_not_answer_has_failed(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    def hang(command: list[str], **_: object) -> object:
        raise subprocess.TimeoutExpired(command, 120)

    monkeypatch.setattr("graphengine.cli.probe.subprocess.run", hang)
    facts = probe.gather(settings)
    assert facts.packages["numpy"].error == "no answer within 120 s"
    assert facts.torch is None


def test_folders_cache_and_packs_are_looked_at(
    programs: dict[str, tuple[int, str, str]], settings: Settings, place: Path
) -> None:
    (place / "cache").mkdir()
    (place / "cache" / "blob").write_bytes(b"x" * 1000)
    facts = probe.gather(settings)
    states = {folder.name: (folder.exists, folder.writable) for folder in facts.folders}
    assert states["output"] == (True, True)
    assert states["input"][0] is False
    assert facts.cache_bytes == 1000
    assert facts.packs == (PackFacts("core", nodes=facts.packs[0].nodes), PackFacts("trial_nodes"))


def test_a_file_in_the_place_of_a_folder_cannot_be_written(
    programs: dict[str, tuple[int, str, str]], settings: Settings, place: Path
) -> None:
    (place / "file").touch()
    folders = replace(settings.folders, output=place / "file" / "output")
    (output,) = [f for f in probe.gather(replace(settings, folders=folders)).folders if f.name == "output"]
    assert not output.writable


def test_the_facts_are_reported() -> None:
    lines = list(fact_lines(WITH_CUDA))
    assert lines[0] == "Python 3.12.4 on Linux-6.1-x86_64"
    assert "  torch         2.9.0+cu128" in lines
    assert "  torchvision   not installed" in lines
    assert "  cuda:0 NVIDIA H200" in lines
    assert "  torch is built for CUDA 12.8" in lines
    assert "  NVIDIA driver 570.86, up to CUDA 12.8" in lines
    assert "  output  writable, 100.0 GB free  /data/output" in lines
    assert lines[-2:] == ["  core    14 node types", "  theirs  loaded by a run that names its nodes"]
    others = (PackFacts("alone", is_isolated=True), PackFacts("strange", is_trusted=False))
    assert list(fact_lines(replace(WITH_CUDA, packs=others)))[-2:] == [
        "  alone    loaded in a process of its own by a run that names its nodes",
        "  strange  not trusted by this project",
    ]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[Facts]:
    """The machine that `doctor` sees: the last of the list."""
    seen = [HEALTHY]
    monkeypatch.setattr(probe, "gather", lambda settings: seen[-1])
    return seen


def test_a_healthy_machine_is_code_0(graphengine: CommandLine, machine: list[Facts]) -> None:
    done = graphengine("doctor")
    assert done.code == 0
    assert done.out.splitlines()[-1] == "everything is fine"


def test_a_broken_machine_is_code_1_and_told_what_to_do(graphengine: CommandLine, machine: list[Facts]) -> None:
    machine.append(replace(HEALTHY, packages={**HEALTHY.packages, "diffusers": PackageFacts()}))
    done = graphengine("doctor")
    assert done.code == 1
    assert done.out.splitlines()[-3:] == [
        "error: diffusers is not installed [package_missing]",
        "  hint: pip install diffusers",
        "1 problem to solve",
    ]


def test_a_warning_is_code_0(graphengine: CommandLine, machine: list[Facts]) -> None:
    machine.append(replace(HEALTHY, driver=WITH_CUDA.driver))
    done = graphengine("doctor")
    assert done.code == 0
    assert done.out.splitlines()[-1] == "ready, with warnings"


def test_facts_and_problems_can_be_json(graphengine: CommandLine, machine: list[Facts]) -> None:
    report = json.loads(graphengine("doctor", "--json").out)
    assert report["facts"]["packages"]["torch"]["version"] == "2.9.0+cpu"
    assert report["problems"] == []
