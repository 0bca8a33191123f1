#!/usr/bin/env python3
"""Kills processes that write to one store at random moments, and looks whether anything is damaged or wrong.

    python benchmarks/store_crashes.py [--kills 200] [--writers 4] [--folder FOLDER]

Several writers at once put entries whose values follow from their keys: whole numbers, texts, tensors in the index
and tensors in blobs, once under a limit so small that entries are evicted all the time, once without. Each is
killed (SIGKILL) at a random moment and followed by another one. A writer tells in a file what `put` has accepted
so that the end knows what must be there. At the end every entry is read and every blob hashed.

Printed: kills, entries put, damaged entries, wrong values, warnings, and results that were lost.
"""

import argparse
import json
import logging
import os
import random
import signal
import tempfile
import time
from pathlib import Path

from graphengine.cache.disk import DiskStore
from graphengine.cache.store import Made, Outputs
from graphengine.cache.upkeep import collect, verify

KEYS = 400
LIMIT_BYTES = 12_000_000
SLOW = Made("Slow", 1.0)
QUICK = Made("Quick", 0.0)


def value_of(key: int) -> object:
    """What belongs under a key."""
    import torch  # only writers and the last look need it

    match key % 4:
        case 0:
            return key
        case 1:
            return f"{key} " * 20_000
        case 2:
            return {"samples": torch.full((1, 4, 16, 16), float(key))}
        case _:
            return torch.arange(40_000, dtype=torch.int32) + key


def equal(left: object, right: object) -> bool:
    """Whether two values of `value_of` are the same."""
    import torch  # only writers and the last look need it

    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(left[name], right[name]) for name in left)
    if isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor):
        return torch.equal(left, right)
    return type(left) is type(right) and left == right


def write(folder: Path, told: Path, seed: int, limit: int) -> None:
    """Put and get entries until killed; a line for each that was put, and for each that is wrong."""
    chance = random.Random(seed)
    with told.open("a", buffering=1) as lines, DiskStore(folder, limit_bytes=limit) as store:
        while True:
            key = chance.randrange(KEYS)
            made = SLOW if chance.random() < 0.3 else QUICK
            if (found := store.get(f"key{key}")) is not None and not equal(found.slots[0][0], value_of(key)):
                print(f"wrong {key}", file=lines)
            if store.put(f"key{key}", Outputs(((value_of(key),),), made=made)):
                print(f"kept {key}", file=lines)
            if chance.random() < 0.1:
                store.alias(f"alias{key}", f"key{key}")
            if chance.random() < 0.005:
                collect(store, [], time.time())


def start(folder: Path, seed: int, limit: int) -> int:
    """The process of a new writer: a fork, which is quicker than to import everything again."""
    process = os.fork()
    if process == 0:
        log = os.open(folder / "warnings", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 2)
        try:
            write(folder / "cache", folder / "told", seed, limit)
        finally:
            os._exit(1)
    return process


def crash(folder: Path, kills: int, writers: int, limit: int, seed: int) -> dict[str, object]:
    """Kill `kills` writers, and what is found then."""
    chance = random.Random(seed)
    running = [start(folder, seed + number, limit) for number in range(writers)]
    for number in range(kills):
        time.sleep(chance.uniform(0.0, 0.5))
        victim = running.pop(chance.randrange(len(running)))
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
        if number + writers < kills:
            running.append(start(folder, seed + writers + number, limit))
    lines = (folder / "told").read_text().splitlines()
    kept = {int(line.split()[1]) for line in lines if line.startswith("kept ")}
    wrong = [line for line in lines if line.startswith("wrong")]
    left = list((folder / "cache" / "v2" / "tmp").iterdir())
    with DiskStore(folder / "cache", limit_bytes=limit) as store:
        damaged = verify(store).damaged
        entries = store.stats().entries
        wrong += [f"wrong {key}" for key in range(KEYS) if not sound(store, key)]
        evicted = store.evictions([f"key{key}" for key in kept])
        lost = [key for key in kept if store.peek(f"key{key}") is None and f"key{key}" not in evicted]
    return {
        "kills": kills,
        "accepted": len(lines) - len(wrong),
        "entries at the end": entries,
        "evicted": len(evicted),
        "damaged": len(damaged),
        "wrong": len(wrong),
        "lost": len(lost),
        "warnings": sorted(set((folder / "warnings").read_text().splitlines()))[:5],
        "temporary files": len(left),
    }


def sound(store: DiskStore, key: int) -> bool:
    """Whether what is kept under a key is what belongs there; nothing is sound, too."""
    for name in (f"key{key}", f"alias{key}"):
        found = store.get(name)
        if found is not None and not equal(found.slots[0][0], value_of(key)):
            return False
    return True


def main() -> None:
    """Crash twice, with a limit that evicts all the time and without one, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--folder", type=Path, help="where to make the temporary cache folder")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    import torch  # before the forks

    torch.set_num_threads(1)  # a fork has none of its parent's threads, and would wait for them
    for name, limit in (("evicting", LIMIT_BYTES), ("unlimited", 10**12)):
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            found = crash(Path(folder), args.kills // 2, args.writers, limit, args.seed)
        print(name, json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
