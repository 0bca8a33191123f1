"""The JSON bodies of requests, within limits."""

from typing import Any

from aiohttp import web

from graphengine.errors import WorkflowFormatError
from graphengine.workflow.json_input import parse_json

#: Largest JSON body of the endpoints that change settings and the like, in bytes. Workflows may be larger.
MAX_JSON_BYTES = 4 * 2**20


# Any throughout: JSON comes from outside; what is read is checked as it is read.
async def read_json(request: web.Request, limit: int = MAX_JSON_BYTES) -> Any:
    """The JSON body, whatever Content-Type it has; `limit` is in bytes.

    Raises:
        web.HTTPRequestEntityTooLarge: it is larger than the limit.
        web.HTTPBadRequest: it is no JSON in UTF-8, is nested too deeply, or holds what JSON has not, as NaN.
    """
    data = bytearray()
    async for chunk in request.content.iter_any():
        data += chunk
        if len(data) > limit:
            raise web.HTTPRequestEntityTooLarge(limit, len(data))
    try:
        return parse_json(bytes(data)).value
    except WorkflowFormatError as error:
        raise web.HTTPBadRequest(text=f"the body cannot be read as JSON: {error.message}") from error


async def read_json_object(request: web.Request, limit: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """The JSON object in the body.

    Raises:
        web.HTTPRequestEntityTooLarge: it is larger than the limit.
        web.HTTPBadRequest: it is no JSON, or no object.
    """
    value = await read_json(request, limit)
    if not isinstance(value, dict):
        raise web.HTTPBadRequest(text=f"the body must be a JSON object, not {type(value).__name__}")
    return value
