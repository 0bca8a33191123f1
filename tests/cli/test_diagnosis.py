"""What `doctor` says about a machine: one test for each thing that may be wrong."""

from dataclasses import replace

import pytest

from graphengine.cli.diagnosis import diagnose, torch_command
from graphengine.cli.facts import DriverFacts, Facts, FolderFacts, PackageFacts, PackFacts, TorchFacts
from graphengine.errors import Problem

H200 = DriverFacts("570.86", (12, 8), ("NVIDIA H200",))
OUTPUT = FolderFacts("output", "/data/output", exists=True, writable=True, free=10**11)
HEALTHY = Facts(
    python=(3, 12, 4),
    platform="Linux-6.1-x86_64",
    packages={
        "torch": PackageFacts("2.9.0+cpu", ("cp312-cp312-manylinux_2_28_x86_64",)),
        "numpy": PackageFacts("2.3.1", ("cp312-cp312-manylinux_2_28_x86_64",)),
        "pillow": PackageFacts("11.3.0"),
        "safetensors": PackageFacts("0.6.2", ("cp38-abi3-manylinux_2_17_x86_64",)),
        "scipy": PackageFacts("1.16.0"),
        "tokenizers": PackageFacts("0.22.0"),
        "diffusers": PackageFacts("0.35.0", ("py3-none-any",)),
        "transformers": PackageFacts("4.57.0"),
        "torchvision": PackageFacts(),
    },
    torch=TorchFacts(devices=("cpu",)),
    folders=(OUTPUT,),
    cache_bytes=0,
    packs=(PackFacts("core", nodes=14), PackFacts("theirs")),
)
WITH_CUDA = replace(
    HEALTHY,
    packages={**HEALTHY.packages, "torch": PackageFacts("2.9.0+cu128")},
    torch=TorchFacts(cuda="12.8", cuda_works=True, devices=("cpu", "cuda:0 NVIDIA H200")),
    driver=H200,
)


def with_package(name: str, package: PackageFacts, facts: Facts = HEALTHY) -> Facts:
    return replace(facts, packages={**facts.packages, name: package})


def only(facts: Facts) -> Problem:
    """The one finding."""
    (problem,) = diagnose(facts)
    return problem


@pytest.mark.parametrize("facts", [HEALTHY, WITH_CUDA], ids=["cpu", "cuda"])
def test_a_healthy_machine_has_no_findings(facts: Facts) -> None:
    assert diagnose(facts) == []


def test_an_old_python_is_told() -> None:
    assert only(replace(HEALTHY, python=(3, 10, 2), packages=_untagged())).code == "python_too_old"


def _untagged() -> dict[str, PackageFacts]:
    return {name: replace(package, tags=()) for name, package in HEALTHY.packages.items()}


def test_torch_that_is_absent_gets_the_command_to_install_it() -> None:
    problem = only(replace(with_package("torch", PackageFacts()), torch=None))
    assert problem.code == "torch_missing"
    assert problem.hint == ("pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cpu")


def test_torch_that_is_absent_on_a_new_python_gets_an_older_python() -> None:
    problem = only(
        replace(HEALTHY, python=(3, 19, 0), packages={**_untagged(), "torch": PackageFacts()}, torch=None)
    )
    assert "may have no build for Python 3.19" in problem.message
    assert problem.hint == "make a virtual environment with Python 3.12 and install there"


def test_another_package_that_is_absent_is_named() -> None:
    problem = only(with_package("diffusers", PackageFacts()))
    assert (problem.code, problem.hint) == ("package_missing", "pip install diffusers")


def test_torch_for_another_python_is_told_from_its_wheel() -> None:
    broken = PackageFacts("2.9.0", ("cp311-cp311-linux_x86_64",), error="No module named 'torch._C'")
    problem = only(with_package("torch", broken))
    assert problem.code == "wrong_python_build"
    assert problem.message == "torch 2.9.0 is built for Python 3.11, this is 3.12"
    assert problem.severity == "error"


def test_an_import_that_fails_shows_its_reason() -> None:
    broken = PackageFacts("2.9.0", error="OSError: libcudart.so.12: cannot open shared object file")
    problem = only(with_package("torch", broken))
    assert problem.code == "import_fails"
    assert "torch 2.9.0 cannot be imported: OSError: libcudart.so.12" in problem.message


@pytest.mark.parametrize(
    "output",
    [
        "A module that was compiled using NumPy 1.x cannot be run in\nNumPy 2.3.1 as it may crash.",
        "ValueError: numpy.dtype size changed, may indicate binary incompatibility.",
        "ImportError: numpy.core.multiarray failed to import",
        "RuntimeError: module compiled against ABI version 0x1000009 but this version of numpy is 0x2000000\n"
        "module compiled against API version 0x10",
    ],
)
def test_a_package_compiled_for_another_numpy_is_told(output: str) -> None:
    broken = PackageFacts("1.9.0", error=output.splitlines()[-1], output=output)
    problem = only(with_package("scipy", broken))
    assert problem.code == "numpy_abi"
    assert problem.message == "scipy 1.9.0 was compiled for another numpy than the installed 2.3.1"
    assert problem.hint == "pip install --upgrade --force-reinstall scipy"


def test_a_numpy_warning_of_a_package_that_works_is_a_warning() -> None:
    output = "A module that was compiled using NumPy 1.x cannot be run in NumPy 2.3.1"
    assert only(with_package("scipy", PackageFacts("1.9.0", output=output))).severity == "warning"


def test_a_cpu_build_beside_a_gpu_gets_the_build_for_its_driver() -> None:
    problem = only(replace(HEALTHY, driver=H200))
    assert (problem.code, problem.severity) == ("torch_is_cpu_only", "warning")
    assert "torch 2.9.0+cpu is a build for the CPU, but there is an NVIDIA H200" in problem.message
    assert problem.hint is not None
    assert problem.hint.endswith("/whl/cu128")


def test_cuda_newer_than_the_driver_is_told_with_both_versions() -> None:
    old = DriverFacts("535.104", (12, 2), ("NVIDIA RTX 4090",))
    torch = TorchFacts(cuda="13.0", devices=("cpu",))
    facts = replace(with_package("torch", PackageFacts("2.9.0+cu130")), torch=torch, driver=old)
    problem = only(facts)
    assert problem.code == "cuda_newer_than_driver"
    assert problem.message == (
        "torch 2.9.0+cu130 is built for CUDA 13.0, but driver 535.104 runs CUDA 12.2 at most"
    )
    assert problem.hint is not None
    assert problem.hint.endswith("/whl/cu126")


def test_cuda_that_fits_and_does_not_work_points_to_the_driver() -> None:
    problem = only(replace(WITH_CUDA, torch=TorchFacts(cuda="12.8", devices=("cpu",))))
    assert problem.code == "cuda_does_not_work"
    assert "cannot use the NVIDIA H200" in problem.message


def test_a_cuda_build_without_a_gpu_is_fine() -> None:
    assert diagnose(replace(WITH_CUDA, torch=TorchFacts(cuda="12.8", devices=("cpu",)), driver=None)) == []


@pytest.mark.parametrize(
    ("cuda", "index"),
    [((13, 1), "cu130"), ((13, 0), "cu130"), ((12, 9), "cu128"), ((12, 6), "cu126"), ((12, 2), "cu126"),
     ((11, 8), "cpu")],
)  # fmt: skip
def test_the_build_is_chosen_by_what_the_driver_runs(cuda: tuple[int, int], index: str) -> None:
    assert torch_command(replace(HEALTHY, driver=replace(H200, cuda=cuda))).endswith(f"/whl/{index}")


def test_on_a_mac_there_is_one_build() -> None:
    assert torch_command(replace(HEALTHY, system="Darwin")) == "pip install --force-reinstall torch"


@pytest.mark.parametrize(("error", "severity"), [("undefined symbol", "error"), (None, "warning")])
def test_torchvision_of_another_torch_is_told(error: str | None, severity: str) -> None:
    vision = PackageFacts("0.23.0", needs_torch="2.8.0", error=error)
    (problem,) = [p for p in diagnose(with_package("torchvision", vision)) if p.code == "torchvision_mismatch"]
    assert problem.message == "torchvision 0.23.0 belongs to torch 2.8.0, not to the installed 2.9.0+cpu"
    assert problem.severity == severity


def test_torchvision_that_fits_is_fine() -> None:
    assert diagnose(with_package("torchvision", PackageFacts("0.24.0", needs_torch="2.9.0"))) == []


@pytest.mark.parametrize(("name", "option"), [("output", "--output"), ("cache", "--cache"), ("temp", "--cache")])
def test_a_folder_that_cannot_be_written_names_its_option(name: str, option: str) -> None:
    problem = only(replace(HEALTHY, folders=(replace(OUTPUT, name=name, writable=False),)))
    assert problem.code == "not_writable"
    assert problem.hint is not None
    assert problem.hint.endswith(option)


def test_a_folder_that_is_only_read_may_be_read_only() -> None:
    assert diagnose(replace(HEALTHY, folders=(replace(OUTPUT, writable=False, is_written=False),))) == []


def test_little_space_is_a_warning() -> None:
    problem = only(replace(HEALTHY, folders=(replace(OUTPUT, free=5_000_000),)))
    assert (problem.code, problem.severity) == ("low_space", "warning")
    assert "has 5 MB left" in problem.message


def test_a_pack_that_cannot_be_loaded_is_told() -> None:
    problem = only(replace(HEALTHY, packs=(*HEALTHY.packs, PackFacts("image", error="pack 'image' is broken"))))
    assert (problem.code, problem.message) == ("broken_pack", "pack 'image' is broken")


def test_a_machine_without_node_types_is_told() -> None:
    assert only(replace(HEALTHY, packs=())).code == "no_nodes"


def test_errors_come_before_warnings() -> None:
    facts = replace(HEALTHY, driver=H200, folders=(replace(OUTPUT, writable=False),))
    assert [problem.severity for problem in diagnose(facts)] == ["error", "warning"]


def test_limits_of_an_isolated_pack_that_are_not_kept_are_told() -> None:
    pack = PackFacts("theirs", is_isolated=True, unkept=("network = false",))
    problem = only(replace(HEALTHY, packs=(HEALTHY.packs[0], pack)))
    assert (problem.code, problem.severity) == ("limits_not_kept", "warning")
    assert problem.message == "pack 'theirs' runs without these limits: network = false"
