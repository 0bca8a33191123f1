"""`/view`: files of the output, input and temporary folders, as they are or as previews."""

import asyncio
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from aiohttp import web

from graphengine.errors import FileRefused
from graphengine.node.folders import Folders
from graphengine.server.endpoint import FILE_ANSWERS, Endpoint, Query, routes
from graphengine.server.paths import below, file_parts, name_parts
from graphengine.server.pictures import Encoded, channel_of, encode_file, preview
from graphengine.server.state import ENGINE

if TYPE_CHECKING:
    from PIL.Image import Image

#: The folders that requests can name.
KINDS = ("output", "input", "temp")
#: Requests that decode pictures at the same time.
MAX_DECODING = 2
DECODING = web.AppKey("decoding", asyncio.Semaphore)

Result = TypeVar("Result")
_ANNOTATED = re.compile(r"(.*) \[(output|input|temp)\]", re.DOTALL)
#: What a browser may show. Everything else is a download: pages, scripts, SVG and XML could run code as ours.
_SHOWN = {
    ".apng": "image/apng",
    ".avif": "image/avif",
    ".bmp": "image/bmp",
    ".flac": "audio/flac",
    ".gif": "image/gif",
    ".ico": "image/x-icon",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".m4a": "audio/mp4",
    ".mkv": "video/x-matroska",
    ".mov": "video/quicktime",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".png": "image/png",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".txt": "text/plain; charset=utf-8",
    ".wav": "audio/wav",
    ".webm": "video/webm",
    ".webp": "image/webp",
}


async def view(request: web.Request) -> web.StreamResponse:
    """A file of the output, input or temporary folder.

    `filename` may hold folders and end in ` [output]`, ` [input]` or ` [temp]`, which then names the folder.
    `preview` and `channel` give a picture encoded anew; `channel=a` is its transparency, `rgb` the picture
    without. Parts of a file are given for `Range`.
    """
    query = request.query
    kind, subfolder, filename = (query.get(name, "") for name in ("type", "subfolder", "filename"))
    path = find(request.app[ENGINE].folders, kind or "output", subfolder, filename)
    if "preview" in query:
        return await _encoded(
            request, path, partial(preview, given=query["preview"], channel=query.get("channel", ""))
        )
    if query.get("channel", "rgba") in ("rgb", "a"):
        return await _encoded(request, path, partial(channel_of, channel=query["channel"]))
    return file_answer(path)


def find(folders: Folders, kind: str, subfolder: str, filename: str) -> Path:
    """The file that a request names; the roots of its kind are searched in order.

    Raises:
        FileRefused: the file's name is none.
        web.HTTPBadRequest: there is no such kind.
        web.HTTPForbidden: the subfolder, or a link, leads out of the root.
        web.HTTPNotFound: there is no such file.
    """
    if annotated := _ANNOTATED.fullmatch(filename):
        filename, kind = annotated[1], annotated[2]
    if kind not in KINDS:
        raise web.HTTPBadRequest(text=f"the type {kind!a} is none of {', '.join(KINDS)}")
    if not filename:
        raise web.HTTPNotFound(text="the request names no file")
    inside = file_parts(filename)
    try:
        parts = (*name_parts(subfolder), *inside)
        found = next((path for root in folders.roots(kind) if (path := below(root, parts)).is_file()), None)
    except FileRefused as error:
        raise web.HTTPForbidden(text=error.message) from error
    if found is None:
        raise web.HTTPNotFound(text=f"no file {'/'.join(parts)!a} in the {kind} folder")
    return found


def file_answer(path: Path) -> web.FileResponse:
    """The file itself, in parts when asked; what could run code in the browser is a download."""
    media_type = _SHOWN.get(path.suffix.lower())
    return web.FileResponse(
        path,
        headers={
            "Content-Type": media_type or "application/octet-stream",
            "Content-Disposition": disposition("inline" if media_type else "attachment", path.name),
            "Content-Security-Policy": "sandbox; default-src 'none'; media-src 'self'; style-src 'unsafe-inline'",
            "X-Content-Type-Options": "nosniff",
        },
    )


def disposition(how: str, filename: str) -> str:
    """A Content-Disposition of the kind "inline" or "attachment" with the file's name (RFC 6266)."""
    plain = re.sub(r"[^ !#-\[\]-~]", "_", filename)
    full = f"; filename*=UTF-8''{quote(filename, safe='')}" if plain != filename else ""
    return f'{how}; filename="{plain}"{full}'


async def with_pictures(request: web.Request, work: Callable[[], Result]) -> Result:
    """What `work` gives, which decodes pictures: in a thread, and few at a time because of the memory."""
    async with request.app[DECODING]:
        return await asyncio.to_thread(work)


async def _encoded(request: web.Request, path: Path, encode: Callable[["Image"], Encoded]) -> web.Response:
    picture = await with_pictures(request, partial(encode_file, path, encode))
    return web.Response(
        body=picture.data,
        content_type=picture.media_type,
        headers={"Content-Disposition": disposition("inline", path.name)},
    )


ENDPOINTS = (
    Endpoint(
        "GET",
        "/view",
        view,
        answers=FILE_ANSWERS,
        refuses=(404,),
        query={
            "filename": Query(required=True, description="Name of the file."),
            "type": Query({"type": "string", "enum": list(KINDS)}),
            "subfolder": Query(description="Folder of the file below the root."),
            "preview": Query(description="`webp;90` or `jpeg;80`: the picture in that format and quality."),
            "channel": Query({"type": "string", "enum": ["rgb", "a", "rgba"]}),
        },
    ),
)
ROUTES = routes(ENDPOINTS)
