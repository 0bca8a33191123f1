"""`graphengine explain`: why nodes will run, and why they ran the last time."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphengine.cli.console import plural, say, say_json
from graphengine.cli.foreseeing import Asked, GraphOption, draw, fate_text
from graphengine.cli.option_groups import with_option_groups
from graphengine.cli.options import DebugOption, JsonOption, examples
from graphengine.cli.overrides import find_node
from graphengine.cli.run import FileArgument
from graphengine.workflow.models import NodeId

if TYPE_CHECKING:
    from graphengine.cli.plan_models import ExplainedCause, ExplainedRun, Explanation
    from graphengine.foresight import Foresight
    from graphengine.provenance.causes import Cause, Causes
    from graphengine.provenance.record import Snapshot

EXAMPLES = examples(
    "graphengine explain workflows/img2img.json",
    "graphengine explain flow.json KSampler",
    "graphengine explain flow.json 9 --seed 7",
    "graphengine explain flow.json --graph why.svg",
)

_MANY = 30  # causes that are listed

NodeArgument = Annotated[
    str | None,
    typer.Argument(metavar="[NODE]", help="A node: its id, or a title or type that it alone has. Default: all."),
]


@with_option_groups
def command(
    file: FileArgument,
    node: NodeArgument = None,
    *,
    asked: Asked,
    graph: GraphOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Tell why nodes will run, and why they ran the last time: what changed, by name, each cause once.

    Give it the options that the run would be given. It compares with the runs of this file that used the same
    cache; no code of a node is run.
    """
    with asked.engine(file) as engine:
        workflow = asked.workflow(engine, file)
        chosen = find_node(node, workflow) if node is not None else None
        foresight = asked.foresee(engine, workflow, file)
        explained = _explain(file, foresight, chosen)
        if graph is not None:
            title = f"{file.name}: {_counts(explained['next']) or 'nothing changed'}"
            draw(graph, title, workflow, engine, foresight, _notes(explained["next"], foresight))
    if as_json:
        say_json(explained)
        return
    for line in _lines(explained, foresight, chosen):
        say(line)


def _explain(file: Path, foresight: "Foresight", node: NodeId | None) -> "Explanation":
    from graphengine.provenance.changes import named_parts  # with pydantic models, which help does not need

    fates = {node_id: foreseen.fate for node_id, foreseen in foresight.of.items()}
    last = foresight.last_run()
    return {
        "file": str(file),
        "node": node,
        "parts": named_parts(foresight.now, node) if node is not None and node in fates else {},
        "next": _run(
            foresight.causes, node, [each for each, fate in fates.items() if fate in ("runs", "perhaps")]
        ),
        "last": _run(last, node, _executed(foresight.past[0])) if last is not None else None,
    }


def _executed(run: "Snapshot") -> list[NodeId]:
    return [
        NodeId(node_id) for node_id, entry in run.record.nodes.items() if entry.state in ("executed", "failed")
    ]


def _run(causes: "Causes", node: NodeId | None, running: Sequence[NodeId]) -> "ExplainedRun":
    record = causes.now.record
    states = {node_id: entry.state for node_id, entry in record.nodes.items()}
    starts = running if node is None else [node] if node in running else []
    now = time.time()
    return {
        "started": None if record.status == "planned" else record.started,
        "status": record.status,
        "runs": [node_id for node_id in running if states[node_id] != "perhaps"],
        "perhaps": [node_id for node_id in running if states[node_id] == "perhaps"],
        "cached": [node_id for node_id, state in states.items() if state in ("cached", "cut off", "equal")],
        "causes": [_cause(cause, causes.now, now) for cause in causes.of(starts)],
    }


def _cause(cause: "Cause", snapshot: "Snapshot", now: float) -> "ExplainedCause":
    from graphengine.provenance.words import cause_text  # as above

    return {
        "kind": cause.kind,
        "text": cause_text(cause, snapshot, now),
        "nodes": list(cause.nodes),
        "part": cause.part or None,
        "old": cause.old,
        "new": cause.new,
        "at": cause.at,
    }


def _notes(run: "ExplainedRun", foresight: "Foresight") -> dict[str, str]:
    """What is written into each box: its causes, or what becomes of it."""
    causes: dict[str, list[str]] = {}
    for cause in run["causes"]:
        for node_id in cause["nodes"]:
            causes.setdefault(node_id, []).append(cause["text"])
    return {node_id: "\n".join(causes.get(node_id, [fate_text(node_id, foresight)])) for node_id in foresight.of}


# Words


def _lines(explained: "Explanation", foresight: "Foresight", node: NodeId | None) -> Iterator[str]:
    from graphengine.provenance.words import date_text  # as above

    if node is not None:
        yield from _node_lines(node, explained, foresight)
        return
    coming, last = explained["next"], explained["last"]
    if coming["runs"] or coming["perhaps"]:
        yield f"next run: {_counts(coming)}"
        yield from _cause_lines(coming["causes"])
    else:
        yield f"nothing changed: a run would take all from the cache ({plural(len(coming['cached']), 'node')})"
    if last is not None:
        when = date_text(last["started"] or 0.0, time.time())
        ended = {"error": ", which failed", "cancelled": ", which was stopped"}.get(last["status"], "")
        if last["runs"]:
            yield f"last run, {when}{ended}: {plural(len(last['runs']), 'node')} ran"
            yield from _cause_lines(last["causes"])
        else:
            yield f"last run, {when}{ended}: all came from the cache"


def _counts(run: "ExplainedRun") -> str:
    runs = f"{plural(len(run['runs']), 'node')} will run" if run["runs"] else ""
    perhaps = f"{plural(len(run['perhaps']), 'node')} perhaps" if run["perhaps"] else ""
    return ", ".join(part for part in (runs, perhaps) if part)


def _cause_lines(causes: "Sequence[ExplainedCause]") -> Iterator[str]:
    for cause in causes[:_MANY]:
        others = len(cause["nodes"]) - 1
        more = f" (and {plural(others, 'other node')})" if others > 0 and cause["kind"] != "first run" else ""
        yield f"  {cause['text']}{more}"
    if len(causes) > _MANY:
        yield f"  and {plural(len(causes) - _MANY, 'more cause')}; --json lists all"


def _node_lines(node: NodeId, explained: "Explanation", foresight: "Foresight") -> Iterator[str]:
    from graphengine.provenance.words import date_text  # as above

    label = foresight.now.label(node)
    foreseen = foresight.of.get(node)
    if foreseen is None:
        yield f"node {node} will not run: no target needs it"
    else:
        will = {"runs": "will run", "perhaps": "will perhaps run", "cached": "is cached"}.get(
            foreseen.fate, "is not needed"
        )
        yield f"{label} {will}: {fate_text(node, foresight)}"
        yield from _lines_before(node, explained["next"], foresight)
    last = explained["last"]
    if last is None or foreseen is None:
        return
    when = date_text(last["started"] or 0.0, time.time())
    if node in last["runs"]:
        yield f"it ran in the last run, {when}"
        yield from _cause_lines(last["causes"])
    else:
        yield f"it did not run in the last run, {when}"


def _lines_before(node: NodeId, run: "ExplainedRun", foresight: "Foresight") -> Iterator[str]:
    """The causes, with those in nodes before it named so."""
    for cause in run["causes"]:
        at = next((each for each in cause["nodes"] if each != node), None)
        if node in cause["nodes"] or at is None:
            yield f"  {cause['text']}"
            continue
        fate = foresight.of[NodeId(at)].fate if NodeId(at) in foresight.of else "cached"
        does = {"runs": "will run", "perhaps": "will perhaps run"}.get(fate, "is another now")
        yield f"  node {at} before it {does}: {cause['text']}"
