"""A bucket on this machine: as much of S3 as the shared cache needs. It counts, and misbehaves when told."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from threading import enumerate as enumerate_threads
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from graphengine.cache.remote_place import RemoteLimits, RemotePlace

#: Waits that a test can afford.
QUICK = RemoteLimits(request_s=0.4, part_s=0.4, lookup_s=1.0, upload_s=0.4, close_s=5.0)


@dataclass
class Bucket:
    """What is in the bucket by name, and what was asked. `misbehave` answers in place of the bucket."""

    address: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    misbehave: "Callable[[BucketHandler], bool] | None" = None
    released: Event = field(default_factory=Event)

    @property
    def place(self) -> RemotePlace:
        return RemotePlace("s3://bucket/team")

    @property
    def options(self) -> dict[str, Any]:
        """What obstore needs to come here."""
        return {
            "endpoint": self.address,
            "access_key_id": "a",
            "secret_access_key": "b",
            "region": "us-east-1",
            "client_options": {"allow_http": True},
        }

    def count(self, text: str) -> int:
        """How many requests have the text in them."""
        return sum(text in request for request in self.requests)


class BucketHandler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    bucket: Bucket

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:  # the client did not wait
            self.close_connection = True

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "ETag": '"e"', **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Last-Modified", "Sun, 22 Nov 2026 12:00:00 GMT")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    @property
    def name(self) -> str:
        return unquote(urlsplit(self.path).path).removeprefix("/bucket/")

    def do_GET(self) -> None:
        if self._noted():
            return
        query = parse_qs(urlsplit(self.path).query)
        body = self.bucket.objects.get(self.name)
        if "list-type" in query:
            self._list(query)
        elif body is None:
            self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        elif (wanted := self.headers.get("Range")) is not None:
            start, end = map(int, wanted.removeprefix("bytes=").split("-"))
            part = body[start : end + 1]
            place = f"bytes {start}-{start + len(part) - 1}/{len(body)}"
            self.answer(206, part, Content_Range=place)
        else:
            self.answer(200, body)

    def do_HEAD(self) -> None:
        if self._noted():
            return
        body = self.bucket.objects.get(self.name)
        self.answer(404 if body is None else 200, body or b"")

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self._noted():
            return
        if self.headers.get("If-None-Match") == "*" and self.name in self.bucket.objects:
            self.answer(412)
            return
        self.bucket.objects[self.name] = body
        self.answer(200)

    def _noted(self) -> bool:
        self.bucket.requests.append(f"{self.command} {self.path}")
        if self.bucket.misbehave is None or not self.bucket.misbehave(self):
            return False
        self.close_connection = True
        return True

    def _list(self, query: dict[str, list[str]]) -> None:
        after = query.get("continuation-token", [""])[0]
        names = sorted(n for n in self.bucket.objects if n.startswith(query["prefix"][0]) and n > after)
        page, more = names[:1000], names[1000:]
        items = "".join(
            f"<Contents><Key>{name}</Key><LastModified>2026-11-22T12:00:00.000Z</LastModified>"
            f'<ETag>"e"</ETag><Size>{len(self.bucket.objects[name])}</Size></Contents>'
            for name in page
        )
        token = f"<NextContinuationToken>{page[-1]}</NextContinuationToken>" if more else ""
        self.answer(200, f"<ListBucketResult>{items}{token}</ListBucketResult>".encode())


@contextmanager
def serve_bucket() -> Iterator[Bucket]:
    """An empty bucket while the context lasts."""
    bucket = Bucket()
    handler = type("Handler", (BucketHandler,), {"bucket": bucket})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        bucket.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield bucket
        finally:
            bucket.released.set()  # lets go of whoever was made to wait, so that nothing goes on in the next test
            for waiting in enumerate_threads():
                if waiting.name.startswith("graphengine "):
                    waiting.join(10)
            server.shutdown()
            thread.join()
