"""Python's cyclic collector, kept from running where many small lasting objects are made."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keeps the collector from running meanwhile.

    Documents, graphs and plans are many small lasting objects and no garbage; with ten thousand nodes the
    collector would walk through them again and again, a third of the whole time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
