"""The pytest plugin: fixtures that run nodes and workflows, values for them, and `--graphengine-pack`.

pytest imports this module in every run of an environment that graphengine is installed in. So nothing of the
engine is imported here: it comes with the first fixture or option that is used.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from graphengine.engine import Engine
    from graphengine.testing.calling import NodeRunner
    from graphengine.testing.golden import Golden
    from graphengine.testing.models import Values

_PACK = pytest.StashKey[Path | None]()
_LARGEST = 2**20
_MARKS = ("NODE_CLASS_MAPPINGS", "comfy_entrypoint")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("graphengine", "testing graphengine and ComfyUI nodes")
    group.addoption(
        "--graphengine-pack",
        metavar="PATH",
        help="Check every node of this pack, a folder or file, and let fixtures use its nodes.",
    )
    group.addoption(
        "--graphengine-examples",
        type=int,
        default=None,
        metavar="N",
        help="How many generated inputs each node is called with, beside the fixed ones. Default: 5.",
    )
    group.addoption(
        "--graphengine-timeout",
        type=float,
        default=None,
        metavar="SECONDS",
        help="How long each call of a node may take while it is checked. Default: 60.",
    )
    group.addoption("--update-golden", action="store_true", help="Write golden outputs anew instead of comparing.")


def pytest_configure(config: pytest.Config) -> None:
    """Find the pack under test; let its tests import ComfyUI's module names."""
    pack = _pack_under_test(config)
    config.stash[_PACK] = pack
    if pack is not None:
        from graphengine.packs.stand_ins import put_in_place  # only where a pack is tested

        put_in_place()


def _pack_under_test(config: pytest.Config) -> Path | None:
    named: str | None = config.getoption("--graphengine-pack")
    if named is not None:
        # What `addopts` names is seen from the folder of the configuration, wherever pytest is started.
        places = [(base / named).resolve() for base in (config.invocation_params.dir, config.rootpath)]
        for path in places:
            if path.is_file() or (path / "__init__.py").is_file():
                return path
        raise pytest.UsageError(f"--graphengine-pack: there is no pack at {places[0]}")
    return config.rootpath if _is_pack(config.rootpath) else None


def _is_pack(folder: Path) -> bool:
    """Whether a folder is a node pack, as its `__init__.py` or `pyproject.toml` says."""
    start = folder / "__init__.py"
    if not start.is_file():
        return False
    if any(mark in _text(start) for mark in _MARKS):
        return True
    return "[tool.comfy]" in _text(folder / "pyproject.toml")


def _text(file: Path) -> str:
    try:
        with file.open(encoding="utf-8", errors="replace") as opened:
            return opened.read(_LARGEST)
    except OSError:
        return ""


@pytest.hookimpl(tryfirst=True)
def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take the folder of a pack for a folder: as a package, pytest would import it under a name it cannot have."""
    if path == parent.config.stash.get(_PACK, None):
        collector: pytest.Collector = pytest.Dir.from_parent(parent, path=path)
        return collector
    return None


@pytest.fixture(scope="session")
def graphengine_shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[Engine]":
    """The engine that all tests share the packs and models of; take `graphengine` instead."""
    from graphengine.testing.engines import temporary_engine

    with temporary_engine(tmp_path_factory.mktemp("graphengine"), request.config.stash[_PACK]) as engine:
        yield engine


@pytest.fixture(scope="session")
def graphengine_values(graphengine_shared: "Engine") -> "Values":
    """Values by type: `graphengine_values.of_type("SAMPLER")`."""
    from graphengine.testing.models import Values

    return Values(graphengine_shared)


@pytest.fixture
def graphengine(graphengine_shared: "Engine", tmp_path: Path) -> "Engine":
    """An engine on folders of its own below `tmp_path`, with the installed packs and the pack under test."""
    from graphengine.testing.engines import at_folders

    return at_folders(graphengine_shared, tmp_path)


@pytest.fixture
def run_node(graphengine: "Engine", graphengine_values: "Values") -> "NodeRunner":
    """Calls a node: `run_node("ImageInvert", image=…)["IMAGE"]`; see `graphengine.testing.calling.NodeRunner`."""
    from graphengine.testing.calling import NodeRunner

    return NodeRunner(graphengine, graphengine_values.of_input)


# Any: what nodes give.
class WorkflowRunner:
    """Runs workflows on an engine."""

    def __init__(self, engine: "Engine") -> None:
        self.engine = engine

    def __call__(self, workflow: Path | str | Mapping[str, Any]) -> dict[str, Any]:
        """Run a workflow, a file or a document, and give the outputs of its output nodes by id.

        Raises:
            WorkflowFormatError: it is no workflow.
            ValidationFailed: it has errors.
            NodeExecutionError: a node raised.
        """
        from graphengine.testing.calling import run_workflow

        return run_workflow(self.engine, workflow)


@pytest.fixture
def run_workflow(graphengine: "Engine") -> WorkflowRunner:
    """Runs a workflow: `run_workflow("workflows/flow.json")["9"]`."""
    return WorkflowRunner(graphengine)


# Any: models and values are of the types that nodes give each other.


@pytest.fixture
def tiny_model(graphengine_values: "Values") -> Any:
    """A MODEL: the shipped tiny checkpoint's, which samples on a CPU."""
    return graphengine_values.of_type("MODEL")


@pytest.fixture
def tiny_clip(graphengine_values: "Values") -> Any:
    """A CLIP: the shipped tiny checkpoint's."""
    return graphengine_values.of_type("CLIP")


@pytest.fixture
def tiny_vae(graphengine_values: "Values") -> Any:
    """A VAE: the shipped tiny checkpoint's."""
    return graphengine_values.of_type("VAE")


@pytest.fixture
def tiny_conditioning(graphengine_values: "Values") -> Any:
    """A CONDITIONING of the tiny checkpoint's text encoder, which its model can be sampled with."""
    return graphengine_values.of_type("CONDITIONING")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    """Add the checks of the pack that `--graphengine-pack` names, before `-k` and others choose."""
    pack = session.config.stash[_PACK]
    if pack is None or session.config.getoption("--graphengine-pack") is None:
        return
    from graphengine.testing.collecting import collector_of

    items[:0] = session.genitems(collector_of(session, pack))


@pytest.fixture
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> "Golden":
    """Compares an output with a file in `golden/` beside the test: `golden(output, "name")`."""
    from graphengine.testing.golden import Golden

    folder = request.path.parent / "golden" / request.path.stem
    return Golden(folder, tmp_path / "golden_failures", update=request.config.getoption("--update-golden"))
