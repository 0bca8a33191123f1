"""Who may call: programs on this machine, the server's own pages, and whoever holds the token.

A web page from elsewhere can make the user's browser send requests to 127.0.0.1. Three things stop it. `Host` must
be a loopback name, so a page whose own name was pointed at 127.0.0.1 (DNS rebinding) is refused. `Origin`, which
browsers send with sockets and with all that changes something, must be the server's own. `Sec-Fetch-Site`, where
`Origin` is absent, must not say that another site is asking; links followed to a page are the exception.

Beyond loopback there is a token instead of the name. A browser gets it once in a link (`?token=`), and from then
on a cookie that scripts cannot read and other sites cannot cause to be sent.
"""

import hmac
import ipaddress
from hashlib import sha256
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from graphengine.errors import SettingsError
from graphengine.server.answers import errors_as_json, headers_of_every_answer
from graphengine.server.endpoint import Handler
from graphengine.server.state import ServerSettings

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_COOKIE_AGE = 30 * 86_400
_DEFAULT_PORTS = {"http": 80, "https": 443}


def middlewares(settings: ServerSettings) -> tuple[Middleware, ...]:
    """The middlewares of the application, outermost first.

    Raises:
        SettingsError: the server would listen beyond loopback without a token.
    """
    check_settings(settings)
    return (
        headers_of_every_answer,
        _cross_origin(settings),
        errors_as_json,
        _callers_place(settings),
        _token(settings),
        _size(settings),
        _options,
    )


def check_settings(settings: ServerSettings) -> None:
    """Refuses settings that would let anybody on the network in.

    Raises:
        SettingsError: the server would listen beyond loopback without a token, or the token is empty.
    """
    if settings.token is not None and not settings.token.strip():
        raise SettingsError("the token is empty", hint="give a long random one, or none and listen on 127.0.0.1")
    if settings.token is None and not is_loopback(settings.host):
        raise SettingsError(
            f"listening on {settings.host!r} needs a token, or everybody on the network could run workflows",
            hint="give a token, or listen on 127.0.0.1",
        )


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own: localhost, 127.0.0.0/8, ::1."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def cookie_name(settings: ServerSettings) -> str:
    """The name of the cookie; it has the port in it because browsers share cookies between ports."""
    return f"graphengine-{settings.port}"


def cookie_value(token: str) -> str:
    """What the cookie holds: proof of the token, not the token."""
    return sha256(b"graphengine cookie\0" + token.encode()).hexdigest()


def _callers_place(settings: ServerSettings) -> Middleware:
    """Refuses requests that a page of another site made the browser send."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        host = _only(request, hdrs.HOST)
        if settings.token is None and not is_loopback(_host_and_port(f"//{host}")[0]):
            raise web.HTTPForbidden(text=f"the server is not called {host!a}; use 127.0.0.1 or localhost")
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None:
            if not _same(origin, host) and not _may_call(settings, origin):
                raise web.HTTPForbidden(text=f"requests from {origin!a} are not answered")
        elif settings.cors_origin is None and _asked_by_another_site(request):
            raise web.HTTPForbidden(text="requests from another site are not answered")
        return await handler(request)

    return check


def _only(request: web.Request, name: str) -> str:
    """The value of a header that must stand there once."""
    values = request.headers.getall(name, [])
    if len(values) != 1:
        raise web.HTTPBadRequest(text=f"there must be one {name} header")
    return values[0]


def _asked_by_another_site(request: web.Request) -> bool:
    """Whether a browser says that another site asks; following a link to a page is no such thing."""
    if request.headers.get("Sec-Fetch-Site", "").lower() != "cross-site":
        return False
    followed = (request.headers.get("Sec-Fetch-Mode"), request.headers.get("Sec-Fetch-Dest"))
    return not (followed == ("navigate", "document") and request.method in _READING)


def _same(origin: str, host: str) -> bool:
    """Whether an origin is the host that the request went to."""
    scheme = urlsplit(origin).scheme if "://" in origin else ""
    if scheme not in _DEFAULT_PORTS:
        return False
    default = _DEFAULT_PORTS[scheme]
    given, own = _host_and_port(origin), _host_and_port(f"//{host}")
    return given[0] != "" and (given[0], given[1] or default) == (own[0], own[1] or default)


def _host_and_port(url: str) -> tuple[str, int | None]:
    """Name and port of a URL; an unreadable one has no name."""
    try:
        split = urlsplit(url)
        return split.hostname or "", split.port
    except ValueError:
        return "", None


def _may_call(settings: ServerSettings, origin: str) -> bool:
    return settings.cors_origin == "*" or (settings.cors_origin is not None and origin == settings.cors_origin)


def _token(settings: ServerSettings) -> Middleware:
    """Refuses requests without the token, when there is one."""
    token = settings.token

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if token is None or _is_preflight(request):
            return await handler(request)
        if _has_cookie(request, settings, token) or _has_bearer(request, token):
            return await handler(request)
        given = request.query.get("token")
        if given is None or not _equal(given, token):
            raise web.HTTPUnauthorized(
                text="the token is missing or wrong; open the address with ?token=… or send Authorization: Bearer",
                headers={hdrs.WWW_AUTHENTICATE: 'Bearer realm="graphengine"'},
            )
        answer = await handler(request)
        if not answer.prepared:
            _set_cookie(answer, request, settings, token)
        return answer

    return check


def _has_cookie(request: web.Request, settings: ServerSettings, token: str) -> bool:
    return _equal(request.cookies.get(cookie_name(settings), ""), cookie_value(token))


def _has_bearer(request: web.Request, token: str) -> bool:
    scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return scheme.lower() == "bearer" and _equal(given.strip(), token)


def _equal(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted.encode())


def _set_cookie(answer: web.StreamResponse, request: web.Request, settings: ServerSettings, token: str) -> None:
    answer.set_cookie(
        cookie_name(settings),
        cookie_value(token),
        max_age=_COOKIE_AGE,
        httponly=True,
        samesite="Strict",
        secure=request.secure,
    )


def _is_preflight(request: web.Request) -> bool:
    """Whether a browser asks if it may call; it never sends a token with that."""
    return request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers


def _cross_origin(settings: ServerSettings) -> Middleware:
    """Tells browsers that pages of `cors_origin` may read the answers; without one, that no other page may."""

    @web.middleware
    async def add(request: web.Request, handler: Handler) -> web.StreamResponse:
        answer = await handler(request)
        if answer.prepared:
            return answer
        if settings.cors_origin is None:
            answer.headers["Cross-Origin-Resource-Policy"] = "same-origin"
            return answer
        answer.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        answer.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = settings.cors_origin
        if settings.cors_origin != "*":
            answer.headers[hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS] = "true"
            answer.headers[hdrs.VARY] = hdrs.ORIGIN
        if _is_preflight(request):
            answer.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = _METHODS
            answer.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = "Authorization, Content-Type, Comfy-User"
            answer.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = "600"
        return answer

    return add


def _size(settings: ServerSettings) -> Middleware:
    """Refuses a body that says it is too large before any of it is read."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        size = request.content_length or 0
        if size > settings.max_upload_bytes:
            raise web.HTTPRequestEntityTooLarge(settings.max_upload_bytes, size)
        return await handler(request)

    return check


@web.middleware
async def _options(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answers OPTIONS with the methods of the route."""
    missing = request.match_info.http_exception
    if request.method == hdrs.METH_OPTIONS and isinstance(missing, web.HTTPMethodNotAllowed):
        allowed = sorted({*missing.allowed_methods, hdrs.METH_OPTIONS})
        return web.Response(status=204, headers={hdrs.ALLOW: ", ".join(allowed)})
    return await handler(request)
