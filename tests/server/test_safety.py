"""Who is answered: this machine, the server's own pages, and whoever holds the token."""

import asyncio
import logging
from pathlib import Path

import pytest
from aiohttp import WSServerHandshakeError, web

from graphengine.engine import Engine
from graphengine.errors import GraphEngineError, SettingsError
from graphengine.server import safety
from graphengine.server.answers import cache_control
from graphengine.server.state import ServerSettings
from tests.server.asking import Server, running

TOKEN = "a long räNdom token"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8188", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("editor.localhost:8188", 200),
        ("127.9.9.9", 200),
        ("[::1]:8188", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example:8188", 403),
        ("localhost.evil.example", 403),
        ("localhost@evil.example", 403),
        ("192.168.0.1:8188", 403),
        ("0.0.0.0:8188", 403),
        ("", 403),
        ("[::1", 403),
        ("127.0.0.1:99999999", 403),
    ],
)
def test_on_loopback_only_loopback_names_are_answered(host: str, status: int, server: Server) -> None:
    assert server.get("/features", headers={"Host": host}).status == status


def test_two_hosts_or_none_are_refused(server: Server) -> None:
    async def raw(lines: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.client.port)
        writer.write(lines.encode())
        answer = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return answer

    for lines in (
        "GET /features HTTP/1.0\r\n\r\n",
        "GET /features HTTP/1.1\r\nHost: localhost\r\nHost: a\r\n\r\n",
    ):
        assert b" 400 " in server.runner.run(raw(lines))


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://127.0.0.1:1", "file://", "http://", "x", "https://127.0.0.1:PORT:1"],
)
def test_other_origins_are_refused(method: str, origin: str, server: Server) -> None:
    origin = origin.replace("PORT", str(server.client.port))
    answer = server.ask(method, "/queue", headers={"Origin": origin})
    assert (answer.status, "Access-Control-Allow-Origin" in answer.headers) == (403, False)


def test_the_servers_own_pages_are_answered(server: Server) -> None:
    own = f"http://127.0.0.1:{server.client.port}"
    assert server.post("/queue", json={}, headers={"Origin": own}).status == 200
    default = {"Host": "localhost", "Origin": "https://localhost"}
    assert server.get("/features", headers=default).status == 200
    assert server.get("/features", headers={"Host": "localhost:443", "Origin": "https://localhost"}).status == 200


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("POST", {"Sec-Fetch-Site": "cross-site"}, 403),
        (
            "POST",
            {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
            403,
        ),
        ("POST", {"Sec-Fetch-Site": "same-origin"}, 200),
        ("POST", {}, 200),
        ("GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, 403),
        ("GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, 403),
        ("GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, 200),
    ],
)
def test_what_another_site_asks_without_an_origin_is_refused(
    method: str, headers: dict[str, str], status: int, server: Server
) -> None:
    assert server.ask(method, "/queue", json={} if method == "POST" else None, headers=headers).status == status


def test_a_socket_is_checked_like_everything_else(server: Server) -> None:
    async def connect(**headers: str) -> int:
        try:
            async with server.client.ws_connect("/ws", headers=headers):
                return 101
        except WSServerHandshakeError as error:
            return error.status

    assert server.runner.run(connect()) == 101
    assert server.runner.run(connect(Origin="http://evil.example")) == 403
    assert server.runner.run(connect(Host="evil.example")) == 403


def test_beyond_loopback_there_must_be_a_token(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "::", "192.168.0.1", "example.org", ""):
        with pytest.raises(SettingsError, match="needs a token"):
            safety.check_settings(ServerSettings(user=tmp_path, host=host))
        safety.check_settings(ServerSettings(user=tmp_path, host=host, token=TOKEN))
    for host in ("127.0.0.1", "localhost", "::1"):
        safety.check_settings(ServerSettings(user=tmp_path, host=host))
    with pytest.raises(SettingsError, match="empty"):
        safety.check_settings(ServerSettings(user=tmp_path, token=" "))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer ÿþ"},
        {"Cookie": "graphengine-8188=" + "0" * 64},
        {"Cookie": "graphengine-8188=token"},
    ],
)
def test_with_a_token_every_route_and_socket_needs_it(
    headers: dict[str, str], engine: Engine, tmp_path: Path
) -> None:
    with running(engine, tmp_path, token=TOKEN, host="0.0.0.0") as server:
        routes = server.routes
        assert ("GET", "/ws") in routes
        for method, path in sorted(routes):
            answer = server.ask(method, path, headers=headers)
            assert answer.status == 401, (method, path)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert server.get("/nothing?token=wrong", headers=headers).status == 401


def test_the_token_opens_the_server_in_three_ways(engine: Engine, tmp_path: Path) -> None:
    with running(engine, tmp_path, token=TOKEN, host="0.0.0.0") as server:
        assert server.get("/features", headers={**BEARER, "Host": "my.server.example"}).status == 200
        linked = server.get("/", params={"token": TOKEN}, headers={"Host": "my.server.example"})
        assert linked.status == 200
        cookie = linked.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert "räNdom" not in cookie
        kept = {"Cookie": cookie.partition(";")[0], "Host": "my.server.example"}
        server.client.session.cookie_jar.clear()
        assert server.get("/features", headers=kept).status == 200
        assert "Set-Cookie" not in server.get("/features", headers=kept).headers


def test_a_socket_takes_the_token_in_its_address(engine: Engine, tmp_path: Path) -> None:
    async def connect(server: Server, address: str) -> str:
        async with server.client.ws_connect(address) as socket:
            return str((await socket.receive_json())["type"])

    with running(engine, tmp_path, token="t0ken") as server:
        assert server.runner.run(connect(server, "/ws?token=t0ken")) == "status"
        with pytest.raises(WSServerHandshakeError):
            server.runner.run(connect(server, "/ws?token=other"))


def test_the_token_is_in_no_log(engine: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "graphengine"), running(engine, tmp_path, token="t0ken") as server:
        server.get("/nothing?token=t0ken")
        server.get("/view?filename=..&token=t0ken")
        server.get("/features?token=t0kens")
    assert not [record for record in caplog.records if "t0ken" in record.getMessage()]


def test_without_cors_no_other_page_may_read_answers(server: Server) -> None:
    headers = server.get("/features").headers
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert not [name for name in headers if name.startswith("Access-Control")]


def test_cors_admits_one_origin(engine: Engine, tmp_path: Path) -> None:
    friend = {"Origin": "https://friend.example"}
    with running(engine, tmp_path, cors_origin="https://friend.example") as server:
        answer = server.post("/queue", json={}, headers=friend)
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, "https://friend.example")
        assert answer.headers["Vary"] == "Origin"
        assert server.get("/nothing", headers=friend).headers["Access-Control-Allow-Origin"] == friend["Origin"]
        assert server.post("/queue", json={}, headers={"Origin": "https://evil.example"}).status == 403
        assert server.get("/features", headers={"Host": "evil.example"}).status == 403


def test_a_preflight_needs_no_token_but_the_request_does(engine: Engine, tmp_path: Path) -> None:
    asking = {"Origin": "https://friend.example", "Access-Control-Request-Method": "POST"}
    with running(engine, tmp_path, cors_origin="*", token=TOKEN) as server:
        answer = server.ask("OPTIONS", "/prompt", headers=asking)
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (204, "*")
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]
        assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert server.post("/prompt", headers={"Origin": "https://friend.example"}).status == 401
        refused = server.ask("OPTIONS", "/view", headers={"Origin": "https://friend.example"})
        assert refused.status == 401


def test_options_and_head_answer_on_every_route(server: Server) -> None:
    options = server.ask("OPTIONS", "/userdata/a.json")
    assert (options.status, options.headers["Allow"]) == (204, "DELETE, GET, HEAD, OPTIONS, POST")
    head = server.ask("HEAD", "/object_info")
    assert (head.status, head.body) == (200, b"")
    assert int(head.headers["Content-Length"]) == len(server.get("/object_info").body)
    wrong = server.ask("DELETE", "/view")
    assert (wrong.status, wrong.headers["Allow"], wrong.json["error"]["type"]) == (
        405,
        "GET,HEAD",
        "method_not_allowed",
    )


@pytest.mark.parametrize("path", ["/customnode/install", "/manager/queue/install", "/v2/manager/queue/task"])
def test_nothing_can_be_installed(path: str, server: Server) -> None:
    assert [server.post(prefix + path, json={}).status for prefix in ("", "/api")] == [405, 404]


def test_every_answer_has_the_headers_that_bind_browsers(server: Server) -> None:
    for address in ("/", "/features", "/nothing", "/view?filename=.."):
        headers = server.get(address).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "SAMEORIGIN"
        assert headers["Content-Security-Policy"] == "frame-ancestors 'self'"
        assert headers["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize(
    ("path", "status", "expected"),
    [
        ("/scripts/app.js", 200, "no-cache"),
        ("/materialdesignicons.min.css", 200, "no-cache"),
        ("/templates/index.json", 200, "no-cache"),
        ("/", 200, "no-cache"),
        ("/api/object_info", 200, "no-cache"),
        ("/assets/a.PNG", 200, "public, max-age=86400"),
        ("/assets/a.svg", 304, "public, max-age=86400"),
        ("/assets/a.webp", 404, "public, max-age=3600"),
        ("/assets/a.png", 403, "no-cache"),
    ],
)
def test_how_long_a_browser_may_keep_an_answer(path: str, status: int, expected: str) -> None:
    assert cache_control(path, status) == expected


def test_a_large_body_is_refused_before_it_is_read(engine: Engine, tmp_path: Path) -> None:
    async def claim(server: Server) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.client.port)
        writer.write(b"POST /prompt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n")
        answer = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return answer

    with running(engine, tmp_path, max_upload_bytes=50_000_000) as server:
        assert b" 413 " in server.runner.run(claim(server))


@pytest.mark.parametrize(
    "error", [RuntimeError("secret path"), GraphEngineError("the store is full", hint="make room")]
)
def test_a_failure_is_told_without_a_traceback_and_logged_once(
    error: Exception,
    engine: Engine,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(described: object) -> web.Response:
        raise error

    with running(engine, tmp_path) as server:
        monkeypatch.setattr("graphengine.server.object_info._answer", fail)
        answer = server.get("/object_info")
    assert (answer.status, answer.json["error"]["type"]) == (500, "server_error")
    assert b"secret path" not in answer.body
    assert b"Traceback" not in answer.body
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1
