#!/usr/bin/env python3
"""What a fully cached `graphengine run` costs in a new process, against the first run.

    python benchmarks/cached_run.py [WORKFLOW] [--repeat 5]

CPU and wall seconds of whole processes, minimum and median; and whether torch was imported.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROBE = (
    "import sys\n"
    "from graphengine.cli import main\n"
    "code = main(sys.argv[1:])\n"
    "print('torch imported:', 'torch' in sys.modules)\n"
    "sys.exit(code)\n"
)


def timed(arguments: list[str], environment: dict[str, str]) -> tuple[float, float, str]:
    """CPU seconds, wall seconds and the last line of one `graphengine` process."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, check=True, env=environment
    )
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - begun
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, wall, done.stdout.strip().splitlines()[-1]


def main() -> None:
    """Run once with an empty cache and then several times, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workflow", type=Path, nargs="?", default=ROOT / "workflows" / "img2img.json")
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "GRAPHENGINE_CACHE": f"{folder}/cache"}
        command = ["run", str(args.workflow), "--output", f"{folder}/output"]
        first = timed(command, environment)
        again = [timed(command, environment) for _ in range(args.repeat)]
    print(f"{'':<24}{'CPU s':>8}{'wall s':>8}")
    print(f"{'first run':<24}{first[0]:>8.2f}{first[1]:>8.2f}   {first[2]}")
    for name, pick in (("cached run, minimum", min), ("cached run, median", statistics.median)):
        cpu, wall = pick([run[0] for run in again]), pick([run[1] for run in again])
        print(f"{name:<24}{cpu:>8.2f}{wall:>8.2f}   {again[-1][2]}")


if __name__ == "__main__":
    main()
