"""`/upload/image` and `/upload/mask`: files from the editor into the input folder."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from graphengine.errors import FileRefused, WorkflowFormatError
from graphengine.server.endpoint import TEXT, Content, Endpoint, json, object_of, routes
from graphengine.server.paths import below, file_parts, name_parts
from graphengine.server.pictures import with_mask
from graphengine.server.receiving import nameless_file, put, put_new, receive
from graphengine.server.state import ENGINE, SETTINGS
from graphengine.server.view import KINDS, find, with_pictures
from graphengine.workflow.json_input import parse_json

_MAX_FIELDS = 16
_MAX_FIELD_BYTES = 4096
#: What Windows forbids in names, and a dot in front, which hides a file.
_AWKWARD = re.compile(r'[<>:"|?*]|^\.')


@dataclass(slots=True)
class Form:
    """The fields of an upload, as they came."""

    file: IO[bytes]
    filename: str | None = None
    overwrite: bool = False
    type: str = "input"
    subfolder: str = ""
    original_ref: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an upload goes: the root and type of the folder, the parts of the subfolder, and the file's name."""

    type: str
    root: Path
    folder: tuple[str, ...]
    name: str

    @property
    def path(self) -> Path:
        """The real path, contained in the root."""
        return below(self.root, (*self.folder, self.name))


async def upload_image(request: web.Request) -> web.Response:
    """Put a file into the input folder (or `type`: temp, output).

    The same name with the same content is used again; with other content the file becomes `name (1)`, unless
    `overwrite` says to replace it.
    """
    with nameless_file() as file:
        form = await _read_form(request, file)
        place = _place(request, form)
        name = await asyncio.to_thread(_store, form, place)
    return _answer(place, name)


async def upload_mask(request: web.Request) -> web.Response:
    """Put the transparency of the sent picture into a copy of the picture that `original_ref` names."""
    with nameless_file() as file:
        form = await _read_form(request, file)
        original = _original(request, form)
        place = _place(request, form)
        place = replace(place, name=PurePosixPath(place.name).with_suffix(".png").name)
        form.file = await with_pictures(request, partial(with_mask, original, file))
        name = await asyncio.to_thread(_store, form, place)
    return _answer(place, name)


def _answer(place: Place, name: str) -> web.Response:
    return web.json_response({"name": name, "subfolder": "/".join(place.folder), "type": place.type})


async def _read_form(request: web.Request, file: IO[bytes]) -> Form:
    """The fields of a multipart body; the file's bytes go into `file`.

    Raises:
        web.HTTPBadRequest: the body is no whole multipart form, or holds no file.
        web.HTTPRequestEntityTooLarge: it is too large.
    """
    if request.content_type != "multipart/form-data":
        raise web.HTTPBadRequest(text="the body must be a form (multipart/form-data) with the file as 'image'")
    form = Form(file)
    try:
        await _read_fields(await request.multipart(), form, request.app[SETTINGS].max_upload_bytes)
    except web.HTTPException:
        raise
    except (HttpProcessingError, ValueError, RuntimeError, AssertionError, LookupError) as error:
        # All of these come from aiohttp's reader of forms, depending on where a form is broken.
        reason = " ".join(str(error).split())
        raise web.HTTPBadRequest(text=f"the form cannot be read: {reason}") from error
    if form.filename is None:
        raise web.HTTPBadRequest(text="the form holds no file named 'image'")
    return form


async def _read_fields(reader: MultipartReader, form: Form, limit: int) -> None:
    number = 0
    async for part in reader:
        number += 1
        if number > _MAX_FIELDS or not isinstance(part, BodyPartReader):
            raise web.HTTPBadRequest(text=f"the form holds another form, or more than {_MAX_FIELDS} fields")
        if part.name == "image":
            if form.filename is not None or part.filename is None:
                raise web.HTTPBadRequest(text="the form must hold one file named 'image'")
            form.filename = part.filename
            await receive(_pieces(part), form.file, limit)
        else:
            _set_field(form, part.name, await _text(part))


async def _pieces(part: BodyPartReader) -> AsyncIterator[bytes]:
    while piece := await part.read_chunk():
        yield piece


async def _text(part: BodyPartReader) -> str:
    data = bytearray()
    async for piece in _pieces(part):
        data += piece
        if len(data) > _MAX_FIELD_BYTES:
            raise web.HTTPBadRequest(text=f"the field {part.name!a} is too long")
    return data.decode("utf-8")


def _set_field(form: Form, name: str | None, value: str) -> None:
    match name:
        case "overwrite":
            form.overwrite = value.lower() in ("true", "1")
        case "type":
            form.type = value or "input"
        case "subfolder":
            form.subfolder = value
        case "original_ref":
            form.original_ref = value


def _place(request: web.Request, form: Form) -> Place:
    """Where the form says the file goes.

    Raises:
        FileRefused: the name or subfolder is no plain one, or leads out of the root.
        web.HTTPBadRequest: there is no such type of folder.
    """
    roots = request.app[ENGINE].folders.roots(form.type) if form.type in KINDS else ()
    if not roots:
        raise web.HTTPBadRequest(text=f"the type {form.type!a} is none of {', '.join(KINDS)}")
    parts = file_parts(form.filename or "")
    if len(parts) > 1:
        raise FileRefused(f"the file name {form.filename!a} holds a folder", hint="name the folder in 'subfolder'")
    return Place(form.type, roots[0], name_parts(form.subfolder), _AWKWARD.sub("_", parts[0]))


def _store(form: Form, place: Place) -> str:
    """Write the file; gives the name that it got."""
    path = place.path
    if form.overwrite:
        put(form.file, path)
        return path.name
    return put_new(form.file, path).name


def _original(request: web.Request, form: Form) -> Path:
    """The picture that a mask belongs to."""
    try:
        reference = parse_json(form.original_ref.encode()).value
    except WorkflowFormatError as error:
        raise web.HTTPBadRequest(text="the field 'original_ref' is no JSON") from error
    match reference:
        case {"filename": str(filename), **rest}:
            kind, subfolder = rest.get("type", "output"), rest.get("subfolder", "")
            if isinstance(kind, str) and isinstance(subfolder, str):
                return find(request.app[ENGINE].folders, kind, subfolder, filename)
    raise web.HTTPBadRequest(text="the field 'original_ref' must be {filename, subfolder, type} of a picture")


_ANSWER = {
    200: json(object_of({"name": TEXT, "subfolder": TEXT, "type": TEXT})),
}
_BINARY = {"type": "string", "contentMediaType": "application/octet-stream"}
_FIELDS = {"overwrite": TEXT, "type": {"type": "string", "enum": list(KINDS)}, "subfolder": TEXT}
ENDPOINTS = (
    Endpoint(
        "POST",
        "/upload/image",
        upload_image,
        answers=_ANSWER,
        body=Content(object_of({"image": _BINARY}, _FIELDS), "multipart/form-data"),
    ),
    Endpoint(
        "POST",
        "/upload/mask",
        upload_mask,
        answers=_ANSWER,
        body=Content(object_of({"image": _BINARY, "original_ref": TEXT}, _FIELDS), "multipart/form-data"),
    ),
)
ROUTES = routes(ENDPOINTS)
