"""How the inputs of a recorded call are kept: as literals in the test, in files, by a recipe, or not at all."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphengine.errors import Problem
from graphengine.graph.values import check_value, coerce
from graphengine.node.definition import NodeDefinition
from graphengine.node.dynamic import live_inputs
from graphengine.node.folders import Folders
from graphengine.node.inputs import InputSpec
from graphengine.testing.golden_pictures import is_picture, to_levels, write_picture
from graphengine.testing.recorded_capture import Captured, KeptItems
from graphengine.testing.recorded_manifest import (
    Input,
    MadeInput,
    MissingInput,
    SecretInput,
    StoredInput,
    write_whole,
)
from graphengine.testing.recorded_recipe import holds_secret, is_secret, secret_node, upstream
from graphengine.testing.recorded_source import Argument, is_literal, literal, text_lines
from graphengine.workflow.api_format import workflow_to_api
from graphengine.workflow.models import Link, NodeId, Workflow

RECIPE = "recipe.json"
_LEVELS = 255.0
_SHORT = 60  # characters of a list on one line
_RECORD_AGAIN = "write a value for it into the test"


@dataclass(slots=True)
class InputWriter:
    """Writes the inputs of one call into `folder` and says how the test gets them back.

    `secrets` are texts that must not be written. What could not be kept is in `problems`.
    """

    node_id: NodeId
    definition: NodeDefinition
    workflow: Workflow
    definitions: Mapping[str, NodeDefinition]
    folders: Folders
    folder: Path
    secrets: Collection[str] = ()
    inputs: dict[str, Input] = field(default_factory=dict)
    made_by: dict[NodeId, None] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    _names: set[str] = field(default_factory=set)

    def write(self, captured: Captured) -> list[Argument]:
        """The arguments of the call, in the order in which the node declares them."""
        given = {**captured.inputs, **dict.fromkeys(captured.absent)}
        known = {name: kept.items()[0] for name, kept in captured.inputs.items() if _is_one(kept)}
        specs = live_inputs(self.definition, known)
        order = [*(name for name in specs if name in given), *(name for name in given if name not in specs)]
        arguments = []
        for name in order:
            kept = given[name]
            if kept is None:
                arguments.append(Argument(name, "NOT_EVALUATED", "lazy, and the node did not ask for it"))
            else:
                arguments.append(self._argument(name, kept, specs.get(name)))
        if self.made_by:
            recipe = upstream(self.workflow, self.made_by)
            text = json.dumps(workflow_to_api(recipe), indent=1, ensure_ascii=False)
            write_whole(self.folder / RECIPE, text.encode("utf-8", "surrogatepass"))
        return arguments

    def _argument(self, name: str, kept: KeptItems, spec: InputSpec | None) -> Argument:
        link = self._link(name)
        if is_secret(name, spec) and not (kept.encoded is not None and kept.items() == ("",)):
            return self._read(name, SecretInput(variable=_variable(name)), "a secret, from the environment")
        if spec is not None and spec.raw_link and link is not None:
            return self._missing(name, "the node is given the link itself, which leads to other nodes")
        if kept.is_object and link is not None:
            return self._made(name, link, kept)
        if kept.encoded is None:
            return self._missing(name, kept.refusal)
        if holds_secret(kept.encoded, self.secrets):
            return self._missing(name, "a secret of the workflow stands in it")
        return self._stored(name, kept.items(), spec, kept.encoded, is_linked=link is not None)

    def _link(self, name: str) -> Link | None:
        value = self.workflow.nodes[self.node_id].inputs.get(name)
        return value if isinstance(value, Link) else None

    def _read(self, name: str, how: Input, comment: str) -> Argument:
        self.inputs[name] = how
        return Argument(name, f"recording.input({literal(name)})", comment)

    def _missing(self, name: str, reason: str) -> Argument:
        class_type = self.definition.class_type
        message = f"input {name!r} is not recorded: {reason}"
        self.problems.append(
            Problem(
                "not_recorded", message, self.node_id, class_type, name, "raise --record-max, or " + _RECORD_AGAIN
            )
        )
        return self._read(name, MissingInput(reason=reason), "not recorded")

    def _made(self, name: str, link: Link, kept: KeptItems) -> Argument:
        recipe = upstream(self.workflow, [link.source])
        secret = secret_node(recipe, self.definitions, self.secrets)
        if secret is not None:
            return self._missing(
                name, f"{kept.refusal}, and node {secret}, which takes part in it, needs a secret"
            )
        self.made_by[link.source] = None
        source = self.workflow.nodes[link.source]
        made = MadeInput(node=link.source, output=link.output)
        return self._read(name, made, f"made again by node {link.source} ({source.class_type})")

    # Any: nodes give each other whatever they like.
    def _stored(
        self, name: str, items: tuple[Any, ...], spec: InputSpec | None, encoded: str | bytes, *, is_linked: bool
    ) -> Argument:
        is_many = is_linked and not (len(items) == 1 and _stands(spec, items[0], self.folders))
        if self.definition.input_is_list and all(is_literal(item) for item in items):
            listed = f"[{', '.join(map(literal, items))}]"
            if len(listed) <= _SHORT:
                return Argument(name, listed, _type(spec))
        elif items and all(is_literal(item) for item in items):
            if len(items) > 1 or (is_many and items[0] is not None):
                return Argument(name, f"Many({', '.join(literal(item) for item in items)})", _type(spec))
            lines = text_lines(items[0]) if isinstance(items[0], str) else [literal(items[0])]
            return Argument(name, "\n".join(lines))
        files = self._files(name, items, encoded)
        as_items = is_many and len(items) == 1 and isinstance(items[0], str | int | float)
        stored = StoredInput(files=files, as_items=as_items)
        return self._read(name, stored, f"{_type(spec)}, {files[0]}".removeprefix(", "))

    def _files(self, name: str, items: tuple[Any, ...], encoded: str | bytes) -> tuple[str, ...]:
        """The files that hold the items: PNG where its 8 bits are exact, else one file."""
        stem = self._free(name)
        if isinstance(encoded, str):
            write_whole(self.folder / f"{stem}.json", encoded.encode())
            return (f"{stem}.json",)
        if len(items) == 1 and _is_exact_picture(items[0]):
            batch = items[0]
            files = [f"{stem}.png"] if len(batch) == 1 else [f"{stem}_{index}.png" for index in range(len(batch))]
            for file, picture in zip(files, batch, strict=True):
                write_picture(self.folder / file, to_levels(picture))
            return tuple(files)
        write_whole(self.folder / f"{stem}.safetensors", encoded)
        return (f"{stem}.safetensors",)

    def _free(self, name: str) -> str:
        """A file name for an input: letters, digits and `_`, its own even where letters differ in case alone."""
        clean = re.sub(r"[^A-Za-z0-9_]+", "_", name)[:60].strip("_") or "input"
        stem, number = clean, 1
        while stem.lower() in self._names or f"{stem}.json" in (RECIPE, "recording.json"):
            number += 1
            stem = f"{clean}_{number}"
        self._names.add(stem.lower())
        return stem


def _is_one(kept: KeptItems) -> bool:
    """Whether it is one short value, a choice perhaps, that others inputs may hang on."""
    return isinstance(kept.encoded, str) and len(kept.types) == 1


def _variable(name: str) -> str:
    return "GRAPHENGINE_RECORDED_" + (re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_") or "SECRET")


def _type(spec: InputSpec | None) -> str:
    return "" if spec is None else "".join(spec.link_type.split())


def _stands(spec: InputSpec | None, value: Any, folders: Folders) -> bool:
    """Whether a value that came over a link can stand in the test as it is: the checks of literals let it pass."""
    if (
        spec is None
        or not (spec.is_widget or spec.choices is not None)
        or not isinstance(value, str | int | float)
    ):
        return True
    if check_value(spec, value, folders, by_node=False) is not None:
        return False
    converted = coerce(spec, value)
    return type(converted) is type(value) and converted == value


def _is_exact_picture(value: Any) -> bool:
    """Whether a value is a picture of which 8 bits per channel are all there is."""
    import torch

    if not is_picture(value) or value.dtype is not torch.float32 or value.shape[-1] == 0:
        return False
    levels = torch.tensor(to_levels(value)).reshape(value.shape).float() / _LEVELS
    return bool(torch.equal(levels, value.cpu()))
