#!/usr/bin/env python3
"""What a sweep costs against as many separate runs with an empty cache.

    python benchmarks/sweep.py [WORKFLOW] [--seeds 8] [--cfg 1,2.5,7] [--threads 1]

CPU seconds of whole processes, and wall seconds, which depend on what else the machine does. Each separate run
gets the values of one cell, and no cache on disk. The number of torch's threads is fixed, since threads that wait
for each other cost CPU time too.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

ROOT = Path(__file__).parent.parent
CODE = "import sys; from graphengine.cli import main; sys.exit(main(sys.argv[1:]))"


def timed(arguments: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """CPU and wall seconds of one `graphengine` process."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", CODE, *arguments], capture_output=True, check=True, env=environment)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - begun
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def main() -> None:
    """Make the sweep, then each run of it alone, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workflow", type=Path, nargs="?", default=ROOT / "workflows" / "txt2img.json")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--cfg", default="1,2.5,7")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    cells = list(product(range(1, args.seeds + 1), args.cfg.split(",")))
    path = os.pathsep.join([str(ROOT), str(ROOT / "nodes")])
    environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads), "PYTHONPATH": path}
    with tempfile.TemporaryDirectory() as folder:
        command = ["run", str(args.workflow), "--device", "cpu", "--output", f"{folder}/output", "--quiet"]
        axes = ["--sweep", f"KSampler.seed=1..{args.seeds}", "--sweep", f"KSampler.cfg={args.cfg}"]
        sweep = timed([*command, "--cache", f"{folder}/cache", *axes], environment)
        single = [
            timed([*command, "--no-cache", "--seed", str(seed), "--set", f"KSampler.cfg={cfg}"], environment)
            for seed, cfg in cells
        ]
    separate = [sum(run[index] for run in single) for index in (0, 1)]
    print(f"{'':<32}{'CPU s':>8}{'wall s':>8}")
    print(f"{f'one sweep of {len(cells)} runs':<32}{sweep[0]:>8.1f}{sweep[1]:>8.1f}")
    print(f"{f'{len(cells)} processes, no cache':<32}{separate[0]:>8.1f}{separate[1]:>8.1f}")
    print(f"{'ratio':<32}{separate[0] / sweep[0]:>8.2f}{separate[1] / sweep[1]:>8.2f}")


if __name__ == "__main__":
    main()
