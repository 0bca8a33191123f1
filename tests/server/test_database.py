"""Queue and history on disk: what survives, and what happens to a file that is damaged or in use."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from graphengine.errors import SettingsError
from graphengine.server.database import Database, PromptTables, open_tables
from graphengine.server.queue_items import FinishedPrompt, ItemParts, QueueItem, make_item


def item(prompt_id: str, number: float = 0, arrival: int = 0) -> QueueItem:
    return make_item(prompt_id, number, arrival, 5, ItemParts({"1": {"class_type": "Out"}}, {"a": 1}, ("1",)), {})


def done(prompt_id: str) -> FinishedPrompt:
    return FinishedPrompt(prompt_id, "completed", 7, "w", 1, 2, 5, f'"{prompt_id}"', "{}")


def test_queue_and_history_are_there_again(tmp_path: Path) -> None:
    file = tmp_path / "user" / "queue.sqlite"
    with closing(open_tables(file)) as connection:
        tables = PromptTables(connection)
        for each in (item("b", 1, 1), item("a", 0.5, 2), item("c", 1, 3)):
            tables.add(each)
        tables.finish(done("c"))
    with closing(open_tables(file)) as connection:
        tables = PromptTables(connection)
        assert tables.queued() == [item("a", 0.5, 2), item("b", 1, 1)]
        assert tables.entries(tables.ended()) == [("c", '"c"')]
        assert tables.last_number() == 7


def test_secrets_are_not_written(tmp_path: Path) -> None:
    secret = make_item("a", 0, 0, 0, ItemParts({}, {}, ()), {"api_key_comfy_org": "k3y"})
    with closing(open_tables(tmp_path / "queue.sqlite")) as connection:
        PromptTables(connection).add(secret)
        assert PromptTables(connection).queued()[0].secrets == {}
    assert b"k3y" not in (tmp_path / "queue.sqlite").read_bytes()


def test_the_oldest_entries_go_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphengine.server.database.HISTORY", 3)
    with closing(open_tables(None)) as connection:
        tables = PromptTables(connection)
        for name in ("a", "b", "c", "d", "b", "e"):
            tables.finish(done(name))
        assert tables.ended() == ["d", "b", "e"]


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:1000])


def overwrite(file: Path) -> None:
    file.write_bytes(b"\0" * 5000)


def damage_a_page(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[4096:8192] = b"\xff" * 4096
    file.write_bytes(data)


def make_it_of_the_future(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version=99")


@pytest.mark.parametrize("damage", [cut, overwrite, damage_a_page, make_it_of_the_future])
def test_a_damaged_file_is_kept_aside_and_the_server_starts(
    tmp_path: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "queue.sqlite"
    with closing(open_tables(file)) as connection:
        PromptTables(connection).add(item("a"))
    damage(file)
    with caplog.at_level(logging.WARNING), closing(open_tables(file)) as connection:
        assert PromptTables(connection).queued() == []
        PromptTables(connection).add(item("b"))
    (kept,) = tmp_path.glob("queue.sqlite.damaged-*")
    assert f"the file is kept as {kept}" in caplog.text


def test_a_file_that_another_server_uses_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "queue.sqlite"
    with closing(open_tables(file)), pytest.raises(SettingsError, match="another server uses"):
        open_tables(file)
    open_tables(file).close()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "user").write_text("a file")
    with pytest.raises(SettingsError, match="cannot use"):
        open_tables(tmp_path / "user" / "queue.sqlite")


def test_statements_run_in_the_order_in_which_they_were_asked_for() -> None:
    async def run() -> list[str]:
        database = Database(None)
        await database.open()
        await asyncio.gather(*(database.call(PromptTables.finish, done(str(n))) for n in range(20)))
        ended = await database.call(PromptTables.ended)
        await database.close()
        return ended

    assert asyncio.run(run()) == [str(n) for n in range(20)]
