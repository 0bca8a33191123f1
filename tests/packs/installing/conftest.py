"""One virtual environment and one wheelhouse for all tests of installing; nothing reaches a network."""

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from graphengine.packs.installing.environment import Environment, open_environment
from graphengine.packs.installing.install import PackInstaller, Proposal
from graphengine.packs.installing.requiring import Wishes
from graphengine.packs.installing.resolving import Indexes
from tests.packs.installing.wheels import make_environment, make_wheel

MakeInstaller = Callable[..., PackInstaller]


@pytest.fixture(scope="session")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small wheels with the names of well-known packages, and some with faults."""
    folder = tmp_path_factory.mktemp("wheelhouse")
    for name, version in (("numpy", "2.1.0"), ("numpy", "1.26.4"), ("torch", "2.6.0"), ("pillow", "11.0.0")):
        make_wheel(folder, name, version)
    make_wheel(folder, "torchvision", "0.21.0", requires=["torch==2.6.0"])
    make_wheel(folder, "timm", "1.0.0", requires=["torch", "torchvision"])
    make_wheel(folder, "colours", "1.0")
    make_wheel(folder, "colours", "2.0", files={"colours/__init__.py": "raise RuntimeError('is broken')\n"})
    make_wheel(folder, "colours", "3.0", files={"colours/__init__.py": "x = 3\n", "colours/more.py": "x = 1\n"})
    make_wheel(folder, "painter", "1.0", requires=["colours<4"], files={"painter/__init__.py": "import colours\n"})
    make_wheel(folder, "strict", "1.0", requires=["colours<3"])
    make_wheel(folder, "shapes", "1.0", requires=["lines>=1"])
    make_wheel(folder, "lines", "1.5")
    make_wheel(folder, "clash", "1.0", files={"colours/__init__.py": "mine = True\n"})
    make_wheel(folder, "ultralytics", "8.3.41")
    make_wheel(folder, "ultralytics", "8.3.50")
    make_wheel(folder, "broken-module", "1.0", files={"broken_module/__init__.py": "import absent_module\n"})
    return folder


@pytest.fixture(scope="session")
def fresh_environment(tmp_path_factory: pytest.TempPathFactory, wheelhouse: Path) -> Path:
    """The Python of an environment with numpy, torch, pillow, colours and painter; tests take copies of it."""
    packages = ["numpy==2.1.0", "torch", "pillow", "colours==1.0", "painter"]
    return make_environment(tmp_path_factory.mktemp("environment") / "venv", wheelhouse, packages)


@pytest.fixture
def python(tmp_path: Path, fresh_environment: Path) -> Path:
    """The Python of a copy of the environment, which a test may change."""
    shutil.copytree(fresh_environment.parent.parent, tmp_path / "venv", symlinks=True)
    return tmp_path / "venv" / "bin" / "python"


@pytest.fixture
def environment(python: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """The environment, with pip told of no index of this machine."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return open_environment(python)


@pytest.fixture
def custom_nodes(tmp_path: Path) -> Path:
    folder = tmp_path / "custom_nodes"
    folder.mkdir()
    return folder


@pytest.fixture
def proposals() -> list[Proposal]:
    """What consent was asked for."""
    return []


@pytest.fixture
def installer(
    custom_nodes: Path, environment: Environment, wheelhouse: Path, proposals: list[Proposal]
) -> MakeInstaller:
    """Makes installers that take wheels from the wheelhouse alone; consent is always given."""

    def make(
        *,
        with_: Iterable[str] = (),
        allow_change: Iterable[str] = (),
        allow_build: Iterable[str] = (),
        run_scripts: bool = False,
        consent: bool = True,
    ) -> PackInstaller:
        def agree(proposal: Proposal) -> bool:
            proposals.append(proposal)
            return consent

        indexes = Indexes(find_links=(str(wheelhouse),), no_index=True, allow_build=frozenset(allow_build))
        wishes = Wishes(indexes, "pip", frozenset(with_), frozenset(allow_change))
        return PackInstaller(custom_nodes, environment, wishes, agree, run_scripts)

    return make
