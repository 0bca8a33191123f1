"""Every built-in node declares what it is, and those that declare no files read none."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graphengine.errors import GraphEngineError
from graphengine.node.api import CONTEXT, Folders, NodeContext
from graphengine.node.definition import NodeDefinition
from graphengine.packs.discover import installed_packs
from graphengine.packs.load import load_pack

ROOT = Path(__file__).parents[2]
DEFINITIONS = [
    definition
    for pack in installed_packs()
    if pack.module.startswith("graphengine_nodes.")
    for definition in load_pack(pack).definitions
]


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.class_type)
def test_every_built_in_node_declares_what_it_is(definition: NodeDefinition) -> None:
    assert definition.is_declared, f"{definition.class_type} must declare CACHEABLE, PURE and READS_FILES"
    assert set(definition.reads_files) <= definition.inputs.keys()


class Opened:
    """Notes the files that are opened to be read while it is on: an audit hook cannot be taken away again."""

    def __init__(self) -> None:
        self.is_on = False
        self.paths: list[str] = []
        sys.addaudithook(self._hear)

    # Any: the arguments of an event.
    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.is_on and event == "open" and isinstance(arguments[0], str | bytes):
            self.paths.append(os.fsdecode(arguments[0]))


@pytest.fixture(scope="module")
def opened() -> Iterator[Opened]:
    made = Opened()
    yield made
    made.is_on = False


def _with_defaults(definition: NodeDefinition) -> dict[str, Any] | None:
    """Values for all required inputs, None when some have to be linked."""
    values: dict[str, Any] = {}
    for spec in definition.inputs.values():
        if not spec.required:
            continue
        choices = spec.choices if isinstance(spec.choices, tuple) else ()
        plain = {"INT": 1, "FLOAT": 1.0, "STRING": "/etc/hostname", "BOOLEAN": True}.get(spec.type)
        value = spec.options.get("default", choices[0] if choices else plain)
        if value is None:
            return None
        values[spec.name] = value
    return values


def _is_code(path: str, places: tuple[str, ...]) -> bool:
    return path.startswith(places) or path.endswith((".py", ".pyc", ".so"))


def test_nodes_that_declare_no_files_open_none_with_their_default_values(opened: Opened, tmp_path: Path) -> None:
    code = (sys.prefix, sys.base_prefix, str(ROOT / "nodes"))  # what an import opens does not count
    called = 0
    for definition in DEFINITIONS:
        values = _with_defaults(definition)
        if definition.has_files or definition.reads_files or definition.is_output or values is None:
            continue
        context = NodeContext(folders=Folders((tmp_path,), tmp_path / "output", tmp_path / "temp"))
        hidden = {name: context for name, kind in definition.hidden.items() if kind == CONTEXT}
        assert definition.load is not None
        node = definition.load()()
        opened.paths.clear()
        opened.is_on = True
        try:
            getattr(node, definition.function)(**values, **hidden)
        except (GraphEngineError, TypeError, ValueError, AttributeError):
            pass  # it wants other values; what it opened before it said so counts all the same
        finally:
            opened.is_on = False
        called += 1
        read = [path for path in opened.paths if not _is_code(path, code) and not path.startswith("/proc/")]
        assert read == [], f"{definition.class_type} reads {read} and declares no files"
    assert called > 40
