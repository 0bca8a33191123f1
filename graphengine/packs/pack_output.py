"""What packs print when they are imported: it goes to standard error, since standard output is for results."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import FrameType

from graphengine.packs.failures import place


class _Bytes(io.BufferedIOBase):
    """Takes bytes, shows those that are text, and keeps from where others came first."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.binary: str | None = None

    def writable(self) -> bool:
        return True

    # The buffer of any object is taken, as files do; the base class has a private name for that.
    def write(self, content: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        data = bytes(content)
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            text = data.decode("utf-8", "backslashreplace")
            self.binary = self.binary or self._from(sys._getframe(1))
        _show(text)
        return len(data)

    def _from(self, frame: FrameType | None) -> str:
        while frame is not None:
            found = place(self.root, frame.f_code.co_filename, frame.f_lineno)
            if found is not None:
                return found
            frame = frame.f_back
        return "a library that it imports"


class _Text(io.TextIOBase):
    """A text stream that shows all on standard error."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, buffer: _Bytes) -> None:
        self.buffer = buffer

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        _show(text)
        return len(text)

    def flush(self) -> None:
        if sys.stderr is not None:
            sys.stderr.flush()

    def fileno(self) -> int:
        return sys.stderr.fileno()

    def reconfigure(self, **options: object) -> None:
        """Nothing: packs ask for UTF-8, and have it."""


def _show(text: str) -> None:
    if sys.stderr is not None:
        encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
        sys.stderr.write(text.encode(encoding, "backslashreplace").decode(encoding))


@contextmanager
def output_as_errors(root: Path) -> Iterator[_Bytes]:
    """Standard output goes to standard error inside; what is given tells whether it was no text."""
    buffer = _Bytes(root)
    with redirect_stdout(_Text(buffer)):
        yield buffer
