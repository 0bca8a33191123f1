"""`/userdata`: the user's saved workflows and other files of the editor."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiohttp import web

from graphengine.server.endpoint import (
    FILE_ANSWERS,
    FLAG,
    INTEGER,
    TEXT,
    Content,
    Endpoint,
    Query,
    json,
    list_of,
    object_of,
    routes,
)
from graphengine.server.paths import below, name_parts, resolve
from graphengine.server.receiving import nameless_file, put, receive, room_for
from graphengine.server.state import SETTINGS, ServerSettings

#: Most files of a listing.
MAX_ENTRIES = 100_000
#: The folder of the only user.
USER = "default"

_TYPES = {".css": "text/css", ".json": "application/json", ".txt": "text/plain"}
# Any: JSON.
Entry = dict[str, Any]


def user_folder(settings: ServerSettings) -> Path:
    """The folder of the user's settings and files."""
    return settings.user / USER


async def list_files(request: web.Request) -> web.Response:
    """The files of the folder `dir`, by their names relative to it.

    `recurse` goes into folders below. `full_info` gives sizes and times (milliseconds since 1970) as well;
    without it `split` gives each name with its parts.
    """
    query = request.query
    if not query.get("dir"):
        raise web.HTTPBadRequest(text="the request names no folder; give its name as 'dir'")
    folder = _folder(request, query["dir"])
    paths = await asyncio.to_thread(_files, folder, recurse=is_set(query.get("recurse")))
    if is_set(query.get("full_info")):
        return web.json_response(await asyncio.to_thread(_described, paths, folder))
    names = [path.relative_to(folder).as_posix() for path in paths]
    return web.json_response([[name, *name.split("/")] for name in names] if is_set(query.get("split")) else names)


async def list_folder(request: web.Request) -> web.Response:
    """The files and folders in the folder `path`, which is the user's own one by default."""
    folder = _folder(request, request.query.get("path", ""))
    root = user_folder(request.app[SETTINGS]).resolve()
    return web.json_response(await asyncio.to_thread(_entries, folder, root))


async def read_file(request: web.Request) -> web.StreamResponse:
    """A file of the user."""
    path = _existing(request, "file")
    return web.FileResponse(
        path,
        headers={
            "Content-Type": _TYPES.get(path.suffix.lower(), "application/octet-stream"),
            "Content-Disposition": "attachment",
            "Content-Security-Policy": "sandbox; default-src 'none'",
        },
    )


async def write_file(request: web.Request) -> web.Response:
    """Write the body to a file of the user; gives its name, or with `full_info` its size and times as well.

    An existing file is replaced unless `overwrite` is false.
    """
    path = _path(request, "file")
    _refuse_existing(request, path)
    with nameless_file() as file:
        await receive(request.content.iter_any(), file, request.app[SETTINGS].max_upload_bytes)
        await asyncio.to_thread(put, file, path)
    return _written(request, path)


async def delete_file(request: web.Request) -> web.Response:
    """Delete a file of the user."""
    _existing(request, "file").unlink()
    return web.Response(status=204)


async def move_file(request: web.Request) -> web.Response:
    """Give a file of the user another name; gives the new name, or with `full_info` size and times as well.

    An existing file is replaced unless `overwrite` is false.
    """
    source, target = _existing(request, "file"), _path(request, "dest")
    _refuse_existing(request, target)
    room_for(target)
    os.replace(source, target)
    return _written(request, target)


def is_set(value: str | None) -> bool:
    """Whether a flag of the query is on."""
    return value is not None and value.lower() in ("true", "1")


def _path(request: web.Request, parameter: str) -> Path:
    """The real path that a part of the URL names.

    Raises:
        FileRefused: the name is none, or leads out of the user's folder.
    """
    return resolve(user_folder(request.app[SETTINGS]), request.match_info[parameter])


def _existing(request: web.Request, parameter: str) -> Path:
    path = _path(request, parameter)
    if not path.is_file():
        raise web.HTTPNotFound(text=f"no file {request.match_info[parameter]!a} of the user")
    return path


def _folder(request: web.Request, name: str) -> Path:
    path = below(user_folder(request.app[SETTINGS]), name_parts(name))
    if not path.is_dir():
        raise web.HTTPNotFound(text=f"no folder {name!a} of the user")
    return path


def _refuse_existing(request: web.Request, path: Path) -> None:
    overwrite = request.query.get("overwrite")
    if overwrite is not None and not is_set(overwrite) and path.exists():
        raise web.HTTPConflict(text=f"the file {path.name!a} exists; overwrite=true replaces it")


def _written(request: web.Request, path: Path) -> web.Response:
    root = user_folder(request.app[SETTINGS]).resolve()
    full_info = is_set(request.query.get("full_info"))
    return web.json_response(_description(path, root) if full_info else path.relative_to(root).as_posix())


def _files(folder: Path, *, recurse: bool) -> list[Path]:
    """The plain files in a folder, sorted; links are left out."""
    return sorted(_walk(folder, recurse=recurse))


def _walk(folder: Path, *, recurse: bool) -> Iterator[Path]:
    seen = 0
    for place, folders, files in os.walk(folder):
        if not recurse:
            folders.clear()
        seen += len(files)
        if seen > MAX_ENTRIES:
            raise web.HTTPBadRequest(text=f"the folder holds more than {MAX_ENTRIES} files")
        for path in (Path(place, name) for name in files):
            if not path.is_symlink() and path.is_file():
                yield path


def _described(paths: list[Path], folder: Path) -> list[Entry]:
    return [_description(path, folder) for path in paths]


def _description(path: Path, folder: Path) -> Entry:
    """A file with its size in bytes and its times in milliseconds since 1970."""
    stat = path.stat()
    return {
        "path": path.relative_to(folder).as_posix(),
        "size": stat.st_size,
        "modified": int(stat.st_mtime * 1000),
        "created": int(stat.st_ctime * 1000),
    }


def _entries(folder: Path, root: Path) -> list[Entry]:
    """What stands in a folder, sorted by name, with paths from the user's folder; links are left out."""
    paths = [path for path in sorted(folder.iterdir()) if not path.is_symlink()]
    return [{"name": path.name, **_entry(path, root)} for path in paths]


def _entry(path: Path, root: Path) -> Entry:
    if path.is_dir():
        return {"path": path.relative_to(root).as_posix(), "type": "directory"}
    return {**_description(path, root), "type": "file"}


_INFO = object_of({"path": TEXT, "size": INTEGER, "modified": INTEGER, "created": INTEGER})
_WRITTEN = {200: json({"anyOf": [TEXT, _INFO]})}
_WRITING = {"overwrite": Query(FLAG), "full_info": Query(FLAG)}
_ENTRY = object_of({"name": TEXT, "path": TEXT, "type": {"type": "string", "enum": ["file", "directory"]}})
ENDPOINTS = (
    Endpoint(
        "GET",
        "/userdata",
        list_files,
        answers={200: json(list_of({"anyOf": [TEXT, list_of(TEXT), _INFO]}))},
        refuses=(404,),
        query={
            "dir": Query(required=True, description="Folder below the user's."),
            "recurse": Query(FLAG),
            "split": Query(FLAG),
            "full_info": Query(FLAG),
        },
    ),
    Endpoint(
        "GET",
        "/v2/userdata",
        list_folder,
        answers={200: json(list_of(_ENTRY))},
        refuses=(404,),
        query={"path": Query(description="Folder below the user's.")},
    ),
    Endpoint("GET", "/userdata/{file}", read_file, answers=FILE_ANSWERS),
    Endpoint(
        "POST",
        "/userdata/{file}",
        write_file,
        answers=_WRITTEN,
        refuses=(409,),
        query=_WRITING,
        body=Content(media_type="application/octet-stream", required=False),
    ),
    Endpoint("DELETE", "/userdata/{file}", delete_file, answers={204: None}),
    Endpoint("POST", "/userdata/{file}/move/{dest}", move_file, answers=_WRITTEN, query=_WRITING, refuses=(409,)),
)
ROUTES = routes(ENDPOINTS)
