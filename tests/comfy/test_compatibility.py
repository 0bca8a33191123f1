"""The table of names, and that packs can import all of them."""

import importlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from graphengine.engine import Engine
from graphengine.packs.stand_ins import Surroundings
from graphengine.settings import load_settings
from graphengine_comfy import _compatibility, _surroundings

DOCUMENT = Path(__file__).parents[2] / "docs" / "compatibility-comfy.md"


@pytest.fixture
def connected(tmp_path: Path) -> Iterator[None]:
    """The stand-ins know the built-in nodes."""
    settings = load_settings(base_dir=tmp_path, no_cache=True, environ=dict(os.environ), device="cpu")
    engine = Engine.from_settings(settings)
    _surroundings.connect(Surroundings(definitions=engine.registry))
    yield
    _surroundings.connect(Surroundings())
    engine.close()


@pytest.mark.parametrize("module", _compatibility.WANTED)
def test_every_name_that_packs_want_can_be_imported(module: str) -> None:
    found = importlib.import_module(module)
    assert [name for name in _compatibility.WANTED[module].split() if not hasattr(found, name)] == []


def test_what_is_said_of_a_name_is_said_of_one_in_the_table() -> None:
    names = {f"{module}.{name}" for module, names in _compatibility.WANTED.items() for name in names.split()}
    assert set(_compatibility.PARTLY) <= names


@pytest.mark.usefixtures("connected")
def test_the_document_is_what_the_code_says() -> None:
    assert _without_nodes(DOCUMENT.read_text()) == _without_nodes(_compatibility.table()), "stale: run make docs"


def _without_nodes(document: str) -> list[str]:
    """The lines but those of node classes: a new node need not change the document in the same commit."""
    return [line for line in document.splitlines() if not line.startswith(("| `nodes`", "| `comfy_extras."))]


@pytest.mark.usefixtures("connected")
@pytest.mark.parametrize(
    ("module", "name", "expected"),
    [
        ("comfy.utils", "common_upscale", "yes"),
        ("comfy.sd", "VAE", "partly"),
        ("comfy.controlnet", "ControlLora", "no"),
        ("nodes", "ImageScale", "yes"),
    ],
)
def test_a_name_is_there_wholly_partly_or_not(module: str, name: str, expected: str) -> None:
    assert _compatibility.status(module, name) == expected
