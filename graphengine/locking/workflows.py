"""What a workflow of a project is and uses, told without running code of its packs."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from graphengine.engine import Engine
from graphengine.errors import FileRefused, LockError
from graphengine.execution.named_files import fingerprints
from graphengine.locking.schema import LockedWorkflow
from graphengine.node.definition import NodeDefinition
from graphengine.node.dynamic import live_inputs
from graphengine.node.files import Files
from graphengine.node.folders import MODEL_SUFFIXES, Folders
from graphengine.packs.discover import Pack, import_names
from graphengine.packs.pack_problems import indexed_class
from graphengine.settings import LEGACY_KINDS
from graphengine.workflow.api_format import workflow_to_api
from graphengine.workflow.canonical import canonical_api, canonical_ui, text_of
from graphengine.workflow.documents import DocumentKind
from graphengine.workflow.formats import read_document
from graphengine.workflow.layout_file import split_layout
from graphengine.workflow.models import Workflow, WorkflowNode
from graphengine.workflow.ui_sources import ModelSource, model_sources

_NO_MODELS = frozenset({"input", "output", "temp"})


@dataclass(frozen=True, slots=True)
class UsedByWorkflow:
    """What a workflow is and uses. `models` are where they are, by "kind/name", None for one that is not there.

    `sources` is what the editor's document says of models, by file name. `unknown` are the node types that no
    index or installed pack defines here, `packages` what the packs of the others say that results depend on.
    """

    locked: LockedWorkflow
    packs: Mapping[str, Pack]
    installed: Mapping[str, Pack]
    models: Mapping[str, Path | None]
    sources: Mapping[str, ModelSource]
    unknown: tuple[str, ...] = ()
    packages: frozenset[str] = frozenset()


def look_at(engine: Engine, file: Path, wanted: DocumentKind | None = None) -> UsedByWorkflow:
    """What the workflow in a file is and uses.

    Raises:
        WorkflowFormatError: the file cannot be read, or holds no workflow.
    """
    conversion = engine.read(file, wanted)
    workflow = conversion.workflow
    types = sorted({node.class_type for node in workflow.nodes.values()})
    definitions = {name: engine.registry.get(name) for name in types}
    unknown = [name for name, definition in definitions.items() if definition is None]
    is_sound = not unknown and not any(problem.severity == "error" for problem in conversion.problems)
    drawn = _drawn(file, wanted)
    custom, installed = packs_of(engine, workflow)
    models = models_of(engine, workflow)
    if unknown and workflow.ui is not None:
        models |= _drawn_models(workflow.ui, frozenset(unknown), engine.folders)
    return UsedByWorkflow(
        LockedWorkflow(
            sha256=api_digest(workflow) if is_sound or drawn is None else None,
            drawn=drawn,
            packs=sorted(custom),
            installed_packs=sorted(installed),
            models=sorted(models),
        ),
        custom,
        installed,
        models,
        model_sources(workflow.ui) if workflow.ui is not None else {},
        tuple(unknown),
        frozenset(name for found in definitions.values() if found is not None for name in found.packages),
    )


def api_digest(workflow: Workflow) -> str:
    """SHA-256 (hex) of the canonical API document: nodes and inputs by name, titles left out."""
    document = canonical_api(workflow_to_api(workflow))
    nodes: dict[str, JsonValue] = {
        key: {name: value for name, value in node.items() if name != "_meta"} for key, node in document.items()
    }
    text = json.dumps(nodes, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode("ascii")).hexdigest()


def _drawn(file: Path, wanted: DocumentKind | None) -> str | None:
    """SHA-256 (hex) of the editor's document without its layout, None where the API document counts."""
    document = read_document(file)
    if document.ui is None or (document.api is not None and wanted is not DocumentKind.UI):
        return None
    text = text_of(canonical_ui(split_layout(canonical_ui(dict(document.ui.to_json())))[0]))
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def packs_of(engine: Engine, workflow: Workflow) -> tuple[dict[str, Pack], dict[str, Pack]]:
    """The packs whose nodes a workflow names: those of `custom_nodes`, and installed ones, by name."""
    custom: dict[str, Pack] = {}
    installed: dict[str, Pack] = {}
    unknown: set[str] = set()
    for class_type in sorted({node.class_type for node in workflow.nodes.values()}):
        pack = _pack_of(engine, class_type)
        if pack is None:
            unknown.add(class_type)
        else:
            (installed if pack.path is None else custom)[pack.name] = pack
    for pack in engine.packs.mentioning(engine.custom, unknown) if unknown else ():
        custom[pack.name] = pack
    return custom, installed


def _pack_of(engine: Engine, class_type: str) -> Pack | None:
    known = indexed_class(engine.registry, class_type)
    if known is not None:
        return known.pack
    definition = engine.registry.get(class_type)
    module = definition.module if definition is not None else ""
    of_it = [
        pack
        for pack in (*engine.packs.packs, *engine.custom)
        if any(f"{module}.".startswith(f"{name}.") for name in _module_names(pack))
    ]
    return max(of_it, key=lambda pack: len(pack.module), default=None)


def _module_names(pack: Pack) -> tuple[str, ...]:
    return (pack.module,) if pack.path is None else import_names(pack)


def models_of(engine: Engine, workflow: Workflow) -> dict[str, Path | None]:
    """The models that a workflow names, by "kind/name", None for one that is not there.

    Those are the files that stand in the keys of its nodes, and what texts name that are no choices of files: so
    the answer is the same whether the definition of a node is known or not.
    """
    found: dict[str, Path | None] = {}
    for node in workflow.nodes.values():
        definition = engine.registry.get(node.class_type)
        declared = {} if definition is None else _models_of_node(node, definition, engine.folders)
        names = {place.partition("/")[2] for place in declared}
        found |= declared
        texts = (value for value in node.inputs.values() if isinstance(value, str) and value not in names)
        found |= _models_by_name(texts, engine.folders)
    return found


def _models_of_node(node: WorkflowNode, definition: NodeDefinition, folders: Folders) -> dict[str, Path | None]:
    """The models among the files that stand in the key of a node, and those that it names and that are absent."""
    read: list[Path] = []

    def note(path: Path) -> str:
        read.append(path)
        return ""

    try:
        fingerprints(node, definition, folders, note)
    except FileRefused as error:
        raise LockError(f"node type {node.class_type}: {error.message}", hint=error.hint) from error
    found: dict[str, Path | None] = {place: path for path in read for place in _places(path, folders)}
    for spec in live_inputs(definition, node.inputs).values() if definition.has_files else ():
        value, choices = node.inputs.get(spec.name), spec.choices
        if not isinstance(choices, Files) or not isinstance(value, str) or choices.kind in _NO_MODELS:
            continue
        if value not in choices.also and folders.find(choices.kind, value) is None:
            found[f"{LEGACY_KINDS.get(choices.kind, choices.kind)}/{value}"] = None
    return found


# Any: the editor's document is open-ended JSON.
def _drawn_models(ui: Mapping[str, Any], types: Collection[str], folders: Folders) -> dict[str, Path | None]:
    """The models that values of nodes of unknown types name in the editor's document, where they have no names."""
    found: dict[str, Path | None] = {}
    graphs: list[Any] = [ui, *_listed(_mapping(ui.get("definitions")).get("subgraphs"))]
    for node in (each for graph in graphs for each in _listed(_mapping(graph).get("nodes"))):
        values = _mapping(node).get("widgets_values")
        if _mapping(node).get("type") in types:
            texts = values.values() if isinstance(values, dict) else _listed(values)
            found |= _models_by_name(texts, folders)
    return found


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _models_by_name(values: Iterable[object], folders: Folders) -> dict[str, Path | None]:
    """The models that texts name, where no definition says which kind is meant."""
    found: dict[str, Path | None] = {}
    for value in values:
        if not isinstance(value, str) or Path(value).suffix.lower() not in MODEL_SUFFIXES:
            continue
        for kind in folders.models:
            try:
                path = folders.find(kind, value)
            except FileRefused:  # the node itself will say so
                break
            if path is not None:
                found |= dict.fromkeys(_places(path, folders), path)
                break
    return found


def _places(path: Path, folders: Folders) -> Iterator[str]:
    """The "kind/name" of a file in a folder of models; the closest folder counts, a file elsewhere has none."""
    near: tuple[int, str] | None = None
    for kind, roots in folders.models.items():
        for root in roots if kind not in LEGACY_KINDS else ():
            if path.is_relative_to(root) and (near is None or len(root.parts) > near[0]):
                near = len(root.parts), f"{kind}/{path.relative_to(root).as_posix()}"
    if near is not None:
        yield near[1]
