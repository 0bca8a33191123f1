"""How answers leave the server: errors as JSON without tracebacks, logged once; headers that every answer has."""

import logging
import re
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from graphengine.errors import FileRefused, GraphEngineError
from graphengine.server.endpoint import Handler

logger = logging.getLogger(__name__)

_IMAGE = re.compile(r"\.(jpe?g|png|ppm|bmp|pgm|gif|webp|svg|ico|avif)$", re.IGNORECASE)
_ALWAYS_ASKED = (".js", ".css", "index.json")
_DAY, _HOUR = 86_400, 3_600


# Any: JSON.
def error_body(kind: str, message: str, details: str = "") -> dict[str, Any]:
    """The body of an error, in the form that ComfyUI gives `/prompt`'s."""
    return {"error": {"type": kind, "message": message, "details": details, "extra_info": {}}}


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors as JSON: refusals keep their status, everything else is 500. Each is logged once."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _refused(request, error)
    except FileRefused as error:
        logger.warning("%s: %s", _place(request), error.message)
        return _json(400, error_body("file_refused", error.message, error.hint or ""))
    except web.RequestPayloadError as error:
        logger.warning("%s: the body ended early", _place(request))
        return _json(400, error_body("bad_request", f"the body cannot be read: {error}"))
    except GraphEngineError as error:
        logger.error("%s: %s", _place(request), error.message)
        return _json(500, error_body("server_error", error.message, error.hint or ""))
    except Exception:
        logger.exception("%s failed", _place(request))
        return _json(500, error_body("server_error", "the server failed to answer", "its log tells why"))


def _refused(request: web.Request, error: web.HTTPException) -> web.Response:
    """The answer to a refusal: JSON, unless the handler gave JSON already."""
    message = error.text or error.reason
    logger.log(logging.DEBUG if error.status == 404 else logging.WARNING, "%s: %s", _place(request), message)
    if error.content_type == "application/json" and error.text:
        return web.Response(status=error.status, text=error.text, content_type="application/json")
    answer = _json(error.status, error_body(re.sub(r"\W+", "_", error.reason.lower()), message))
    for name in ("Allow", "WWW-Authenticate"):
        if name in error.headers:
            answer.headers[name] = error.headers[name]
    return answer


def _json(status: int, body: Mapping[str, Any]) -> web.Response:
    return web.json_response(body, status=status)


def _place(request: web.Request) -> str:
    """The request on one line; the query is left out, it may hold a token."""
    return f"{request.method} {request.path!a}"


@web.middleware
async def headers_of_every_answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Adds what every answer has: how long it may be kept, and what a browser must not do with it."""
    answer = await handler(request)
    if answer.prepared:  # a socket has sent its headers
        return answer
    headers = answer.headers
    headers.setdefault("Cache-Control", cache_control(request.path, answer.status))
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Referrer-Policy", "same-origin")
    headers.setdefault("X-Frame-Options", "SAMEORIGIN")
    headers.setdefault("Content-Security-Policy", "frame-ancestors 'self'")
    return answer


def cache_control(path: str, status: int) -> str:
    """How long a browser may keep an answer: pictures for a day, a picture's absence for an hour, nothing else
    without asking again.
    """
    if path.lower().endswith(_ALWAYS_ASKED) or not _IMAGE.search(path):
        return "no-cache"
    if status == 404:
        return f"public, max-age={_HOUR}"
    return f"public, max-age={_DAY}" if 200 <= status < 400 else "no-cache"
