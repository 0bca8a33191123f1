"""Wheels, packs and environments written by hand, small and without any network."""

import base64
import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping
from importlib.metadata import distribution
from pathlib import Path

NODE = """
class Node:
    RETURN_TYPES = ("INT",)
    FUNCTION = "run"
    CATEGORY = "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT",)}}

    def run(self, value):
        return (value,)
"""


def make_wheel(
    folder: Path,
    name: str,
    version: str,
    *,
    requires: Iterable[str] = (),
    files: Mapping[str, str] | None = None,
) -> Path:
    """A wheel with one module named like the package, or with other files."""
    folder.mkdir(parents=True, exist_ok=True)
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    lines = [f"Requires-Dist: {line}\n" for line in requires]
    content = {
        **(files if files is not None else {f"{module}/__init__.py": f"__version__ = {version!r}\n"}),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{''.join(lines)}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},sha256={_digest(text)},{len(text.encode())}\n" for file, text in content.items())
    path = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in {**content, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            wheel.writestr(zipfile.ZipInfo(file, (2020, 1, 1, 0, 0, 0)), text)
    return path


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


def make_pack(
    folder: Path,
    *,
    nodes: Iterable[str] = ("TestNode",),
    requirements: str | None = None,
    files: Mapping[str, str] | None = None,
) -> Path:
    """A pack with nodes of these types."""
    folder.mkdir(parents=True)
    mapped = ", ".join(f"{node!r}: Node" for node in nodes)
    content = {"__init__.py": f"{NODE}\nNODE_CLASS_MAPPINGS = {{{mapped}}}\n", **(files or {})}
    if requirements is not None:
        content["requirements.txt"] = requirements
    for name, text in content.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    return folder


def make_environment(folder: Path, wheels: Path, packages: Iterable[str]) -> Path:
    """A fresh virtual environment with packages of a wheelhouse; its Python. Its pip is a link to ours: quick."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
    ]
    subprocess.run([*command, "--find-links", wheels, *packages], check=True, env=pip_environ())
    library = next(folder.glob("lib/python*/site-packages"), folder / "Lib" / "site-packages")
    pip = distribution("pip")
    for place in (Path(str(pip.locate_file("pip"))), Path(str(pip.locate_file(f"pip-{pip.version}.dist-info")))):
        (library / place.name).symlink_to(place)
    return python


def pip_environ() -> dict[str, str]:
    """An environment in which pip knows no index and no wheelhouse of this machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    return {**kept, "PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def digest_of_environment(python: Path) -> str:
    """A digest of the names and bytes of all files of a virtual environment."""
    root = python.parent.parent
    digest = hashlib.sha256()
    for here, folders, files in os.walk(root):
        folders.sort()
        for name in sorted([*folders, *files]):
            path = Path(here, name)
            digest.update(os.fsencode(path.relative_to(root)) + b"\0")
            if path.is_file() and not path.is_symlink():
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
