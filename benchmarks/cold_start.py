#!/usr/bin/env python3
"""What `graphengine` costs in a new process, without custom packs and with many of them.

    python benchmarks/cold_start.py [WORKFLOW] [--packs 40] [--repeat 5]

CPU seconds of whole processes (minimum and median), how many modules of packs were imported, and whether torch
was. `validate`, a run and a fully cached run of a workflow that needs no pack take turns with and without packs;
the last rows are of a workflow with nodes of every second pack.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROBE = (
    "import sys\n"
    "from graphengine.cli import main\n"
    "code = main(sys.argv[1:])\n"
    "packs = [name for name in sys.modules if name.startswith('graphengine_pack_')]\n"
    "print(f\"{len(packs)} modules of packs, torch {'imported' if 'torch' in sys.modules else 'not imported'}\")\n"
    "sys.exit(code)\n"
)
HELPER = '''"""A module of a synthetic pack."""

from . import helper_{next}

FACTOR = {number}
NAMES = {names!r}


def scale(value: int) -> int:
    """The value times a number."""
    return value * FACTOR
'''
NODE = '''

class {name}:
    """A node of a synthetic pack."""

    RETURN_TYPES = ("INT", "STRING")
    FUNCTION = "run"
    CATEGORY = "synthetic"

    @classmethod
    def INPUT_TYPES(cls):
        return {{
            "required": {{
                "value": ("INT", {{"default": 0, "min": -1000, "max": 100000, "tooltip": "a number"}}),
                "mode": (["fast", "good", "best"], {{"default": "good"}}),
                "model": (["None"] + folder_paths.get_filename_list("loras"),),
            }},
            "optional": {{"image": ("IMAGE",), "text": ("STRING", {{"multiline": True}})}},
        }}

    def run(self, value, mode, model, image=None, text=""):
        return (helper_0.scale(value), mode)
'''


def write_packs(folder: Path, count: int) -> None:
    """Write packs of 5 to 60 files and as many nodes as files; every third imports torch when it is imported."""
    for number in range(count):
        size = 5 + number * 55 // max(count - 1, 1)
        pack = folder / f"synthetic-{number:02}"
        pack.mkdir(parents=True)
        names = [f"Synthetic{number}Node{index}" for index in range(size)]
        head = "import folder_paths\n" + ("import torch\n" if number % 3 == 0 else "") + "from . import helper_0\n"
        table = "\n\nNODE_CLASS_MAPPINGS = {" + ", ".join(f'"{name}": {name}' for name in names) + "}\n"
        (pack / "__init__.py").write_text(head + "".join(NODE.format(name=name) for name in names) + table)
        for index in range(size - 1):
            words = [f"a choice {index}.{word}" for word in range(200)]
            text = HELPER.format(next=min(index + 1, size - 2), number=index + 1, names=words)
            (pack / f"helper_{index}.py").write_text(text)


def write_workflow(file: Path, packs: int) -> None:
    """Write a workflow with two nodes of every second pack, whose last number is shown."""
    nodes: dict[str, object] = {}
    value: object = 1
    for number in range(0, packs, 2):
        for index in range(2):
            inputs = {"value": value, "mode": "fast", "model": "None"}
            key = f"{number}-{index}"
            nodes[key] = {"class_type": f"Synthetic{number}Node{index}", "inputs": inputs}
            value = [key, 0]
    nodes["show"] = {"class_type": "PreviewAny", "inputs": {"source": value}}
    file.write_text(json.dumps(nodes))


def measure(arguments: list[str], environment: dict[str, str]) -> tuple[float, str]:
    """CPU seconds and the last line of one `graphengine` process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, check=True, env=environment
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, done.stdout.strip().splitlines()[-1]


def row(title: str, runs: list[tuple[float, str]]) -> None:
    """Print a line of the table."""
    seconds = [run[0] for run in runs]
    print(f"{title:<44}{min(seconds):>8.2f}{statistics.median(seconds):>8.2f}   {runs[-1][1]}", flush=True)


def compare(
    title: str,
    command: list[str],
    folder: Path,
    names: dict[str, str],
    repeat: int,
    environment: dict[str, str],
) -> None:
    """Run a command in turns with each folder of packs, and print how much the last costs over the first.

    The first turn, which indexes the packs, does not count.
    """
    runs: dict[str, list[tuple[float, str]]] = {packs: [] for packs in names}
    for packs in names:
        measure([*command, f"{folder}/{packs}"], environment)
    for _ in range(repeat):
        for packs, found in runs.items():
            found.append(measure([*command, f"{folder}/{packs}"], environment))
    for packs, name in names.items():
        row(f"{title}, {name}", runs[packs])
    few, many = (statistics.median(run[0] for run in found) for found in runs.values())
    print(f"{'':<44}{(many / few - 1) * 100:>+15.1f} %", flush=True)


def main() -> None:
    """Fill a cache, then run again and again, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workflow", type=Path, nargs="?", default=ROOT / "workflows" / "img2img.json")
    parser.add_argument("--packs", type=int, default=40)
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = {**os.environ, "GRAPHENGINE_CACHE": f"{folder}/cache"}
        (folder / "none").mkdir()
        write_packs(folder / "many", args.packs)
        own = folder / "own.json"
        write_workflow(own, args.packs)
        run = ["run", str(args.workflow), "--output", f"{folder}/output", "--custom-nodes"]
        trusted = [word for pack in sorted((folder / "many").iterdir()) for word in ("--trust", pack.name)]
        run_own = ["run", str(own), "--output", f"{folder}/output", *trusted, "--custom-nodes", f"{folder}/many"]
        print(f"{'CPU seconds':<44}{'min':>8}{'median':>8}")
        row("first run", [measure([*run, f"{folder}/none"], environment)])
        names = {"none": "no packs", "many": f"{args.packs} packs"}
        commands = {
            "validate": ["validate", str(args.workflow), "--custom-nodes"],
            "run, nothing cached": [*run[:-1], "--no-cache", "--custom-nodes"],
            "run, all cached": run,
        }
        for title, command in commands.items():
            compare(title, command, folder, names, args.repeat, environment)
        row("nodes of packs: first run", [measure(run_own, environment)])
        row("nodes of packs: cached run", [measure(run_own, environment) for _ in range(args.repeat)])
        validate = ["validate", str(own), *trusted, "--custom-nodes", f"{folder}/many"]
        row("nodes of packs: validate", [measure(validate, environment) for _ in range(args.repeat)])


if __name__ == "__main__":
    main()
