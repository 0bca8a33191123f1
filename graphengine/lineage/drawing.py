"""A lineage as one graph: what an earlier run saved feeds the node that loaded it, across runs."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from pydantic import JsonValue

from graphengine.graph.picture import Picture, make_picture
from graphengine.graph.picture_svg import to_svg
from graphengine.lineage.parts import Lineage, Making, UsedInput, UsedModel
from graphengine.node.definition import NodeDefinition
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode

_DIGITS = 16  # of a digest that a box shows


def lineage_svg(lineage: Lineage, definitions: Mapping[str, NodeDefinition]) -> str:
    """The graph of all runs of a lineage as SVG; boxes of files also show their digests."""
    subject = lineage.subject
    made = ", ".join(each.run for each in lineage.makings if each.run is not None) or "no recorded run"
    title = f"{subject.name} ({subject.state}, sha256 {subject.sha256[:_DIGITS]}…), made by {made}"
    return to_svg(lineage_picture(lineage, definitions), title)


def lineage_picture(lineage: Lineage, definitions: Mapping[str, NodeDefinition]) -> Picture:
    """The boxes and links; nodes of runs before the last have the run before their ids, `2:9`."""
    joined = Workflow(dict(_joined(lineage)))
    picture = make_picture(joined, definitions)
    shown = {
        NodeId(_id(number, place.rpartition(".")[0])): (
            f"sha256 of {place.rpartition('.')[2]}",
            _digest(file.sha256),
        )
        for number, making in enumerate(lineage.makings)
        for file in _files(making)
        for place in file.inputs
    }
    boxes = {
        key: replace(box, values=(*box.values, shown[key])) if key in shown else box
        for key, box in picture.boxes.items()
    }
    return replace(picture, boxes=boxes)


def _files(making: Making) -> Iterator[UsedModel | UsedInput]:
    yield from making.models
    yield from making.inputs


def _joined(lineage: Lineage) -> Iterator[tuple[NodeId, WorkflowNode]]:
    """The nodes of all runs; an input file that a run made is a link to the node that saved it."""
    saving = {making.run: _saver(number, making) for number, making in enumerate(lineage.makings)}
    for number, making in enumerate(lineage.makings):
        fed = {
            place: saving[file.made_by]
            for file in making.inputs
            if file.made_by is not None and saving.get(file.made_by) is not None
            for place in file.inputs
        }
        for key, node in making.workflow.nodes.items():
            inputs = {name: _moved(value, number) for name, value in node.inputs.items()}
            for place, source in fed.items():
                owner, _, name = place.rpartition(".")
                if owner == key and source is not None:
                    inputs[name] = Link(source, 0)
            yield _id(number, key), replace(node, inputs=inputs)


def _saver(number: int, making: Making) -> NodeId | None:
    return None if making.node_id is None else _id(number, making.node_id)


def _id(number: int, key: str) -> NodeId:
    return NodeId(key if number == 0 else f"{number + 1}:{key}")


def _moved(value: Link | JsonValue, number: int) -> Link | JsonValue:
    return Link(_id(number, value.source), value.output) if isinstance(value, Link) else value


def _digest(sha256: str | None) -> str:
    return f"{sha256[:_DIGITS]}…" if sha256 is not None else "not known"
