#!/usr/bin/env python3
"""Loads every pack of a folder, each in a process of its own, and prints what came of it.

    python benchmarks/packs.py FOLDER [--timeout 120] [--prestartup] [--json FILE]

For each pack: whether it loads or why not, how many nodes it has, seconds of its import, and what it changed of
what all code in a process shares. The exit code is 1 when one does not load. The packs run their code: only for
packs that you trust.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from graphengine.engine import Engine
from graphengine.packs.definitions import PackDefinitions
from graphengine.packs.discover import Pack, custom_packs
from graphengine.packs.import_policy import ImportPolicy
from graphengine.settings import load_settings

_WIDTH = 110


@dataclass(frozen=True, slots=True)
class Report:
    """What came of one pack. `reason` is why it does not load; `unreadable` are nodes that cannot be used."""

    name: str
    nodes: int = 0
    seconds: float = 0.0
    reason: str = ""
    hint: str = ""
    unreadable: tuple[str, ...] = ()
    changes: tuple[str, ...] = field(default=())


def load_here(folder: Path, name: str, base: Path, policy: ImportPolicy) -> Report:
    """Load a pack in this process, as a run does: with an engine's nodes and folders around it."""
    pack = next(pack for pack in custom_packs([folder]) if pack.name == name)
    settings = load_settings(base_dir=base, custom_nodes=[base], no_cache=True, environ={}, device="cpu")
    with Engine.from_settings(settings) as engine:
        packs = PackDefinitions([pack], policy=policy)
        packs.surroundings = engine.packs.surroundings
        start = time.perf_counter()
        try:
            loaded = packs.load(pack)
        except Exception as error:  # noqa: BLE001 (whatever it is belongs in the table)
            text = str(error) if hasattr(error, "hint") else f"{type(error).__name__}: {error}"
            return Report(name, 0, time.perf_counter() - start, text, getattr(error, "hint", None) or "")
        seconds = time.perf_counter() - start
    told = {problem.code: [] for problem in loaded.problems}
    for problem in loaded.problems:
        told[problem.code].append(
            problem.message.removeprefix(f"pack {name!r} ").removesuffix(" (when it was loaded)")
        )
    unreadable = tuple(told.pop("unreadable_node", ()))
    return Report(
        name,
        len(loaded.definitions),
        seconds,
        "",
        "",
        unreadable,
        tuple(text for texts in told.values() for text in texts),
    )


def load_elsewhere(folder: Path, pack: Pack, args: argparse.Namespace) -> Report:
    """Load a pack in a process of its own; one that crashes or hangs is a report too."""
    command = [sys.executable, __file__, str(folder), "--one", pack.name, "--timeout", str(args.timeout)]
    with tempfile.TemporaryDirectory() as base:
        ended = "did not end and was stopped"
        try:
            done = subprocess.run(
                [*command, *(["--prestartup"] if args.prestartup else []), "--base", base],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=args.timeout + 60,
            )
            last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
            ended = f"ended with code {done.returncode}: {''.join(last)}"
        except subprocess.TimeoutExpired:
            pass  # what it had written until then counts
        file = Path(base) / "report.json"
        if file.is_file():
            found = json.loads(file.read_text())
            return Report(
                **{**found, "unreadable": tuple(found["unreadable"]), "changes": tuple(found["changes"])}
            )
    return Report(pack.name, 0, 0.0, f"its process {ended}")


def show(report: Report) -> None:
    """Print the lines of a pack."""
    state = "no" if report.reason else "yes"
    print(f"{report.name[:40]:<42}{state:<7}{report.nodes:>5}{report.seconds:>9.1f}", flush=True)
    lines = [report.reason, f"hint: {report.hint}" if report.hint else "", *report.unreadable, *report.changes]
    for line in filter(None, lines):
        print(f"    {line if len(line) <= _WIDTH * 3 else line[: _WIDTH * 3] + '…'}")


def main() -> int:
    """Load the packs of a folder and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds for the import of one pack")
    parser.add_argument("--prestartup", action="store_true", help="run prestartup_script.py of packs too")
    parser.add_argument("--json", type=Path, help="write all that was found to this file")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--base", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not args.folder.is_dir():
        parser.error(f"there is no folder {str(args.folder)!r}")
    policy = ImportPolicy(args.timeout, every_prestartup=args.prestartup)
    if args.one is not None:
        report = load_here(args.folder, args.one, args.base, policy)
        (args.base / "report.json").write_text(json.dumps(asdict(report)))
        os._exit(0)  # threads that the pack left behind are not waited for
    print(f"{'pack':<42}{'loads':<7}{'nodes':>5}{'seconds':>9}")
    reports = []
    for pack in custom_packs([args.folder]):
        reports.append(load_elsewhere(args.folder, pack, args))
        show(reports[-1])
    good = sum(1 for report in reports if not report.reason)
    print(f"{good} of {len(reports)} packs load, with {sum(report.nodes for report in reports)} nodes")
    if args.json is not None:
        args.json.write_text(json.dumps([asdict(report) for report in reports], indent=2))
    return 0 if good == len(reports) else 1


if __name__ == "__main__":
    sys.exit(main())
