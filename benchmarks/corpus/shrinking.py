"""Workflows made small: pictures of about a hundred pixels, a few steps, a few frames.

Everything else stays as it was saved. Sizes of one document change by one factor, so that areas stay in place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pydantic import JsonValue

from graphengine.node.definition import NodeDefinition
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode

EDGE = 128
"""What the longest edge of a document becomes, in pixels."""
FRAMES = 9
MODEL_SUFFIXES = (".ckpt", ".pth", ".pt", ".bin", ".sft")
_SIZES = ("width", "height", "x", "y", "left", "top", "right", "bottom", "resolution", "largest_size")
_EDGES = ("width", "height")
_LENGTHS = ("length", "video_frames")
_FRAMES = {"LTX": 8, "Mochi": 6}
_TOLD = ("CLIPTextEncodeSDXL", "CLIPTextEncodeSDXLRefiner")  # sizes that are text, not pixels
_MEGAPIXELS = EDGE * EDGE / 2**20

Inputs = Mapping[str, Link | JsonValue]


def small(workflow: Workflow, definitions: Mapping[str, NodeDefinition], steps: int) -> Workflow:
    """The workflow with small sizes and not more steps than given.

    Sizes are those of nodes that make latents or change pictures; without a latent nothing is made smaller.
    """
    factor = _factor(workflow, definitions)
    nodes = {
        node_id: replace(
            node, inputs={**node.inputs, **_changes(node, definitions[node.class_type], factor, steps)}
        )
        for node_id, node in workflow.nodes.items()
    }
    return Workflow(nodes)


def renamed(workflow: Workflow, names: Mapping[tuple[NodeId, str], str]) -> Workflow:
    """The workflow with other values for inputs, by node and name."""
    nodes = dict(workflow.nodes)
    for (node_id, name), value in names.items():
        node = nodes[node_id]
        nodes[node_id] = replace(node, inputs={**node.inputs, name: value})
    return Workflow(nodes)


def as_safetensors(name: str) -> str:
    """A model's name with the ending of files that hold no code."""
    stem, dot, ending = name.rpartition(".")
    return f"{stem}.safetensors" if f"{dot}{ending}".lower() in MODEL_SUFFIXES else name


def _factor(workflow: Workflow, definitions: Mapping[str, NodeDefinition]) -> float:
    edges = [
        value
        for node in workflow.nodes.values()
        if node.class_type not in _TOLD and _makes_latents(definitions[node.class_type])
        for name in _EDGES
        if isinstance(value := node.inputs.get(name), int)
    ]
    latents = any(_makes_latents(definitions[node.class_type]) for node in workflow.nodes.values())
    return min(1.0, EDGE / max(edges or [1024])) if latents else 1.0


def _makes_latents(definition: NodeDefinition) -> bool:
    return any(output.type == "LATENT" for output in definition.outputs)


def _changes(node: WorkflowNode, definition: NodeDefinition, factor: float, steps: int) -> dict[str, JsonValue]:
    changes: dict[str, JsonValue] = {}
    for name, value in node.inputs.items():
        if name in _SIZES and isinstance(value, int) and node.class_type not in _TOLD:
            changes[name] = _sized(name, value, definition, factor)
        elif name in _LENGTHS and isinstance(value, int):
            group = next((size for part, size in _FRAMES.items() if part in node.class_type), 4)
            changes[name] = min(value, 1 + max(1, FRAMES // group) * group)
        elif name == "megapixels" and isinstance(value, int | float):
            changes[name] = min(value, _MEGAPIXELS)
    return changes | _fewer_steps(node.inputs, steps)


def _sized(name: str, value: int, definition: NodeDefinition, factor: float) -> int:
    """A size times the factor, as a multiple of what the definition asks for, of 64 where latents are made."""
    if factor == 1:
        return value
    latent = name in _EDGES and _makes_latents(definition) and "Scale" not in definition.class_type
    options = definition.inputs[name].options if name in definition.inputs else {}
    grid = 64 if latent and "Upscale" not in definition.class_type else max(8, int(options.get("step") or 1))
    least = max(grid if name in _EDGES and value else 0, int(options.get("min") or 0))
    return max(least, round(value * factor / grid) * grid)


def _fewer_steps(inputs: Inputs, most: int) -> dict[str, JsonValue]:
    """Steps, and where sampling starts and ends among them."""
    steps = inputs.get("steps")
    if not isinstance(steps, int) or steps <= most:
        return {}
    changes: dict[str, JsonValue] = {"steps": most}
    for name in ("start_at_step", "end_at_step"):
        place = inputs.get(name)
        if isinstance(place, int) and place <= steps:
            changes[name] = min(most, max(1, round(place * most / steps))) if place else 0
    return changes
