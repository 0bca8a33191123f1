#!/usr/bin/env python3
"""What documents cost that are made to be dear: each must be converted or refused in about a second.

    python benchmarks/hostile_documents.py [NAME…]

Each document is read and converted in a process of its own. Printed are the size of its JSON, CPU time, the peak
of memory above that of the bare process, and what came of it: the nodes that run and the codes of the problems, or
the refusal.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from graphengine.errors import WorkflowFormatError
from graphengine.node.definition import InputSpec, NodeDefinition, OutputSpec
from graphengine.workflow.formats import read_document, to_workflow

STEP = NodeDefinition(
    "Step",
    {"model": InputSpec("model", "MODEL"), "amount": InputSpec("amount", "FLOAT")},
    (OutputSpec("model", "MODEL"),),
)
SECOND = 1.0
# Any: documents are open-ended JSON.
Json = dict[str, Any]
#: origin, its output, target, its input
Ends = tuple[int | str, int, int | str, int]


def node(id_: int | str, type_: str, links: Iterable[int | None] = (), /, **more: Any) -> Json:
    """A node with one input for each link, all of one type."""
    inputs = [{"name": f"in{at}", "type": "MODEL", "link": link} for at, link in enumerate(links)]
    return {"id": id_, "type": type_, "inputs": inputs, "outputs": [{"name": "out", "type": "MODEL"}], **more}


def rows(ends: Iterable[Ends]) -> list[list[Any]]:
    """Links of a document of version 0.4, numbered from 1."""
    return [[at, *each, "MODEL"] for at, each in enumerate(ends, 1)]


def document(nodes: list[Json], ends: Iterable[Ends] = (), **more: Any) -> Json:
    """A document of the editor; links are numbered from 1."""
    return {"nodes": nodes, "links": rows(ends), "version": 0.4, **more}


def uuid(number: int) -> str:
    """The id of a subgraph."""
    return f"00000000-0000-4000-8000-{number:012}"


def subgraph(
    number: int, nodes: list[Json], ends: Iterable[Ends] = (), inputs: Iterable[str] = (), outputs: int = 0
) -> Json:
    """The definition of a subgraph; origin -10 are its inputs, target -20 its outputs."""
    return {
        "id": uuid(number),
        "name": f"Graph {number}",
        "nodes": nodes,
        "links": rows(ends),
        "inputs": [{"name": name} for name in inputs],
        "outputs": [{"name": f"out{at}"} for at in range(outputs)],
    }


def with_subgraphs(raw: Json, *defined: Json) -> Json:
    """The document with definitions of subgraphs."""
    return {**raw, "definitions": {"subgraphs": list(defined)}}


def many_slots(count: int = 20_000, mode: int = 0) -> Json:
    """A node with thousands of linked inputs, whose output thousands of nodes take."""
    wide = node(2, "Step", range(1, count + 1), mode=mode)
    ends: list[Ends] = [(1, 0, 2, at) for at in range(count)]
    takers = [node(at, "Step", [count + at]) for at in range(3, 2_000)]
    ends += [(0, 0, 0, 0), (0, 0, 0, 0), *((2, 0, taker["id"], 0) for taker in takers)]
    return document([node(1, "Step"), wide, *takers], ends)


def many_types(count: int = 5_000) -> Json:
    """A bypassed node with thousands of inputs, whose output is taken by inputs of as many types."""
    raw = many_slots(count, mode=4)
    for at, slot in enumerate(raw["nodes"][1]["inputs"]):
        slot["type"] = f"A{at}"
    for at, taker in enumerate(raw["nodes"][2:]):
        taker["inputs"][0]["type"] = f"B{at}"
    return raw


def group(count: int = 10_000, linked: bool = False) -> Json:
    """A group node of thousands of nodes."""
    inner = [node(at, "Step", [None, None], widgets_values=[1]) for at in range(count)]
    links = [[at, 0, at + 1, 0, 1, "MODEL"] for at in range(count - 1)] if linked else []
    extra = {"groupNodes": {"Large": {"nodes": inner, "links": links, "external": []}}}
    return document([node(1, "workflow>Large")], extra=extra)


def everywhere(senders: int = 200, inputs: int = 5_000, pattern: str = "", label: str = "") -> Json:
    """Anything-Everywhere nodes and open inputs, each of which any of them may feed."""
    rules = {"title_regex": pattern, "version": 7} if pattern else {}
    sending = [
        node(at, "Anything Everywhere", [at], properties={"ue_properties": rules}) for at in range(1, senders + 1)
    ]
    takers = [node(f"t{at}", "Step", [None], title=f"{label}{at}") for at in range(inputs)]
    return document(
        [node("source", "Step"), *sending, *takers], [("source", 0, at, 0) for at in range(1, senders + 1)]
    )


def everywhere_in_one_node(inputs: int = 20_000) -> Json:
    """One sender, and a node whose thousands of open inputs it feeds."""
    raw = everywhere(1, 0)
    raw["nodes"].append(node("wide", "Step", [None] * inputs))
    return raw


def everywhere_past_bypassed(count: int = 3_000) -> Json:
    """A sender, a chain of bypassed nodes, and inputs that hang on its end."""
    raw = chain(count, "Step", mode=4)
    raw["nodes"] += [node("e", "Anything Everywhere", ["x"])]
    raw["links"].append(["x", 0, 0, "e", 0, "MODEL"])
    for at in range(count):
        raw["nodes"].append(node(f"t{at}", "Step", [f"l{at}"]))
        raw["links"].append([f"l{at}", count, 0, f"t{at}", 0, "MODEL"])
    return raw


def deep(levels: int, inner: int = 100) -> Json:
    """Subgraphs within each other, and nodes in the last one."""
    graphs = [subgraph(at, [node("n" * 60, uuid(at + 1))]) for at in range(1, levels)]
    graphs.append(subgraph(levels, [node(at, "Step") for at in range(inner)]))
    return with_subgraphs(document([node("n" * 60, uuid(1))]), *graphs)


def used_often(times: int = 5_000, inner: int = 1, **more: Any) -> Json:
    """One subgraph with thousands of instances."""
    nodes = [node(at, "Step", [at + 1], **({"widgets_values": [1]} | more)) for at in range(inner)]
    ends: list[Ends] = [(-10, 0, 0, 0), *((at, 0, at + 1, 0) for at in range(inner - 1))]
    graph = subgraph(1, nodes, [*ends, (inner - 1, 0, -20, 0)], ["in0"], 1)
    chained = [node(at, uuid(1), [at or None]) for at in range(times)]
    return with_subgraphs(document(chained, [(at, 0, at + 1, 0) for at in range(times - 1)]), graph)


def wide_inside(times: int = 2_000, slots: int = 10_000) -> Json:
    """One node with thousands of inputs in a subgraph with thousands of instances."""
    graph = subgraph(1, [node(1, "Step", range(1, slots + 1))], [(-10, at, 1, at) for at in range(slots)], ["a"])
    return with_subgraphs(document([node(at, uuid(1)) for at in range(times)]), graph)


def values_inside(times: int = 2_000, values: int = 10_000) -> Json:
    """One node with thousands of widget values in a subgraph with thousands of instances."""
    graph = subgraph(1, [node(1, "Odd", widgets_values={f"v{at}": at for at in range(values)})])
    return with_subgraphs(document([node(at, uuid(1)) for at in range(times)]), graph)


def text_inside(times: int = 5_000, key: str = "title", length: int = 1_000_000) -> Json:
    """One long text in a subgraph with thousands of instances."""
    text = {"title": {"title": "x" * length}, "value": {"widgets_values": {"amount": "x" * length}}}[key]
    return used_often(times, **text)


def bomb(levels: int = 10, times: int = 10) -> Json:
    """Subgraphs that each hold several instances of the next."""
    graphs = [subgraph(level, [node(at, uuid(level + 1)) for at in range(times)]) for level in range(1, levels)]
    graphs.append(subgraph(levels, [node(1, "Step")]))
    return with_subgraphs(document([node(1, uuid(1))]), *graphs)


def one_output(count: int = 50_000) -> Json:
    """An output with as many links as a document can hold."""
    takers = [{"id": at, "type": "S", "inputs": [{"name": "a", "link": at}]} for at in range(1, count + 1)]
    return document([node("source", "Step"), *takers], [("source", 0, at, 0) for at in range(1, count + 1)])


def chain(count: int = 5_000, type_: str = "Reroute", mode: int = 0) -> Json:
    """Nodes that pass on what they are given, one behind the other."""
    nodes = [node(at, type_, [at], mode=mode) for at in range(1, count + 1)]
    return document([node(0, "Step"), *nodes], [(at - 1, 0, at, 0) for at in range(1, count + 1)])


def chain_of_types(count: int = 3_000, type_: str = "Reroute", mode: int = 0, length: int = 1) -> Json:
    """A chain at whose end inputs of as many types hang."""
    raw = chain(count, type_, mode)
    for each in raw["nodes"]:
        each["inputs"] = [{**slot, "type": "*"} for slot in each["inputs"]]
        each["outputs"][0]["type"] = "*"
    for at in range(count):
        taker = node(f"t{at}", "Step", [f"l{at}"])
        taker["inputs"][0]["type"] = f"T{at}" * length
        raw["nodes"].append(taker)
        raw["links"].append([f"l{at}", count, 0, f"t{at}", 0, "*"])
    return raw


def long_type(count: int = 5_000, length: int = 100_000) -> Json:
    """A chain of bypassed nodes, and behind it an input that takes a hundred thousand types."""
    raw = chain_of_types(count, "Step", 4, 0)
    raw["nodes"][-1]["inputs"][0]["type"] = ",".join(f"T{at}" for at in range(length))
    del raw["nodes"][count + 1 : -1], raw["links"][count:-1]
    return raw


def circle(count: int = 5_000) -> Json:
    """Reroutes in a circle, and inputs on each of them."""
    raw = chain(count)
    raw["nodes"][0] = node("last", "Step", [count])
    raw["links"][0][1] = count
    for at in range(1, count):
        raw["nodes"].append(node(f"t{at}", "Step", [f"l{at}"]))
        raw["links"].append([f"l{at}", at, 0, f"t{at}", 0, "*"])
    return raw


def setters(count: int = 10_000) -> Json:
    """Setters and getters, all of one name."""
    given = [node(at, "SetNode", [at], widgets_values=["x"]) for at in range(1, count + 1)]
    taken = [node(f"g{at}", "GetNode", widgets_values=["x"]) for at in range(count)]
    ends: list[Ends] = [("source", 0, at, 0) for at in range(1, count + 1)]
    ends += [(f"g{at}", 0, f"t{at}", 0) for at in range(count)]
    takers = [node(f"t{at}", "Step", [count + at + 1]) for at in range(count)]
    return document([node("source", "Step"), *given, *taken, *takers], ends)


def long_value(count: int = 10_000, value: Any = None) -> Json:
    """A primitive with a long value, linked to thousands of inputs."""
    primitive = node("value", "PrimitiveNode", widgets_values=["x" * 1_000_000 if value is None else value])
    takers = [node(at, "Step", [at]) for at in range(1, count + 1)]
    return document([primitive, *takers], [("value", 0, at, 0) for at in range(1, count + 1)])


def promoted(times: int = 1, widgets: int = 20_000) -> Json:
    """A node with thousands of widgets, all of which its subgraph shows."""
    names = [f"w{at}" for at in range(widgets)]
    inside = node(1, "Odd", widgets_values=dict.fromkeys(names, 1))
    inside["inputs"] = [{"name": name, "link": at, "widget": {"name": name}} for at, name in enumerate(names, 1)]
    graph = subgraph(1, [inside], [(-10, at, 1, at) for at in range(widgets)], names)
    return with_subgraphs(document([node(at, uuid(1)) for at in range(times)]), graph)


def one_input(count: int = 30_000) -> Json:
    """An input of a subgraph that feeds thousands of slots, none of them a widget."""
    inside = [node(at, "Step", [at]) for at in range(1, count + 1)]
    graph = subgraph(1, inside, [(-10, 0, at, 0) for at in range(1, count + 1)], ["a"])
    return with_subgraphs(document([node(1, uuid(1))]), graph)


def proxies(times: int = 1, count: int = 100_000) -> Json:
    """Instances that name hundreds of thousands of widgets inside, in a circle of instances."""
    listed = [["1", "model"]] * count
    graph = subgraph(1, [node(1, "Step"), node(2, uuid(2), properties={"proxyWidgets": listed})])
    other = subgraph(2, [node(1, "Step", properties={"proxyWidgets": [["2", "model"]]})])
    instances = [
        node(at, uuid(1), properties={"proxyWidgets": listed[: count // times]}, widgets_values=[1])
        for at in range(times)
    ]
    return with_subgraphs(document(instances), graph, other)


def dangling(count: int = 50_000) -> Json:
    """Inputs whose links are not there."""
    return document([node(at, "Step", [at]) for at in range(count)])


DOCUMENTS: dict[str, Callable[[], Json]] = {
    "20,000 slots": many_slots,
    "20,000 slots, bypassed": lambda: many_slots(mode=4),
    "5,000 slots, bypassed, 2,000 types": many_types,
    "group of 10,000 nodes": group,
    "group of 10,000 nodes, linked": lambda: group(linked=True),
    "200 senders, 5,000 inputs": everywhere,
    "200 senders with patterns, 5,000 inputs": lambda: everywhere(pattern="x.*y", label="x" * 190),
    "200 senders, dear patterns": lambda: everywhere(pattern="x.*x.*y", label="x" * 190),
    "1 sender, 20,000 inputs of a node": everywhere_in_one_node,
    "1 sender, 3,000 bypassed, 3,000 inputs": everywhere_past_bypassed,
    "30 levels, 10,000 nodes": lambda: deep(30, 10_000),
    "30 levels, 50,000 nodes": lambda: deep(30, 50_000),
    "2,000 levels": lambda: deep(2_000),
    "5,000 instances": used_often,
    "5,000 instances of 19 nodes": lambda: used_often(inner=19),
    "2,000 instances of 10,000 slots": wide_inside,
    "2,000 instances of 10,000 values": values_inside,
    "5,000 instances of a title of 1 MB": text_inside,
    "5,000 instances of a value of 1 MB": lambda: text_inside(key="value"),
    "10 levels of 10 instances": bomb,
    "2 to the 30 instances": lambda: bomb(30, 2),
    "4 levels of 17 instances": lambda: bomb(5, 17),
    "50,000 links on one output": one_output,
    "200,000 links on one output": lambda: one_output(200_000),
    "5,000 reroutes": chain,
    "3,000 reroutes, 3,000 types": chain_of_types,
    "3,000 bypassed, 3,000 types": lambda: chain_of_types(type_="Step", mode=4),
    "5,000 bypassed, one long type": long_type,
    "5,000 reroutes in a circle": circle,
    "10,000 setters and getters": setters,
    "a text of 1 MB linked to 10,000 inputs": long_value,
    "a list of 100,000 linked to 10,000 inputs": lambda: long_value(value=[0] * 100_000),
    "20,000 promoted widgets": promoted,
    "1,000 instances of 5,000 promoted widgets": lambda: promoted(1_000, 5_000),
    "an input that feeds 30,000": one_input,
    "100,000 proxy widgets": proxies,
    "500 instances of 100,000 proxy widgets": lambda: proxies(500, 100_000),
    "50,000 absent links": dangling,
}


def measure(name: str) -> Json:
    """Cost and outcome of one document, in this process."""
    data = json.dumps(DOCUMENTS[name]()).encode()
    bare = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.process_time()
    try:
        conversion = to_workflow(read_document(data), {"Step": STEP})
        counts = Counter(problem.code for problem in conversion.problems)
        outcome = f"{len(conversion.workflow.nodes):,} nodes"
        outcome += "".join(f", {count:,} {code}" for code, count in counts.items())
    except WorkflowFormatError as error:
        outcome = error.message
    spent = time.process_time() - begun
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - bare) / 1024
    return {"name": name, "size": len(data) / 2**20, "seconds": spent, "peak": peak, "outcome": outcome}


def main() -> None:
    """Measure the documents and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="documents to measure, all without")
    parser.add_argument("--measure", metavar="NAME", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.measure)))
        return
    print(f"{'document':<42} {'MB':>6} {'CPU s':>6} {'+ MB':>6}  outcome")
    for name in given.names or DOCUMENTS:
        command = [sys.executable, __file__, "--measure", name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        row = json.loads(done.stdout)
        print(
            f"{name:<42} {row['size']:>6.1f} {row['seconds']:>6.2f} {row['peak']:>6.0f}  {row['outcome']:.110}",
            flush=True,
        )


if __name__ == "__main__":
    main()
