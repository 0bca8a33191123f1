"""Objects of a shared cache by name, over obstore: read within limits, written once, listed.

    v1/actions/KEY         what is known of the outputs under a cache key (see `remote_records`)
    v1/contents/DIGEST     encoded outputs, named by their SHA-256
    v1/batches/HASH        copies of the actions of one whole graph, read with one request (see `remote_lookup`)

An object is complete or absent. All methods may be used from several threads; nothing is connected before the
first of them.
"""

import os
import re
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from graphengine.cache.remote_health import RemoteFailure
from graphengine.cache.remote_place import RemoteLimits, RemotePlace

if TYPE_CHECKING:
    from obstore.store import ObjectStore

T = TypeVar("T")

_PREFIX = "v1/"
_PART_BYTES = 8 * 2**20
_QUERY = re.compile(r"\?\S*")
_SHOWN_CHARS = 200


class RemoteObjects:
    """The objects of one shared cache. `options` are passed to obstore (an endpoint, credentials); by default it
    reads the environment variables that the tools of each cloud read.
    """

    # Any: obstore's options are typed for each cloud on its own
    def __init__(self, place: RemotePlace, limits: RemoteLimits, options: Mapping[str, Any]) -> None:
        self._place = place
        self._limits = limits
        self._options = options
        self._clients: dict[float, ObjectStore] = {}
        self._connecting = Lock()

    def read(self, name: str, most: int) -> bytes | None:
        """A small object; None when it is not there.

        Raises:
            RemoteFailure: no answer, a refusal, or more than `most` bytes.
        """

        def ask() -> bytes:
            import obstore  # costs 50 ms, which a run that finds everything on this machine spares

            found = obstore.get(self._client(self._limits.request_s), _PREFIX + name)
            size = found.meta["size"]
            if size > most:
                raise RemoteFailure("size", f"{name} has {size:,} bytes, {most:,} are allowed")
            return bytes(found.bytes())

        return _answer(ask)

    def read_exactly(self, name: str, size: int) -> bytes | None:
        """The first `size` bytes of an object, fewer when it has no more; None when it is not there.

        Raises:
            RemoteFailure: no answer in time, or a refusal.
        """

        def ask() -> bytes:
            import obstore  # as above

            parts = bytearray()
            client = self._client(self._limits.part_s)
            for start in range(0, size, _PART_BYTES):
                end = min(start + _PART_BYTES, size)
                parts += obstore.get_range(client, _PREFIX + name, start=start, end=end)
            return bytes(parts)

        return _answer(ask)

    def size(self, name: str) -> int | None:
        """How many bytes an object has; None when it is not there.

        Raises:
            RemoteFailure: no answer, or a refusal.
        """

        def ask() -> int:
            import obstore  # as above

            return obstore.head(self._client(self._limits.request_s), _PREFIX + name)["size"]

        return _answer(ask)

    def write(self, name: str, data: bytes, *, replace: bool = False) -> bool:
        """Write an object; False when there is one already, which stays unless it is to be replaced.

        Raises:
            RemoteFailure: no answer, or a refusal.
        """

        def ask() -> bool:
            import obstore  # as above

            client = self._client(self._limits.upload_s)
            mode: Any = "overwrite" if replace else "create"
            try:
                obstore.put(client, _PREFIX + name, data, mode=mode, use_multipart=False)
            except obstore.exceptions.AlreadyExistsError:
                return False
            return True

        written = _answer(ask)
        if written is None:
            raise RemoteFailure("refused", f"{name} cannot be written: there is no such place")
        return written

    def names(self, folder: str, most: int, deadline: float) -> set[str] | None:
        """The names below a folder (without it); None when there are more than `most`, or the time is over.

        `deadline` is in seconds of the monotonic clock.

        Raises:
            RemoteFailure: no answer, or a refusal.
        """

        def ask() -> set[str] | None:
            import obstore  # as above

            found: set[str] = set()
            for page in obstore.list(self._client(self._limits.request_s), _PREFIX + folder, chunk_size=1000):
                found.update(item["path"].rpartition("/")[2] for item in page)
                if len(found) > most or time.monotonic() > deadline:
                    return None
            return found

        return _answer(ask)

    def _client(self, timeout_s: float) -> "ObjectStore":
        """A client whose requests take at most so long.

        Raises:
            RemoteFailure: the folder is not there, or the address or what the environment says is wrong.
        """
        from obstore.exceptions import BaseError

        folder = self._place.folder
        if folder is not None:
            timeout_s = 0.0  # a file system has none, and its folder is to be made once only
        try:
            with self._connecting:
                if timeout_s not in self._clients:
                    self._clients[timeout_s] = self._connect(timeout_s) if folder is None else self._open(folder)
        except (OSError, ValueError, BaseError) as error:
            raise RemoteFailure("offline", _told(error)) from error
        if folder is not None and not folder.is_dir():
            raise RemoteFailure("offline", "the folder is gone")
        return self._clients[timeout_s]

    def _open(self, folder: Path) -> "ObjectStore":
        from obstore.store import LocalStore

        if not self._place.readonly:
            folder.mkdir(exist_ok=True)  # not its parents: a share that is not mounted is not to be made
        return LocalStore(folder)

    def _connect(self, timeout_s: float) -> "ObjectStore":
        """A client for a bucket. What fails at once is tried a second time."""
        from obstore.store import from_url

        connect_s = min(timeout_s, self._limits.request_s) / 2
        backoff = {"init_backoff": timedelta(seconds=0.05), "max_backoff": timedelta(seconds=0.5), "base": 2}
        retries = {"max_retries": 1, "retry_timeout": timedelta(seconds=connect_s), "backoff": backoff}
        client = {
            "timeout": timedelta(seconds=timeout_s),
            "connect_timeout": timedelta(seconds=connect_s),
            # obstore reads it from the environment only where it is given no options of the client
            "allow_http": os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true"),
        }
        # Any: obstore's options are typed for each cloud on its own
        options: dict[str, Any] = {"retry_config": retries, **self._options}
        options["client_options"] = client | options.get("client_options", {})
        return from_url(self._place.url, **options)


def _answer(ask: Callable[[], T]) -> T | None:
    """What the remote gives; None when it says that there is no such object.

    Raises:
        RemoteFailure: it says something else, that there is no such bucket for instance.
    """
    from obstore.exceptions import BaseError  # as above

    try:
        return ask()
    except (OSError, ValueError, BaseError) as error:
        if isinstance(error, FileNotFoundError) and "NoSuchBucket" not in str(error):
            return None
        raise RemoteFailure(_kind(error), _told(error)) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # obstore gave up; it derives from BaseException alone
            raise
        raise RemoteFailure("failed", _told(error)) from error


def _told(error: BaseException) -> str:
    text = str(error).partition("\n")[0].partition(": <")[0]  # a page of a proxy, or XML
    text = text.rpartition(" - ")[2]  # before that, the request and the kind of failure in obstore's words
    return _QUERY.sub("?…", text)[:_SHOWN_CHARS]  # what is signed for one request is nobody's business


def _kind(error: Exception) -> str:
    text = str(error)
    name = type(error).__name__
    if name in ("PermissionDeniedError", "UnauthenticatedError", "PermissionError") or "NoSuchBucket" in text:
        return "refused"
    if "timed out" in text or "TimedOut" in text:
        return "timeout"
    return "offline" if "error sending request" in text or "Connect" in text else "failed"
