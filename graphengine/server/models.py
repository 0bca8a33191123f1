"""`/models`, `/embeddings`, `/experiment/models`, `/view_metadata`: which model files there are, what they say.

Model folders may hold links to other disks: their content is the user's own choice, and nothing here writes to
them. Names are checked as text all the same.
"""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web

from graphengine.errors import WorkflowFormatError
from graphengine.node.folders import Folders
from graphengine.server.endpoint import (
    INTEGER,
    NAMES,
    OBJECT,
    TEXT,
    Content,
    Endpoint,
    Query,
    json,
    list_of,
    object_of,
    routes,
)
from graphengine.server.paths import file_parts, name_parts
from graphengine.server.pictures import encode_file, preview
from graphengine.server.state import ENGINE
from graphengine.server.view import with_pictures
from graphengine.workflow.json_input import MAX_BYTES, parse_json

_PICTURES = (".preview.png", ".png", ".jpg", ".jpeg", ".webp", ".gif")

# Any: JSON.
Entry = dict[str, Any]


async def folder_types(request: web.Request) -> web.Response:
    """The kinds of model folders."""
    return web.json_response(sorted(_folders(request).models))


async def files_of_folder(request: web.Request) -> web.Response:
    """The names of the model files of a kind."""
    folders, kind = _folders(request), _kind(request)
    return web.json_response(await asyncio.to_thread(folders.files, kind))


async def embeddings(request: web.Request) -> web.Response:
    """The names of the embeddings, without their endings."""
    names = await asyncio.to_thread(_folders(request).files, "embeddings")
    return web.json_response([name.rpartition(".")[0] for name in names])


async def folders_with_paths(request: web.Request) -> web.Response:
    """The kinds of model folders with the folders that are searched."""
    models = _folders(request).models
    return web.json_response(
        [{"name": kind, "folders": [str(root) for root in roots]} for kind, roots in sorted(models.items())]
    )


async def described_files(request: web.Request) -> web.Response:
    """The model files of a kind with size, times (milliseconds since 1970) and the number of their folder."""
    folders, kind = _folders(request), _kind(request)
    return web.json_response(await asyncio.to_thread(_described, folders, kind))


async def model_preview(request: web.Request) -> web.Response:
    """The picture beside a model file, as webp."""
    roots, parts = _folders(request).models[_kind(request)], file_parts(request.match_info["file"])
    index = request.match_info["index"]
    if len(index) > 4 or not index.isdecimal() or int(index) >= len(roots):
        raise web.HTTPNotFound(text=f"the models have no folder number {index!a}")
    model = roots[int(index)].joinpath(*parts)
    pictures = (model.with_name(model.stem + ending) for ending in _PICTURES)
    found = next((picture for picture in pictures if picture.is_file()), None)
    if found is None:
        raise web.HTTPNotFound(text=f"no picture lies beside {'/'.join(parts)!a}")
    as_webp = partial(preview, given="webp;90", channel="")
    encoded = await with_pictures(request, partial(encode_file, found, as_webp))
    return web.Response(body=encoded.data, content_type=encoded.media_type)


async def metadata(request: web.Request) -> web.Response:
    """What the author of a safetensors file wrote into it.

    Without a readable file or its metadata the answer is 404 without a body, as the editor expects it.
    """
    kind = request.match_info["folder"]
    name_parts(kind)
    roots = _folders(request).models.get(kind, ())
    parts = file_parts(request.query.get("filename", ""))
    found = next((path for root in roots if (path := root.joinpath(*parts)).is_file()), None)
    texts = await asyncio.to_thread(_metadata, found) if found is not None else None
    return web.Response(status=404) if texts is None else web.json_response(texts)


def _folders(request: web.Request) -> Folders:
    return request.app[ENGINE].folders


def _kind(request: web.Request) -> str:
    """The kind of models that the URL names.

    Raises:
        FileRefused: it is no plain name.
        web.HTTPNotFound: there is no such kind.
    """
    kind = request.match_info["folder"]
    name_parts(kind)
    if kind not in _folders(request).models:
        raise web.HTTPNotFound(text=f"no models of the kind {kind!a}")
    return kind


def _described(folders: Folders, kind: str) -> list[Entry]:
    """Each file of each folder; of files that vanish meanwhile nothing is said."""
    described = []
    for index, root in enumerate(folders.models[kind]):
        for name in Folders(models={kind: (root,)}).files(kind):
            try:
                stat = (root / name).stat()
            except OSError:
                continue
            described.append(
                {
                    "name": name,
                    "pathIndex": index,
                    "modified": int(stat.st_mtime * 1000),
                    "created": int(stat.st_ctime * 1000),
                    "size": stat.st_size,
                }
            )
    return described


def _metadata(path: Path) -> Entry | None:
    """`__metadata__` of a safetensors file, None when it has none or is no such file."""
    if path.suffix.lower() not in (".safetensors", ".sft"):
        return None
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= min(MAX_BYTES, path.stat().st_size):
            return None
        header = file.read(length)
    try:
        value = parse_json(header).value
    except WorkflowFormatError:
        return None
    match value:
        case {"__metadata__": dict(texts)}:
            return {name: text for name, text in texts.items() if isinstance(text, str)}
        case _:
            return None


_FILE_INFO = object_of(
    {"name": TEXT, "pathIndex": INTEGER, "modified": INTEGER, "created": INTEGER, "size": INTEGER}
)
ENDPOINTS = (
    Endpoint("GET", "/embeddings", embeddings, answers={200: json(NAMES)}),
    Endpoint("GET", "/models", folder_types, answers={200: json(NAMES)}),
    Endpoint("GET", "/models/{folder}", files_of_folder, answers={200: json(NAMES)}),
    Endpoint(
        "GET",
        "/experiment/models",
        folders_with_paths,
        answers={200: json(list_of(object_of({"name": TEXT, "folders": NAMES})))},
    ),
    Endpoint("GET", "/experiment/models/{folder}", described_files, answers={200: json(list_of(_FILE_INFO))}),
    Endpoint(
        "GET",
        "/experiment/models/preview/{folder}/{index}/{file:.+}",
        model_preview,
        answers={200: Content(media_type="image/webp")},
    ),
    Endpoint(
        "GET",
        "/view_metadata/{folder}",
        metadata,
        answers={200: json(OBJECT), 404: None},
        query={"filename": Query(required=True, description="Name of the model file.")},
    ),
)
ROUTES = routes(ENDPOINTS)
