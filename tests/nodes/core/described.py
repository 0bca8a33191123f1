"""Node classes as the JSON that their definitions are compared with."""

from collections.abc import Mapping
from typing import Any

from graphengine.node.comfy_classes import define
from graphengine.node.object_info import definition_to_object_info

_COMPARED = ("input", "output", "output_is_list", "output_name", "display_name", "category", "output_node")


def described(classes: Mapping[str, type], titles: Mapping[str, str]) -> dict[str, Any]:
    """What users and saved workflows depend on, by class type; inputs in order, file choices left empty."""
    return {name: _described(name, node_class, titles.get(name)) for name, node_class in classes.items()}


def _described(name: str, node_class: type, title: str | None) -> dict[str, Any]:
    entry = definition_to_object_info(define(name, node_class, display_name=title))
    sections = {
        section: [[name, *_plain(spec)] for name, spec in inputs.items()]
        for section, inputs in entry["input"].items()
    }
    return {key: entry[key] for key in _COMPARED} | {"input": sections}


def _plain(spec: Any) -> list[Any]:
    """The type and, where there are any, the options of an input."""
    if isinstance(spec, str):
        return [spec]
    return [part for part in spec if part != {}]
