"""The files that a recorded node and its recipes name: copies of input files, the names of models."""

import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from graphengine.errors import Problem
from graphengine.execution import named_files
from graphengine.node.definition import Files, NodeDefinition
from graphengine.node.dynamic import live_inputs
from graphengine.node.folders import Folders
from graphengine.testing.recorded_capture import size_text
from graphengine.testing.recorded_manifest import NeededFile
from graphengine.workflow.models import NodeId, WorkflowNode


@dataclass(frozen=True, slots=True)
class UsedFile:
    """A file that an input of a node names: the folder kind and the name in it; None, where it lies elsewhere."""

    node_id: NodeId
    input_name: str
    path: Path
    kind: str | None
    name: str = ""

    @property
    def is_model(self) -> bool:
        """Whether it lies in a folder of models."""
        return self.kind not in (None, "input", "output", "temp")


def used_files(
    nodes: Mapping[NodeId, WorkflowNode], definitions: Mapping[str, NodeDefinition], folders: Folders
) -> Iterator[UsedFile]:
    """The files that literals of these nodes name and that are there."""
    for node_id, node in nodes.items():
        definition = definitions.get(node.class_type)
        if definition is None:
            continue
        kinds = {
            spec.name: spec.choices.kind
            for spec in live_inputs(definition, node.inputs).values()
            if isinstance(spec.choices, Files)
        }
        for name, found in named_files.paths(node, definition, folders).items():
            path = Path(found)
            if not path.is_file():
                continue
            kind, below = _place(path, kinds.get(name, "input"), folders)
            absolute = Path(str(node.inputs.get(name))).is_absolute()
            yield UsedFile(node_id, name, path, None if absolute else kind, below)


def _place(path: Path, kind: str, folders: Folders) -> tuple[str | None, str]:
    """The kind of the folder that a file lies in and its name there."""
    for tried in (kind, "output", "temp") if kind == "input" else (kind,):
        for root in folders.roots(tried):
            if path.is_relative_to(root.absolute()):
                return tried, path.relative_to(root.absolute()).as_posix()
    return None, ""


def copy_files(
    data: Path,
    nodes: Mapping[NodeId, WorkflowNode],
    definitions: Mapping[str, NodeDefinition],
    folders: Folders,
    limit: int,
    own: NodeId,
) -> tuple[tuple[NeededFile, ...], list[Problem]]:
    """The files that literals of these nodes name, and what is wrong with some.

    Those of the input folder are copied into `data` when they take `limit` bytes at most; models are named only.
    `own` is the recorded node.
    """
    needed: dict[tuple[str, str], NeededFile] = {}
    problems: list[Problem] = []
    for used in used_files(nodes, definitions, folders):
        if (used.kind, used.name) in needed:
            continue
        reason = _why_not(used, limit)
        if used.kind is None or reason is not None:
            message = f"input {used.input_name!r} names {str(used.path)!r}, which is not recorded: {reason}"
            class_type, hint = nodes[used.node_id].class_type, "have the test put the file into the input folder"
            problems.append(Problem("not_recorded", message, used.node_id, class_type, used.input_name, hint))
            continue
        copied = None
        if not used.is_model:
            copied = f"file_{len(needed)}{re.sub(r'[^A-Za-z0-9.]', '', used.path.suffix)}"
            shutil.copyfile(used.path, data / copied)
        needed[used.kind, used.name] = NeededFile(
            kind=used.kind, name=used.name, file=copied, own=used.node_id == own
        )
    return tuple(needed.values()), problems


def _why_not(used: UsedFile, limit: int) -> str | None:
    if used.kind is None:
        return "it lies outside of the input folder"
    size = used.path.stat().st_size
    if used.is_model or size <= limit:
        return None
    return f"it takes {size_text(size)}, more than the limit of {size_text(limit)}"
