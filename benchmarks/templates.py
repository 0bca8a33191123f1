#!/usr/bin/env python3
"""How many of the official templates and blueprints can be read and converted.

    pip download --no-deps comfyui-workflow-templates-json comfyui-workflow-templates-core \\
        comfyui-subgraph-blueprints --dest templates
    python benchmarks/templates.py templates [--definitions OBJECT_INFO.json] [--list]

PATH is a wheel, a folder, or a folder of wheels. A document counts as converted when no problem of severity error
was found. `known` are documents all of whose node types the definitions have; the validation of all others must
name each unknown one. JSON without nodes (an index, translations) is counted apart.
"""

import argparse
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from graphengine.cli.definitions import read_definitions
from graphengine.engine import Engine
from graphengine.errors import WorkflowFormatError
from graphengine.graph.validate import validate
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.settings import load_settings
from graphengine.workflow.formats import read_document, to_workflow


@dataclass
class Tally:
    """Counts of one package."""

    documents: int = 0
    parsed: int = 0
    known: int = 0
    known_converted: int = 0
    named: int = 0
    other_json: int = 0
    nodes: int = 0
    refused: list[str] = field(default_factory=list)
    problems: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        """Count what another package has."""
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


def json_files(path: Path) -> Iterator[tuple[str, str, bytes]]:
    """Package, name and bytes of each JSON file in a folder, a wheel or the wheels of a folder."""
    if path.is_file():
        with zipfile.ZipFile(path) as wheel:
            for name in sorted(wheel.namelist()):
                if name.endswith(".json") and ".dist-info/" not in name:
                    yield "-".join(path.name.split("-")[:2]), name, wheel.read(name)
        return
    for wheel_file in sorted(path.glob("*.whl")):
        yield from json_files(wheel_file)
    for file in sorted(path.rglob("*.json")):
        yield path.name, str(file), file.read_bytes()


def count(tally: Tally, name: str, data: bytes, definitions: NodeRegistry) -> None:
    """Read and convert one file."""
    if b'"nodes"' not in data and b'"class_type"' not in data:
        tally.other_json += 1
        return
    tally.documents += 1
    try:
        document = read_document(data)
    except WorkflowFormatError as error:
        tally.refused.append(f"{name}: {error.message}")
        return
    tally.parsed += 1
    conversion = to_workflow(document, definitions)
    nodes = conversion.workflow.nodes.values()
    tally.nodes += len(nodes)
    unknown = {node.class_type for node in nodes if node.class_type not in definitions}
    tally.unknown.update(unknown)
    errors = [problem for problem in conversion.problems if problem.severity == "error"]
    if unknown:
        tally.named += unknown <= {
            problem.class_type for problem in validate(conversion.workflow, definitions, Folders())
        }
    else:
        tally.known += 1
        tally.known_converted += not errors
        tally.problems.update(f"{problem.code}: {name}: {problem}" for problem in errors)


def row(name: str, tally: Tally) -> str:
    """One line of the table."""
    rest = tally.parsed - tally.known
    return (
        f"{name:<44}{tally.documents:>10}{tally.parsed:>8}{tally.known:>8}"
        f"{f'{tally.known_converted}/{tally.known}':>11}{f'{tally.named}/{rest}':>15}"
        f"{len(tally.unknown):>9}{tally.nodes:>8}{tally.other_json:>12}"
    )


def main() -> None:
    """Read everything and print a table, what was refused, and the unknown classes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, nargs="+")
    parser.add_argument("--definitions", type=Path, help="a saved /object_info; default: the installed nodes")
    parser.add_argument("--list", action="store_true", help="name all unknown classes, not only the most frequent")
    args = parser.parse_args()
    definitions = (
        read_definitions(args.definitions)
        if args.definitions is not None
        else Engine.from_settings(load_settings(no_cache=True, environ={})).registry
    )
    started = time.perf_counter()
    tallies: dict[str, Tally] = {}
    for path in args.path:
        for package, name, data in json_files(path):
            count(tallies.setdefault(package, Tally()), name, data, definitions)
    taken = time.perf_counter() - started
    total = Tally()
    print(f"{'package':<44}{'documents':>10}{'parsed':>8}{'known':>8}{'converted':>11}{'unknown named':>15}"
          f"{'classes':>9}{'nodes':>8}{'other JSON':>12}")  # fmt: skip
    for package, tally in tallies.items():
        print(row(package, tally))
        total.add(tally)
    print(row("all", total))
    print(f"\n{len(definitions)} definitions; {taken:.1f} s")
    for line in (*total.refused, *total.problems):
        print(f"  {line}")
    shown = total.unknown.most_common(None if args.list else 12)
    print(f"\nunknown classes, by documents: {', '.join(f'{name} ({times})' for name, times in shown)}")


if __name__ == "__main__":
    main()
