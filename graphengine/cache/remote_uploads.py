"""Uploads in the background: a queue with an upper bound, and threads that do not keep a process from ending."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Condition, Thread

_THREADS = 4


@dataclass(frozen=True, slots=True)
class Upload:
    """One thing to send: `send` does it and may raise nothing; `size` is how many bytes it keeps in memory."""

    send: Callable[[], object]
    size: int = 0


@dataclass(slots=True)
class Uploads:
    """Sends what is added, in order, up to four at once. May be used from several threads.

    `most` is how many uploads may wait or be under way, `most_bytes` how many bytes these may keep in memory.
    """

    most: int
    most_bytes: int
    _waiting: deque[Upload] = field(default_factory=deque)
    _threads: int = 0
    _busy: int = 0
    _bytes: int = 0
    _changed: Condition = field(default_factory=Condition)

    def add(self, upload: Upload) -> bool:
        """Send it soon; False when too much waits already."""
        with self._changed:
            is_full = len(self._waiting) + self._busy >= self.most
            if is_full or (self._bytes and self._bytes + upload.size > self.most_bytes):
                return False
            self._waiting.append(upload)
            self._bytes += upload.size
            if self._threads < min(_THREADS, self._busy + len(self._waiting)):
                self._threads += 1
                # a daemon: after the time limit of `finish` the process ends, whatever the remote does
                Thread(target=self._work, name="graphengine upload", daemon=True).start()
            return True

    def finish(self, seconds: float) -> int:
        """Wait until all is sent or the time is over; how many are not sent, which are given up."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while self._busy or self._waiting:
                rest = deadline - time.monotonic()
                if rest <= 0:
                    break
                self._changed.wait(rest)
            left = self._busy + len(self._waiting)
            self._bytes -= sum(upload.size for upload in self._waiting)
            self._waiting.clear()
        return left

    def _work(self) -> None:
        """Send until nothing waits, then end the thread."""
        while (upload := self._next()) is not None:
            try:
                upload.send()
            finally:
                with self._changed:
                    self._busy -= 1
                    self._bytes -= upload.size
                    self._changed.notify_all()

    def _next(self) -> Upload | None:
        with self._changed:
            if not self._waiting:
                self._threads -= 1
                return None
            self._busy += 1
            return self._waiting.popleft()
