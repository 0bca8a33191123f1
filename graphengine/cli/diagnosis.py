"""What is wrong with a machine, and what to do about it: pure functions over `Facts`.

Each rule looks at one thing and gives its findings; `diagnose` is all rules in the order in which to act on them.
An "error" keeps workflows from running, a "warning" costs speed or may cost something later.
"""

import re
from collections.abc import Iterator
from typing import Literal

from graphengine.cli.facts import Facts, PackageFacts, Version
from graphengine.errors import Problem

#: CUDA versions that torch is built for, newest first, and the name of the package index of each.
_WHEELS = (((13, 0), "cu130"), ((12, 8), "cu128"), ((12, 6), "cu126"))
_NEWEST_PYTHON = (3, 14)  # the newest for which torch has builds
_OLDEST_PYTHON = (3, 11)
_LOW_SPACE = 10**9  # bytes
_REQUIRED = ("torch", "numpy", "pillow", "safetensors", "scipy", "tokenizers", "diffusers", "transformers")
_NUMPY_ABI = re.compile(
    r"compiled using NumPy 1|numpy\.dtype size changed|multiarray failed to import|compiled against .*API version"
)


def diagnose(facts: Facts) -> list[Problem]:
    """Every finding, errors first."""
    rules = (
        _python,
        _missing,
        _imports,
        _torch_without_gpu,
        _torch_newer_than_driver,
        _torchvision,
        _folders,
        _packs,
    )
    found = [problem for rule in rules for problem in rule(facts)]
    return sorted(found, key=lambda problem: problem.severity != "error")


def torch_command(facts: Facts) -> str:
    """The command that installs the fastest torch this machine can run."""
    index = "https://download.pytorch.org/whl/"
    if facts.system == "Darwin":
        return "pip install --force-reinstall torch"
    gpu = facts.driver if facts.driver and facts.driver.gpus else None
    if gpu is None or gpu.cuda is None:
        return f"pip install --force-reinstall torch --index-url {index}cpu"
    return f"pip install --force-reinstall torch --index-url {index}{_wheel(gpu.cuda)}"


def _wheel(driver: Version) -> str:
    """The newest build that the driver runs at full speed, else one that it runs at all."""
    full = [name for build, name in _WHEELS if driver >= build]
    possible = [name for build, name in reversed(_WHEELS) if _runs(driver, build)]
    return next(iter([*full, *possible]), "cpu")


def _runs(driver: Version, build: Version) -> bool:
    """Whether a driver runs programs of a CUDA version: any of the driver's major version, and older ones."""
    return driver[0] >= build[0]


def _python(facts: Facts) -> Iterator[Problem]:
    if facts.python < _OLDEST_PYTHON:
        yield Problem(
            "python_too_old",
            f"Python {_dotted(facts.python)} is older than {_dotted(_OLDEST_PYTHON)}",
            hint="make a virtual environment with Python 3.12 and install there",
        )


def _missing(facts: Facts) -> Iterator[Problem]:
    for name in _REQUIRED:
        if facts.packages.get(name, PackageFacts()).version is not None:
            continue
        if name != "torch":
            yield Problem("package_missing", f"{name} is not installed", hint=f"pip install {name}")
        elif facts.python[:2] > _NEWEST_PYTHON:
            yield Problem(
                "torch_missing",
                f"torch is not installed, and may have no build for Python {_dotted(facts.python[:2])} yet",
                hint="make a virtual environment with Python 3.12 and install there",
            )
        else:
            yield Problem("torch_missing", "torch is not installed", hint=torch_command(facts))


def _imports(facts: Facts) -> Iterator[Problem]:
    """Packages that cannot be imported, with the reason when it is a known one."""
    for name, package in facts.packages.items():
        severity: Literal["error", "warning"] = "error" if name in _REQUIRED else "warning"
        if _NUMPY_ABI.search(package.output):
            numpy = facts.packages.get("numpy", PackageFacts()).version
            yield Problem(
                "numpy_abi",
                f"{name} {package.version} was compiled for another numpy than the installed {numpy}",
                hint=f"pip install --upgrade --force-reinstall {name}",
                severity=severity if package.error else "warning",
            )
        elif package.error is None:
            continue
        elif built_for := _other_python(package, facts.python):
            yield Problem(
                "wrong_python_build",
                f"{name} {package.version} is built for Python {built_for}, this is {_dotted(facts.python[:2])}",
                hint=torch_command(facts) if name == "torch" else f"pip install --force-reinstall {name}",
                severity=severity,
            )
        else:
            yield Problem(
                "import_fails",
                f"{name} {package.version} cannot be imported: {package.error}",
                hint=torch_command(facts) if name == "torch" else f"pip install --force-reinstall {name}",
                severity=severity,
            )


def _other_python(package: PackageFacts, python: Version) -> str | None:
    """The Python version of the package's wheel when it is not the running one."""
    for tag in package.tags:
        match = re.match(r"cp(\d)(\d+)-cp", tag)
        if match and (int(match[1]), int(match[2])) != python[:2]:
            return f"{match[1]}.{match[2]}"
    return None


def _torch_without_gpu(facts: Facts) -> Iterator[Problem]:
    torch, driver = facts.torch, facts.driver
    if torch is None or driver is None or not driver.gpus or torch.cuda or torch.hip:
        return
    yield Problem(
        "torch_is_cpu_only",
        f"torch {_version(facts, 'torch')} is a build for the CPU, but there is an {_nvidia(driver.gpus[0])}",
        hint=torch_command(facts),
        severity="warning",
    )


def _nvidia(name: str) -> str:
    return name if name.startswith("NVIDIA") else f"NVIDIA {name}"


def _torch_newer_than_driver(facts: Facts) -> Iterator[Problem]:
    torch, driver = facts.torch, facts.driver
    if torch is None or torch.cuda is None or torch.cuda_works or driver is None:
        return
    build = tuple(int(part) for part in re.findall(r"\d+", torch.cuda)[:2])
    runs = driver.cuda
    if runs is not None and not _runs(runs, build):
        yield Problem(
            "cuda_newer_than_driver",
            f"torch {_version(facts, 'torch')} is built for CUDA {torch.cuda}, but driver {driver.version} "
            f"runs CUDA {_dotted(runs)} at most",
            hint=f"update the NVIDIA driver, or: {torch_command(facts)}",
        )
    elif driver.gpus:
        yield Problem(
            "cuda_does_not_work",
            f"torch {_version(facts, 'torch')} is built for CUDA {torch.cuda} and cannot use the {driver.gpus[0]}",
            hint="run nvidia-smi: it must show the GPU; check CUDA_VISIBLE_DEVICES, and update the NVIDIA driver",
        )


def _torchvision(facts: Facts) -> Iterator[Problem]:
    vision = facts.packages.get("torchvision", PackageFacts())
    installed = _version(facts, "torch")
    if vision.needs_torch is None or installed is None or installed.partition("+")[0] == vision.needs_torch:
        return
    yield Problem(
        "torchvision_mismatch",
        f"torchvision {vision.version} belongs to torch {vision.needs_torch}, not to the installed {installed}",
        hint="pip uninstall torchvision (graphengine does not need it), or install the one that fits",
        severity="error" if vision.error else "warning",
    )


def _folders(facts: Facts) -> Iterator[Problem]:
    for folder in facts.folders:
        if not folder.is_written:
            continue
        if not folder.writable:
            option = f"--{folder.name}" if folder.name in ("output", "cache") else "--cache"
            yield Problem(
                "not_writable",
                f"the {folder.name} folder {folder.path} cannot be written",
                hint=f"allow it (chmod u+rwx), or name another one with {option}",
            )
        elif folder.free is not None and folder.free < _LOW_SPACE:
            yield Problem(
                "low_space",
                f"the disk of the {folder.name} folder {folder.path} has {folder.free / 1e6:.0f} MB left",
                hint="free some space, or name a folder on another disk",
                severity="warning",
            )


def _packs(facts: Facts) -> Iterator[Problem]:
    for pack in facts.packs:
        if pack.error is not None:
            yield Problem("broken_pack", pack.error, hint=f"install pack {pack.name!r} again, or remove it")
        if pack.unkept:
            yield Problem(
                "limits_not_kept",
                f"pack {pack.name!r} runs without these limits: {', '.join(pack.unkept)}",
                hint="install bubblewrap (bwrap), and allow user namespaces",
                severity="warning",
            )
    if not any(pack.nodes for pack in facts.packs):
        yield Problem(
            "no_nodes", "no node types are installed", hint="install graphengine: pip install graphengine-comfy"
        )


def _version(facts: Facts, name: str) -> str | None:
    return facts.packages.get(name, PackageFacts()).version


def _dotted(version: Version) -> str:
    return ".".join(str(part) for part in version)
