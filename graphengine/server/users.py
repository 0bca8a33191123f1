"""`/users` and `/settings`: the only user, and what the editor remembers for them."""

import asyncio
import json as json_text
from io import BytesIO
from pathlib import Path
from typing import Any

from aiohttp import web

from graphengine.errors import WorkflowFormatError
from graphengine.server.bodies import read_json, read_json_object
from graphengine.server.endpoint import ANYTHING, OBJECT, TEXT, Endpoint, json, object_of, routes
from graphengine.server.receiving import put
from graphengine.server.state import SETTINGS
from graphengine.server.userdata import user_folder
from graphengine.workflow.json_input import parse_json

#: Longest name of a setting, in characters, and most settings that are kept.
MAX_ID = 512
MAX_SETTINGS = 10_000

_FILE = "comfy.settings.json"
#: Held while the settings are changed, so that no change is lost.
WRITING = web.AppKey("settings_lock", asyncio.Lock)
# Any: the editor and its extensions keep whatever they like.
Values = dict[str, Any]


async def users(request: web.Request) -> web.Response:
    """Where the editor keeps settings: here, for one user."""
    return web.json_response({"storage": "server", "migrated": True})


async def add_user(request: web.Request) -> web.Response:
    """Refused: the server keeps one user."""
    await read_json_object(request)
    raise web.HTTPBadRequest(text="the server keeps one user; no other can be added")


async def all_settings(request: web.Request) -> web.Response:
    """All settings by name."""
    return web.json_response(await asyncio.to_thread(_read, _file(request)))


async def one_setting(request: web.Request) -> web.Response:
    """The value of a setting, null when it was never set."""
    settings = await asyncio.to_thread(_read, _file(request))
    return web.json_response(settings.get(request.match_info["id"]))


async def set_many(request: web.Request) -> web.Response:
    """Set the settings in the body; others stay as they are."""
    await _change(request, await read_json_object(request))
    return web.Response()


async def set_one(request: web.Request) -> web.Response:
    """Set a setting to the JSON value in the body."""
    await _change(request, {request.match_info["id"]: await read_json(request)})
    return web.Response()


async def _change(request: web.Request, given: Values) -> None:
    if any(len(name) > MAX_ID for name in given):
        raise web.HTTPBadRequest(text=f"the name of a setting is longer than {MAX_ID} characters")
    async with request.app[WRITING]:
        await asyncio.to_thread(_update, _file(request), given)


def _file(request: web.Request) -> Path:
    return user_folder(request.app[SETTINGS]) / _FILE


def _read(file: Path) -> Values:
    """What the file holds; nothing when there is none.

    Raises:
        web.HTTPConflict: it cannot be read. Nothing is written over it then.
    """
    try:
        values = parse_json(file.read_bytes()).value
    except FileNotFoundError:
        return {}
    except (OSError, WorkflowFormatError) as error:
        raise web.HTTPConflict(text=f"{file} cannot be read: {error}; correct or remove it") from error
    if not isinstance(values, dict):
        raise web.HTTPConflict(text=f"{file} holds no JSON object; correct or remove it")
    return values


def _update(file: Path, given: Values) -> None:
    values = {**_read(file), **given}
    if len(values) > MAX_SETTINGS:
        raise web.HTTPBadRequest(text=f"more than {MAX_SETTINGS} settings are not kept")
    put(BytesIO(json_text.dumps(values, indent=4).encode()), file)


#: The file of settings cannot be read.
_UNREADABLE = (409,)
_STORAGE = object_of({"storage": TEXT, "migrated": {"type": "boolean"}})
ENDPOINTS = (
    Endpoint("GET", "/users", users, answers={200: json(_STORAGE)}),
    Endpoint("POST", "/users", add_user, answers={}, body=json(object_of({"username": TEXT}))),
    Endpoint("GET", "/settings", all_settings, answers={200: json(OBJECT)}, refuses=_UNREADABLE),
    Endpoint("POST", "/settings", set_many, answers={200: None}, refuses=_UNREADABLE, body=json(OBJECT)),
    Endpoint("GET", "/settings/{id}", one_setting, answers={200: json(ANYTHING)}, refuses=_UNREADABLE),
    Endpoint("POST", "/settings/{id}", set_one, answers={200: None}, refuses=_UNREADABLE, body=json(ANYTHING)),
)
ROUTES = routes(ENDPOINTS)
