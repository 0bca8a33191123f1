"""Names that lead elsewhere, on every route that takes a name: refused, logged once, nothing written or given."""

import logging
import re
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

import pytest
from yarl import URL

from graphengine.server.app import description, endpoints
from tests.server.asking import Answer, Server

SECRET = b"what nobody may read"

#: Names that lead out of a folder, in the ways that servers were fooled by.
NAMES = {
    "parent": "../secret.txt",
    "far parent": "../../../../../../../../etc/passwd",
    "absolute": "/etc/passwd",
    "inside out": "sub/../../secret.txt",
    "encoded once more": "..%2fsecret.txt",
    "encoded twice": "%2e%2e%2fsecret.txt",
    "dots in other forms": "\uff0e\uff0e/secret.txt",
    "overlong": "..%c0%afsecret.txt",
    "backslashes": "..\\secret.txt",
    "UNC": "\\\\server\\share\\secret.txt",
    "UNC with slashes": "//server/share/secret.txt",
    "drive": "C:\\secret.txt",
    "drive with slashes": "C:/secret.txt",
    "zero byte": "a.txt\0.png",
    "line feed": "a\nWARNING forged line",
    "carriage return": "a\r\nX-Header: x",
    "link to a file": "link.txt",
    "link to a folder": "out/secret.txt",
    "too long": "a" * 3000,
    "device": "CON",
    "home": "~/secret.txt",
}  # fmt: skip

#: Routes that take a name of a file or folder: in the path, and in the query with {} for it.
IN_PATHS = [
    (endpoint.method, endpoint.path)
    for endpoint in endpoints()
    if "{" in endpoint.path and re.search(r"\{(file|dest|folder|type|pack)\b", endpoint.path)
]
IN_QUERIES = [
    "/view?filename={}",
    "/view?filename={}&type=input",
    "/view?filename=a.txt&subfolder={}",
    "/view?filename=a.txt&type={}",
    "/view?filename={}&preview=webp",
    "/view_metadata/checkpoints?filename={}",
    "/userdata?dir={}",
    "/v2/userdata?path={}",
]


def plain(path: str) -> str:
    """The path with the names of its parameters only."""
    return re.sub(r":[^{}]*(?=\})", "", path)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The test's folder with a secret beside each root, and links that lead to it."""
    for root in (tmp_path / "input", tmp_path / "output", tmp_path / "temp", tmp_path / "user" / "default"):
        root.mkdir(parents=True, exist_ok=True)
        (root / "out").symlink_to(tmp_path)
        (root / "link.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "secret.txt").write_bytes(SECRET)
    (tmp_path / "user" / "secret.txt").write_bytes(SECRET)
    return tmp_path


def contents(place: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in place.rglob("*") if path.is_file() and not path.is_symlink()}


def fault(answer: Answer, log: Sequence[logging.LogRecord]) -> str | None:
    """What is wrong with the answer to a name that leads elsewhere, and with what was logged of it."""
    if answer.status >= 500:
        return "the server failed"
    if SECRET in answer.body or b"root:" in answer.body:
        return "the file was given"
    if len(log) > 1:
        return f"it was logged {len(log)} times"
    if any("\n" in record.getMessage() for record in log):
        return "the name broke a line of the log"
    return None


@pytest.mark.parametrize(("method", "path"), IN_PATHS, ids=[" ".join(each) for each in IN_PATHS])
def test_a_name_in_a_path_leads_nowhere_else(
    method: str, path: str, server: Server, place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "graphengine")
    for kind, name in NAMES.items():
        caplog.clear()
        before = contents(place)
        address = re.sub(r"\{[^{}]*\}", quote(name, safe=""), plain(path))
        answer = server.ask(method, URL(address, encoded=True), data=b"written" if method == "POST" else None)
        assert fault(answer, caplog.records) is None, kind
        written = {path for path, data in contents(place).items() if before.get(path) != data}
        if answer.status >= 400:
            assert not written, kind
        assert all(Path(path).is_relative_to(place / "user" / "default") for path in written), kind


@pytest.mark.parametrize("address", IN_QUERIES)
def test_a_name_in_a_query_leads_nowhere_else(
    address: str, server: Server, place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = contents(place)
    caplog.set_level(logging.DEBUG, "graphengine")
    for kind, name in NAMES.items():
        caplog.clear()
        answer = server.get(URL(address.format(quote(name, safe="")), encoded=True))
        assert 400 <= answer.status < 500, kind
        assert fault(answer, caplog.records) is None, kind
    assert contents(place) == before


WITH_JSON = [
    (endpoint.method, endpoint.path)
    for endpoint in endpoints()
    if endpoint.body is not None and endpoint.body.media_type == "application/json" and "{" not in endpoint.path
]
NO_OBJECTS = {
    "list": b"[]",
    "text": b'"text"',
    "number": b"5",
    "null": b"null",
    "cut off": b'{"a": ',
    "not JSON": b"a=1&b=2",
    "not UTF-8": b"\xff\xfe{}",
    "deep": b'{"a":' * 100_000,
    "deep list": b"[" * 100_000,
}


@pytest.mark.parametrize(("method", "path"), WITH_JSON, ids=[" ".join(each) for each in WITH_JSON])
def test_json_that_is_no_object_is_refused(
    method: str, path: str, server: Server, place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = contents(place)
    for kind, body in NO_OBJECTS.items():
        caplog.clear()
        answer = server.ask(method, path, data=body)
        assert (answer.status, "error" in answer.json) == (400, True), kind
        assert fault(answer, caplog.records) is None, kind
    assert contents(place) == before


WITH_BODIES = [(endpoint.method, endpoint.path) for endpoint in endpoints() if endpoint.method != "GET"]


@pytest.mark.parametrize(("method", "path"), WITH_BODIES, ids=[" ".join(each) for each in WITH_BODIES])
def test_a_body_of_more_than_100_mb_is_refused(method: str, path: str, server: Server, place: Path) -> None:
    before = contents(place)
    address = re.sub(r"\{[^{}]*\}", "a.json", plain(path))
    answer = server.ask(method, address, data=BytesIO(bytes(100 * 2**20 + 1)))
    assert answer.status == 413
    assert contents(place) == before


def test_the_tables_cover_every_route_that_takes_a_name() -> None:
    free_names = {"class", "id", "prompt_id", "job_id", "index"}
    named = {
        (method.upper(), path)
        for path, item in description()["paths"].items()
        for method in item
        if set(re.findall(r"\{(\w+)\}", path)) - free_names
    }
    assert named == {(method, plain(path)) for method, path in IN_PATHS}
