"""Node definitions as the JSON that ComfyUI's `/object_info` gives: reading a saved one, and writing ours."""

from collections.abc import Mapping
from typing import Any

from graphengine.errors import GraphEngineError, PackError
from graphengine.node.api import CONTEXT
from graphengine.node.definition import Files, InputSpec, NodeDefinition, OutputSpec
from graphengine.node.folders import Folders
from graphengine.node.inputs import read_input
from graphengine.node.registry import NodeRegistry

# Any throughout: the document comes from outside; what is read is checked as it is read.


def read_object_info(document: Any) -> NodeRegistry:
    """The definitions of a saved `/object_info`; entries that cannot be read are left out.

    Such definitions describe nodes (for conversion and validation) but cannot run them.

    Raises:
        GraphEngineError: the document is no object of node descriptions, or none of them could be read.
    """
    if not isinstance(document, dict):
        raise GraphEngineError("object_info must be a JSON object of node descriptions")
    registry, refused = NodeRegistry(), 0
    for class_type, entry in document.items():
        try:
            registry.add(_definition(class_type, entry))
        except (PackError, TypeError, ValueError, AttributeError, KeyError):
            refused += 1
    if refused and not registry:
        raise GraphEngineError(
            "no entry of the object_info document describes a node",
            hint="save the answer of a ComfyUI server's /object_info as it is",
        )
    return registry


def _definition(class_type: str, entry: Mapping[str, Any]) -> NodeDefinition:
    declared = entry["input"]
    inputs = [
        read_input(name, spec, required=section == "required")
        for section in ("required", "optional")
        for name, spec in _ordered(declared.get(section) or {}, (entry.get("input_order") or {}).get(section))
    ]
    types = [kind if isinstance(kind, str) else "COMBO" for kind in entry.get("output") or ()]
    names, lists = entry.get("output_name") or types, entry.get("output_is_list") or [False] * len(types)
    return NodeDefinition(
        class_type=class_type,
        inputs={spec.name: spec for spec in inputs},
        outputs=tuple(OutputSpec(str(n), t, bool(many)) for n, t, many in zip(names, types, lists, strict=False)),
        hidden={name: str(kind) for name, kind in (declared.get("hidden") or {}).items()},
        display_name=entry.get("display_name") or class_type,
        category=entry.get("category") or "",
        description=entry.get("description") or "",
        module=entry.get("python_module") or "",
        is_output=bool(entry.get("output_node")),
        deprecated=bool(entry.get("deprecated")),
        experimental=bool(entry.get("experimental")),
    )


def _ordered(inputs: Mapping[str, Any], order: list[str] | None) -> list[tuple[str, Any]]:
    """The inputs in the order the document gives beside them, which survives tools that sort keys."""
    names = [name for name in order or () if name in inputs]
    return [(name, inputs[name]) for name in [*names, *(name for name in inputs if name not in names)]]


def definition_to_object_info(definition: NodeDefinition, folders: Folders | None = None) -> dict[str, Any]:
    """The definition as one entry of `/object_info`; `folders` fills in the choices of file inputs."""
    sections: dict[str, dict[str, Any]] = {"required": {}}
    for spec in definition.inputs.values():
        section = sections.setdefault("required" if spec.required else "optional", {})
        section[spec.name] = [_kind(spec, folders), dict(spec.options)] if spec.options else [_kind(spec, folders)]
    hidden = {name: kind for name, kind in definition.hidden.items() if kind != CONTEXT}
    tooltips = [output.tooltip for output in definition.outputs]
    return {
        "input": {**sections, "hidden": hidden} if hidden else sections,
        "input_order": {
            name: list(section) for name, section in {**sections, "hidden": hidden}.items() if section
        },
        "output": [output.type for output in definition.outputs],
        "output_is_list": [output.is_list for output in definition.outputs],
        "output_name": [output.name for output in definition.outputs],
        **({"output_tooltips": tooltips} if any(tooltips) else {}),
        "name": definition.class_type,
        "display_name": definition.display_name,
        "description": definition.description,
        "python_module": definition.module,
        "category": definition.category,
        "output_node": definition.is_output,
        "deprecated": definition.deprecated,
        "experimental": definition.experimental,
    }


def _kind(spec: InputSpec, folders: Folders | None) -> Any:
    if isinstance(spec.choices, Files):
        return spec.choices.names(folders) if folders else list(spec.choices.also)
    if spec.choices is not None and "options" not in spec.options:
        return list(spec.choices)
    return spec.type
