"""Fetching a model of known size and hash: to a temporary name, going on where it stopped, checked at the end."""

import http.client
import os
import re
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, Request, build_opener

from graphengine.cache.hashing import hash_file
from graphengine.errors import FileRefused
from graphengine.locking.addresses import LOOPBACK, may_download
from graphengine.locking.schema import LockedModel

#: Told the bytes that are there, and how many there will be.
Progress = Callable[[int, int], None]

_CHUNK = 2**20
_TIMEOUT = 60.0
_TRIES = 5
_RANGE = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")


class _SafeRedirects(HTTPRedirectHandler):
    """Follows to https only, and from this machine to itself."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> Request | None:
        local = urlsplit(newurl).hostname in LOOPBACK and urlsplit(req.full_url).hostname in LOOPBACK
        if not may_download(newurl) or (not local and not newurl.startswith("https://")):
            fp.close()
            raise URLError(f"it leads to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]  # the stub says HTTPMessage


def download(address: str, target: Path, model: LockedModel, progress: Progress) -> None:
    """Fetch a model to a path where nothing is yet; what is there of an earlier try is not fetched again.

    Raises:
        FileRefused: it cannot be fetched, is another file than the lock says, or something is there by now. What
            was fetched of the right file so far is kept for the next try.
        OSError: the disk is full, or the folder cannot be written.
    """
    if not may_download(address):
        raise FileRefused(f"{address} is not fetched: only https is", hint="get the file yourself")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.parent / f".{model.sha256[:32]}.part"
    _fetch(address, part, model, progress)
    digest = hash_file(part)
    if digest != model.sha256:
        part.unlink()
        raise FileRefused(
            f"what {address} gives is another file: SHA-256 {digest[:16]}…, locked is {model.sha256[:16]}…",
            hint="the file there has changed: find the locked one elsewhere, and give its folder with --models",
        )
    put(part, target)


def put(part: Path, target: Path) -> None:
    """Give a finished file its name, unless something has it.

    Raises:
        FileRefused: something is there.
        OSError: the folder cannot be written.
    """
    try:
        os.link(part, target)  # unlike a rename it never replaces a file
    except FileExistsError as error:
        raise FileRefused(f"{target} is there by now", hint="nothing was overwritten; look at it") from error
    except OSError:  # a file system without links
        if os.path.lexists(target):
            raise FileRefused(f"{target} is there by now", hint="nothing was overwritten; look at it") from None
        part.rename(target)
        return
    part.unlink()


def _fetch(address: str, part: Path, model: LockedModel, progress: Progress) -> None:
    """Fetch what is missing of a file, and try again as long as more of it comes."""
    opener = build_opener(_SafeRedirects)
    tries = 0
    while (present := _size(part)) != model.size or not part.exists():
        if present > model.size:
            part.unlink()
            continue
        reason = _fetch_once(opener, address, part, model, progress)
        tries = 0 if _size(part) > present else tries + 1
        if reason is not None and tries >= _TRIES:
            raise FileRefused(f"{address} cannot be fetched: {reason}", hint="check the network, then try again")


def _fetch_once(
    opener: OpenerDirector, address: str, part: Path, model: LockedModel, progress: Progress
) -> str | None:
    """Append what comes; the reason when it ended early.

    Raises:
        FileRefused: it will not work another time either.
    """
    start = _size(part)
    headers = {"User-Agent": "graphengine", "Accept-Encoding": "identity"}
    request = Request(address, headers={**headers, "Range": f"bytes={start}-"} if start else headers)
    try:
        with opener.open(request, timeout=_TIMEOUT) as answer:
            if start and not _goes_on(answer.status, answer.headers.get("Content-Range"), start):
                start = 0
            _write(answer, part, start, model, progress)
    except HTTPError as error:
        error.close()
        if error.code == 416 and start:
            part.unlink()
            return "it has fewer bytes than were fetched before"
        if error.code >= 500 or error.code == 429:
            return f"{error.code} {error.reason}"
        raise FileRefused(
            f"{address} answers {error.code} {error.reason}",
            hint="it may need an account: get the file yourself, and give its folder with --models",
        ) from error
    except URLError as error:
        if isinstance(error.reason, str):
            raise FileRefused(f"{address} is not fetched: {error.reason}", hint="get the file yourself") from error
        return str(error.reason)
    except (http.client.HTTPException, TimeoutError, ConnectionError) as error:
        return str(error) or type(error).__name__
    return None if _size(part) == model.size else "the connection ended early"


def _goes_on(status: int, told: str | None, start: int) -> bool:
    found = _RANGE.fullmatch(told or "")
    return status == 206 and found is not None and int(found[1]) == start


def _write(answer: IO[bytes], part: Path, start: int, model: LockedModel, progress: Progress) -> None:
    with part.open("r+b" if start else "wb") as file:
        file.seek(start)
        present = start
        while chunk := answer.read(_CHUNK):
            present += len(chunk)
            if present > model.size:
                break
            file.write(chunk)
            progress(present, model.size)
    if present > model.size:
        part.unlink()
        raise FileRefused(
            f"more than the {model.size:,} bytes that are locked came", hint="the file there is another one by now"
        )


def _size(part: Path) -> int:
    try:
        return part.stat().st_size
    except FileNotFoundError:
        return 0
