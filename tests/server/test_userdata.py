"""`/userdata` keeps the editor's files below the user's folder."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from yarl import URL

from graphengine.engine import Engine
from graphengine.server import userdata
from tests.server.asking import Answer, Server, running


def url(name: str, rest: str = "") -> URL:
    """The URL of a file whose name is encoded as one part, as the editor does."""
    return URL(f"/userdata/{name.replace('%', '%25').replace('/', '%2F')}{rest}", encoded=True)


def write(server: Server, name: str, content: bytes = b"{}", rest: str = "") -> Answer:
    return server.post(url(name, rest), data=content)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The user's folder."""
    return tmp_path / "user" / "default"


def test_a_file_is_written_read_and_deleted(server: Server, home: Path) -> None:
    assert write(server, "workflows/a.json", b'{"a": 1}').json == "workflows/a.json"
    assert (home / "workflows" / "a.json").read_bytes() == b'{"a": 1}'
    read = server.get(url("workflows/a.json"))
    assert (read.body, read.headers["Content-Type"]) == (b'{"a": 1}', "application/json")
    assert server.ask("DELETE", url("workflows/a.json")).status == 204
    assert [server.ask(method, url("workflows/a.json")).status for method in ("GET", "DELETE")] == [404, 404]


def test_an_existing_file_is_replaced_unless_told_otherwise(server: Server) -> None:
    write(server, "a.json", b"1")
    assert write(server, "a.json", b"2", "?overwrite=false").status == 409
    assert server.get(url("a.json")).body == b"1"
    assert write(server, "a.json", b"2", "?overwrite=true").status == 200
    assert write(server, "a.json", b"3").status == 200
    assert server.get(url("a.json")).body == b"3"


def test_full_info_tells_size_and_times_in_milliseconds(server: Server, home: Path) -> None:
    info = write(server, "a.json", b"12345", "?full_info=true").json
    modified = (home / "a.json").stat().st_mtime * 1000
    assert (info["path"], info["size"]) == ("a.json", 5)
    assert abs(info["modified"] - modified) < 2


def test_a_listing_has_four_forms(server: Server) -> None:
    for name in ("w/b.json", "w/a.json", "w/sub/c.json", "other.json"):
        write(server, name)
    assert server.get("/userdata?dir=w").json == ["a.json", "b.json"]
    assert server.get("/userdata?dir=w&recurse=true").json == ["a.json", "b.json", "sub/c.json"]
    assert server.get("/userdata?dir=w/sub&split=true").json == [["c.json", "c.json"]]
    split = server.get("/userdata?dir=w&recurse=true&split=true").json
    assert split[2] == ["sub/c.json", "sub", "c.json"]
    full = server.get("/userdata?dir=w&recurse=true&split=false&full_info=true").json
    assert [(entry["path"], entry["size"]) for entry in full] == [("a.json", 2), ("b.json", 2), ("sub/c.json", 2)]


def test_a_folder_is_listed_with_its_folders(server: Server) -> None:
    for name in ("w/a.json", "w/sub/c.json"):
        write(server, name)
    entries = server.get("/v2/userdata?path=w").json
    assert [(e["name"], e["path"], e["type"], e.get("size")) for e in entries] == [
        ("a.json", "w/a.json", "file", 2),
        ("sub", "w/sub", "directory", None),
    ]
    assert [e["name"] for e in server.get("/v2/userdata").json] == ["w"]


@pytest.mark.parametrize("address", ["/userdata?dir=none", "/v2/userdata?path=none", "/userdata/none.json"])
def test_what_is_not_there_is_404(address: str, server: Server) -> None:
    assert server.get(address).status == 404


def test_a_listing_needs_a_folder_and_takes_none_outside(server: Server) -> None:
    write(server, "a.json")
    for address in ("/userdata", "/userdata?dir=", "/userdata?dir=../..", "/v2/userdata?path=/etc"):
        assert server.get(address).status == 400


def test_links_are_not_listed(server: Server, home: Path) -> None:
    write(server, "w/a.json")
    (home / "w" / "link.json").symlink_to("/etc/passwd")
    (home / "w" / "out").symlink_to("/etc")
    assert server.get("/userdata?dir=w&recurse=true").json == ["a.json"]
    assert [entry["name"] for entry in server.get("/v2/userdata?path=w").json] == ["a.json"]
    assert server.get(url("w/link.json")).status == 400


def test_too_long_a_listing_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(userdata, "MAX_ENTRIES", 1)
    write(server, "w/a.json")
    assert server.get("/userdata?dir=w").status == 200
    write(server, "w/b.json")
    assert server.get("/userdata?dir=w").status == 400


def test_a_file_gets_another_name(server: Server, home: Path) -> None:
    write(server, "workflows/a.json", b"1")
    moved = server.post(URL("/userdata/workflows%2Fa.json/move/new%2Fb.json", encoded=True))
    assert (moved.status, moved.json) == (200, "new/b.json")
    assert {path.name for path in home.rglob("*.json")} == {"b.json"}


def test_a_move_replaces_only_what_it_may(server: Server) -> None:
    write(server, "a.json", b"1")
    write(server, "b.json", b"2")
    assert server.post("/userdata/a.json/move/b.json?overwrite=false").status == 409
    assert server.get(url("b.json")).body == b"2"
    assert server.post("/userdata/none.json/move/c.json").status == 404
    assert server.post("/userdata/a.json/move/..%2Fc.json").status in (400, 404)
    assert server.post("/userdata/a.json/move/b.json?overwrite=true&full_info=true").json["path"] == "b.json"
    assert server.get(url("b.json")).body == b"1"


def test_a_folder_or_file_in_the_way_is_left_alone(server: Server, home: Path) -> None:
    write(server, "sub/a.json", b"1")
    write(server, "b.json", b"2")
    assert write(server, "sub", b"x").status == 400
    assert write(server, "b.json/c.json", b"x").status == 400
    assert server.post("/userdata/b.json/move/sub").status == 400
    assert server.post(URL("/userdata/sub%2Fa.json/move/b.json%2Fa.json", encoded=True)).status == 400
    assert {path.name: path.read_bytes() for path in home.rglob("*.json")} == {"a.json": b"1", "b.json": b"2"}


def test_a_file_over_the_limit_is_refused_and_the_old_one_stays(engine: Engine, tmp_path: Path) -> None:
    with running(engine, tmp_path, max_upload_bytes=1000) as server:
        write(server, "a.json", b"old")

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(20):
                yield bytes(100)

        assert write(server, "a.json", bytes(1001)).status == 413
        assert server.post(url("a.json"), data=chunks()).status == 413
        assert server.get(url("a.json")).body == b"old"
    assert sorted(path.name for path in (tmp_path / "user" / "default").iterdir()) == ["a.json"]


def test_a_style_sheet_of_the_user_is_one_and_a_page_is_none(server: Server) -> None:
    write(server, "user.css", b"a {}")
    write(server, "a.html", b"<script>")
    assert server.get("/api/userdata/user.css").headers["Content-Type"] == "text/css"
    page = server.get("/userdata/a.html").headers
    assert (page["Content-Type"], page["Content-Disposition"]) == ("application/octet-stream", "attachment")
