"""`--set NODE.INPUT=VALUE`, `--seed N` and `--target NODE`: what the command line changes in a workflow."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from math import isfinite

from pydantic import JsonValue

from graphengine.errors import SettingsError, nearest, node_label
from graphengine.node.definition import Files, InputSpec, NodeDefinition
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode

Definitions = Mapping[str, NodeDefinition]

_SEEDS = ("seed", "noise_seed")
_MANY = 10  # names that fit into one message


@dataclass(frozen=True, slots=True)
class Change:
    """One input that the command line sets; `replaced` is the link it had."""

    node_id: NodeId
    class_type: str
    input_name: str
    value: JsonValue
    replaced: Link | None = None


def read_changes(settings: Iterable[str], workflow: Workflow, definitions: Definitions) -> list[Change]:
    """The changes that `NODE.INPUT=VALUE` texts ask for.

    NODE is an id, or a title or node type that one node alone has. VALUE is taken as JSON when that fits the
    input, as text otherwise.

    Raises:
        SettingsError: a text has another form, or names a node or an input that is not there.
    """
    return [_read_change(text, workflow, definitions) for text in settings]


def seed_changes(seed: int, workflow: Workflow) -> list[Change]:
    """The changes that give every typed-in `seed` and `noise_seed` this value.

    Raises:
        SettingsError: there is none.
    """
    changes = [
        Change(node_id, node.class_type, name, seed)
        for node_id, node in workflow.nodes.items()
        for name in _SEEDS
        if type(node.inputs.get(name)) is int
    ]
    if not changes:
        raise SettingsError("no node has a seed to set", hint="leave out --seed, or use --set NODE.INPUT=VALUE")
    return changes


def apply_changes(workflow: Workflow, changes: Iterable[Change]) -> Workflow:
    """The workflow with the changes made, later ones last."""
    nodes, changed = dict(workflow.nodes), dict(workflow.changed)
    for change in changes:
        node = nodes[change.node_id]
        nodes[change.node_id] = replace(node, inputs={**node.inputs, change.input_name: change.value})
        changed[f"{change.node_id}.{change.input_name}"] = change.value
    return replace(workflow, nodes=nodes, changed=changed)


def find_node(name: str, workflow: Workflow) -> NodeId:
    """The node with that id, or the only one with that title or that type.

    Raises:
        SettingsError: there is none, or several.
    """
    found = _matches(name, workflow)
    if len(found) == 1:
        return found[0]
    if not found:
        raise SettingsError(f"the workflow has no node {name!r}", hint=_nearest_node(name, workflow))
    labels = ", ".join(node_label(node_id, workflow.nodes[node_id].class_type) for node_id in found[:_MANY])
    more = f" and {len(found) - _MANY} more" if len(found) > _MANY else ""
    raise SettingsError(f"{name!r} stands for {len(found)} nodes", hint=f"use the id of one: {labels}{more}")


def _matches(name: str, workflow: Workflow) -> list[NodeId]:
    if name in workflow.nodes:
        return [NodeId(name)]
    titled = [node_id for node_id, node in workflow.nodes.items() if node.title == name]
    return titled or [node_id for node_id, node in workflow.nodes.items() if node.class_type == name]


def _nearest_node(name: str, workflow: Workflow) -> str:
    titles = {node.title for node in workflow.nodes.values() if node.title}
    types = {node.class_type for node in workflow.nodes.values()}
    near = nearest(name, [*workflow.nodes, *sorted(titles | types)])
    if near:
        return f"did you mean {near!r}?"
    ids = ", ".join(list(workflow.nodes)[:_MANY])
    return f"its nodes are {ids}{', …' if len(workflow.nodes) > _MANY else ''}"


def _read_change(text: str, workflow: Workflow, definitions: Definitions) -> Change:
    place, equals, value = text.partition("=")
    if not equals or "." not in place.strip("."):
        raise SettingsError(f"cannot read --set {text!r}", hint="write NODE.INPUT=VALUE, for example 3.steps=30")
    node_id, input_name = find_input(place, workflow, definitions)
    node = workflow.nodes[node_id]
    definition = definitions.get(node.class_type)
    spec = definition.inputs.get(input_name) if definition else None
    given = node.inputs.get(input_name)
    return Change(
        node_id,
        node.class_type,
        input_name,
        read_value(value, spec),
        replaced=given if isinstance(given, Link) else None,
    )


def find_input(place: str, workflow: Workflow, definitions: Definitions) -> tuple[NodeId, str]:
    """The node and the input that `NODE.INPUT` names.

    Raises:
        SettingsError: there is no such node or input, or there are several such nodes.
    """
    node_id, input_name = _split_place(place, workflow)
    node = workflow.nodes[node_id]
    _check_input(node_id, node, input_name, definitions.get(node.class_type))
    return node_id, input_name


def find_only_input(name: str, workflow: Workflow, definitions: Definitions) -> tuple[NodeId, str]:
    """The only input of that name; when some are linked and one is not, that one.

    Raises:
        SettingsError: no node has one, or several have.
    """
    found = [node_id for node_id, node in workflow.nodes.items() if name in _input_names(node, definitions)]
    typed = [node_id for node_id in found if not isinstance(workflow.nodes[node_id].inputs.get(name), Link)]
    if len(found) == 1 or len(typed) == 1:
        return (typed or found)[0], name
    if not found:
        known = {known for node in workflow.nodes.values() for known in _input_names(node, definitions)}
        near = nearest(name, sorted(known))
        hint = (
            f"did you mean {near!r}?" if near else "write NODE.INPUT, where NODE is an id, a title or a node type"
        )
        raise SettingsError(f"no node has an input {name!r}", hint=hint)
    places = ", ".join(f"{node_id}.{name}" for node_id in found[:_MANY])
    more = f" and {len(found) - _MANY} more" if len(found) > _MANY else ""
    raise SettingsError(f"{len(found)} nodes have an input {name!r}", hint=f"name one: {places}{more}")


def _split_place(place: str, workflow: Workflow) -> tuple[NodeId, str]:
    """Node and input of `NODE.INPUT`; either may hold dots, so the longest name of a node counts."""
    parts = place.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:cut])
        if _matches(name, workflow):
            return find_node(name, workflow), ".".join(parts[cut:])
    return find_node(".".join(parts[:-1]), workflow), parts[-1]


def _check_input(node_id: NodeId, node: WorkflowNode, input_name: str, definition: NodeDefinition | None) -> None:
    names = _names(node, definition)
    if input_name in names:
        return
    near = nearest(input_name, list(names))
    raise SettingsError(
        f"{node_label(node_id, node.class_type)} has no input {input_name!r}",
        hint=f"did you mean {near!r}?" if near else f"its inputs are {', '.join(names) or 'none'}",
    )


def _input_names(node: WorkflowNode, definitions: Definitions) -> Collection[str]:
    return _names(node, definitions.get(node.class_type))


def _names(node: WorkflowNode, definition: NodeDefinition | None) -> Collection[str]:
    return dict.fromkeys([*(definition.inputs if definition else ()), *node.inputs])


def read_value(text: str, spec: InputSpec | None) -> JsonValue:
    """The text as the JSON value it spells when that fits the input, else the text itself."""
    try:
        value: JsonValue = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        lowered = text.strip().lower()
        return lowered == "true" if spec and spec.type == "BOOLEAN" and lowered in ("true", "false") else text
    return value if _fits(value, spec) else text


def _no_constant(name: str) -> JsonValue:
    raise ValueError(f"{name} is no JSON")


def _fits(value: JsonValue, spec: InputSpec | None) -> bool:
    if isinstance(value, float) and not isfinite(value):
        return False
    if spec is None:
        return True
    if spec.choices is not None:
        return isinstance(value, str) if isinstance(spec.choices, Files) else _is_choice(value, spec.choices)
    match spec.type:
        case "STRING":
            return isinstance(value, str)
        case "BOOLEAN":
            return isinstance(value, bool)
        case "INT":
            return isinstance(value, int) and not isinstance(value, bool)
        case "FLOAT":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case _:
            return True


def _is_choice(value: JsonValue, choices: Collection[object]) -> bool:
    """Whether it is one of the choices; true is not 1."""
    return any(value == choice and isinstance(value, bool) == isinstance(choice, bool) for choice in choices)
