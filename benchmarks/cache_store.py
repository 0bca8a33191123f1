"""Costs of the cache: keys, small entries, one large tensor, on this machine.

    python benchmarks/cache_store.py [--folder FOLDER] [--entries 10000] [--mib 64]

Wall clock and processor time, each the best of `--repeat` rounds. The folder should lie on the disk that will hold
the cache: writing a tensor includes the sync to the disk.
"""

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from graphengine.cache.disk import DiskStore
from graphengine.cache.hashing import node_key
from graphengine.cache.store import CacheStore, MemoryStore, Outputs
from graphengine.cache.upkeep import clear


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where to make the temporary cache folder")
    parser.add_argument("--entries", type=int, default=10_000)
    parser.add_argument("--mib", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()

    keys = chain_keys(arguments.entries)
    rounds = [timed(partial(chain_keys, arguments.entries)) for _ in range(arguments.repeat)]
    report("node_key, 3 inputs", best(rounds), arguments.entries)
    with TemporaryDirectory(dir=arguments.folder) as folder:
        for name, make in stores(Path(folder)):
            small_entries(name, make, keys, arguments.repeat)
        large_tensor(Path(folder), arguments.mib, arguments.repeat)


def stores(folder: Path) -> list[tuple[str, Callable[[], CacheStore]]]:
    """Makers of an empty store of each kind."""

    def disk() -> DiskStore:
        store = DiskStore(folder / "small")
        clear(store)
        return store

    return [("memory", MemoryStore), ("disk", disk)]


def small_entries(name: str, make: Callable[[], CacheStore], keys: list[str], repeat: int) -> None:
    """Put, peek and get one integer per key; a put includes its share of the last flush."""
    rounds: dict[str, list[tuple[float, float]]] = {"put": [], "peek_many": [], "get": [], "miss": []}
    for _ in range(repeat):
        store = make()
        rounds["put"].append(timed(partial(put_all, store, keys)))
        rounds["peek_many"].append(timed(partial(store.peek_many, keys)))
        rounds["get"].append(timed(partial(get_all, store, keys)))
        rounds["miss"].append(timed(partial(get_all, store, [key[:-1] for key in keys])))
        store.close()
    for action, times in rounds.items():
        report(f"{name}: {action}", best(times), len(keys))


def put_all(store: CacheStore, keys: list[str]) -> None:
    """One integer under each key, flushed."""
    for number, key in enumerate(keys):
        if not store.put(key, Outputs(((number,),))):
            raise SystemExit(f"entry {number} was not kept")
    store.flush()


def get_all(store: CacheStore, keys: list[str]) -> None:
    """Read every key, kept or not."""
    for key in keys:
        store.get(key)


def large_tensor(folder: Path, mib: int, repeat: int) -> None:
    """Put and get a float32 tensor of random bytes."""
    import torch  # heavy, and only this part needs it

    writes, reads = [], []
    with DiskStore(folder / "large") as store:
        for number in range(repeat):
            tensor = torch.frombuffer(bytearray(os.urandom(mib * 2**20)), dtype=torch.float32)
            outputs = Outputs((({"samples": tensor},),))
            writes.append(timed(partial(store.put, f"key{number}", outputs)))
            reads.append(timed(partial(store.get, f"key{number}")))
    for name, times in (("put", writes), ("get", reads)):
        wall, cpu = best(times)
        print(f"{f'disk: {name} of {mib} MiB':28} {mib / wall:8.0f} MiB/s   cpu {cpu * 1e3:7.1f} ms")


def chain_keys(count: int) -> list[str]:
    """The keys of a chain of nodes with two links and a literal each."""
    keys = ["0" * 64]
    for number in range(count):
        inputs = {"a": ("link", keys[-1], 0), "b": ("link", keys[0], 0), "amount": number}
        keys.append(node_key("AddIntegers", "1", inputs))
    return keys[1:]


def best(rounds: list[tuple[float, float]]) -> tuple[float, float]:
    """The least wall and the least processor time."""
    return min(wall for wall, _ in rounds), min(cpu for _, cpu in rounds)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def report(name: str, seconds: tuple[float, float], count: int) -> None:
    """One line: microseconds each."""
    wall, cpu = seconds
    print(f"{name:28} {wall / count * 1e6:8.2f} µs each   cpu {cpu / count * 1e6:7.2f} µs")


if __name__ == "__main__":
    main()
