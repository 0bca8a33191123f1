"""`/openapi.json`: the OpenAPI description of the server, made from the rows of its endpoints."""

import inspect
import json as json_text
import re
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from aiohttp import web

from graphengine.server.endpoint import OBJECT, TEXT, Content, Endpoint, Query, json, object_of, routes

#: The description as it is sent.
DOCUMENT = web.AppKey("openapi", bytes)

_PARAMETER = re.compile(r"\{(\w+)(?::[^{}]*)?\}")
_ERROR = object_of({"error": object_of({"type": TEXT, "message": TEXT, "details": TEXT, "extra_info": OBJECT})})
#: What any endpoint may answer instead.
_ANYWHERE = (400, 401, 403, 413)
_MEANINGS = {
    200: "Done.",
    204: "Done.",
    206: "The part of the file that was asked for.",
    304: "The file is as the client has it.",
    400: "The request cannot be read, or names something that is refused.",
    401: "The token is missing or wrong.",
    403: "The caller may not ask this.",
    404: "There is no such thing.",
    409: "What is there is in the way.",
    413: "The body is too large.",
    416: "The file has no such part.",
    429: "The queue is full.",
    503: "The server is busy.",
}
# Any: an OpenAPI description is open-ended JSON.
Json = dict[str, Any]


async def description(request: web.Request) -> web.Response:
    """This description."""
    return web.Response(body=request.app[DOCUMENT], content_type="application/json")


def as_bytes(description: Json) -> bytes:
    """The description as JSON text."""
    return json_text.dumps(description, separators=(",", ":")).encode()


def document(endpoints: Iterable[Endpoint]) -> Json:
    """The OpenAPI 3.1 description of these endpoints."""
    paths: dict[str, Json] = {}
    for endpoint in endpoints:
        operations = paths.setdefault(_PARAMETER.sub(r"{\1}", endpoint.path), {})
        operations[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "graphengine",
            "version": _version(),
            "description": "ComfyUI's protocol over graphengine. Each path is also served below `/api`, but for "
            "`/internal` and the editor's own files.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": {"Error": dict(_ERROR)},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _operation(endpoint: Endpoint) -> Json:
    name = _PARAMETER.sub(r"by_\1", endpoint.path).translate(_AS_NAME)
    summary, _, text = (inspect.getdoc(endpoint.handler) or "").partition("\n\n")
    operation: Json = {
        "operationId": f"{endpoint.method.lower()}{name}",
        "summary": " ".join(summary.split()),
        "parameters": [*map(_path_parameter, _PARAMETER.findall(endpoint.path)), *_query(endpoint.query)],
        "responses": _responses(endpoint),
    }
    if text:
        operation["description"] = text
    if endpoint.body is not None:
        operation["requestBody"] = {"required": endpoint.body.required, "content": _content(endpoint.body)}
    return operation


_AS_NAME = str.maketrans({"/": "_", "-": "_", ".": "_"})


def _path_parameter(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _query(query: Mapping[str, Query]) -> list[Json]:
    return [
        {
            "name": name,
            "in": "query",
            "required": parameter.required,
            "schema": dict(parameter.schema),
            **({"description": parameter.description} if parameter.description else {}),
        }
        for name, parameter in query.items()
    ]


def _responses(endpoint: Endpoint) -> Json:
    """The endpoint's own answers, and the refusals that it need not list."""
    refused = {*_ANYWHERE, *endpoint.refuses, *([404] if "{" in endpoint.path else [])}
    answers = {status: _answer(status, content) for status, content in endpoint.answers.items()}
    others = {status: _refusal(status) for status in refused if status not in answers}
    return {str(status): answer for status, answer in sorted({**answers, **others}.items())}


def _answer(status: int, content: Content | None) -> Json:
    described: Json = {"description": _MEANINGS.get(status, "See the summary.")}
    return described if content is None else {**described, "content": _content(content)}


def _refusal(status: int) -> Json:
    return {
        "description": _MEANINGS[status],
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }


def _content(content: Content) -> Json:
    return {content.media_type: {"schema": dict(content.schema)} if content.schema else {}}


def _version() -> str:
    try:
        return version("graphengine-comfy")
    except PackageNotFoundError:  # a bare checkout
        return "0"


ENDPOINTS = (Endpoint("GET", "/openapi.json", description, answers={200: json(OBJECT)}),)
ROUTES = routes(ENDPOINTS)
