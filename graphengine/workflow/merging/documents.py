"""The three-way merge of workflow documents, and the conflicts that it leaves in them.

A document with conflicts is a valid one: each place has the value of ours, a node that one side deleted and the
other edited is there, and `extra.conflicts` (in API documents `_meta.conflicts` of the node) lists both values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from graphengine.errors import WorkflowFormatError
from graphengine.workflow.canonical import canonical, is_api, is_ui
from graphengine.workflow.difference.changes import compare
from graphengine.workflow.difference.sheets import names_of_values, sheets_of_ui
from graphengine.workflow.difference.values import same
from graphengine.workflow.merging.merge_nodes import Conflict, Merging
from graphengine.workflow.merging.parts import GraphParts, api_nodes, api_parts, renamed, ui_graph, ui_parts
from graphengine.workflow.ui_graph import INPUTS_ID, OUTPUTS_ID
from graphengine.workflow.ui_models import UiNode, parse_ui
from graphengine.workflow.widgets import DefinitionLike

# Any throughout: documents are open-ended JSON.
Json = dict[str, Any]

_HERE = frozenset({"nodes", "links", "definitions", "inputs", "outputs", "extra"})
_NOISE = frozenset(
    {"last_node_id", "last_link_id", "state", "revision", "groups", "reroutes", "config", "inputNode"}
)
_NOISE_EXTRA = frozenset(
    {"ds", "frontendVersion", "node_versions", "reroutes", "linkExtensions", "workspace_info"}
)


@dataclass(frozen=True, slots=True)
class Merged:
    """The merged document in canonical form, and what could not be merged."""

    document: Json
    conflicts: tuple[Conflict, ...]


def merge_documents(
    base: Json, ours: Json, theirs: Json, definitions: Mapping[str, DefinitionLike] | None = None
) -> Merged:
    """Both sides' changes of the base in one document; with definitions conflicts name the inputs of values.

    Raises:
        WorkflowFormatError: they are not three documents of the editor, or three API documents.
    """
    base, ours, theirs = canonical(base), canonical(ours), canonical(theirs)
    if all(map(is_ui, (base, ours, theirs))):
        return _merge_ui(base, ours, theirs, definitions or {})
    if all(map(is_api, (base, ours, theirs))):
        return _merge_api(base, ours, theirs)
    raise WorkflowFormatError(
        "only documents of one kind can be merged: three of the editor, or three API documents",
        hint="convert them first, with graphengine convert",
    )


def _merge_api(base: Json, ours: Json, theirs: Json) -> Merged:
    merging = Merging("", api_parts(base), api_parts(ours), api_parts(theirs), _unsettled(base, ""))
    merging.run()
    document = api_nodes(merging.merged)
    for conflict in merging.conflicts:
        meta = document[conflict.node].setdefault("_meta", {})
        meta.setdefault("conflicts", []).append(conflict.to_json())
    return Merged(canonical(document), tuple(merging.conflicts))


def _merge_ui(base: Json, ours: Json, theirs: Json, definitions: Mapping[str, DefinitionLike]) -> Merged:
    ours, theirs = _with_ids_of(base, ours), _with_ids_of(base, theirs)
    conflicts: list[Conflict] = []
    document = _merge_graph("", base, ours, theirs, conflicts, _unsettled(base, ""))
    subgraphs = _merge_subgraphs(base, ours, theirs, conflicts)
    if subgraphs:
        document["definitions"] = {**(ours.get("definitions") or {}), "subgraphs": subgraphs}
    conflicts = [_named(conflict, document, definitions) for conflict in conflicts]
    if conflicts:
        extra = document.setdefault("extra", {})
        extra["conflicts"] = [*extra.get("conflicts", []), *(conflict.to_json() for conflict in conflicts)]
    return Merged(canonical(document), tuple(conflicts))


def _named(conflict: Conflict, document: Json, definitions: Mapping[str, DefinitionLike]) -> Conflict:
    """The conflict with the name of the input whose value stands at a place in the list of values."""
    if not conflict.part.startswith("widget:"):
        return conflict
    graph = _subgraphs(document).get(conflict.graph, document)
    raw = next((node for node in graph["nodes"] if str(node["id"]) == conflict.node), None)
    if raw is None:
        return conflict
    names = names_of_values(UiNode.model_validate(raw), definitions.get(raw["type"]))
    return replace(conflict, name=names.get(int(conflict.part.partition(":")[2]), conflict.name))


def _with_ids_of(base: Json, other: Json) -> Json:
    """The document with the ids of the base, where most of its nodes have been numbered anew."""
    found = compare(sheets_of_ui(parse_ui(base), {}), sheets_of_ui(parse_ui(other), {}))
    made = other
    for graph in found.graphs:
        pairs = {key: before for key, before in graph.pairs.items() if key not in (INPUTS_ID, OUTPUTS_ID)}
        moved = {key: before for key, before in pairs.items() if key != before}
        if graph.sheet.key or 2 * len(moved) <= len(pairs):
            continue
        parts = ui_parts(other)
        following = 1 + max(int(key) for key in (*pairs, *pairs.values(), "0") if key.isdecimal())
        of = {str(node["id"]): node["id"] for node in base["nodes"]}
        ids = {key: of[before] for key, before in moved.items()}
        taken = {str(each) for each in ids.values()}
        for key in parts.nodes:
            if key not in ids and key in taken:
                ids[key], following = following, following + 1
        parts = renamed(parts, ids)
        made = ui_graph(made, parts, [parts.link_facts])
    return made


def _unsettled(base: Json, graph: str) -> frozenset[tuple[str, str]]:
    """The nodes ("" for the document) and parts of a graph that are listed as conflicts of a document."""
    extra = base.get("extra") if is_ui(base) else None
    listed = [extra.get("conflicts")] if isinstance(extra, dict) else []
    if not is_ui(base):
        listed = [(node.get("_meta") or {}).get("conflicts") for node in base.values() if isinstance(node, dict)]
    return frozenset(
        (str(each.get("node")), str(each.get("part")))
        for conflicts in listed
        if isinstance(conflicts, list)
        for each in conflicts
        if isinstance(each, dict) and each.get("graph", "") == graph
    )


def _merge_graph(
    key: str,
    base: Json,
    ours: Json,
    theirs: Json,
    conflicts: list[Conflict],
    unsettled: frozenset[tuple[str, str]],
) -> Json:
    merging = Merging(key, ui_parts(base), ui_parts(ours), ui_parts(theirs), unsettled)
    merging.run()
    conflicts += merging.conflicts
    base = _without(base, unsettled)
    rest = _pick_all(key, base, ours, theirs, _NOISE, conflicts, "")
    if isinstance(ours.get("extra"), dict) or isinstance(theirs.get("extra"), dict):
        before, mine, other = (each.get("extra") or {} for each in (base, ours, theirs))
        rest["extra"] = _pick_all(key, before, mine, other, _NOISE_EXTRA, conflicts, "extra.")
    shell: Json = {
        **{name: ours[name] for name in ("links", "inputs", "outputs") if name in ours},
        **{name: value for name, value in rest.items() if name not in _HERE or name == "extra"},
    }
    return ui_graph(shell, merging.merged, [merging.ours.link_facts, merging.theirs.link_facts])


def _without(base: Json, unsettled: frozenset[tuple[str, str]]) -> Json:
    """The base without what stands beside nodes and is listed as a conflict."""
    names = {part.removeprefix("document:") for node, part in unsettled if not node}
    made = {name: value for name, value in base.items() if name not in names}
    if isinstance(made.get("extra"), dict):
        made["extra"] = {name: value for name, value in made["extra"].items() if f"extra.{name}" not in names}
    return made


def _pick_all(
    graph: str,
    base: Json,
    ours: Json,
    theirs: Json,
    noise: frozenset[str],
    conflicts: list[Conflict],
    prefix: str,
) -> Json:
    """The merge of what stands beside nodes; for what is only drawn or counted ours counts."""
    made: Json = {}
    for name in dict.fromkeys((*ours, *theirs)):
        if name in _HERE and not prefix:
            continue
        versions = {
            side: each[name] for side, each in (("base", base), ("ours", ours), ("theirs", theirs)) if name in each
        }
        mine_is_old = _equal(versions, "ours", "base")
        differs = not _equal(versions, "theirs", "base") and not _equal(versions, "ours", "theirs")
        if differs and not mine_is_old and name not in noise:
            what = f"{prefix}{name}"
            conflicts.append(Conflict(graph, "", f"document:{what}", what, versions, "changed by both"))
        chosen = "theirs" if mine_is_old else "ours"
        if chosen in versions:
            made[name] = versions[chosen]
    return made


def _equal(versions: Mapping[str, Any], one: str, other: str) -> bool:
    if one not in versions or other not in versions:
        return one not in versions and other not in versions
    return same(versions[one], versions[other])


def _subgraphs(raw: Json) -> dict[str, Json]:
    found = (raw.get("definitions") or {}).get("subgraphs") or []
    return {str(each["id"]): each for each in found}


def _merge_subgraphs(base: Json, ours: Json, theirs: Json, conflicts: list[Conflict]) -> list[Json]:
    before, mine, others = map(_subgraphs, (base, ours, theirs))
    made: list[Json] = []
    for key in dict.fromkeys((*mine, *others)):
        if key in mine and key in others:
            old = before.get(key, {"nodes": []})
            made.append(_merge_graph(key, old, mine[key], others[key], conflicts, _unsettled(base, key)))
            continue
        left = mine.get(key, others.get(key, {}))
        if key in before and not _is_used(key, ours, theirs) and same(before[key], left):
            continue
        made.append(left)  # a definition that nothing uses does no harm; one that is missed does
    return made


def _is_used(key: str, *documents: Json) -> bool:
    """Whether any of the documents has an instance of a subgraph in the graph itself or in others."""
    graphs: list[Sequence[Json]] = []
    for document in documents:
        graphs.append(document.get("nodes") or [])
        graphs += [each.get("nodes") or [] for each in _subgraphs(document).values()]
    return any(node.get("type") == key for nodes in graphs for node in nodes)


def parts_of(document: Json, graph: str) -> tuple[Json, GraphParts]:
    """A graph of a document by its key, and its parts.

    Raises:
        WorkflowFormatError: there is no such graph.
    """
    if not is_ui(document):
        return document, api_parts(document)
    found = document if not graph else _subgraphs(document).get(graph)
    if found is None:
        raise WorkflowFormatError(f"the document has no subgraph {graph!r} any more", hint="see its conflicts")
    return found, ui_parts(found)
