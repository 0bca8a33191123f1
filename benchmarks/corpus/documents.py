"""The saved workflows of a folder, and the classes and the files that they name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from graphengine.engine import Engine
from graphengine.errors import WorkflowFormatError
from graphengine.node.definition import NodeDefinition
from graphengine.node.files import Files
from graphengine.workflow.models import Link, NodeId, Workflow

MODEL_KINDS = ("checkpoints", "diffusion_models")
_EMBEDDING = re.compile(r"embedding:([\w.-]+)")
_KNOWN_DOCUMENTS = ("api.json", "ui.json")
_MOST_STEPS = 50


@dataclass(frozen=True)
class Document:
    """A saved workflow: what it is called, and its file.

    editor: the file with the editor's document of the same workflow, when there is one beside the API document.
    """

    name: str
    file: Path
    editor: Path | None = None


@dataclass(frozen=True)
class NamedFile:
    """A file that a node's input names.

    kind: the folder that it lies in, such as "loras". type: what the node's input "type" says, "" without one.
    model: the name of the file that the model it is applied to comes from, or the first model's of the document;
    "" when there is none.
    """

    node: NodeId
    input: str
    kind: str
    name: str
    type: str = ""
    model: str = ""


def documents(folder: Path) -> list[Document]:
    """All workflows below a folder by name: one of each sub-folder with api.json or ui.json, each other file."""
    found = {}
    for file in sorted(folder.rglob("*.json")):
        known = file.name in _KNOWN_DOCUMENTS
        name = str((file.parent if known else file.with_suffix("")).relative_to(folder))
        if not known or file.name == "api.json" or name not in found:
            beside = file.with_name("ui.json")
            found[name] = Document(name, file, beside if file.name == "api.json" and beside.exists() else None)
    return list(found.values())


def read(engine: Engine, file: Path) -> Workflow | None:
    """The workflow of a file; None when it cannot be read or has no nodes."""
    try:
        workflow = engine.read(file).workflow
    except WorkflowFormatError:
        return None
    return workflow if workflow.nodes else None


def core_classes(files: list[Path]) -> frozenset[str]:
    """The names of classes in files: saved `/object_info`, or lists `{"classes": [{"class": name}, …]}`."""
    names: set[str] = set()
    for file in files:
        content = json.loads(file.read_bytes())
        listed = content.get("classes") if isinstance(content.get("classes"), list) else None
        names.update(content if listed is None else (entry["class"] for entry in listed))
    return frozenset(names)


def named_files(workflow: Workflow, definitions: Mapping[str, NodeDefinition]) -> list[NamedFile]:
    """Every file that a node of a known class names, be it there or not; and the embeddings in its texts."""
    plain = list(_files(workflow, definitions))
    models = {file.node: file.name for file in plain if file.kind in MODEL_KINDS}
    first = next(iter(models.values()), "")
    found = []
    for file in plain:
        kind = workflow.nodes[file.node].inputs.get("type", "")
        model = models.get(_model_above(workflow, file.node, models), first)
        found.append(NamedFile(file.node, file.input, file.kind, file.name, str(kind), model))
    return [*found, *_embeddings(workflow, first)]


def _files(workflow: Workflow, definitions: Mapping[str, NodeDefinition]) -> Iterator[NamedFile]:
    for node_id, node in workflow.nodes.items():
        if node.class_type not in definitions:
            continue
        for name, spec in definitions[node.class_type].inputs.items():
            value = node.inputs.get(name)
            if isinstance(spec.choices, Files) and isinstance(value, str) and value not in spec.choices.also:
                yield NamedFile(node_id, name, spec.choices.kind, value)


def _embeddings(workflow: Workflow, model: str) -> Iterator[NamedFile]:
    for node_id, node in workflow.nodes.items():
        for name, value in node.inputs.items():
            for found in _EMBEDDING.findall(value if isinstance(value, str) else ""):
                yield NamedFile(node_id, name, "embeddings", found, model=model)


def _model_above(workflow: Workflow, node_id: NodeId, models: Mapping[NodeId, str]) -> NodeId:
    """The loader that a node's input "model" comes from in the end; the node itself when there is none."""
    place = node_id
    for _ in range(_MOST_STEPS):
        if place in models or place not in workflow.nodes:
            break
        inputs = workflow.nodes[place].inputs
        link = next((inputs[name] for name in ("model", "model1") if isinstance(inputs.get(name), Link)), None)
        if not isinstance(link, Link):
            break
        place = link.source
    return place
