"""What node packs bring for the editor: scripts, translations, example workflows and subgraphs.

Scripts are served of packs that are loaded and name a `WEB_DIRECTORY`; the rest is read from fixed folders of a
pack. These files are as trusted as the pack's Python code, so scripts are served as scripts.
"""

import asyncio
import hashlib
import logging
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp import web

from graphengine.errors import FileRefused, WorkflowFormatError
from graphengine.packs.discover import Pack, installed_packs
from graphengine.server.endpoint import FILE_ANSWERS, NAMES, OBJECT, Endpoint, json, routes
from graphengine.server.paths import below, file_parts
from graphengine.server.state import ENGINE, SETTINGS
from graphengine.server.static_files import trusted_file
from graphengine.workflow.json_input import MAX_BYTES, parse_json

logger = logging.getLogger(__name__)

#: The packs whose files are looked at.
PACKS = web.AppKey("packs", tuple[Pack, ...])

_TEMPLATE_FOLDERS = ("example_workflows", "example", "examples", "workflow", "workflows")
_TRANSLATED = ("nodeDefs", "commands", "settings")
# Any: JSON.
Json = dict[str, Any]


def prepare(app: web.Application) -> None:
    """Set what the handlers keep in the application."""
    app[PACKS] = (*installed_packs(), *app[ENGINE].custom)


async def extensions(request: web.Request) -> web.Response:
    """The scripts that the editor loads."""
    web_root = request.app[SETTINGS].web_root
    return web.json_response(await asyncio.to_thread(_scripts, request.app[PACKS], web_root))


async def extension_file(request: web.Request) -> web.StreamResponse:
    """A file of a pack's `WEB_DIRECTORY`."""
    name = request.match_info["pack"]
    pack = next((pack for pack in request.app[PACKS] if pack.name == name), None)
    folder = web_folder(pack) if pack is not None else None
    parts = file_parts(request.match_info["file"])
    web_root = request.app[SETTINGS].web_root
    if folder is not None:
        return trusted_file(below(folder, parts))
    if web_root is not None:
        return trusted_file(below(web_root, ("extensions", *file_parts(name), *parts)))
    raise web.HTTPNotFound(text=f"no loaded pack {name!a} has files for the editor")


async def translations(request: web.Request) -> web.Response:
    """The translations that packs bring, by language."""
    return web.json_response(await asyncio.to_thread(_translations, request.app[PACKS]))


async def template_names(request: web.Request) -> web.Response:
    """The names of the example workflows of each pack."""
    return web.json_response(await asyncio.to_thread(_template_names, request.app[PACKS]))


async def template_file(request: web.Request) -> web.StreamResponse:
    """An example workflow of a pack, or its picture."""
    name, parts = request.match_info["pack"], file_parts(request.match_info["file"])
    for pack in request.app[PACKS]:
        for folder in _template_folders(pack) if pack.name == name else ():
            if (path := below(folder, parts)).is_file() and path.suffix in (".json", ".jpg", ".png", ".webp"):
                return trusted_file(path)
    raise web.HTTPNotFound(text=f"pack {name!a} has no example {'/'.join(parts)!a}")


async def subgraphs(request: web.Request) -> web.Response:
    """The subgraphs that packs offer in the editor, by id, without their contents."""
    found = await asyncio.to_thread(_subgraphs, request.app[PACKS])
    return web.json_response({key: described for key, (_, described) in found.items()})


async def subgraph(request: web.Request) -> web.Response:
    """A subgraph that a pack offers, with its content as `data`."""
    found = await asyncio.to_thread(_subgraphs, request.app[PACKS])
    if request.match_info["id"] not in found:
        raise web.HTTPNotFound(text=f"no pack offers a subgraph {request.match_info['id']!a}")
    path, described = found[request.match_info["id"]]
    return web.json_response({**described, "data": await asyncio.to_thread(_text, path)})


async def replacements(request: web.Request) -> web.Response:
    """Node types that stand for others: none, workflows are not rewritten here."""
    return web.json_response({})


def web_folder(pack: Pack) -> Path | None:
    """The folder of scripts that a loaded pack names as its `WEB_DIRECTORY`; None when it names none in itself."""
    module = sys.modules.get(pack.module)
    named, start = getattr(module, "WEB_DIRECTORY", None), getattr(module, "__file__", None)
    if not isinstance(named, str) or not isinstance(start, str):
        return None
    root = Path(start).parent.resolve()
    folder = (root / named).resolve()
    return folder if folder.is_relative_to(root) and folder != root and folder.is_dir() else None


def _scripts(packs: tuple[Pack, ...], web_root: Path | None) -> list[str]:
    folders = [(quote(pack.name), folder) for pack in packs if (folder := web_folder(pack)) is not None]
    own = [("core", web_root / "extensions" / "core")] if web_root is not None else []
    return [
        f"/extensions/{name}/{quote(path.relative_to(folder).as_posix())}"
        for name, folder in (*own, *folders)
        for path in sorted(folder.rglob("*.js"))
    ]


def _folder(pack: Pack) -> Path | None:
    """The pack's own folder, None for a pack that is one file or is not loaded."""
    if pack.path is not None:
        return pack.path if pack.path.is_dir() else None
    start = getattr(sys.modules.get(pack.module), "__file__", None)
    return Path(start).parent if isinstance(start, str) else None


def _translations(packs: tuple[Pack, ...]) -> Json:
    merged: Json = {}
    for pack in packs:
        root = _folder(pack)
        for folder in sorted(root.glob("locales/*/")) if root is not None else ():
            found = {name: content for name in _TRANSLATED if (content := _object(folder / f"{name}.json"))}
            _merge(merged.setdefault(folder.name, {}), {**_object(folder / "main.json"), **found})
    return merged


def _merge(into: Json, new: Mapping[str, Any]) -> None:
    """Put texts into others, object by object; no recursion, the files are a pack author's."""
    waiting = [(into, new)]
    while waiting:
        target, source = waiting.pop()
        for name, value in source.items():
            there = target.get(name)
            if isinstance(there, dict) and isinstance(value, Mapping):
                waiting.append((there, value))
            else:
                target[name] = value


def _object(path: Path) -> Json:
    """The JSON object in a file; nothing when there is no such file, or no object in it."""
    if not path.is_file():
        return {}
    try:
        value = parse_json(path.read_bytes()).value
    except (OSError, WorkflowFormatError) as error:
        logger.warning("%s cannot be read: %s", path, error)
        return {}
    return value if isinstance(value, dict) else {}


def _text(path: Path) -> str:
    if path.stat().st_size > MAX_BYTES:
        raise FileRefused(f"{path} is larger than {MAX_BYTES // 2**20} MiB")
    return path.read_text(encoding="utf-8")


def _template_folders(pack: Pack) -> Iterator[Path]:
    root = _folder(pack)
    if root is not None:
        yield from (folder for name in _TEMPLATE_FOLDERS if (folder := root / name).is_dir())


def _template_names(packs: tuple[Pack, ...]) -> dict[str, list[str]]:
    names = {
        pack.name: sorted(path.stem for folder in _template_folders(pack) for path in folder.glob("*.json"))
        for pack in packs
    }
    return {pack: found for pack, found in names.items() if found}


def _subgraphs(packs: tuple[Pack, ...]) -> dict[str, tuple[Path, Json]]:
    """File and description by id; an id depends on the pack's name and the file's only."""
    found = {}
    for pack in packs:
        root = _folder(pack)
        for path in sorted(root.glob("subgraphs/*.json")) if root is not None else ():
            key = hashlib.sha256(f"{pack.name}\0{path.name}".encode()).hexdigest()
            found[key] = (path, {"source": "custom_node", "name": path.stem, "info": {"node_pack": pack.name}})
    return found


ENDPOINTS = (
    Endpoint("GET", "/extensions", extensions, answers={200: json(NAMES)}),
    Endpoint("GET", "/extensions/{pack}/{file:.+}", extension_file, answers=FILE_ANSWERS),
    Endpoint("GET", "/i18n", translations, answers={200: json(OBJECT)}),
    Endpoint("GET", "/workflow_templates", template_names, answers={200: json(OBJECT)}),
    Endpoint("GET", "/workflow_templates/{pack}/{file:.+}", template_file, answers=FILE_ANSWERS),
    Endpoint("GET", "/global_subgraphs", subgraphs, answers={200: json(OBJECT)}),
    Endpoint("GET", "/global_subgraphs/{id}", subgraph, answers={200: json(OBJECT)}),
    Endpoint("GET", "/node_replacements", replacements, answers={200: json(OBJECT)}),
)
ROUTES = routes(ENDPOINTS)
