"""What a file itself says of how it was made: the workflow in its metadata, and what of that is found here."""

import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import JsonValue

from graphengine.errors import FileRefused, GraphEngineError
from graphengine.lineage.gathering import sha256_of, upstream
from graphengine.lineage.hiding import without_secrets
from graphengine.lineage.licences import licence_of_model, model_metadata
from graphengine.lineage.parts import FileState, Making, UsedInput, UsedModel
from graphengine.lineage.surroundings import Surroundings, packs_here
from graphengine.node.definition import Files
from graphengine.node.folders import MODEL_SUFFIXES
from graphengine.workflow.formats import load_workflow
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode

_SEED = re.compile(r"(^|_)seed$")
_LONGEST = 1024  # characters of a text that may name a file


def carried_making(file: Path, here: Surroundings) -> Making:
    """What the metadata of a file says: the nodes that lead to its outputs, without secrets; models by name.

    Raises:
        WorkflowFormatError: it holds no workflow that can be read.
    """
    workflow = load_workflow(file, here.definitions).workflow
    part = upstream(without_secrets(workflow, here.definitions), _targets(workflow, here))
    models, inputs = _files(part, here)
    return Making(
        part,
        seeds=dict(_seeds(part)),
        models=tuple(models),
        inputs=tuple(inputs),
        packs=packs_here((node.class_type for node in part.nodes.values()), here),
    )


def _targets(workflow: Workflow, here: Surroundings) -> list[NodeId]:
    """The output nodes; where a node is not known, or none is an output, those that no other reads."""
    read = {
        given.source for node in workflow.nodes.values() for given in node.inputs.values() if type(given) is Link
    }
    known = here.definitions
    unread = [key for key in workflow.nodes if key not in read]
    return [
        key
        for key, node in workflow.nodes.items()
        if (known[node.class_type].is_output if node.class_type in known else key not in read)
    ] or unread


def _seeds(workflow: Workflow) -> Iterator[tuple[str, int]]:
    for key, node in workflow.nodes.items():
        for name, value in node.inputs.items():
            if type(value) is int and _SEED.search(name):
                yield f"{key}.{name}", value


def _files(workflow: Workflow, here: Surroundings) -> tuple[list[UsedModel], list[UsedInput]]:
    """Models and input files that inputs name, as they are found here by name."""
    places: dict[tuple[str, str], list[str]] = {}
    for key, node in workflow.nodes.items():
        for name, value in node.inputs.items():
            for kind in _kinds(node, name, value, here):
                places.setdefault((kind, str(value)), []).append(f"{key}.{name}")
    models = [_model(kind, name, tuple(each), here) for (kind, name), each in places.items() if kind != "input"]
    return models, [_input(name, tuple(each), here) for (kind, name), each in places.items() if kind == "input"]


def _kinds(node: WorkflowNode, name: str, value: "Link | JsonValue", here: Surroundings) -> Iterator[str]:
    """The kind of file that an input names, if any: by its definition, else by its suffix and what is here."""
    if not isinstance(value, str) or "." not in value or len(value) > _LONGEST:
        return
    definition = here.definitions.get(node.class_type)
    spec = definition.inputs.get(name) if definition is not None else None
    if spec is not None:
        if isinstance(spec.choices, Files) and value not in spec.choices.also:
            yield spec.choices.kind
        return
    if Path(value).suffix.lower() in MODEL_SUFFIXES:
        yield next((kind for kind in here.folders.models if _find(kind, value, here) is not None), "models")
    elif _find("input", value, here) is not None:
        yield "input"


def _find(kind: str, name: str, here: Surroundings) -> Path | None:
    try:
        return here.folders.find(kind, name)
    except (FileRefused, OSError, ValueError):  # no name of a file below the folder
        return None


def _found(kind: str, name: str, here: Surroundings) -> tuple[Path | None, str | None, int | None]:
    """The path, digest and size of a file, as far as it is here."""
    path = _find(kind, name, here)
    if path is None:
        return None, None, None
    try:
        return path, sha256_of(path), path.stat().st_size
    except (GraphEngineError, OSError):
        return None, None, None


def _model(kind: str, name: str, places: tuple[str, ...], here: Surroundings) -> UsedModel:
    path, digest, size = _found(kind, name, here)
    licence = licence_of_model(model_metadata(path)) if path is not None else None
    state: FileState = "absent" if path is None else "not recorded"
    return UsedModel(kind, name, str(path or ""), digest, places, state, size, licence)


def _input(name: str, places: tuple[str, ...], here: Surroundings) -> UsedInput:
    path, digest, size = _found("input", name, here)
    return UsedInput(name, str(path or ""), digest, places, "absent" if path is None else "not recorded", size)
