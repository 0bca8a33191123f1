"""Where a shared cache is, and what is known of it before anything is asked: address, key, limits."""

import re
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from graphengine.errors import SettingsError

_BUCKETS = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "adl")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_LEAST_KEY_CHARS = 16


@dataclass(frozen=True, slots=True)
class RemotePlace:
    """A shared cache: `s3://bucket/prefix`, `gs://…`, `az://…`, or a folder as `file:///path`.

    With `readonly`, nothing is written. `key` signs what is written, and only what is signed with it is believed.
    """

    url: str
    readonly: bool = False
    key: bytes | None = field(default=None, repr=False)

    @property
    def folder(self) -> Path | None:
        """The folder, when it is one."""
        return Path(self.url.removeprefix("file://")) if self.url.startswith("file://") else None


@dataclass(frozen=True, slots=True)
class RemoteLimits:
    """What a shared cache may cost; times are in seconds.

    `request_s` is for a small request, `part_s` for 8 MiB of content, `lookup_s` for all of one `peek_many`,
    `upload_s` for one upload, `close_s` for those that are left at the end. After `failures` failures in a row the
    remote is left alone for `rest_s`. `max_bytes` is the largest outputs of a node that are sent or fetched,
    `queue_bytes` and `queue_length` what may wait to be sent.
    """

    request_s: float = 4.0
    part_s: float = 12.0
    lookup_s: float = 10.0
    upload_s: float = 600.0
    close_s: float = 30.0
    rest_s: float = 300.0
    failures: int = 3
    max_bytes: int = 2**30
    queue_bytes: int = 2**29
    queue_length: int = 20_000


def remote_place(address: str, *, readonly: bool = False, key: str | None = None) -> RemotePlace:
    """The shared cache at an address: a URL, or the path of a folder. Nothing is asked or made.

    Raises:
        SettingsError: the address is none, the key is short, or the package obstore is not installed.
    """
    if find_spec("obstore") is None:
        raise SettingsError(
            "a shared cache needs the package obstore", hint="pip install 'graphengine-comfy[remote]'"
        )
    if key is not None and len(key) < _LEAST_KEY_CHARS:
        raise SettingsError(
            f"the key of the shared cache has fewer than {_LEAST_KEY_CHARS} characters",
            hint="make one with openssl rand -hex 32 and set GRAPHENGINE_REMOTE_KEY to it on every machine",
        )
    return RemotePlace(_checked_url(address), readonly, key.encode() if key is not None else None)


def _checked_url(address: str) -> str:
    if not _URL.match(address):
        return _folder_url(address)
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise _wrong(address, str(error)) from None
    if parts.username or parts.password or parts.query or parts.fragment:
        shown = urlunsplit((parts.scheme, parts.hostname or "", parts.path, "", ""))
        raise _wrong(shown, "it has more than a host and a path; credentials belong in the environment")
    scheme = parts.scheme.lower()
    if scheme == "file":
        if parts.netloc not in ("", "localhost") or not parts.path.strip("/"):
            raise _wrong(address, "a folder is written file:///path")
        return _folder_url(parts.path)
    if scheme not in _BUCKETS:
        raise _wrong(address, f"{scheme}: is not supported")
    if not parts.netloc:
        raise _wrong(address, "the name of the bucket is missing")
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _folder_url(path: str) -> str:
    if not path or "\0" in path:
        raise _wrong(path, "the path is empty or has a zero byte")
    try:
        return f"file://{Path(path).expanduser().absolute()}"
    except RuntimeError:
        raise _wrong(path, "the home folder is not known") from None


def _wrong(address: str, reason: str) -> SettingsError:
    return SettingsError(
        f"the shared cache {address!r} cannot be used: {reason}",
        hint="give a folder, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix",
    )
