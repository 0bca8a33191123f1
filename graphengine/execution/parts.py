"""The parts of keys that nodes have in common: their class, its code, and the environment.

A node's own parts, its inputs and the facts about them, are in the plan and in `NodeKeys`. What ten thousand nodes
share is collected here once, and only when a record is written or a plan is explained.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from graphengine.execution import named_files
from graphengine.execution.known import KnownNodes
from graphengine.node.folders import Folders
from graphengine.node.secrets import secret_inputs
from graphengine.workflow.models import NodeId


@dataclass(frozen=True, slots=True)
class ClassParts:
    """What a node type puts into the keys of its nodes: `code` and `environment` are indexes into lists of these.

    `secrets` are its inputs that are never written down. `cacheable` tells whether its results may be kept.
    """

    version: str
    module: str
    code: int
    environment: int
    is_recipe: bool
    secrets: tuple[str, ...] = ()
    cacheable: bool = True


@dataclass(frozen=True, slots=True)
class SharedParts:
    """The classes by name; code is a digest by path, an environment a version or a kind of device by name."""

    classes: dict[str, ClassParts] = field(default_factory=dict)
    codes: list[dict[str, str]] = field(default_factory=list)
    environments: list[dict[str, str]] = field(default_factory=list)


def shared_parts(known: KnownNodes) -> SharedParts:
    """What the nodes of a run have in common."""
    shared = SharedParts()
    places: dict[int, int] = {}
    for definition in {id(each): each for each in known.definitions.values()}.values():
        code = _place(shared.codes, places, definition.code)
        environment = _place(shared.environments, places, known.keys.environment.of(definition))
        shared.classes[definition.class_type] = ClassParts(
            definition.version,
            definition.module,
            code,
            environment,
            definition.is_recipe,
            secret_inputs(definition.inputs),
            definition.cacheable,
        )
    return shared


def _place(known: list[dict[str, str]], places: dict[int, int], texts: Mapping[str, str]) -> int:
    """Where these texts stand in the list; they are added when they are not there."""
    found = places.get(id(texts))
    if found is None:
        copied = dict(texts)
        found = known.index(copied) if copied in known else len(known)
        if found == len(known):
            known.append(copied)
        places[id(texts)] = found
    return found


def file_paths(known: KnownNodes, folders: Folders, node_ids: Iterable[NodeId]) -> dict[str, dict[str, str]]:
    """Where the files are that inputs of these nodes name, by node and input."""
    paths: dict[str, dict[str, str]] = {}
    for node_id in node_ids:
        found = named_files.paths(known.nodes[node_id], known.definitions[node_id], folders)
        if found:
            paths[node_id] = found
    return paths
