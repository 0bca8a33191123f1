"""Which models are loaded on which device, and which of them go first when room is needed."""

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Protocol
from weakref import WeakValueDictionary


class Resident(Protocol):
    """Something that takes memory on a device and can do without it until it is used again."""

    @property
    def device(self) -> str:
        """The torch device string of where it is loaded."""

    def unload(self) -> None:
        """Give the memory back. What is being computed with it now goes on."""


def unlimited(device: str) -> int | None:
    """The default budget: as much as there is."""
    return None


class DeviceMemory:
    """The loaded models of a process, least recently used first.

    budget(device) is how many bytes models may take there; None sets no limit. Models are held weakly: one that
    nobody refers to is forgotten. May be used from several threads.
    """

    def __init__(self, budget: Callable[[str], int | None] = unlimited) -> None:
        self._budget = budget
        self._loaded: OrderedDict[weakref.ref[Resident], int] = OrderedDict()
        self._lock = threading.Lock()
        #: Tensors on the devices that several models may hold, by what they were made of; forgotten with the last.
        self.shared: WeakValueDictionary[Hashable, Any] = WeakValueDictionary()  # Any: torch is not imported here

    def reserve(self, resident: Resident, size: int) -> None:
        """Note that the resident is about to take `size` bytes; others that were used longer ago make room."""
        limit = self._budget(resident.device)
        with self._lock:
            self._loaded[weakref.ref(resident)] = size
            self._loaded.move_to_end(weakref.ref(resident))
            leaving = [] if limit is None else self._over(resident.device, limit, keep=resident)
        for other in leaving:  # outside of the lock: a model that unloads may wait for its own
            other.unload()

    def touch(self, resident: Resident) -> None:
        """Note that a loaded resident is used now."""
        with self._lock:
            reference = weakref.ref(resident)
            if reference in self._loaded:
                self._loaded.move_to_end(reference)

    def unload(self, keep: Resident | None = None) -> int:
        """Unload every model but `keep`; the number of bytes that are given back."""
        with self._lock:
            leaving = [(other, size) for ref, size in self._loaded.items() if (other := ref()) is not None]
            leaving = [(other, size) for other, size in leaving if other is not keep]
            self._forget([other for other, _ in leaving])
        for other, _ in leaving:
            other.unload()
        return sum(size for _, size in leaving)

    def used(self, device: str) -> int:
        """How many bytes loaded models take on the device."""
        with self._lock:
            return sum(size for _, size in self._on(device))

    def _on(self, device: str) -> list[tuple[Resident, int]]:
        gone = [reference for reference in self._loaded if reference() is None]
        for reference in gone:
            del self._loaded[reference]
        alive = ((reference(), size) for reference, size in self._loaded.items())
        return [(one, size) for one, size in alive if one is not None and one.device == device]

    def _over(self, device: str, limit: int, keep: Resident) -> list[Resident]:
        """The residents, least recently used first, without which the rest is within the limit."""
        loaded, leaving = self._on(device), []
        total = sum(size for _, size in loaded)
        for other, size in loaded:
            if total <= limit:
                break
            if other is not keep:
                leaving.append(other)
                total -= size
        self._forget(leaving)
        return leaving

    def _forget(self, residents: list[Resident]) -> None:
        for resident in residents:
            self._loaded.pop(weakref.ref(resident), None)
