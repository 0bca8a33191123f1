"""`/object_info`: what every node type takes and gives."""

import asyncio
import logging
from collections.abc import Collection
from dataclasses import dataclass, field, fields

from aiohttp import web

from graphengine.engine import Engine
from graphengine.node.folders import Folders
from graphengine.node.object_info import definition_to_object_info
from graphengine.server.endpoint import OBJECT, Endpoint, json, routes
from graphengine.server.frames import to_json
from graphengine.server.state import ENGINE

logger = logging.getLogger(__name__)

#: The node types that could not be described, so that each is logged once.
UNDESCRIBED = web.AppKey("undescribed", set[str])


async def every_node(request: web.Request) -> web.Response:
    """All node types, by class. A node that cannot be described is left out."""
    engine = request.app[ENGINE]
    described, broken = await asyncio.to_thread(_described, engine, list(engine.registry))
    _log_once(request.app[UNDESCRIBED], broken)
    return _answer(described)


async def one_node(request: web.Request) -> web.Response:
    """One node type, by class; nothing when there is none."""
    engine, name = request.app[ENGINE], request.match_info["class"]
    described, broken = await asyncio.to_thread(_described, engine, [name] if name in engine.registry else [])
    _log_once(request.app[UNDESCRIBED], broken)
    return _answer(described)


def _answer(described: dict[str, str]) -> web.Response:
    """The descriptions, which are JSON already, as one object."""
    entries = ",".join(f"{to_json(name)}:{text}" for name, text in described.items())
    return web.Response(text=f"{{{entries}}}", content_type="application/json")


def _described(engine: Engine, names: Collection[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The descriptions of these types as JSON, and what is wrong with those that have none."""
    folders = ListedOnce(**{each.name: getattr(engine.folders, each.name) for each in fields(engine.folders)})
    described, broken = {}, {}
    for name in names:
        try:
            entry = definition_to_object_info(engine.registry[name], folders)
            entry["python_module"] = editors_module(entry["python_module"])
            described[name] = to_json(entry)
        except Exception as error:  # noqa: BLE001 - a node's definition is its author's; one must not hide the rest
            broken[name] = f"{type(error).__name__}: {error}"
    return described, broken


def editors_module(module: str) -> str:
    """A node's module as the editor groups nodes: those below `custom_nodes` by pack, all else as its own.

    It marks nodes with a question mark that come from neither; those of packs that are installed as Python
    packages would.
    """
    return module if not module or module.startswith("custom_nodes.") else f"comfy_extras.{module}"


def _log_once(known: set[str], broken: dict[str, str]) -> None:
    for name, reason in broken.items():
        if name not in known:
            known.add(name)
            logger.warning("node type %r is left out of object_info: %s", name, reason)


@dataclass(frozen=True, slots=True)
class ListedOnce(Folders):
    """Folders that are read once, however many inputs offer their files."""

    _listed: dict[tuple[str, Collection[str] | None], list[str]] = field(default_factory=dict)

    def files(self, kind: str, suffixes: Collection[str] | None = None) -> list[str]:
        """Names of the files of a kind, as they were when first asked for."""
        key = (kind, frozenset(suffixes) if suffixes else None)
        if key not in self._listed:
            self._listed[key] = Folders.files(self, kind, suffixes)
        return self._listed[key]


ENDPOINTS = (
    Endpoint("GET", "/object_info", every_node, answers={200: json(OBJECT)}),
    Endpoint("GET", "/object_info/{class}", one_node, answers={200: json(OBJECT)}),
)
ROUTES = routes(ENDPOINTS)
