"""Small files of many kinds that carry texts, made by hand; `pictures` has those of PNG."""

import json
from collections.abc import Mapping
from struct import pack
from xml.sax.saxutils import escape

from tests.workflow.pictures import png, text
from tests.workflow.ui_documents import document, node

API = {"1": {"class_type": "Encode", "inputs": {"text": "Zürich 🎈"}}}
UI = document([node(1, "Encode", values=["Zürich 🎈"])])
PROMPT = json.dumps(API, ensure_ascii=False)
WORKFLOW = json.dumps(UI)
BOTH = {"prompt": PROMPT, "workflow": WORKFLOW}


def exif(tags: Mapping[int, str | bytes], order: str = "<") -> bytes:
    """EXIF data with one directory; texts are ASCII tags in UTF-8, bytes are of kind UNDEFINED."""
    entries, data = b"", b""
    start = 8 + 2 + 12 * len(tags) + 4
    for tag, value in tags.items():
        raw = value.encode() + b"\0" if isinstance(value, str) else value
        entries += pack(order + "HHII", tag, 2 if isinstance(value, str) else 7, len(raw), start + len(data))
        data += raw
    head = (b"II*\0" if order == "<" else b"MM\0*") + pack(order + "I", 8)
    return head + pack(order + "H", len(tags)) + entries + bytes(4) + data


def comfy_exif() -> bytes:
    """Both documents as ComfyUI writes them, from `Make` downwards."""
    return exif({0x010F: f"workflow:{WORKFLOW}", 0x0110: f"prompt:{PROMPT}"})


#: Both documents as elements of XMP data.
XMP_ELEMENTS = (f"<our:workflow>{escape(WORKFLOW)}</our:workflow>", f"<our:prompt>{escape(PROMPT)}</our:prompt>")


def xmp(*elements: str, attributes: str = "") -> bytes:
    """XMP data as programs write it."""
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dc="http://purl.org/dc/elements/1.1/"'
        f' xmlns:our="https://example.com/ns"><rdf:Description {attributes}>{"".join(elements)}</rdf:Description>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def riff(name: bytes, data: bytes) -> bytes:
    """A chunk of a RIFF file, filled up to an even length."""
    return name + pack("<I", len(data)) + data + bytes(len(data) % 2)


def webp(*chunks: bytes) -> bytes:
    """A WebP file with these chunks; the pixels are none."""
    body = b"WEBP" + riff(b"VP8X", bytes(10)) + riff(b"VP8 ", b"odd") + b"".join(chunks)
    return b"RIFF" + pack("<I", len(body)) + body


def segment(marker: int, data: bytes) -> bytes:
    """A segment of a JPEG file."""
    return pack(">BBH", 0xFF, marker, len(data) + 2) + data


def jpeg(*segments: bytes) -> bytes:
    """A JPEG file with these segments; the pixels are none."""
    return (
        b"\xff\xd8"
        + segment(0xE0, b"JFIF\0")
        + b"".join(segments)
        + b"\xff\xff"
        + segment(0xDA, b"")
        + b"\xff\xd9"
    )


def gif_comment(value: str) -> bytes:
    """A comment of a GIF file, in pieces of 255 bytes."""
    data = value.encode()
    pieces = [data[start : start + 255] for start in range(0, len(data), 255)]
    return b"\x21\xfe" + b"".join(pack("B", len(piece)) + piece for piece in pieces) + b"\0"


def gif(*before: bytes, behind: bytes = b"") -> bytes:
    """A GIF file of one pixel, with blocks before and behind it."""
    head = b"GIF89a" + pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6)
    delay = b"\x21\xf9\x04" + bytes(4) + b"\0"
    return head + b"".join(before) + delay + b"\x2c" + bytes(9) + b"\x02\x02\x44\x01\0" + behind + b";"


def box(name: bytes, *parts: bytes) -> bytes:
    """A box of an MP4 file."""
    data = b"".join(parts)
    return pack(">I", len(data) + 8) + name + data


def mp4_keys(texts: Mapping[str, str]) -> bytes:
    """`meta` with names of any kind, as ComfyUI's videos have it."""
    keys = b"".join(box(b"mdta", name.encode()) for name in texts)
    values = (
        box(pack(">I", index), box(b"data", pack(">II", 1, 0), value.encode()))
        for index, value in enumerate(texts.values(), 1)
    )
    handler = box(b"hdlr", bytes(8), b"mdta", bytes(13))
    return box(b"meta", bytes(4), handler, box(b"keys", pack(">II", 0, len(texts)), keys), box(b"ilst", *values))


def mp4(*parts: bytes, brand: bytes = b"isom") -> bytes:
    """A video without pictures; the parts stand in `moov`."""
    return box(b"ftyp", brand, bytes(4)) + box(b"mdat", b"pictures") + box(b"moov", box(b"mvhd", bytes(8)), *parts)


def avif(data: bytes) -> bytes:
    """An AVIF file with EXIF data in its second item; the first is the picture."""
    infe = [box(b"infe", pack(">IHH4s", 2 << 24, item, 0, kind)) for item, kind in ((1, b"av01"), (2, b"Exif"))]
    iinf = box(b"iinf", bytes(4), pack(">H", 2), *infe)
    ftyp = box(b"ftyp", b"avif", bytes(4))
    content = pack(">I", 0) + data

    def meta(start: int) -> bytes:
        rows = [
            pack(">HHHII", item, 0, 1, place, size) for item, place, size in ((1, 0, 1), (2, start, len(content)))
        ]
        return box(b"meta", bytes(4), iinf, box(b"iloc", bytes(4), pack(">BBH", 0x44, 0, 2), *rows))

    return ftyp + meta(len(ftyp) + len(meta(0)) + 8) + box(b"mdat", content)


def element(name: int, *parts: bytes, is_open: bool = False) -> bytes:
    """An element of a Matroska file, with a length of four bytes or an open one."""
    data = b"".join(parts)
    length = b"\x01" + b"\xff" * 7 if is_open else pack(">I", 1 << 28 | len(data))
    return name.to_bytes((name.bit_length() + 7) // 8) + length + data


def webm(texts: Mapping[str, str], *, is_open: bool = False) -> bytes:
    """A WebM file with tags behind its (missing) pictures."""
    tags = (
        element(0x67C8, element(0x45A3, name.upper().encode()), element(0x4487, value.encode()))
        for name, value in texts.items()
    )
    cluster = element(0x1F43B675, element(0xA3, b"pictures"), is_open=is_open)
    segment_ = element(0x18538067, cluster, element(0x1254C367, element(0x7373, *tags)), is_open=is_open)
    return element(0x1A45DFA3, element(0x4282, b"webm")) + segment_


def comments(texts: Mapping[str, str]) -> bytes:
    """The list of comments of FLAC and Ogg files."""
    rows = [f"{name}={value}".encode() for name, value in texts.items()]
    return pack("<I", 2) + b"me" + pack("<I", len(rows)) + b"".join(pack("<I", len(row)) + row for row in rows)


def flac(texts: Mapping[str, str]) -> bytes:
    """A FLAC file without sound."""
    data = comments(texts)
    return b"fLaC" + pack(">I", 34) + bytes(34) + pack(">I", 0x84 << 24 | len(data)) + data


def ogg(*packets: bytes, page: int = 3) -> bytes:
    """An Ogg file with one stream; a page has this many pieces."""
    pieces: list[bytes] = []
    for packet in packets:
        pieces += [packet[start : start + 255] for start in range(0, len(packet) + 1, 255)]
    pages = [pieces[start : start + page] for start in range(0, len(pieces), page)]
    return b"".join(
        b"OggS" + bytes(10) + b"mono" + bytes(8) + bytes([len(row), *map(len, row)]) + b"".join(row)
        for row in pages
    )


def opus(texts: Mapping[str, str]) -> bytes:
    """An Opus file without sound."""
    return ogg(b"OpusHead" + bytes(11), b"OpusTags" + comments(texts), b"sound")


def id3(*frames: tuple[bytes, bytes], version: int = 4) -> bytes:
    """An MP3 file of a tag and nothing else."""
    data = b"".join(name + _id3_length(len(value), version) + bytes(2) + value for name, value in frames)
    return b"ID3" + bytes([version, 0, 0]) + _id3_length(len(data), 4) + data


def mp3(texts: Mapping[str, str]) -> bytes:
    """An MP3 file whose tag holds texts of the user's own, in UTF-8."""
    return id3(*((b"TXXX", f"\3{name}\0{value}\0".encode()) for name, value in texts.items()))


def _id3_length(length: int, version: int) -> bytes:
    if version < 4:
        return pack(">I", length)
    return bytes(length >> shift & 0x7F for shift in (21, 14, 7, 0))


def safetensors(metadata: Mapping[str, str] | None) -> bytes:
    """A latent of no tensor."""
    header = json.dumps({} if metadata is None else {"__metadata__": dict(metadata)}).encode()
    return pack("<Q", len(header)) + header


#: One file of each kind that holds both documents.
WITH_BOTH: dict[str, bytes] = {
    "PNG picture": png(text("prompt", PROMPT), text("workflow", WORKFLOW)),
    "WebP picture": webp(riff(b"EXIF", comfy_exif())),
    "JPEG picture": jpeg(segment(0xE1, b"Exif\0\0" + comfy_exif())),
    "GIF picture": gif(gif_comment(json.dumps({"prompt": API, "workflow": UI}))),
    "AVIF picture": avif(comfy_exif()),
    "MP4 video": mp4(mp4_keys(BOTH)),
    "MOV video": mp4(mp4_keys(BOTH), brand=b"qt  "),
    "WebM video": webm(BOTH),
    "FLAC file": flac(BOTH),
    "Ogg file": opus(BOTH),
    "MP3 file": mp3(BOTH),
    "safetensors file": safetensors(BOTH),
}
#: One file of each kind that holds nothing.
WITHOUT: dict[str, bytes] = {
    "PNG picture": png(),
    "WebP picture": webp(),
    "JPEG picture": jpeg(),
    "GIF picture": gif(),
    "AVIF picture": avif(exif({})),
    "MP4 video": mp4(),
    "MOV video": mp4(brand=b"qt  "),
    "WebM video": webm({"ENCODER": "me"}),
    "FLAC file": flac({}),
    "Ogg file": opus({"encoder": "me"}),
    "MP3 file": mp3({"title": "song"}),
    "safetensors file": safetensors(None),
}
