"""Builders of small editor documents and definitions."""

from collections.abc import Mapping, Sequence
from typing import Any

from graphengine.node.definition import InputSpec, NodeDefinition, OutputSpec
from graphengine.workflow.models import Link, Workflow
from graphengine.workflow.ui_format import Conversion, convert_ui
from graphengine.workflow.ui_models import parse_ui

# Any throughout: documents are open-ended JSON.
Row = tuple[Any, ...]


def node(
    id_: int | str,
    type_: str,
    *,
    inputs: Sequence[Row] = (),
    outputs: Sequence[str] = (),
    values: Any = None,
    mode: int = 0,
    **more: Any,
) -> dict[str, Any]:
    """A node; an input is `(name, type, link)` or, when a widget was converted, `(name, type, link, "widget")`."""
    return {
        "id": id_,
        "type": type_,
        "pos": [10.5, 20],
        "mode": mode,
        "inputs": [_input(*row) for row in inputs],
        "outputs": [{"name": kind, "type": kind, "links": []} for kind in outputs],
        "widgets_values": values,
        **more,
    }


def _input(name: str, type_: Any, link: Any = None, kind: str = "") -> dict[str, Any]:
    slot = {"name": name, "type": type_, "link": link}
    return {**slot, "widget": {"name": name}} if kind else slot


def document(nodes: Sequence[dict[str, Any]], links: Sequence[Row] = (), version: float = 0.4) -> dict[str, Any]:
    """A document of version 0.4 or 1; a link is `(id, origin, slot, target, slot, type)`."""
    names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    as_objects = version == 1
    return {
        "version": version,
        "nodes": list(nodes),
        "links": [dict(zip(names, row, strict=True)) if as_objects else list(row) for row in links],
        "groups": [],
        "extra": {"ds": {"scale": 0.5}},
    }


def definition(class_type: str, outputs: Sequence[str] = (), /, **inputs: InputSpec | str) -> NodeDefinition:
    """A definition; an input is a spec or just a socket type."""
    specs = {name: spec if isinstance(spec, InputSpec) else InputSpec(name, spec) for name, spec in inputs.items()}
    return NodeDefinition(class_type, specs, tuple(OutputSpec(kind, kind) for kind in outputs))


def definitions(*given: NodeDefinition) -> dict[str, NodeDefinition]:
    """Definitions by class type."""
    return {each.class_type: each for each in given}


KNOWN = definitions(
    definition(
        "Load", ("MODEL", "CLIP"), name=InputSpec("name", "COMBO", choices=("a.safetensors", "b.safetensors"))
    ),
    definition("Encode", ("CONDITIONING",), text="STRING", clip="CLIP"),
    definition("Sample", ("LATENT",), model="MODEL", seed="INT", steps="INT", positive="CONDITIONING"),
    definition("Sharpen", ("MODEL",), model="MODEL", amount="FLOAT"),
    definition("Save", (), latent="LATENT", prefix="STRING"),
)


def converted(raw: Mapping[str, Any], known: Mapping[str, NodeDefinition] = KNOWN) -> Conversion:
    """The conversion of a document."""
    return convert_ui(parse_ui(raw), known)


def inputs_of(workflow: Workflow, key: str) -> dict[str, Any]:
    """The inputs of one node, links as `[source, output]`."""
    given = next(each for id_, each in workflow.nodes.items() if id_ == key).inputs
    return {
        name: [value.source, value.output] if isinstance(value, Link) else value for name, value in given.items()
    }


def subgraph(
    id_: str,
    nodes: Sequence[dict[str, Any]],
    links: Sequence[Row],
    *,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    name: str = "Refine",
) -> dict[str, Any]:
    """The definition of a subgraph; links from origin -10 are its inputs, those to target -20 its outputs."""
    rows = document(nodes, links, version=1)["links"]
    return {
        "id": id_,
        "version": 1,
        "name": name,
        "inputNode": {"id": -10},
        "outputNode": {"id": -20},
        "inputs": [_boundary(slot, at, rows, ("origin_id", -10), "origin_slot") for at, slot in enumerate(inputs)],
        "outputs": [
            _boundary(slot, at, rows, ("target_id", -20), "target_slot") for at, slot in enumerate(outputs)
        ],
        "nodes": list(nodes),
        "links": rows,
    }


def _boundary(
    name: str, at: int, rows: Sequence[dict[str, Any]], end: tuple[str, int], slot: str
) -> dict[str, Any]:
    ids = [row["id"] for row in rows if row[end[0]] == end[1] and row[slot] == at]
    return {"id": f"{end[0]} {at}", "name": name, "type": "*", "linkIds": ids}


def with_subgraphs(raw: Mapping[str, Any], *defined: Mapping[str, Any]) -> dict[str, Any]:
    """The document with definitions of subgraphs."""
    return {**raw, "definitions": {"subgraphs": list(defined)}}


def everything(conversion: Conversion) -> dict[str, dict[str, Any]]:
    """The inputs of all nodes."""
    return {key: inputs_of(conversion.workflow, key) for key in conversion.workflow.nodes}


def codes(conversion: Conversion) -> list[tuple[str, str, str | None]]:
    """What was found: code, severity and node of each problem."""
    return [(problem.code, problem.severity, problem.node_id) for problem in conversion.problems]
