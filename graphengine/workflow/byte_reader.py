"""Reading containers from strangers: exact pieces, with limits on what is read and walked.

A container says itself how long its parts are. Nothing it says is believed: a piece beyond the end is damage, what
is taken into memory has a limit for the whole file, and so has the number of parts. So a file of any size is read
or refused in a bounded time, and what is passed over is never read.
"""

from os import SEEK_END
from typing import BinaryIO

from graphengine.errors import WorkflowFormatError
from graphengine.workflow.json_input import MAX_BYTES, too_large

#: Most parts (boxes, chunks, pages, tags) of one file that are walked.
MAX_PARTS = 200_000


class ByteReader:
    """A file of known size; `kind` names it in messages ("WebP picture")."""

    def __init__(self, stream: BinaryIO, kind: str) -> None:
        self.kind = kind
        self.size = stream.seek(0, SEEK_END)
        self.position = stream.seek(0)
        self._stream = stream
        self._taken = 0
        self._parts = 0

    @property
    def left(self) -> int:
        """Bytes between here and the end."""
        return max(self.size - self.position, 0)

    def take(self, count: int) -> bytes:
        """The next `count` bytes.

        Raises:
            WorkflowFormatError: the file ends before, or more than `MAX_BYTES` are read of it in all.
        """
        if count > self.left:
            raise self.damaged("the file ends early")
        self.spend(count)
        data = self._stream.read(count)
        if len(data) < count:  # the file was cut while it was read
            raise self.damaged("the file ends early")
        self.position += count
        return data

    def number(self, count: int) -> int:
        """The next `count` bytes as an unsigned number, the highest byte first."""
        return int.from_bytes(self.take(count))

    def skip(self, count: int) -> None:
        """Pass over bytes without reading them; the end of the file may be passed as well."""
        self.move_to(self.position + count)

    def move_to(self, position: int) -> None:
        """Go on at this byte."""
        self.position = position
        self._stream.seek(min(position, self.size))

    def spend(self, count: int) -> None:
        """Count bytes that are held in memory: those taken, and what packed ones become.

        Raises:
            WorkflowFormatError: they are more than `MAX_BYTES`.
        """
        self._taken += count
        if self._taken > MAX_BYTES:
            raise too_large()

    def part(self) -> None:
        """Count one part of the file.

        Raises:
            WorkflowFormatError: there are more than `MAX_PARTS`, or than bytes: a small file may list empty parts.
        """
        self._parts += 1
        most = min(MAX_PARTS, self.size)
        if self._parts > most:
            raise WorkflowFormatError(
                f"the {self.kind} has more than {most:,} parts, and no workflow in those",
                hint="give the saved workflow (.json)",
            )

    def damaged(self, what: str) -> WorkflowFormatError:
        """The error for a file that is not what it says, with the place."""
        return WorkflowFormatError(
            f"the {self.kind} is damaged: {what} (at byte {min(self.position, self.size):,})",
            hint="take the file as it was saved",
        )
