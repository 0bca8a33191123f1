#!/usr/bin/env python3
"""Whether all example workflows come out with identical bytes when they are replayed on this machine.

    python benchmarks/replay_examples.py [--quick]

Copies `workflows/` into a folder, runs each file from the command line without a cache, so that each saves
pictures of its own and is recorded, and then replays all records: `graphengine verify`, in one process that shares
what runs have in common, and once more a picture by itself: `graphengine replay`. The explained example trains
small networks and takes minutes; `--quick` leaves it out. Exit code 1 when one is not identical.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def graphengine(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command line in the folder."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "nodes")])
    environ = {**os.environ, "PYTHONPATH": path, "GRAPHENGINE_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "graphengine.cli", *words]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)


def cpu_seconds() -> float:
    """CPU seconds of all commands so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Run, then replay."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="leave out the explained example")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(ROOT / "workflows", folder, dirs_exist_ok=True)
        files = sorted(path.name for path in folder.glob("*.json"))
        files = [file for file in files if not args.quick or "explained" not in file]
        before = cpu_seconds()
        for file in files:
            done = graphengine(folder, "run", file, "--quiet", "--no-cache", "--device", "cpu")
            if done.returncode:
                sys.exit(f"{file}: {done.stderr}")
        ran = cpu_seconds() - before
        sys.exit(0 if verified(folder, len(files), ran) and replayed(folder) else 1)


def verified(folder: Path, count: int, ran: float) -> bool:
    """Whether all records come out identical; says so."""
    before = cpu_seconds()
    told = json.loads(graphengine(folder, "verify", "--json").stdout)
    took = cpu_seconds() - before
    for run in told["runs"]:
        files = len(run["replay"]["files"]) if run["replay"] else 0
        print(f"{run['file']}: {run['told']}, {files} file{'' if files == 1 else 's'}")
    same = sum(bool(run["replay"]) and run["replay"]["level"] == "bytes" for run in told["runs"])
    print(f"{same} of {count} runs with identical bytes; running took {ran:.1f} s of CPU, replaying {took:.1f} s")
    return same == count == len(told["runs"])


def replayed(folder: Path) -> bool:
    """Whether a picture alone comes out identical; says so."""
    picture = sorted((folder / "output").glob("*.png"))[0]
    told = json.loads(graphengine(folder, "replay", str(picture), "--json").stdout)
    print(f"{picture.name} by itself: {told['level']}")
    return bool(told["level"] == "bytes")


if __name__ == "__main__":
    main()
