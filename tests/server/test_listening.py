"""The server as a process: its address, its end, and what keeps it from starting."""

import os
import re
import signal
import socket
from contextlib import closing
from pathlib import Path

import pytest

from graphengine.errors import SettingsError
from graphengine.server.database import open_tables
from graphengine.server.listening import serve
from graphengine.server.state import ServerSettings
from tests.server.serving import engine_in


def stop(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_tells_its_address_and_stops_when_asked(tmp_path: Path, number: signal.Signals) -> None:
    told: list[str] = []

    def on_ready(address: str) -> None:
        told.append(address)
        stop(number)

    usual = signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL
    # who runs the tests in the background may have SIGINT ignored
    before = signal.signal(number, usual)
    try:
        serve(engine_in(tmp_path), ServerSettings(user=tmp_path, port=0), on_ready)
        assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d*", told[0])
        assert signal.getsignal(number) is usual
    finally:
        signal.signal(number, before)


def test_an_address_in_use_is_refused(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        settings = ServerSettings(user=tmp_path, port=taken.getsockname()[1])
        with pytest.raises(SettingsError, match=r"cannot listen on 127\.0\.0\.1:") as raised:
            serve(engine_in(tmp_path), settings, lambda address: stop(signal.SIGINT))
    assert raised.value.hint == "another server may run there; give another --port"


def test_a_user_folder_in_use_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "queue.sqlite3"
    settings = ServerSettings(user=tmp_path, database=file, port=0)
    with closing(open_tables(file)), pytest.raises(SettingsError, match="another server uses"):
        serve(engine_in(tmp_path), settings, lambda address: stop(signal.SIGINT))


def test_an_address_beyond_this_machine_is_refused_without_a_token(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="needs a token"):
        serve(engine_in(tmp_path), ServerSettings(user=tmp_path, host="0.0.0.0"), lambda address: None)
