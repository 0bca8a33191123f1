"""Objects of a shared cache by name, over obstore: read within limits, written once, listed.

    v1/actions/KEY         what is known of the outputs under a cache key (see `remote_records`)
    v1/contents/DIGEST     encoded outputs, named by their SHA-256
    v1/batches/HASH        copies of the actions of one whole graph, read with one request (see `remote_lookup`)

An object is complete or absent. All methods may be used from several threads; nothing is connected before the
first of them.
"""

import re
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from graphengine.cache.remote_health import RemoteFailure
from graphengine.cache.remote_place import RemoteLimits, RemotePlace

if TYPE_CHECKING:
    from obstore.store import ObjectStore

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
        import obstore  # costs 50 ms, which a run that finds everything on this machine spares

        try:
            found = obstore.get(self._client(self._limits.request_s), _PREFIX + name)
            size = found.meta["size"]
            if size > most:
                raise RemoteFailure("size", f"{name} has {size:,} bytes, {most:,} are allowed")
            return bytes(found.bytes())
        except (OSError, ValueError, obstore.exceptions.BaseError) as error:
            _check_absent(error)
            return None

    def read_exactly(self, name: str, size: int) -> bytes | None:
        """The first `size` bytes of an object, fewer when it has no more; None when it is not there.

        Raises:
            RemoteFailure: no answer in time, or a refusal.
        """
        import obstore  # as above

        parts = bytearray()
        try:
            for start in range(0, size, _PART_BYTES):
                end = min(start + _PART_BYTES, size)
                parts += obstore.get_range(self._client(self._limits.part_s), _PREFIX + name, start=start, end=end)
        except (OSError, ValueError, obstore.exceptions.BaseError) as error:
            _check_absent(error)
            return None
        return bytes(parts)

    def size(self, name: str) -> int | None:
        """How many bytes an object has; None when it is not there.

        Raises:
            RemoteFailure: no answer, or a refusal.
        """
        import obstore  # as above

        try:
            return obstore.head(self._client(self._limits.request_s), _PREFIX + name)["size"]
        except (OSError, ValueError, obstore.exceptions.BaseError) as error:
            _check_absent(error)
            return None

    def write(self, name: str, data: bytes, *, replace: bool = False) -> bool:
        """Write an object; False when there is one already, which stays unless it is to be replaced.

        Raises:
            RemoteFailure: no answer, or a refusal.
        """
        import obstore  # as above

        mode: Any = "overwrite" if replace else "create"
        try:
            obstore.put(self._client(self._limits.upload_s), _PREFIX + name, data, mode=mode, use_multipart=False)
        except obstore.exceptions.AlreadyExistsError:
            return False
        except (OSError, ValueError, obstore.exceptions.BaseError) as error:
            raise _failure(error) from error
        return True

    def names(self, folder: str, most: int, deadline: float) -> set[str] | None:
        """The names below a folder (without it); None when there are more than `most`, or the time is over.

        `deadline` is in seconds of the monotonic clock.

        Raises:
            RemoteFailure: no answer, or a refusal.
        """
        import obstore  # as above

        found: set[str] = set()
        try:
            for page in obstore.list(self._client(self._limits.request_s), _PREFIX + folder, chunk_size=1000):
                found.update(item["path"].rpartition("/")[2] for item in page)
                if len(found) > most or time.monotonic() > deadline:
                    return None
        except (OSError, ValueError, obstore.exceptions.BaseError) as error:
            raise _failure(error) from error
        return found

    def _client(self, timeout_s: float) -> "ObjectStore":
        """A client whose requests take at most so long.

        Raises:
            RemoteFailure: the folder is not there, or the address or what the environment says is wrong.
        """
        from obstore.exceptions import BaseError

        folder = self._place.folder
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
        return from_url(
            self._place.url,
            client_options={
                "timeout": timedelta(seconds=timeout_s),
                "connect_timeout": timedelta(seconds=connect_s),
            },
            retry_config={
                "max_retries": 1,
                "retry_timeout": timedelta(seconds=connect_s),
                "backoff": {
                    "init_backoff": timedelta(milliseconds=50),
                    "max_backoff": timedelta(milliseconds=500),
                    "base": 2,
                },
            },
            **self._options,
        )


def _check_absent(error: Exception) -> None:
    """Do nothing when the error says that the object is not there.

    Raises:
        RemoteFailure: it says something else, that there is no such bucket for instance.
    """
    if not isinstance(error, FileNotFoundError) or "NoSuchBucket" in str(error):
        raise _failure(error) from error


def _failure(error: Exception) -> RemoteFailure:
    return RemoteFailure(_kind(error), _told(error))


def _told(error: Exception) -> str:
    text = str(error).partition("\n")[0].partition(": <?xml")[0]
    return _QUERY.sub("?…", text)[:_SHOWN_CHARS]  # what is signed for one request is nobody's business


def _kind(error: Exception) -> str:
    text = str(error)
    name = type(error).__name__
    if name in ("PermissionDeniedError", "UnauthenticatedError", "PermissionError") or "NoSuchBucket" in text:
        return "refused"
    if "timed out" in text or "TimedOut" in text:
        return "timeout"
    return "offline" if "error sending request" in text or "Connect" in text else "failed"
