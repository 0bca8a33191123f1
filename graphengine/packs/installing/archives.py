"""Unpacking archives of strangers: nothing lands outside the folder, and no more than the limits allow.

What an archive says about itself is not believed: bytes are counted as they are written. Files are written first
and links made last, so that no file goes through a link; a link must lead to a place inside.
"""

import bz2
import gzip
import io
import lzma
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, cast

from graphengine.errors import InstallRefused

_CHUNK = 2**20
_MOST_AT_ONCE = 64 * 2**20
_DRIVE = re.compile(r"^[A-Za-z]:")
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    OSError,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a pack may be: number of files, and bytes of all together."""

    files: int = 20_000
    bytes: int = 2 * 2**30


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file, folder or link in an archive. `target` is where a link leads, `open` gives the content of a file."""

    name: str
    size: int
    is_folder: bool
    is_executable: bool
    target: str | None
    open: Callable[[], IO[bytes]]


def is_archive(path: Path) -> bool:
    """Whether a file is named like an archive that can be unpacked, or begins like one."""
    name = path.name.lower()
    return name.endswith((".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst")) or (
        path.is_file() and zipfile.is_zipfile(path)
    )


def unpack(archive: Path, folder: Path, limits: Limits) -> None:
    """Unpack a zip or tar archive into a new folder.

    Raises:
        InstallRefused: it is damaged, of another kind, larger than the limits, or names a place outside.
    """
    if archive.stat().st_size > limits.bytes:
        raise _too_large(archive, limits)
    try:
        with archive.open("rb") as file:
            if zipfile.is_zipfile(file):
                with zipfile.ZipFile(file) as opened:
                    _write_all(archive, _in_zip(archive, opened), folder, limits)
                return
            file.seek(0)
            stream = _Guarded(_decompressed(archive, file), archive)
            with tarfile.open(fileobj=cast(BinaryIO, stream), mode="r:") as tar:
                _write_all(archive, _in_tar(archive, tar), folder, limits)
    except _DAMAGE as error:
        raise InstallRefused(
            f"{archive} cannot be unpacked: {error or type(error).__name__}",
            hint="it is damaged or no zip or tar file: get it again",
        ) from error
    except RuntimeError as error:  # what zipfile raises for encrypted entries
        raise InstallRefused(
            f"{archive} cannot be unpacked: {error}", hint="give an archive without password"
        ) from error


class _Guarded(io.RawIOBase):
    """A stream that gives no more than some megabytes at once: headers in a tar file may claim gigabytes."""

    def __init__(self, stream: IO[bytes], archive: Path) -> None:
        self._stream = stream
        self._archive = archive

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > _MOST_AT_ONCE:
            raise InstallRefused(f"{self._archive} has a header of {size} bytes", hint="do not trust this archive")
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


def _decompressed(archive: Path, file: BinaryIO) -> IO[bytes]:
    start = file.read(6)
    file.seek(0)
    if start.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.GzipFile(fileobj=file))
    if start.startswith(b"BZh"):
        return bz2.BZ2File(file)
    if start == b"\xfd7zXZ\x00":
        return lzma.LZMAFile(file)
    if start.startswith(b"\x28\xb5\x2f\xfd"):
        try:
            from compression import zstd  # type: ignore[import-not-found,unused-ignore]  # from Python 3.14 on
        except ImportError as error:
            raise InstallRefused(
                f"{archive} is compressed with zstd, which this Python cannot read",
                hint="use Python 3.14, or unpack it and give the folder",
            ) from error
        return cast(IO[bytes], zstd.ZstdFile(file))
    return file


def _in_zip(archive: Path, opened: zipfile.ZipFile) -> Iterator[_Entry]:
    for info in opened.infolist():
        mode = info.external_attr >> 16
        target = None
        if stat.S_ISLNK(mode):
            if info.file_size > 4096:
                raise _refused(archive, info.filename, "is a link with a target of more than 4,096 bytes")
            target = opened.read(info).decode("utf-8", "surrogateescape")
        elif mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _refused(archive, info.filename, "is neither a file nor a folder")
        # `orig_filename`: zipfile cuts names at a NUL
        yield _Entry(
            info.orig_filename.replace("\\", "/"),
            info.file_size,
            info.is_dir() or info.orig_filename.endswith("\\"),
            bool(mode & stat.S_IXUSR),
            target,
            lambda info=info: opened.open(info),  # type: ignore[misc]  # mypy knows no default of a lambda
        )


def _in_tar(archive: Path, tar: tarfile.TarFile) -> Iterator[_Entry]:
    for member in tar:
        target = None
        if member.issym():
            target = member.linkname
        elif not (member.isreg() or member.isdir()) or member.issparse():
            kind = "a hard link" if member.islnk() else "neither a file nor a folder"
            raise _refused(archive, member.name, f"is {kind}")
        yield _Entry(
            member.name,
            member.size if member.isreg() else 0,
            member.isdir(),
            bool(member.mode & stat.S_IXUSR),
            target,
            lambda member=member: cast(IO[bytes], tar.extractfile(member)),  # type: ignore[misc]  # as above
        )
        tar.members.clear()  # type: ignore[attr-defined]  # not in the type information; what was read is not kept: there may be a million of them


def _write_all(archive: Path, entries: Iterable[_Entry], folder: Path, limits: Limits) -> None:
    folder.mkdir()
    links: dict[str, str] = {}
    left = limits.bytes
    for count, entry in enumerate(entries, 1):
        if count > limits.files:
            raise InstallRefused(
                f"{archive} holds more than {limits.files:,} files", hint="give a smaller archive, or --max-files"
            )
        place = folder / _inside(archive, entry.name)
        if entry.size > left:
            raise _too_large(archive, limits)
        if entry.is_folder:
            _make_folder(archive, entry.name, place)
        elif entry.target is not None:
            links[entry.name] = entry.target
        else:
            _make_folder(archive, entry.name, place.parent)
            left -= _write(archive, entry, place, left, limits)
    for name, target in links.items():
        _link(archive, name, target, folder)
    check_links(folder, str(archive))


def _inside(archive: Path, name: str) -> PurePosixPath:
    """The place of an entry, relative to the folder."""
    path = PurePosixPath(name)
    if not name.isprintable() or any(0xD800 <= ord(letter) < 0xE000 for letter in name):
        raise _refused(archive, name, "has a name with control characters, or one that is no UTF-8")
    if path.is_absolute() or _DRIVE.match(name):
        raise _refused(archive, name, "has an absolute path")
    if ".." in path.parts:
        raise _refused(archive, name, "leads out of the folder")
    if len(path.parts) > 40 or len(name) > 1000:
        raise _refused(archive, name, "lies too deep")
    return path


def _make_folder(archive: Path, name: str, place: Path) -> None:
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refused(archive, name, "needs a folder where a file is") from error


def _write(archive: Path, entry: _Entry, place: Path, left: int, limits: Limits) -> int:
    """Write a file, at most `left` bytes; how many it has."""
    written = 0
    try:
        file = place.open("xb")
    except FileExistsError as error:
        raise _refused(archive, entry.name, "stands there twice") from error
    with file, entry.open() as source:
        while chunk := source.read(_CHUNK):
            written += len(chunk)
            if written > left:
                raise _too_large(archive, limits)
            file.write(chunk)
    place.chmod(0o755 if entry.is_executable else 0o644)
    return written


def _link(archive: Path, name: str, target: str, folder: Path) -> None:
    place = folder / _inside(archive, name)
    if PurePosixPath(target).is_absolute() or _DRIVE.match(target) or "\0" in target:
        raise _refused(archive, name, f"is a link to {target!r}, outside the pack")
    _make_folder(archive, name, place.parent)
    try:
        place.symlink_to(target)
    except OSError as error:
        raise _refused(archive, name, f"is a link that cannot be made: {error.strerror}") from error


def check_links(folder: Path, source: str) -> None:
    """Check that no link below a folder leads out of it.

    Raises:
        InstallRefused: one does.
    """
    root = os.path.realpath(folder)
    for here, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(here, name)
            if os.path.islink(path) and not os.path.realpath(path).startswith(root + os.sep):
                shown = os.path.relpath(path, folder)
                raise InstallRefused(
                    f"{source}: {shown!r} is a link to {os.readlink(path)!r}, outside the pack",
                    hint="a pack must not reach other files of this machine: remove the link",
                )


def _refused(archive: Path, name: str, what: str) -> InstallRefused:
    return InstallRefused(
        f"{archive}: {name[:200]!r} {what}", hint="do not trust this archive; nothing was unpacked"
    )


def _too_large(archive: Path, limits: Limits) -> InstallRefused:
    return InstallRefused(
        f"{archive} unpacks to more than {limits.bytes / 2**20:,.0f} MiB",
        hint="give a smaller archive, or raise the limit with --max-size",
    )
