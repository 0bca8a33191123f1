"""The JSON bodies of requests, within limits."""

import json
from typing import Any

from aiohttp import web

#: Largest JSON body of the endpoints that change settings and the like, in bytes. Workflows may be larger.
MAX_JSON_BYTES = 4 * 2**20


# Any throughout: JSON comes from outside; what is read is checked as it is read.
async def read_json(request: web.Request, limit: int = MAX_JSON_BYTES) -> Any:
    """The JSON body, whatever Content-Type it has; `limit` is in bytes.

    Raises:
        web.HTTPRequestEntityTooLarge: it is larger than the limit.
        web.HTTPBadRequest: it is no JSON in UTF-8, is nested too deeply, or holds NaN or Infinity.
    """
    data = bytearray()
    async for chunk in request.content.iter_any():
        data += chunk
        if len(data) > limit:
            raise web.HTTPRequestEntityTooLarge(limit, len(data))
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise web.HTTPBadRequest(text=f"the body is no JSON that can be read: {reason}") from error


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


def _no_constant(name: str) -> Any:
    raise ValueError(f"JSON has no {name}")
