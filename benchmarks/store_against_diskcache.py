#!/usr/bin/env python3
"""Writing and reading one tensor and many small entries, against diskcache, in one run.

    pip install diskcache
    python benchmarks/store_against_diskcache.py [--folder FOLDER] [--repeat 5]

Both write into the same folder, taking turns, each tensor only once. diskcache pickles, hashes nothing and waits
for no disk; here every blob is hashed, synced, named and committed before `put` returns, and every read checks the
hash. So a third column has our store without the syncs (`os.fsync` replaced), and a fourth diskcache with the file
synced and hashed afterwards, which is what it would take to promise the same. Medians, wall clock.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from graphengine.cache.disk import DiskStore
from graphengine.cache.store import Made, Outputs

SLOW = Made("Slow", 1.0)
QUICK = Made("Quick", 0.0)
SMALL = 2000
Times = dict[str, list[float]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where to make the temporary cache folders")
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    with TemporaryDirectory(dir=args.folder) as folder:
        for megabytes in (4, 100):
            times = tensors(Path(folder) / str(megabytes), megabytes, args.repeat)
            report(f"write {megabytes} MB", times, "write")
            report(f"read {megabytes} MB", times, "read")
        small(Path(folder) / "small")


def tensors(folder: Path, megabytes: int, repeat: int) -> dict[str, Times]:
    """Seconds to write and to read tensors of random bytes, by store."""
    import diskcache  # type: ignore[import-untyped]  # only this benchmark needs it, it is no dependency
    import torch

    times: dict[str, Times] = {
        name: {"write": [], "read": []} for name in ("ours", "ours, not synced", "diskcache", "diskcache, safe")
    }
    ours = DiskStore(folder / "ours", limit_bytes=10**12)
    theirs = diskcache.Cache(str(folder / "theirs"), size_limit=10**12)

    def get_ours(key: str) -> object:
        found = ours.get(key)
        assert found is not None
        return found.slots[0][0]

    for number in range(repeat):
        for name in times:
            tensor = torch.frombuffer(bytearray(os.urandom(megabytes * 10**6)), dtype=torch.int32)
            key = f"{name} {number}"
            if name.startswith("ours"):
                write: Callable[[], object] = lambda: ours.put(key, Outputs(((tensor,),), made=SLOW))  # noqa: E731, B023 - called at once
                read: Callable[[], object] = lambda: get_ours(key)  # noqa: E731, B023 - called at once
            else:
                write = lambda: safely(theirs, key, tensor, safe=name.endswith("safe"))  # noqa: E731, B023 - called at once
                read = lambda: theirs[key]  # noqa: E731, B023 - called at once
            with no_sync(name.endswith("not synced")):
                times[name]["write"].append(seconds(write))
            times[name]["read"].append(seconds(read))
            assert torch.equal(read(), tensor)  # type: ignore[arg-type]  # a tensor, which the type checker cannot know
    ours.close()
    theirs.close()
    return times


# Any: diskcache publishes no types.
def safely(cache: Any, key: str, value: object, *, safe: bool) -> None:
    """Set a value; with `safe`, hash and sync the newest file, as it would take to find damage later."""
    cache[key] = value
    if safe:
        newest = max(Path(cache.directory).glob("*/*/*.val"), key=lambda path: path.stat().st_mtime_ns)
        with newest.open("rb") as file:
            file_digest(file, "sha256")
            os.fsync(file.fileno())


@contextmanager
def no_sync(active: bool) -> Iterator[None]:
    """Without waiting for the disk when a blob is written; SQLite syncs all the same."""
    if not active:
        yield
        return
    with patch("graphengine.cache.blobs.os.fsync"):
        yield


def small(folder: Path) -> None:
    """Seconds per whole number, written and read one by one."""
    import diskcache

    def put_all(store: DiskStore) -> None:
        for number in range(SMALL):
            store.put(f"key{number}", Outputs(((number,),), made=QUICK))
        store.flush()

    def set_all(cache: Any) -> None:
        for number in range(SMALL):
            cache[f"key{number}"] = number

    with DiskStore(folder / "ours") as ours, diskcache.Cache(str(folder / "theirs")) as theirs:
        rows = [
            ("write", seconds(lambda: put_all(ours)), seconds(lambda: set_all(theirs))),
            (
                "read",
                seconds(lambda: [ours.get(f"key{number}") for number in range(SMALL)]),
                seconds(lambda: [theirs[f"key{number}"] for number in range(SMALL)]),
            ),
        ]
    for name, mine, other in rows:
        each = f"ours {mine / SMALL * 1e6:7.1f} µs   diskcache {other / SMALL * 1e6:7.1f} µs"
        print(f"{name + ' a whole number':22} {each}   ratio {mine / other:.2f}")


def report(title: str, times: dict[str, Times], action: str) -> None:
    """One line: the median of each, and the ratios."""
    middle = {name: statistics.median(found[action]) for name, found in times.items()}
    columns = "   ".join(f"{name} {value * 1e3:7.1f} ms" for name, value in middle.items())
    plain = middle["ours"] / middle["diskcache"]
    safe = middle["ours"] / middle["diskcache, safe"]
    print(f"{title:22} {columns}   ratio {plain:.2f}, to the safe one {safe:.2f}")


def seconds(work: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
