"""Links that no document shows: what "Anything Everywhere" nodes (pack cg-use-everywhere) send to open inputs.

Newer versions of the pack list these links in `extra.ue_links`, which then counts. Otherwise they follow from its
rules: what is linked into such a node is sent to every input of the same graph that has the same type, no link and
no widget (or one that the user opened). A node may restrict by patterns for titles and input names, and by colour;
where several could send, the one of the highest priority does, and of two that are equal none.

Patterns come from the document, so only those are used that are matched in a bounded time.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import JsonValue

from graphengine.errors import Problem
from graphengine.workflow.models import NodeId
from graphengine.workflow.ui_graph import OUTPUTS_ID, Role, UiGraph, new_link, node_id, role, runs
from graphengine.workflow.ui_models import UiDocument, UiInput, UiLink, UiNode

_MOST = 200  # senders in one graph; each open input is compared with each
_SENDERS = frozenset(
    {
        "Anything Everywhere",
        "Anything Everywhere?",
        "Anything Everywhere3",
        "Prompts Everywhere",
        "Seed Everywhere",
    }
)
_SEED = re.compile("seed|随机种")
_PROMPTS = (re.compile(r"(_|\b)pos(itive|_|\b)|^prompt|正面"), re.compile(r"(_|\b)neg(ative|_|\b)|负面"))
_HINT = "in the editor, use the pack's 'Convert all UEs to real links' and save, or run the API document"


@dataclass(frozen=True, slots=True)
class _Pattern:
    pattern: re.Pattern[str]
    inverted: bool = False

    def fits(self, text: str) -> bool:
        return (self.pattern.search(text[:200]) is None) == self.inverted


@dataclass(frozen=True, slots=True)
class _Broadcast:
    """What one input of a sender sends, and to whom. `name_rule` compares names when types repeat."""

    sender: UiNode
    type: str
    origin: tuple[NodeId, int]
    priority: float
    title: _Pattern | None = None
    input: _Pattern | None = None
    color: tuple[int, JsonValue] = (0, None)
    name: tuple[int, str] | None = None

    def reaches(self, node: UiNode, slot: UiInput) -> bool:
        """Whether it may be sent to an open input of its type."""
        how, color = self.color
        return (
            self.origin[0] != node_id(node)
            and (self.title is None or self.title.fits(node.title or node.type))
            and (self.input is None or self.input.fits(_label(slot)))
            and (not how or (_extra(node, "color") == color) == (how == 1))
            and (self.name is None or _same_name(self.name, node, slot))
        )


def with_broadcasts(
    graph: UiGraph, extra: JsonValue, problems: list[Problem], *, widgets_are_slots: bool = True
) -> UiGraph:
    """The graph with the links that senders in it make.

    `extra` is what the document keeps beside the graph. `widgets_are_slots` says that every widget has a slot, as
    editors since 1.16 write; before, a slot with a widget was opened by the user.
    """
    match extra:
        case {"ue_links": [_, *_] as rows}:
            return _with_links(graph, _listed(graph, rows))
    senders = [node for node in graph.nodes.values() if node.type in _SENDERS and runs(node)]
    if not senders:
        return graph
    broadcasts = [sent for node in senders for sent in _sent(node, graph, problems)]
    if len(broadcasts) > _MOST:
        text = f"{len(broadcasts)} inputs are sent everywhere, at most {_MOST} are converted"
        problems.append(Problem("unsupported_node", text, hint=_HINT))
        return graph
    return _with_links(graph, _made(graph, broadcasts, problems, widgets_are_slots=widgets_are_slots))


def widgets_are_slots(document: UiDocument) -> bool:
    """Whether the editor that wrote a document, 1.16 or later, gave every widget a slot."""
    match document.extra:
        case {"frontendVersion": str(version)}:
            parts = [int(part) for part in version.split(".")[:2] if part.isdecimal()]
            return parts >= [1, 16]
        case _:
            return False


# A link to make: the input (node and number) it ends at, and the output it comes from.
_NewLink = tuple[NodeId, int, NodeId, int]


def _listed(graph: UiGraph, rows: Sequence[JsonValue]) -> Iterator[_NewLink]:
    """The links that the document lists."""
    for row in rows:
        match row:
            case {
                "downstream": int() | str() as target,
                "downstream_slot": int(end),
                "upstream": int() | str() as origin,
                "upstream_slot": int(slot),
            }:
                yield NodeId(str(target)), end, NodeId(str(origin)), slot
            case _:
                continue


def _made(
    graph: UiGraph, broadcasts: Sequence[_Broadcast], problems: list[Problem], *, widgets_are_slots: bool
) -> Iterator[_NewLink]:
    """The links that follow from the rules."""
    by_type: dict[str, list[_Broadcast]] = {}
    for sent in sorted(broadcasts, key=lambda each: -each.priority):
        by_type.setdefault(sent.type, []).append(sent)
    for node in graph.nodes.values():
        if not runs(node) or role(node) is not Role.RUNS or node.type in _SENDERS:
            continue
        for at, slot in enumerate(node.inputs or ()):
            if slot.link is not None or not _is_open(node, slot, widgets_are_slots=widgets_are_slots):
                continue
            able = [sent for sent in by_type.get(str(slot.type), ()) if sent.reaches(node, slot)]
            if len(able) > 1 and able[0].priority == able[1].priority:
                problems.append(_ambiguous(graph, node, slot, able))
            elif able:
                yield node_id(node), at, *able[0].origin


def _sent(sender: UiNode, graph: UiGraph, problems: list[Problem]) -> Iterator[_Broadcast]:
    """What a sender sends."""
    rules = _rules(sender)
    if rules.get("group_restricted") or _pattern(rules, "group", sender, graph, problems) is not None:
        text = "sends to groups of nodes only, which cannot be converted"
        problems.append(graph.problem("unsupported_node", sender, text, _HINT))
        return
    title, named = (_pattern(rules, key, sender, graph, problems) for key in ("title", "input"))
    plain = _Broadcast(
        sender, "INT", (node_id(sender), 0), _priority(sender, rules), title, named, _color(sender, rules)
    )
    if sender.type == "Seed Everywhere":
        yield replace(plain, input=named or _Pattern(_SEED), priority=plain.priority + 10)
        return
    linked = list(_linked(sender, graph))
    types = [type_ for _, _, type_ in linked]
    for slot, link, type_ in linked:
        sent = replace(plain, type=type_, origin=(NodeId(str(link.origin_id)), link.origin_slot))
        if sender.type == "Prompts Everywhere":
            negative = slot is not (sender.inputs or [slot])[0]
            yield replace(sent, input=_Pattern(_PROMPTS[negative]), priority=sent.priority + 10)
        elif types.count(type_) > 1 or rules.get("apply_to_unrepeated"):
            rule = rules.get("repeated_type_rule")
            name = (rule if isinstance(rule, int) else 0, _label(slot))
            yield replace(sent, name=name, priority=sent.priority + (0 if title or named else 20))
        else:
            yield sent


def _linked(sender: UiNode, graph: UiGraph) -> Iterator[tuple[UiInput, UiLink, str]]:
    """The inputs of a sender that are linked to what runs, with the types of the links."""
    for slot in sender.inputs or ():
        link = graph.links.get(str(slot.link)) if slot.link is not None else None
        if link is None:
            continue
        origin = graph.nodes.get(NodeId(str(link.origin_id)))
        if origin is not None and not runs(origin):
            continue
        outputs = origin.outputs or [] if origin is not None else []
        given = outputs[link.origin_slot].type if 0 <= link.origin_slot < len(outputs) else "*"
        yield slot, link, str(link.type if given == "*" else given)


def _rules(sender: UiNode) -> Mapping[str, JsonValue]:
    """The restrictions of a sender, which older versions of the pack keep in widgets."""
    match sender.properties:
        case {"ue_properties": dict(current)} if current.get("version"):
            return current
    rules: dict[str, JsonValue] = dict(sender.properties) if isinstance(sender.properties, dict) else {}
    if sender.type == "Anything Everywhere?" and isinstance(sender.widgets_values, list):
        rules.update(zip(("title_regex", "input_regex", "group_regex"), sender.widgets_values, strict=False))
    return rules


def _priority(sender: UiNode, rules: Mapping[str, JsonValue]) -> float:
    """More restrictions go before fewer."""
    match rules.get("priority"):
        case (int() | float()) as chosen if chosen:
            return chosen
    restricted = any(_is_pattern(rules.get(f"{name}_regex")) for name in ("title", "input"))
    return 10 + 20 * restricted + 6 * bool(rules.get("color_restricted"))


def _color(sender: UiNode, rules: Mapping[str, JsonValue]) -> tuple[int, JsonValue]:
    """1 for nodes of the sender's colour, 2 for nodes of others, 0 for all; and the colour."""
    how = rules.get("color_restricted")
    return (how if how in (1, 2) and isinstance(how, int) else 0), _extra(sender, "color")


def _is_pattern(text: JsonValue) -> bool:
    return isinstance(text, str) and text not in ("", ".*")


def _pattern(
    rules: Mapping[str, JsonValue], name: str, sender: UiNode, graph: UiGraph, problems: list[Problem]
) -> _Pattern | None:
    """The pattern for titles or input names; None without one or when it is no pattern, as in the pack."""
    text = rules.get(f"{name}_regex")
    if not isinstance(text, str) or not _is_pattern(text):
        return None
    if not _is_bounded(text):
        what = f"the pattern {text!r:.80} is too complicated to be matched safely"
        problems.append(graph.problem("unsupported_node", sender, what, _HINT))
        return _Pattern(re.compile("(?!)"))
    try:
        return _Pattern(re.compile(text), bool(rules.get(f"{name}_regex_invert")))
    except re.error:
        return None


def _is_bounded(text: str) -> bool:
    """Whether a pattern is short, without references and repeated groups, and with few choices to try."""
    repeats = len(re.findall(r"(?<!\\)[*+?{]", text))
    return (
        len(text) <= 100
        and repeats <= 2
        and text.count("(") <= 2
        and re.search(r"\(\?|\)[*+?{]|\\[0-9k]", text) is None
    )


def _is_open(node: UiNode, slot: UiInput, *, widgets_are_slots: bool) -> bool:
    """Whether senders may feed an input that has no link."""
    properties = node.properties if isinstance(node.properties, dict) else {}
    rules = properties.get("ue_properties")
    own = {**properties, **(rules if isinstance(rules, dict) else {})}
    if properties.get("rejects_ue_links") or _marked(own, "input_ue_unconnectable", slot.name):
        return False
    return slot.widget is None or not widgets_are_slots or _marked(own, "widget_ue_connectable", slot.name)


def _marked(rules: Mapping[str, JsonValue], key: str, name: str) -> bool:
    names = rules.get(key)
    return isinstance(names, dict) and bool(names.get(name))


def _same_name(rule: tuple[int, str], node: UiNode, slot: UiInput) -> bool:
    """Whether the name of what is sent fits that of an input, in the way the user chose."""
    how, sent = rule
    wanted = _label(slot)
    shorter = min(len(sent), len(wanted))
    match how:
        case 0:
            return wanted == sent
        case 1:
            return wanted[:shorter] == sent[:shorter]
        case 2:
            return wanted[len(wanted) - shorter :] == sent[len(sent) - shorter :]
        case 3:
            return (node.title or node.type) == sent
        case _:
            return _is_bounded(sent) and _found(sent, wanted)


def _found(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text[:200]) is not None
    except re.error:
        return False


def _label(slot: UiInput) -> str:
    return str((slot.model_extra or {}).get("label") or slot.name)


def _extra(node: UiNode, key: str) -> JsonValue:
    return (node.model_extra or {}).get(key)


def _with_links(graph: UiGraph, made: Iterator[_NewLink]) -> UiGraph:
    """The graph with further links to inputs that are open."""
    nodes, links, given = dict(graph.nodes), dict(graph.links), dict(graph.given)
    for target, end, origin, slot in made:
        link = new_link(f"everywhere {len(links)}", origin, slot, target, end)
        node = nodes.get(target)
        if target == OUTPUTS_ID:
            given.setdefault(end, link)
        elif node is not None and 0 <= end < len(node.inputs or ()) and (inputs := list(node.inputs or ())):
            if inputs[end].link is not None:
                continue
            inputs[end] = inputs[end].model_copy(update={"link": link.id})
            nodes[target] = node.model_copy(update={"inputs": inputs})
        links[str(link.id)] = link
    return replace(graph, nodes=nodes, links=links, given=given)


def _ambiguous(graph: UiGraph, node: UiNode, slot: UiInput, able: Sequence[_Broadcast]) -> Problem:
    first, second = able[0].sender.id, able[1].sender.id
    text = f"input {slot.name!r}: nodes {first} and {second} both send it everywhere; it is left open"
    hint = "link the input, or restrict one of the two"
    return replace(graph.problem("ambiguous_link", node, text, hint), input_name=slot.name, severity="warning")
