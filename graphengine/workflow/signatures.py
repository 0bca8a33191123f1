"""Kinds of files that hold no workflow we can read, known by their first bytes."""

# (where it stands, what stands there, what such a file is)
Signature = tuple[int, bytes, str]

#: ComfyUI and its packs write workflows into these as well; reading them is to come.
MEDIA: tuple[Signature, ...] = (
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (8, b"WEBP", "a WebP picture"),
    (0, b"GIF8", "a GIF picture"),
    (4, b"ftypavif", "an AVIF picture"),
    (4, b"ftyp", "an MP4 video"),
    (0, b"\x1aE\xdf\xa3", "a WebM or Matroska video"),
    (0, b"fLaC", "a FLAC file"),
    (0, b"ID3", "an MP3 file"),
    (0, b"OggS", "an Ogg file"),
)
OTHERS: tuple[Signature, ...] = (
    (8, b'{"', "a model file (safetensors)"),
    (0, b"GGUF", "a model file (GGUF)"),
    (0, b"PK\3\4", "a zip archive or a PyTorch checkpoint"),
    (0, b"\x80\2", "a pickle"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"%PDF", "a PDF file"),
)


def kind_of(head: bytes, signatures: tuple[Signature, ...]) -> str | None:
    """What a file is that begins with these bytes, as far as the signatures know it."""
    return next((kind for start, mark, kind in signatures if head[start:].startswith(mark)), None)
