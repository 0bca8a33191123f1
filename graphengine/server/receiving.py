"""What a client sends as a file: taken in within limits, then put in its place whole or not at all."""

import hashlib
import os
import secrets
import tempfile
from collections.abc import AsyncIterable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from aiohttp import web

from graphengine.errors import FileRefused

#: Bytes that are handled at once, and those of a file that are kept in memory while it comes in.
CHUNK = 2**20
_MOST_OF_ONE_NAME = 10_000


@contextmanager
def nameless_file() -> Iterator[IO[bytes]]:
    """A file for what comes in: in memory while it is small, on disk without a name when it is large."""
    with tempfile.SpooledTemporaryFile(max_size=CHUNK) as file:
        yield file


async def receive(chunks: AsyncIterable[bytes], file: IO[bytes], limit: int) -> None:
    """Write the chunks to the file; `limit` is in bytes.

    Raises:
        web.HTTPRequestEntityTooLarge: there is more than the limit.
    """
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise web.HTTPRequestEntityTooLarge(limit, size)
        file.write(chunk)


def put(file: IO[bytes], path: Path) -> None:
    """Write the bytes to the path, in place of what is there; nobody sees half of them.

    Raises:
        FileRefused: a folder is in the way.
    """
    folder = room_for(path)
    with _beside(folder) as whole:
        _copy(file, whole)
        os.replace(whole, path)


def put_new(file: IO[bytes], path: Path) -> Path:
    """Write the bytes to the path, or to `name (1)`, `name (2)` … while the name has other content.

    Gives the path that now holds them; a file that holds them already is used as it is.

    Raises:
        FileRefused: a folder is in the way, or too many files have that name.
    """
    folder, wanted = room_for(path), digest(file)
    for candidate in _candidates(path):
        if candidate.is_file() and _has(candidate, file, wanted):
            return candidate
        if _claim(candidate):
            with _beside(folder) as whole:
                _copy(file, whole)
                os.replace(whole, candidate)
            return candidate
    raise FileRefused(f"too many files are named like {path.name!a}", hint="choose another name")


def digest(file: IO[bytes]) -> bytes:
    """SHA-256 of the bytes in the file."""
    hashed = hashlib.sha256()
    for chunk in _chunks(file):
        hashed.update(chunk)
    return hashed.digest()


def _candidates(path: Path) -> Iterable[Path]:
    yield path
    for number in range(1, _MOST_OF_ONE_NAME):
        yield path.with_name(f"{path.stem} ({number}){path.suffix}")


def _has(path: Path, file: IO[bytes], wanted: bytes) -> bool:
    """Whether the path holds the same bytes."""
    if path.stat().st_size != file.seek(0, os.SEEK_END):
        return False
    with path.open("rb") as there:
        return digest(there) == wanted


def _claim(path: Path) -> bool:
    """Take a name that is free, so that nobody else who looks for one gets it."""
    try:
        path.open("xb").close()
    except FileExistsError:
        return False
    return True


def room_for(path: Path) -> Path:
    """The folder of the path, made if need be.

    Raises:
        FileRefused: the path is a folder, or a file stands where a folder must be.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise FileRefused(f"a file is in the way of {path.name!a}", hint="choose another folder") from error
    if path.is_dir():
        raise FileRefused(f"{path.name!a} is a folder", hint="choose another name")
    return path.parent


@contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """A new path in the folder; what is there at the end is removed."""
    path = folder / f".{secrets.token_hex(8)}.part"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _copy(file: IO[bytes], path: Path) -> None:
    with path.open("xb") as whole:
        for chunk in _chunks(file):
            whole.write(chunk)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while chunk := file.read(CHUNK):
        yield chunk
