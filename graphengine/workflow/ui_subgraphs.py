"""What instances stand for: the subgraphs and group nodes that a document defines."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from pydantic import JsonValue

from graphengine.errors import Problem
from graphengine.workflow.ui_everywhere import with_broadcasts
from graphengine.workflow.ui_extent import LIMITS, Extent, extent_of, extent_of_instances
from graphengine.workflow.ui_graph import (
    INPUTS_ID,
    OUTPUTS_ID,
    UiGraph,
    build_ui_graph,
    first_widgets,
    runs,
)
from graphengine.workflow.ui_groups import group_graph
from graphengine.workflow.ui_models import UiDocument, UiLink, UiNode, UiSubgraph
from graphengine.workflow.ui_scopes import Place, Scope
from graphengine.workflow.widgets import DefinitionLike, PlainWidget

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_GROUP_PREFIXES = ("workflow>", "workflow/")
_EXPORT = "run the API document instead: in the editor, File > Export (API)"


class Insides:
    """The graphs that node types of one document stand for. What is wrong with them is added to `problems`."""

    def __init__(
        self, document: UiDocument, definitions: Mapping[str, DefinitionLike], problems: list[Problem]
    ) -> None:
        self._subgraphs = {str(subgraph.id): subgraph for subgraph in _subgraphs(document)}
        self._groups = _groups(document)
        self._definitions = definitions
        self._problems = problems
        self._built: dict[str, UiGraph | None] = {}
        self._refused: set[str] = set()
        self._too_large = False

    def open_up(self, place: Place) -> Scope | None:
        """The inside of an instance that runs; None for any other node."""
        graph = self._graph_of(place.node)
        if graph is None or self._too_large or place.node.type in self._refused:
            return None
        return place.inside(graph)

    def unopened(self, place: Place) -> Problem | None:
        """The problem with a node that should stand for a graph of which the document says nothing."""
        type_ = place.node.type
        if type_ in self._definitions or self._graph_of(place.node) is not None:
            return None
        if _UUID.fullmatch(type_):
            text = "stands for a subgraph that the document does not define"
            return place.problem("missing_subgraph", text, "save the workflow again in the editor it came from")
        if type_.startswith(_GROUP_PREFIXES):
            text = "stands for a group node that the document does not define, or not in a readable way"
            return place.problem("missing_subgraph", text, "convert it to a subgraph in the editor, and save")
        return None

    def stands_for_graph(self, place: Place) -> bool:
        """Whether a node is an instance, opened or not."""
        return self._graph_of(place.node) is not None

    def check_size(self, root: Scope) -> None:
        """Refuse types that contain themselves, and all instances if they would make the document too large."""
        extents: dict[str, Extent] = {}
        for type_, graph in self._inside_out(root):
            if graph is not root.graph:
                extents[type_] = extent_of(graph, extents)
        nodes = root.graph.nodes.values()
        extent = extent_of_instances(nodes, extents)
        if extent.share > 1:
            self._too_large = True
            largest = max(
                (node for node in nodes if node.type in extents), key=lambda node: extents[node.type].share
            )
            self._problems.append(_too_large(Place(largest, root), extent))

    def _inside_out(self, root: Scope) -> Iterator[tuple[str, UiGraph]]:
        """Every graph that is reached, each after those it contains; the document itself comes last, as ""."""
        done, entered = set[str](), set[str]()
        stack: list[tuple[str, UiGraph, Iterator[UiNode], str]] = [
            ("", root.graph, iter(root.graph.nodes.values()), "")
        ]
        while stack:
            type_, graph, nodes, place = stack[-1]
            node = next(nodes, None)
            if node is None:
                stack.pop()
                done.add(type_)
                entered.discard(type_)
                yield type_, graph
                continue
            inner = self._graph_of(node) if node.type not in done else None
            if inner is None:
                continue
            if node.type in entered:
                self._refuse(Place(node, Scope(graph, place=place)), inner)
                continue
            entered.add(node.type)
            stack.append((node.type, inner, iter(inner.nodes.values()), inner.place))

    def _refuse(self, place: Place, graph: UiGraph) -> None:
        text = f"is the {graph.kind} {graph.name!r} within itself"
        self._problems.append(place.problem("subgraph_cycle", text, "remove it from there in the editor"))
        self._refused.add(place.node.type)

    def _graph_of(self, node: UiNode) -> UiGraph | None:
        """What a node stands for, None for an ordinary node or one that does not run."""
        if not runs(node):
            return None
        if node.type not in self._built:
            self._built[node.type] = self._build(node.type)
        return self._built[node.type]

    def _build(self, type_: str) -> UiGraph | None:
        if (subgraph := self._subgraphs.get(type_)) is not None:
            return subgraph_graph(subgraph, self._problems)
        if type_.startswith(_GROUP_PREFIXES) and type_ not in self._definitions:
            name = type_[len(_GROUP_PREFIXES[0]) :]
            return group_graph(name, self._groups.get(name), self._definitions, self._problems)
        return None


def subgraph_graph(subgraph: UiSubgraph, problems: list[Problem]) -> UiGraph:
    """The graph of a subgraph's definition."""
    name = (subgraph.name or str(subgraph.id))[:80]
    graph, found = build_ui_graph(subgraph.nodes or (), subgraph.links or (), f"inside subgraph {name!r}")
    problems.extend(found)
    inputs = tuple(slot.name for slot in subgraph.inputs or ())
    taken: dict[str, list[UiLink]] = {each: [] for each in inputs}
    given: dict[int, UiLink] = {}
    for link in graph.links.values():
        if str(link.origin_id) == INPUTS_ID and 0 <= link.origin_slot < len(inputs):
            taken[inputs[link.origin_slot]].append(link)
        if str(link.target_id) == OUTPUTS_ID:
            given[link.target_slot] = link
    for each, order in _link_orders(subgraph).items():
        taken[each].sort(key=lambda link: order.get(str(link.id), len(order)))
    shown = first_widgets(taken, graph.nodes)
    whole = replace(
        graph,
        kind="subgraph",
        name=name,
        inputs=inputs,
        taken=taken,
        outputs=_numbers(slot.name for slot in subgraph.outputs or ()),
        given=given,
        widgets={name: PlainWidget() for name in inputs if name in shown},
        shown=shown,
    )
    return with_broadcasts(whole, subgraph.extra, problems)


def _link_orders(subgraph: UiSubgraph) -> dict[str, dict[str, int]]:
    """The place of each link among those of its input; of inputs that share a name the first one says it."""
    orders: dict[str, dict[str, int]] = {}
    for slot in subgraph.inputs or ():
        if slot.name not in orders:
            orders[slot.name] = {str(id_): place for place, id_ in enumerate(slot.linkIds or ())}
    return orders


def _numbers(names: Iterable[str]) -> dict[str, list[int]]:
    numbers: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        numbers.setdefault(name, []).append(number)
    return numbers


def _subgraphs(document: UiDocument) -> list[UiSubgraph]:
    return (document.definitions.subgraphs or []) if document.definitions is not None else []


def _groups(document: UiDocument) -> Mapping[str, JsonValue]:
    match document.extra:
        case {"groupNodes": dict(groups)}:
            return groups
        case _:
            return {}


def _too_large(largest: Place, extent: Extent) -> Problem:
    text = (
        f"with its subgraphs opened up the document has {extent}, this one brings the most; at most {LIMITS} are"
    )
    return largest.problem("subgraph_too_large", f"{text} converted", _EXPORT)
