#!/usr/bin/env python3
"""What conversion of the editor's document costs per node: it must be linear in the size of what is converted.

    python benchmarks/ui_conversion.py [--repeat 5]

The documents are chains in which every second node is an instance of a subgraph of ten nodes (a reroute, a
bypassed node and a promoted value among them). Printed is CPU time for reading the JSON and for the conversion,
the best of the repeats; nodes inside of instances count.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

from graphengine.node.definition import InputSpec, NodeDefinition, OutputSpec
from graphengine.workflow.formats import read_document
from graphengine.workflow.ui_format import convert_ui

SIZES = (1_000, 10_000, 50_000)
REFINE = "9f76cdf2-b272-41bd-8228-bd7850366c83"
STEP = NodeDefinition(
    "Step",
    {"model": InputSpec("model", "MODEL"), "amount": InputSpec("amount", "FLOAT")},
    (OutputSpec("model", "MODEL"),),
)


# Any: documents are open-ended JSON.
def node(id_: int, type_: str, link: int | None, *, widget: int | None = None, mode: int = 0) -> dict[str, Any]:
    """A node with one input, a widget and one output."""
    amount = {"name": "amount", "type": "FLOAT", "link": widget, "widget": {"name": "amount"}}
    return {
        "id": id_,
        "type": type_,
        "mode": mode,
        "inputs": [{"name": "model", "type": "MODEL", "link": link}, amount],
        "outputs": [{"name": "model", "type": "MODEL", "links": []}],
        "widgets_values": [0.5],
    }


def refine() -> dict[str, Any]:
    """The subgraph: eight steps, a reroute and a bypassed step in a chain; the first has a promoted amount."""
    nodes = [node(at, "Step", at, widget=100 if at == 1 else None) for at in range(1, 9)]
    nodes += [node(9, "Reroute", 9), node(10, "Step", 10, mode=4)]
    ends = [(at, at - 1 if at > 1 else -10, at if at < 11 else -20, 0) for at in range(1, 12)]
    names = ("id", "origin_id", "target_id", "target_slot")
    links = [dict(zip(names, row, strict=True)) | {"origin_slot": 0, "type": "MODEL"} for row in ends]
    links.append(
        {"id": 100, "origin_id": -10, "origin_slot": 1, "target_id": 1, "target_slot": 1, "type": "FLOAT"}
    )
    inputs = [{"name": "model", "linkIds": [1]}, {"name": "amount", "linkIds": [100]}]
    outputs = [{"name": "model", "linkIds": [11]}]
    return {"id": REFINE, "name": "Refine", "nodes": nodes, "links": links, "inputs": inputs, "outputs": outputs}


def document(size: int) -> tuple[bytes, int]:
    """A document of about `size` nodes, with those inside of instances, and their exact number."""
    nodes, links, count = [node(1, "Step", None)], [], 1
    while count < size:
        at = len(nodes) + 1
        type_ = REFINE if at % 2 else "Reroute" if at % 5 == 0 else "Step"
        links.append([at, at - 1, 0, at, 0, "MODEL"])
        nodes.append(node(at, type_, at))
        count += 11 if type_ == REFINE else 1
    raw = {"nodes": nodes, "links": links, "version": 0.4, "definitions": {"subgraphs": [refine()]}}
    return json.dumps(raw).encode(), count


def best(action: Callable[[], object], repeat: int) -> float:
    """The least CPU time of some repeats, in seconds."""
    times = []
    for _ in range(repeat):
        begun = time.process_time()
        action()
        times.append(time.process_time() - begun)
    return min(times)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    print(f"{'nodes':>8} {'read ms':>9} {'convert ms':>11} {'µs per node':>12}")
    for size in SIZES:
        data, count = document(size)
        ui = read_document(data).ui
        if ui is None or convert_ui(ui, {"Step": STEP}).problems:
            raise SystemExit("the document was not read as it was meant")
        read = best(lambda data=data: read_document(data), repeat)  # type: ignore[misc]
        convert = best(lambda ui=ui: convert_ui(ui, {"Step": STEP}), repeat)  # type: ignore[misc]
        print(f"{count:>8,} {read * 1e3:>9.1f} {convert * 1e3:>11.1f} {convert / count * 1e6:>12.1f}")


if __name__ == "__main__":
    main()
