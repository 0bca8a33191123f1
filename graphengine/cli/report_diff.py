"""The difference of two workflows as lines of text, as Markdown and as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphengine.cli.console import plural
from graphengine.execution.consequences import Consequences
from graphengine.workflow.difference.changes import (
    NOTHING,
    Difference,
    GraphChange,
    InputChange,
    NodeChange,
)
from graphengine.workflow.difference.sheets import BOUNDARY, Sheet, SheetNode, Source
from graphengine.workflow.difference.values import is_long, marked_words
from graphengine.workflow.json_text import one_line
from graphengine.workflow.models import Workflow

_SHOWN = 12  # nodes that a line names
_LONGEST = 200  # letters of a value

#: The sign a line begins with, and its text.
Line = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Compared:
    """Two workflows and what differs; `consequences` is None where one of them cannot be converted."""

    old: str
    new: str
    difference: Difference
    consequences: Consequences | None
    workflow: Workflow | None = None


def node_name(node: SheetNode, names: Mapping[str, str]) -> str:
    """How a node is called: `3 KSampler 'Refine'`; instances by the name of their graph."""
    if node.id in BOUNDARY:
        return node.type
    type_ = names.get(node.type, node.type)
    return f"{node.id} {type_}" + (f" {node.title!r}" if node.title and node.title != type_ else "")


def text_lines(compared: Compared, *, layout: bool = False) -> Iterator[Line]:
    """The difference as lines, each with its sign: "+", "-", "~" or a blank."""
    yield " ", f"{compared.old} → {compared.new}"
    names = graph_names(compared.difference)
    for graph in compared.difference.changes:
        yield from _graph_lines(graph, names)
    if not compared.difference:
        yield " ", "no change of what the workflow says"
    yield from ((" ", line) for line in layout_lines(compared.difference, names, names_nodes=layout))
    if compared.difference and compared.consequences is not None:
        yield from ((" ", line) for line in consequence_lines(compared))


def graph_names(difference: Difference) -> dict[str, str]:
    """The names of subgraphs and group nodes by their keys, which are the types of their instances."""
    sheets = [sheet for graph in difference.graphs for sheet in (graph.old, graph.new) if sheet is not None]
    return {sheet.key: sheet.name for sheet in sheets if sheet.key}


def _graph_lines(graph: GraphChange, names: Mapping[str, str]) -> Iterator[Line]:
    indent = ""
    if graph.sheet.kind:
        sign, what = (
            ("+", " added") if graph.old is None else ("-", " removed") if graph.new is None else ("~", "")
        )
        if graph.renamed and graph.old is not None:
            what = f" renamed, it was {graph.old.name!r}"
        yield sign, f"{graph.sheet.kind} {graph.sheet.name!r}{what}"
        indent = "  "
    for change in graph.nodes:
        for sign, line in node_lines(change, graph, names):
            yield sign, indent + line


def node_lines(change: NodeChange, graph: GraphChange, names: Mapping[str, str]) -> Iterator[Line]:
    """What became of a node, then its inputs."""
    name = node_name(change.node, names)
    if change.old is None or change.new is None:
        yield ("+" if change.old is None else "-"), f"node {name} {change.kind}"
        return
    notes = []
    if change.old.id != change.new.id:
        notes.append(f"it was node {change.old.id}")
    if change.retyped:
        notes.append(f"type was {names.get(change.old.type, change.old.type)}")
    if change.renamed:
        notes.append(f"title was {change.old.title!r}" if change.old.title else "had no title")
    if change.switched:
        notes.append(f"{change.old.state} → {change.new.state}")
    yield "~", f"node {name}" + (f": {', '.join(notes)}" if notes else "")
    for each in change.inputs:
        yield "~", f"  {input_line(each, graph, names)}"


def input_line(change: InputChange, graph: GraphChange, names: Mapping[str, str]) -> str:
    """`seed: 5 → 6`, or the words of a long text that changed."""
    if isinstance(change.old, str) and isinstance(change.new, str) and is_long(change.old, change.new):
        return f"{change.name}: {marked_words(change.old, change.new)}".replace("\n", "⏎")
    old, new = given_text(change.old, graph.old, names), given_text(change.new, graph.new, names)
    return f"{change.name}: {old} → {new}"


def given_text(given: object, sheet: Sheet | None, names: Mapping[str, str]) -> str:
    """A literal as JSON, a link as where it begins: `[4 CheckpointLoaderSimple, output 0]`."""
    if given is NOTHING:
        return "nothing"
    if isinstance(given, Source):
        node = sheet.nodes.get(given.node) if sheet is not None else None
        name = node_name(node, names) if node is not None else f"{given.node}, which is absent"
        return (
            f"[{name}, {given.output if node is not None and node.id in BOUNDARY else f'output {given.output}'}]"
        )
    text = one_line(given)  # type: ignore[arg-type]  # neither a link nor nothing: JSON
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def layout_lines(difference: Difference, names: Mapping[str, str], *, names_nodes: bool) -> Iterator[str]:
    """One line on what is only drawn differently, or with `names_nodes` one for each node."""
    if not difference.moved and not difference.redecorated:
        return
    parts = [f"{plural(difference.moved, 'node')} moved, resized or coloured"] if difference.moved else []
    parts += ["groups or reroutes changed"] if difference.redecorated else []
    yield f"layout: {'; '.join(parts)}"
    for graph in difference.graphs if names_nodes else ():
        for key in graph.drawn:
            if graph.new is not None and graph.old is not None:
                old, new = graph.old.nodes[graph.pairs[key]], graph.new.nodes[key]
                parts = [
                    f"{name} {one_line(old.place.get(name))} → {one_line(new.place.get(name))}"
                    for name in {**old.place, **new.place}
                    if old.place.get(name) != new.place.get(name)
                ]
                yield f"  {node_name(new, names)}: {', '.join(parts)}"


def consequence_lines(compared: Compared) -> Iterator[str]:
    """Which outputs come out anew, and which nodes run for that."""
    found = compared.consequences
    if found is None:
        return
    if not found.reruns:
        yield "consequence: nothing runs again"
        return
    yield f"consequence: {len(found.outputs)} of {plural(found.all_outputs, 'output')} will change"
    yield from (f"  {kind}: {_listed(ids, compared.workflow)}" for kind, ids in
                (("outputs", found.outputs), ("nodes that run again", found.reruns)) if ids)  # fmt: skip


def _listed(ids: Sequence[str], workflow: Workflow | None) -> str:
    types = {str(key): node.class_type for key, node in workflow.nodes.items()} if workflow is not None else {}
    shown = [f"{each} {types.get(each, '')}".strip() for each in ids[:_SHOWN]]
    return ", ".join(shown) + (f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else "")


def markdown(compared: Compared, *, layout: bool = False) -> str:
    """The difference for the description of a merge request."""
    names = graph_names(compared.difference)
    lines = [f"### `{compared.old}` → `{compared.new}`", ""]
    for graph in compared.difference.changes:
        if graph.sheet.kind:
            sign, first = next(iter(_graph_lines(graph, names)))
            lines += [f"**{_escaped(first)}**", ""]
        for change in graph.nodes:
            for sign, line in node_lines(change, graph, names):
                mark = {"+": "🟢 ", "-": "🔴 "}.get(sign, "") if not line.startswith("  ") else ""
                lines.append(f"{'  ' if line.startswith('  ') else ''}- {mark}{_escaped(line.strip())}")
        lines.append("")
    if not compared.difference:
        lines += ["No change of what the workflow says.", ""]
    notes = [*layout_lines(compared.difference, names, names_nodes=layout)]
    notes += list(consequence_lines(compared)) if compared.difference else []
    lines += [f"> {_escaped(note.strip())}  " for note in notes]
    return "\n".join(lines).rstrip() + "\n"


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is."""
    return "".join(f"\\{each}" if each in "\\`*_{}[]<>#|~&" else each for each in text)


def as_json(compared: Compared, *, layout: bool = False) -> dict[str, Any]:
    """The difference as JSON: graphs, nodes, inputs with both values, and the consequence."""
    difference, found = compared.difference, compared.consequences
    made: dict[str, Any] = {
        "old": compared.old,
        "new": compared.new,
        "changed": bool(difference),
        "graphs": [_graph_json(graph) for graph in difference.changes],
        "layout": {"nodes": difference.moved, "groups_or_reroutes": difference.redecorated},
        "consequence": None
        if found is None
        else {
            "outputs": list(found.outputs),
            "reruns": list(found.reruns),
            "nodes": found.nodes,
            "all_outputs": found.all_outputs,
        },
    }
    if layout:
        made["layout"]["moved"] = [[graph.sheet.key, key] for graph in difference.graphs for key in graph.drawn]
    return made


def _graph_json(graph: GraphChange) -> dict[str, Any]:
    state = "added" if graph.old is None else "removed" if graph.new is None else "changed"
    return {
        "graph": graph.sheet.key,
        "name": graph.sheet.name,
        "kind": graph.sheet.kind or "document",
        "change": state,
        "old_name": graph.old.name if graph.renamed and graph.old is not None else None,
        "nodes": [_node_json(change) for change in graph.nodes],
    }


def _node_json(change: NodeChange) -> dict[str, Any]:
    made: dict[str, Any] = {
        "change": change.kind,
        "id": change.node.id,
        "type": change.node.type,
        "title": change.node.title,
    }
    if change.old is not None and change.old.id != change.node.id:
        made["old_id"] = change.old.id
    for name, pair in (("type", change.retyped), ("title", change.renamed), ("state", change.switched)):
        if pair is not None:
            made[f"old_{name}"] = pair[0]
            made[name] = pair[1]
    made["inputs"] = [
        {"name": each.name, "kind": each.kind, **_given_json("old", each.old), **_given_json("new", each.new)}
        for each in change.inputs
    ]
    return made


def _given_json(name: str, given: object) -> dict[str, Any]:
    if given is NOTHING:
        return {}
    return {name: {"node": given.node, "output": given.output} if isinstance(given, Source) else given}
