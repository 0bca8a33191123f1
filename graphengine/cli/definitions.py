"""Node definitions from a saved `/object_info` in place of those of installed packs."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphengine.cli.options import open_engine
from graphengine.errors import GraphEngineError, SettingsError
from graphengine.node.object_info import read_object_info
from graphengine.node.registry import NodeRegistry
from graphengine.settings import Settings

if TYPE_CHECKING:
    from graphengine.engine import Engine

DefinitionsOption = Annotated[
    Path | None,
    typer.Option(
        "--definitions",
        metavar="FILE",
        help="Take node definitions from a saved /object_info of ComfyUI. Default: installed nodes.",
    ),
]


def read_definitions(file: Path) -> NodeRegistry:
    """The node definitions in a saved `/object_info`.

    Raises:
        SettingsError: the file cannot be read or is no such document.
    """
    try:
        # not the reader of workflows: packs declare limits as Infinity, which a server writes into its answer
        document = json.loads(file.read_bytes())
    except OSError as error:
        raise SettingsError(f"cannot read {file}: {error.strerror}", hint="name a saved /object_info") from error
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{file} is not valid JSON: {error}", hint="save /object_info once more") from error
    try:
        return read_object_info(document)
    except GraphEngineError as error:
        raise SettingsError(
            f"{file}: {error.message}", hint=error.hint or "save /object_info once more"
        ) from error


@contextmanager
def engine_for(settings: Settings, definitions: NodeRegistry | None) -> "Iterator[Engine]":
    """The engine for the settings, closed at the end; given definitions replace those of all packs."""
    with open_engine(settings) as engine:
        yield engine if definitions is None else replace(engine, registry=definitions, custom=())
