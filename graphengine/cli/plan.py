"""`graphengine plan`: what a run would do, without running anything."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from graphengine.cli.console import plural, say, say_json, table
from graphengine.cli.foreseeing import Asked, GraphOption, draw, fate_text
from graphengine.cli.option_groups import with_option_groups
from graphengine.cli.options import DebugOption, JsonOption, examples
from graphengine.cli.run import FileArgument
from graphengine.workflow.models import NodeId, Workflow

if TYPE_CHECKING:
    from graphengine.cli.plan_models import PlannedNode, PlanReport, PlanTotals
    from graphengine.engine import Engine
    from graphengine.foresight import Foresight
    from graphengine.provenance.estimates import Estimate

EXAMPLES = examples(
    "graphengine plan workflows/img2img.json",
    "graphengine plan flow.json --seed 7 --set KSampler.steps=30",
    "graphengine plan flow.json --target 9 --graph plan.svg",
    "graphengine plan flow.json --json | jq .totals",
)

_MANY = 40  # rows of the table
_TOLD = 2  # causes told of a node
_OTHERS = 20  # workflows whose last runs are looked at for times of nodes that this one never ran


@with_option_groups
def command(
    file: FileArgument,
    *,
    asked: Asked,
    graph: GraphOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Tell what a run would do: what runs, in which order, what is cached, what cannot be known yet and why.

    Give it the options that the run would be given. Times and sizes are those of past runs. No code of a node is
    run: whether a node with IS_CHANGED runs is told with --load-packs only.
    """
    with asked.engine(file) as engine:
        workflow = asked.workflow(engine, file)
        foresight = asked.foresee(engine, workflow, file)
        estimates = _estimates(engine, foresight, file)
        report = _report(file, foresight, workflow, estimates)
        if graph is not None:
            draw(graph, f"{file.name}: {_counts(report)}", workflow, engine, foresight, _notes(report))
    if as_json:
        say_json(report)
        return
    for line in _lines(report):
        say(line)


def _estimates(engine: "Engine", foresight: "Foresight", file: Path) -> Mapping[NodeId, "Estimate"]:
    """What the nodes will take that may run."""
    from graphengine.provenance.estimates import Estimates  # with pydantic models, which help does not need

    others = engine.records.read_others(file, "", _OTHERS) if engine.records is not None else ()
    estimates = Estimates(foresight.now, foresight.past, others)
    return {
        node_id: estimates.of(node_id)
        for node_id, foreseen in foresight.of.items()
        if foreseen.fate in ("runs", "perhaps")
    }


def reasons_of(foresight: "Foresight") -> dict[str, str]:
    """What changed in nodes themselves, in words."""
    from graphengine.provenance.words import cause_text  # as above

    running = [node_id for node_id, foreseen in foresight.of.items() if foreseen.why == "no result"]
    reasons: dict[str, list[str]] = {}
    now = time.time()
    for cause in foresight.causes.of(running):
        text = cause_text(cause, foresight.now, now)
        for node_id in cause.nodes:
            reasons.setdefault(node_id, []).append(text)
    return {node_id: _briefly(reasons.get(node_id, ["what it reads has changed"])) for node_id in running}


def _briefly(causes: list[str]) -> str:
    """The first causes, and how many more there are; `explain` names all."""
    more = len(causes) - _TOLD
    return "; ".join([*causes[:_TOLD], *([f"and {plural(more, 'more cause')}"] if more > 0 else [])])


def node_text(node_id: NodeId, foresight: "Foresight", reasons: Mapping[str, str]) -> str:
    """Why a node runs or does not, and that it puts others in its place, which cannot be foreseen."""
    text = reasons.get(node_id) or fate_text(node_id, foresight)
    last = next((run.record for run in foresight.past if node_id in run.record.nodes), None)
    count = last.expanded.get(node_id, 0) if last is not None else 0
    return f"{text}; it put {plural(count, 'node')} in its place the last time" if count else text


def _report(
    file: Path, foresight: "Foresight", workflow: Workflow, estimates: Mapping[NodeId, "Estimate"]
) -> "PlanReport":
    nodes: list[PlannedNode] = []
    reasons = reasons_of(foresight)
    for node_id, foreseen in foresight.of.items():
        estimate = estimates.get(node_id)
        nodes.append(
            {
                "node_id": node_id,
                "class_type": workflow.nodes[node_id].class_type,
                "title": workflow.nodes[node_id].title,
                "fate": foreseen.fate,
                "why": foreseen.why,
                "of": foreseen.of,
                "text": node_text(node_id, foresight, reasons),
                "seconds": estimate.seconds if estimate else None,
                "bytes": estimate.bytes if estimate else None,
                "peak_bytes": estimate.peak if estimate else None,
                "device_peak_bytes": estimate.device_peak if estimate else None,
                "runs": estimate.runs if estimate else 0,
            }
        )
    targets = [str(target) for target in foresight.plan.graph.targets]
    return {"file": str(file), "targets": targets, "nodes": nodes, "totals": _totals(nodes, foresight)}


def _totals(nodes: "list[PlannedNode]", foresight: "Foresight") -> "PlanTotals":
    from graphengine.provenance.estimates import largest_at_once  # as above

    fates = Counter(node["fate"] for node in nodes)
    running = [node for node in nodes if node["fate"] in ("runs", "perhaps")]
    sizes = {NodeId(node["node_id"]): node["bytes"] for node in running if node["bytes"] is not None}
    return {
        "runs": fates["runs"],
        "perhaps": fates["perhaps"],
        "cached": fates["cached"],
        "not_needed": fates["not needed"],
        "seconds": sum(node["seconds"] or 0.0 for node in running if node["fate"] == "runs"),
        "seconds_perhaps": sum(node["seconds"] or 0.0 for node in running if node["fate"] == "perhaps"),
        "unknown": sum(node["seconds"] is None for node in running),
        "bytes": largest_at_once((NodeId(node["node_id"]) for node in running), foresight.now, sizes),
        "peak_bytes": max((node["peak_bytes"] or 0 for node in running), default=0) or None,
        "device_peak_bytes": max((node["device_peak_bytes"] or 0 for node in running), default=0) or None,
    }


def _notes(report: "PlanReport") -> dict[str, str]:
    return {node["node_id"]: ", ".join(filter(None, (_seconds(node), _memory(node)))) for node in report["nodes"]}


def _seconds(node: "PlannedNode") -> str:
    return "" if node["seconds"] is None else duration(node["seconds"])


def _memory(node: "PlannedNode") -> str:
    """What a node takes of memory while it runs: `1.2 GB`, `1.2 GB + 3.4 GB on the device`."""
    process = size_text(node["peak_bytes"]) if node["peak_bytes"] else ""
    device = f"{size_text(node['device_peak_bytes'])} on the device" if node["device_peak_bytes"] else ""
    return " + ".join(filter(None, (process, device)))


def duration(seconds: float) -> str:
    """`0.03 s`, `12.4 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size_text(count: int) -> str:
    """`310 kB`, `4.2 MB`."""
    size, units = float(count), ["TB", "GB", "MB", "kB", "B"]
    while size >= 1000 and len(units) > 1:
        size /= 1000
        units.pop()
    return f"{size:.0f} {units[-1]}" if size >= 10 or units[-1] == "B" else f"{size:.1f} {units[-1]}"


def _lines(report: "PlanReport") -> Iterator[str]:
    running = [node for node in report["nodes"] if node["fate"] in ("runs", "perhaps")]
    if running:
        has_memory = any(_memory(node) for node in running)
        rows = [("node", "class", "", "about", "memory", "why")]
        rows += [
            (node["node_id"], node["class_type"], node["fate"], _seconds(node), _memory(node), node["text"])
            for node in running[:_MANY]
        ]
        shown: list[tuple[str, ...]] = [row if has_memory else (*row[:4], row[5]) for row in rows]
        yield from table(shown, right=[3, 4] if has_memory else [3])
        if len(running) > _MANY:
            yield f"and {plural(len(running) - _MANY, 'more node')}; --json lists all"
        yield ""
    yield _counts(report)
    yield from _what_it_takes(running, report["totals"])
    yield from _memory_lines(running, report["totals"])


def _counts(report: "PlanReport") -> str:
    totals = report["totals"]
    parts = [f"{totals['runs']} run", f"{totals['perhaps']} perhaps" if totals["perhaps"] else ""]
    parts += [f"{totals['cached']} cached", f"{totals['not_needed']} not needed" if totals["not_needed"] else ""]
    return ", ".join(part for part in parts if part)


def _what_it_takes(running: "list[PlannedNode]", totals: "PlanTotals") -> Iterator[str]:
    known = [node for node in running if node["seconds"] is not None]
    if known:
        seconds, perhaps = totals["seconds"], totals["seconds_perhaps"]
        time = f"about {duration(seconds)}" if totals["runs"] or not perhaps else "nothing"
        more = f", up to {duration(seconds + perhaps)}" if perhaps else ""
        least, most = min(node["runs"] for node in known), max(node["runs"] for node in known)
        each = plural(most, "past run") if least == most else f"{least} to {most} past runs"
        yield f"time: {time}{more}; {each} of each node say so"
    if totals["unknown"]:
        yield f"{plural(totals['unknown'], 'node')} never ran, and no time is known for them"


def _memory_lines(running: "list[PlannedNode]", totals: "PlanTotals") -> Iterator[str]:
    if totals["bytes"]:
        yield f"memory for outputs, without models: about {size_text(totals['bytes'])} at once"
    most = max(running, key=lambda node: node["peak_bytes"] or 0, default=None)
    if most is not None and most["peak_bytes"]:
        label = f"node {most['node_id']} ({most['class_type']})"
        yield f"memory while a node runs: up to {size_text(most['peak_bytes'])} more than before, in {label}"
    if totals["device_peak_bytes"]:
        yield f"memory on the device while a node runs: up to {size_text(totals['device_peak_bytes'])} more"
