"""Looks at the machine for `doctor`.

Packages are imported in processes of their own: a build that does not fit the machine may end its process.
"""

import ctypes
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from graphengine.cli.facts import DriverFacts, Facts, FolderFacts, PackageFacts, PackFacts, TorchFacts, Version
from graphengine.errors import PackError
from graphengine.isolation.limits import not_enforced
from graphengine.packs.discover import custom_packs, installed_packs
from graphengine.packs.load import load_pack
from graphengine.packs.trust import Trust
from graphengine.settings import Settings

#: Distributions in the order of the report, each with the module whose import shows that it works.
PACKAGES = {
    "torch": "torch",
    "numpy": "numpy",
    "pillow": "PIL.Image",
    "safetensors": "safetensors",
    "scipy": "scipy.special",
    "tokenizers": "tokenizers",
    "diffusers": "diffusers",
    "transformers": "transformers",
    "torchvision": "torchvision",
}
_TIMEOUT = 120  # seconds that an import may take on a slow disk
_TORCH_PROBE = """
import json, torch
devices = [f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())]
if torch.backends.mps.is_available():
    devices.append("mps")
if hasattr(torch, "xpu") and torch.xpu.is_available():
    devices.append("xpu")
print(json.dumps({"cuda": torch.version.cuda, "hip": torch.version.hip,
                  "cuda_works": torch.cuda.is_available(), "devices": ["cpu", *devices]}))
"""


def gather(settings: Settings) -> Facts:
    """The facts of this machine and these settings; reads only, and runs no code of custom packs."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        torch = pool.submit(_probe_torch)
        packages = dict(zip(PACKAGES, pool.map(_package, PACKAGES), strict=True))
    return Facts(
        python=tuple(sys.version_info[:3]),
        platform=platform.platform(),
        system=platform.system(),
        packages=packages,
        torch=torch.result(),
        driver=_driver(),
        folders=tuple(_folders(settings)),
        cache_bytes=_size(settings.cache) if settings.cache else None,
        packs=tuple(_packs(settings)),
    )


def _package(name: str) -> PackageFacts:
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return PackageFacts()
    done = _python(f"import {PACKAGES[name]}")
    lines = done.stderr.strip().splitlines()
    error = None
    if done.returncode != 0:
        error = lines[-1] if lines else f"its process ended with code {done.returncode}"
    return PackageFacts(found.version, _tags(found), _needs_torch(found), error, done.stderr)


def _tags(found: Distribution) -> tuple[str, ...]:
    text = found.read_text("WHEEL") or ""
    return tuple(line.removeprefix("Tag: ") for line in text.splitlines() if line.startswith("Tag: "))


def _needs_torch(found: Distribution) -> str | None:
    """The one version of torch that the package was built against, when it says so."""
    for requirement in found.requires or ():
        if match := re.match(r"torch\s*\(?==\s*([0-9.]+)", requirement):
            return match[1]
    return None


def _probe_torch() -> TorchFacts | None:
    done = _python(_TORCH_PROBE)
    if done.returncode != 0:
        return None  # the import of the package `torch` tells why
    answer = json.loads(done.stdout.splitlines()[-1])
    return TorchFacts(answer["cuda"], answer["hip"], answer["cuda_works"], tuple(answer["devices"]))


def _python(code: str) -> "subprocess.CompletedProcess[str]":
    return _output([sys.executable, "-c", code])


def _output(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """What a program writes; one that does not end or cannot start has failed with that as its message."""
    try:
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"no answer within {_TIMEOUT} s")
    except OSError as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))


def _driver() -> DriverFacts | None:
    """The NVIDIA driver, None when there is none."""
    cuda = _driver_cuda()
    tool = shutil.which("nvidia-smi")
    done = _output([tool, "--query-gpu=driver_version,name", "--format=csv,noheader"]) if tool else None
    rows = [line.partition(", ") for line in done.stdout.splitlines()] if done and done.returncode == 0 else []
    if cuda is None and not rows:
        return None
    return DriverFacts(rows[0][0] if rows else None, cuda, tuple(name for _, _, name in rows))


def _driver_cuda() -> Version | None:
    """The newest CUDA version that the driver runs, from the driver's own library."""
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        number = ctypes.c_int()
        if library.cuDriverGetVersion(ctypes.byref(number)) == 0 and number.value:
            return number.value // 1000, number.value % 1000 // 10
    return None


def _folders(settings: Settings) -> Iterator[FolderFacts]:
    folders = settings.folders
    yield from (_folder("input", path, is_written=False) for path in folders.input)
    yield _folder("output", folders.output)
    yield _folder("temp", folders.temp)
    if settings.cache:
        yield _folder("cache", settings.cache)
    roots = dict.fromkeys(root.parent for roots in folders.models.values() for root in roots)
    yield from (_folder("models", path, is_written=False) for path in roots)
    yield from (_folder("custom nodes", path, is_written=False) for path in settings.custom_nodes)


def _folder(name: str, path: Path, *, is_written: bool = True) -> FolderFacts:
    present = next((folder for folder in (path, *path.parents) if folder.exists()), path)
    free = None
    with suppress(OSError):
        free = shutil.disk_usage(present).free
    writable = present.is_dir() and os.access(present, os.W_OK | os.X_OK)
    return FolderFacts(name, str(path), path.is_dir(), writable, free, is_written)


def _size(folder: Path) -> int:
    """Bytes of all files below a folder; files that go away meanwhile do not count."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.stat(os.path.join(path, name)).st_size
    return total


def _packs(settings: Settings) -> Iterator[PackFacts]:
    for pack in installed_packs():
        try:
            yield PackFacts(pack.name, nodes=len(load_pack(pack).definitions))
        except PackError as error:
            yield PackFacts(pack.name, error=error.message)
    trust = Trust(settings.trust)
    for pack in custom_packs(settings.custom_nodes):
        options = settings.project.options(pack.name)
        unkept = tuple(not_enforced(options)) if options.isolate else ()
        yield PackFacts(
            pack.name, is_trusted=trust.refusal(pack) is None, is_isolated=options.isolate, unkept=unkept
        )
