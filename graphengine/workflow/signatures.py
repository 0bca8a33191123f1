"""Kinds of files that hold no workflow we can read, known by their first bytes."""

# (where it stands, what stands there, what such a file is)
Signature = tuple[int, bytes, str]

#: Files that people mistake for workflows, or that cannot carry one.
OTHERS: tuple[Signature, ...] = (
    (0, b"GGUF", "a model file (GGUF)"),
    (0, b"PK\3\4", "a zip archive or a PyTorch checkpoint"),
    (0, b"\x80\2", "a pickle"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"%PDF", "a PDF file"),
    (0, b"\xff\xfb", "an MP3 file without tags"),
    (0, b"\xff\xf3", "an MP3 file without tags"),
    (8, b"WAVE", "a WAV file"),
    (8, b"AVI ", "an AVI video"),
    (0, b"BM", "a BMP picture"),
    (0, b"II*\0", "a TIFF picture"),
    (0, b"MM\0*", "a TIFF picture"),
    (0, b"<", "a page of the web (HTML) or XML"),
)


def kind_of(head: bytes, signatures: tuple[Signature, ...] = OTHERS) -> str | None:
    """What a file is that begins with these bytes, as far as the signatures know it."""
    return next((kind for start, mark, kind in signatures if head[start:].startswith(mark)), None)
