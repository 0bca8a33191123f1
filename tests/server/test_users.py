"""Settings of the only user survive, and are never lost to a broken file or a race."""

import asyncio
from io import BytesIO
from pathlib import Path

import pytest

from graphengine.server import users
from tests.server.asking import Server


def test_there_is_one_user_whose_settings_are_kept_here(server: Server) -> None:
    assert server.get("/users").json == {"storage": "server", "migrated": True}
    assert server.post("/users", json={"username": "b"}).status == 400


def test_settings_are_set_together_or_one_by_one(server: Server, tmp_path: Path) -> None:
    assert server.get("/settings").json == {}
    assert server.post("/settings", json={"a": 1, "b": {"c": [None]}}).status == 200
    assert server.post("/settings/Comfy.Queue.Size", data="null").status == 200
    assert server.post("/settings/a", json=False).status == 200
    assert server.get("/api/settings").json == {"a": False, "b": {"c": [None]}, "Comfy.Queue.Size": None}
    assert server.get("/settings/b").json == {"c": [None]}
    assert server.get("/settings/none").json is None
    assert (tmp_path / "user" / "default" / "comfy.settings.json").is_file()


@pytest.mark.parametrize(
    ("address", "body"),
    [
        ("/settings", b"[1]"),
        ("/settings", b"{"),
        ("/settings", b""),
        ("/settings", b"\xff{}"),
        ("/settings", b'{"a": NaN}'),
        ("/settings", b"[" * 100_000),
        ("/settings/a", b"[" * 500 + b"]" * 500),
        ("/settings/a", b"Infinity"),
        ("/settings/a", b'{"a": ' * 50_000),
        ("/settings/" + "a" * 600, b"1"),
    ],
)
def test_a_body_that_is_no_json_changes_nothing(address: str, body: bytes, server: Server, tmp_path: Path) -> None:
    assert server.post(address, data=body).status == 400
    assert not (tmp_path / "user").exists()


def test_too_large_a_body_and_too_many_settings_are_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server.post("/settings/a", data=BytesIO(b'"' + b"a" * 5_000_000 + b'"')).status == 413
    monkeypatch.setattr(users, "MAX_SETTINGS", 2)
    assert server.post("/settings", json={"a": 1, "b": 2}).status == 200
    assert server.post("/settings/c", json=3).status == 400
    assert server.get("/settings").json == {"a": 1, "b": 2}


@pytest.mark.parametrize("content", ["{", "[]", '"text"'])
def test_a_broken_file_is_told_of_and_not_written_over(content: str, server: Server, tmp_path: Path) -> None:
    file = tmp_path / "user" / "default" / "comfy.settings.json"
    file.parent.mkdir(parents=True)
    file.write_text(content)
    assert "correct or remove it" in server.get("/settings").message
    assert server.post("/settings/a", json=1).status == 409
    assert file.read_text() == content


def test_settings_set_at_the_same_time_are_all_kept(server: Server) -> None:
    async def set_all() -> None:
        answers = [server.client.post(f"/settings/{number}", json=number) for number in range(20)]
        for answer in await asyncio.gather(*answers):
            assert answer.status == 200

    server.runner.run(set_all())
    assert server.get("/settings").json == {str(number): number for number in range(20)}
