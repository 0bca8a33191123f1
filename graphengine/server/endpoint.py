"""What an endpoint is: its route, its handler, and what it takes and answers. One row says it all.

The routes of the application and its OpenAPI description are made from the same rows; the texts of the description
are the handlers' docstrings.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
# Any: a JSON Schema is open-ended JSON.
Schema = Mapping[str, Any]

TEXT: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
FLAG: Schema = {"type": "string", "enum": ["true", "false", "1", "0"]}
ANYTHING: Schema = {}
OBJECT: Schema = {"type": "object"}
NAMES: Schema = {"type": "array", "items": {"type": "string"}}


@dataclass(frozen=True, slots=True)
class Content:
    """A body: its media type and, when that is JSON, its schema."""

    schema: Schema = field(default_factory=dict)
    media_type: str = "application/json"
    required: bool = True


#: The answers with a file: whole, a part of it, nothing as the client has it already, or no such part.
FILE_ANSWERS: Mapping[int, Content | None] = {
    200: Content(media_type="*/*"),
    206: Content(media_type="*/*"),
    304: None,
    416: None,
}


@dataclass(frozen=True, slots=True)
class Query:
    """A parameter of the query."""

    schema: Schema = field(default_factory=lambda: TEXT)
    required: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One route with its handler and the description of what it takes and gives.

    `answers` are the bodies by status, None for an empty one. `refuses` are statuses with an error as body; those
    that any endpoint may give (400, 401, 403, 413) need not be listed, nor 404 where the path names something.
    """

    method: str
    path: str
    handler: Handler
    answers: Mapping[int, Content | None]
    query: Mapping[str, Query] = field(default_factory=dict)
    body: Content | None = None
    refuses: Sequence[int] = ()

    def route(self) -> web.RouteDef:
        """The route; a GET route answers HEAD as well."""
        return web.RouteDef(self.method, self.path, self.handler, {})


def routes(endpoints: Sequence[Endpoint]) -> tuple[web.RouteDef, ...]:
    """The routes of the endpoints, in order."""
    return tuple(endpoint.route() for endpoint in endpoints)


def object_of(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """The schema of an object with these properties, and others beside them."""
    return {"type": "object", "properties": {**required, **(optional or {})}, "required": list(required)}


def list_of(items: Schema) -> Schema:
    """The schema of a list."""
    return {"type": "array", "items": items}


def json(schema: Schema) -> Content:
    """A JSON body."""
    return Content(schema)
