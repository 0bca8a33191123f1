"""What the document itself says about the things that are missing, and what could not be checked at all."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from graphengine.errors import FileRefused, Problem
from graphengine.graph.validate import Definitions
from graphengine.node.folders import Folders
from graphengine.workflow.models import NodeId, Workflow
from graphengine.workflow.ui_sources import ModelSource, PackSource, file_name, model_sources, pack_sources


@dataclass(frozen=True, slots=True)
class Unchecked:
    """Nodes of one type with something that was not checked: what, and why."""

    class_type: str
    node_ids: tuple[NodeId, ...]
    reason: str

    def __str__(self) -> str:
        noun = "node" if len(self.node_ids) == 1 else "nodes"
        ids = ", ".join(self.node_ids[:_MANY]) + (", …" if len(self.node_ids) > _MANY else "")
        return f"{noun} {ids} ({self.class_type}): {self.reason}"


_MANY = 12


def with_sources(problems: Iterable[Problem], workflow: Workflow, folders: Folders) -> list[Problem]:
    """The problems, with where to get missing packs and models as far as the editor's document says it.

    Models that the document lists and nodes of unknown type name are looked for as well; those that are absent
    are added as warnings, since no definition says that the node needs them.
    """
    found = list(problems)
    if workflow.ui is None:
        return found
    packs, models = pack_sources(workflow.ui), model_sources(workflow.ui)
    advised = [_advised(problem, workflow, packs, models, folders) for problem in found]
    return [*advised, *_absent_models(workflow, models, folders, advised)]


def _advised(
    problem: Problem,
    workflow: Workflow,
    packs: Mapping[str, PackSource],
    models: Mapping[str, ModelSource],
    folders: Folders,
) -> Problem:
    pack = packs.get(problem.class_type or "")
    if problem.code == "unknown_node" and pack is not None:
        return replace(problem, hint=_pack_hint(pack))
    if problem.code in ("missing_model", "not_in_list"):
        model = models.get(file_name(_value(problem, workflow)))
        if model is not None:
            return replace(problem, hint=_model_hint(model, folders))
    return problem


def _value(problem: Problem, workflow: Workflow) -> str:
    node = workflow.nodes.get(NodeId(problem.node_id or ""))
    return str(node.inputs.get(problem.input_name or "", "")) if node is not None else ""


def _pack_hint(pack: PackSource) -> str:
    if pack.is_core:
        return f"it is a node of {pack}; the definitions at hand have none of that type"
    return f"the pack {pack} defines it: install it into custom_nodes"


def _model_hint(model: ModelSource, folders: Folders) -> str:
    roots = " or ".join(str(root) for root in folders.roots(model.directory))
    place = f"put it into {roots}" if roots else f"it belongs into a folder of the kind {model.directory!r}"
    return "; ".join(part for part in (place, str(model)) if part)


def _absent_models(
    workflow: Workflow, models: Mapping[str, ModelSource], folders: Folders, known: Sequence[Problem]
) -> Iterable[Problem]:
    unknown = {
        problem.node_id: problem for problem in known if problem.code in ("unknown_node", "pack_not_loaded")
    }
    for node_id, node in workflow.nodes.items() if models and unknown else ():
        if node_id not in unknown:
            continue
        for name, value in node.inputs.items():
            model = models.get(file_name(value)) if isinstance(value, str) else None
            if model is None or _is_there(model.directory, str(value), folders):
                continue
            yield Problem(
                "missing_model",
                f"input {name!r}: no file {value!r} in the {model.directory} folder",
                node_id=node_id,
                class_type=node.class_type,
                input_name=name,
                hint=_model_hint(model, folders),
                severity="warning",
                origin=node.origin,
            )


def _is_there(directory: str, name: str, folders: Folders) -> bool:
    try:
        return folders.find(directory, name) is not None
    except FileRefused:
        return False


def unchecked(workflow: Workflow, definitions: Definitions, problems: Collection[Problem]) -> list[Unchecked]:
    """What validation could not look at, by node type and reason."""
    waiting = {problem.node_id for problem in problems if problem.code == "pack_not_loaded"}
    reasons: dict[tuple[str, str], list[NodeId]] = {}
    for node_id, node in workflow.nodes.items():
        definition = definitions.get(node.class_type)
        if definition is not None:
            own = ", ".join(sorted(definition.checked_by_node - {"*", "input_types"})) or "all inputs"
            reason = f"the node checks {own} itself, and only in a run" if definition.checked_by_node else ""
        elif node_id in waiting:
            reason = "its inputs and links, because its pack is not loaded"
        else:
            reason = "its inputs and links, because no definition of its type is known"
        if reason:
            reasons.setdefault((node.class_type, reason), []).append(node_id)
    return [Unchecked(class_type, tuple(ids), reason) for (class_type, reason), ids in reasons.items()]
