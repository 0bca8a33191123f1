"""Fetching models from a server on this machine, which stops, lies and leads elsewhere."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from graphengine.errors import FileRefused
from graphengine.locking.downloading import download
from graphengine.locking.restore_models import ModelStep, bring_model
from graphengine.locking.schema import LockedModel

CONTENT = bytes(range(256)) * 2000
MODEL = LockedModel(size=len(CONTENT), sha256=sha256(CONTENT).hexdigest())


@dataclass
class Host:
    """What the server does: `stops` are how many bytes an answer has before the connection ends, in order."""

    address: str = ""
    content: bytes = CONTENT
    status: int = 200
    leads_to: str | None = None
    ranges: bool = True
    stops: list[int] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    host: Host

    def do_GET(self) -> None:
        host = self.host
        asked = self.headers.get("Range")
        host.asked.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and host.ranges else 0
        if host.leads_to is not None and self.path == "/model":
            self.send_response(302)
            self.send_header("Location", host.leads_to)
            self.end_headers()
            return
        self.send_response(host.status if not start else 206)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(host.content) - 1}/{len(host.content)}")
        body = host.content[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: host.stops.pop(0)] if host.stops else body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def host() -> Iterator[Host]:
    made = Host()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"host": made}))
    made.address = f"http://127.0.0.1:{server.server_address[1]}/model"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "models" / "checkpoints" / "style.safetensors"


def fetch(host: Host, target: Path, model: LockedModel = MODEL) -> list[tuple[int, int]]:
    told: list[tuple[int, int]] = []
    download(host.address, target, model, lambda done, total: told.append((done, total)))
    return told


def test_a_model_is_fetched_under_another_name_and_checked(host: Host, target: Path) -> None:
    told = fetch(host, target)
    assert target.read_bytes() == CONTENT
    assert told[-1] == (MODEL.size, MODEL.size)
    assert [path.name for path in target.parent.iterdir()] == ["style.safetensors"]


def test_what_stops_goes_on_where_it_was(host: Host, target: Path) -> None:
    host.stops = [100_000, 50_000]
    fetch(host, target)
    assert target.read_bytes() == CONTENT
    assert host.asked == [None, "bytes=100000-", "bytes=150000-"]


def test_an_earlier_try_is_not_fetched_again(host: Host, target: Path) -> None:
    host.stops = [100_000, 0, 0, 0, 0, 0]
    with pytest.raises(FileRefused, match="cannot be fetched"):
        fetch(host, target)
    assert not target.exists()
    host.asked.clear()
    fetch(host, target)
    assert (target.read_bytes(), host.asked) == (CONTENT, ["bytes=100000-"])


def test_a_server_that_knows_no_ranges_is_asked_for_all(host: Host, target: Path) -> None:
    host.ranges, host.stops = False, [100_000]
    fetch(host, target)
    assert target.read_bytes() == CONTENT


def test_another_file_is_not_kept(host: Host, target: Path) -> None:
    host.content = CONTENT[:-1] + b"!"
    with pytest.raises(FileRefused, match=r"gives is another file: SHA-256 .*, locked is"):
        fetch(host, target)
    assert list(target.parent.iterdir()) == []


def test_more_than_was_locked_is_not_fetched(host: Host, target: Path) -> None:
    host.content = CONTENT + b"and more"
    with pytest.raises(FileRefused, match="more than the 512,000 bytes that are locked"):
        fetch(host, target)
    assert list(target.parent.iterdir()) == []


def test_what_is_there_by_then_is_not_overwritten(host: Host, target: Path) -> None:
    target.parent.mkdir(parents=True)
    target.write_bytes(b"mine")
    with pytest.raises(FileRefused, match="is there by now"):
        fetch(host, target)
    assert target.read_bytes() == b"mine"


def test_a_refusal_is_told_at_once(host: Host, target: Path) -> None:
    host.status = 403
    with pytest.raises(FileRefused, match="answers 403"):
        fetch(host, target)
    assert len(host.asked) == 1


@pytest.mark.parametrize("leads_to", ["http://example.org/model", "file:///etc/passwd", "ftp://example.org/x"])
def test_a_redirect_to_what_is_not_https_is_not_followed(host: Host, target: Path, leads_to: str) -> None:
    host.leads_to = leads_to
    with pytest.raises(FileRefused, match=r"answers 302|not https"):
        fetch(host, target)
    assert not target.exists()


@pytest.mark.parametrize("address", ["http://example.org/a", "file:///etc/passwd", "https://", "ftp://x/y", "x"])
def test_only_https_is_fetched(target: Path, address: str) -> None:
    with pytest.raises(FileRefused, match="only https is"):
        download(address, target, MODEL, lambda done, total: None)


def test_the_next_address_is_tried_and_all_reasons_are_told(host: Host, target: Path) -> None:
    gone = host.address.replace("/model", "/gone")
    step = ModelStep("checkpoints/style.safetensors", target, MODEL, None, ("http://127.0.0.1:9/x", host.address))
    assert bring_model(step, lambda done, total: None) is None
    target.unlink()
    host.status = 404
    problem = bring_model(
        ModelStep(step.place, target, MODEL, None, (gone, host.address)), lambda done, total: None
    )
    assert problem is not None
    assert problem.message.count("answers 404") == 2
