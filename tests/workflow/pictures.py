"""Small PNG files with text chunks, made by hand."""

import zlib
from struct import pack

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
_PIXELS = zlib.compress(b"\0\0")


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk with its length and checksum."""
    return pack(">I", len(data)) + kind + data + pack(">I", zlib.crc32(kind + data))


def text(key: str, value: str | bytes) -> bytes:
    """A tEXt chunk; a text is written as UTF-8, as ComfyUI's packs do."""
    return chunk(b"tEXt", key.encode() + b"\0" + (value.encode() if isinstance(value, str) else value))


def compressed_text(key: str, value: str) -> bytes:
    """A zTXt chunk."""
    return chunk(b"zTXt", key.encode() + b"\0\0" + zlib.compress(value.encode()))


def international_text(key: str, value: str, *, compressed: bool = False) -> bytes:
    """An iTXt chunk."""
    body = zlib.compress(value.encode()) if compressed else value.encode()
    return chunk(b"iTXt", key.encode() + (b"\0\1\0" if compressed else b"\0\0\0") + b"en\0" + b"Titel\0" + body)


def png(*texts: bytes) -> bytes:
    """A grey picture of one pixel with the given chunks before and the pixel behind them."""
    return SIGNATURE + chunk(b"IHDR", _HEADER) + b"".join(texts) + chunk(b"IDAT", _PIXELS) + chunk(b"IEND", b"")
