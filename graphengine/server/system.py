"""`/system_stats`, `/features`, `/internal/folder_paths` and `/internal/files`: the machine and its folders."""

import asyncio
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from aiohttp import web

from graphengine.engine import Engine
from graphengine.execution.devices import best_device
from graphengine.server.endpoint import NAMES, OBJECT, TEXT, Endpoint, json, list_of, object_of, routes
from graphengine.server.sockets import feature_flags
from graphengine.server.state import ENGINE, SETTINGS, ServerSettings
from graphengine.server.view import KINDS

#: The ComfyUI whose protocol is spoken; clients compare it with the version that they need.
PROTOCOL_VERSION = "0.3.64"

# Any: JSON.
Json = dict[str, Any]


async def system_stats(request: web.Request) -> web.Response:
    """Versions, memory and devices of the machine. Memory is in bytes, 0 where the system does not tell."""
    engine, settings = request.app[ENGINE], request.app[SETTINGS]
    devices = await asyncio.to_thread(_devices, engine)
    return web.json_response({"system": _system(settings), "devices": devices})


async def features(request: web.Request) -> web.Response:
    """What the server can do beyond the oldest protocol; sockets are told the same."""
    return web.json_response(feature_flags(request.app[SETTINGS]))


async def folder_paths(request: web.Request) -> web.Response:
    """The folders of each kind."""
    folders = request.app[ENGINE].folders
    kinds = (*KINDS, *sorted(folders.models))
    return web.json_response({kind: [str(root) for root in folders.roots(kind)] for kind in kinds})


async def files(request: web.Request) -> web.Response:
    """The files of the input, output or temporary folder, newest first."""
    kind = request.match_info["type"]
    if kind not in KINDS:
        raise web.HTTPBadRequest(text=f"the type {kind!a} is none of {', '.join(KINDS)}")
    return web.json_response(await asyncio.to_thread(_newest_first, request.app[ENGINE].folders.roots(kind)))


def _newest_first(roots: tuple[Path, ...]) -> list[str]:
    """Names of the plain files right in these folders."""
    found: dict[str, float] = {}
    for root in roots:
        for entry in os.scandir(root) if root.is_dir() else ():
            if not entry.name.startswith(".") and entry.is_file(follow_symlinks=False):
                found.setdefault(entry.name, entry.stat().st_mtime)
    return sorted(found, key=lambda name: (-found[name], name))


def _system(settings: ServerSettings) -> Json:
    total, free = memory()
    frontend, templates = _version("comfyui-frontend-package"), _version("comfyui-workflow-templates")
    return {
        "os": sys.platform,
        "ram_total": total,
        "ram_free": free,
        "comfyui_version": PROTOCOL_VERSION,
        "graphengine_version": _version("graphengine-comfy") or "unknown",
        "required_frontend_version": frontend,
        "installed_templates_version": templates,
        "required_templates_version": templates,
        "python_version": sys.version,
        "pytorch_version": _version("torch"),
        "embedded_python": False,
        "argv": _arguments(sys.argv, settings.token),
    }


def _arguments(arguments: list[str], token: str | None) -> list[str]:
    """The command line without the token."""
    return [text.replace(token, "***") if token else text for text in arguments]


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def memory() -> tuple[int, int]:
    """Total and free memory of the machine in bytes; zeros where the system does not tell."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        sizes = {name: int(rest.split()[0]) * 1024 for name, _, rest in map(_partition, text.splitlines())}
        return sizes["MemTotal"], sizes.get("MemAvailable", sizes["MemFree"])
    except (OSError, ValueError, KeyError, IndexError):
        return _memory_by_pages()


def _partition(line: str) -> tuple[str, str, str]:
    return line.partition(":")


def _memory_by_pages() -> tuple[int, int]:
    if not hasattr(os, "sysconf"):
        return 0, 0
    try:
        page, total = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0, 0
    return page * total, 0


def _devices(engine: Engine) -> list[Json]:
    """The device that nodes compute on; its memory in bytes."""
    device = engine.device or best_device()
    kind, _, index = device.partition(":")
    if kind == "cuda":
        return [_cuda(int(index or 0))]
    total, free = memory()
    return [
        {
            "name": "cpu" if kind == "cpu" else f"{kind} {platform.machine()}",
            "type": kind,
            "index": int(index) if index else None,
            "vram_total": total,
            "vram_free": free,
            "torch_vram_total": total,
            "torch_vram_free": free,
        }
    ]


def _cuda(index: int) -> Json:
    import torch  # heavy; best_device has imported it, or the user named a device that needs it

    free, total = torch.cuda.mem_get_info(index)
    reserved, used = torch.cuda.memory_reserved(index), torch.cuda.memory_allocated(index)
    return {
        "name": f"cuda:{index} {torch.cuda.get_device_name(index)}",
        "type": "cuda",
        "index": index,
        "vram_total": total,
        "vram_free": free + reserved - used,
        "torch_vram_total": reserved,
        "torch_vram_free": reserved - used,
    }


_DEVICE = object_of({"name": TEXT, "type": TEXT})
ENDPOINTS = (
    Endpoint(
        "GET",
        "/system_stats",
        system_stats,
        answers={200: json(object_of({"system": OBJECT, "devices": list_of(_DEVICE)}))},
    ),
    Endpoint("GET", "/features", features, answers={200: json(OBJECT)}),
    Endpoint(
        "GET",
        "/internal/folder_paths",
        folder_paths,
        answers={200: json({"type": "object", "additionalProperties": NAMES})},
    ),
    Endpoint("GET", "/internal/files/{type}", files, answers={200: json(NAMES)}),
)
ROUTES = routes(ENDPOINTS)
