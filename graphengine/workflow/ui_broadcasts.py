"""What "Anything Everywhere" nodes send, and to which inputs they may.

A sender may restrict by patterns for titles and input names, and by colour. Newer versions keep that in
`properties.ue_properties`, older ones in properties and widgets; priorities, and names that must agree when one
sender has several inputs of a type, changed with version 7.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from pydantic import JsonValue

from graphengine.errors import Problem
from graphengine.workflow.models import NodeId
from graphengine.workflow.ui_graph import MUTED, UiGraph, node_id
from graphengine.workflow.ui_live_links import LiveLinks
from graphengine.workflow.ui_models import UiInput, UiLink, UiNode
from graphengine.workflow.ui_patterns import NOTHING, Effort, Pattern, is_bounded, read_pattern

_OLD_PRIORITIES: Mapping[str, float] = {
    "Anything Everywhere": 2,
    "Anything Everywhere?": 10,
    "Anything Everywhere3": 0,
    "Prompts Everywhere": 5,
    "Seed Everywhere": 5,
}
SENDERS = _OLD_PRIORITIES.keys()
HINT = "in the editor, use the pack's 'Convert all UEs to real links' and save, or run the API document"
# ways to compare names; any other takes the name as a pattern
_NAME_RULES = (0, 1, 2, 3)
_SEED = re.compile("seed|随机种")
_PROMPTS = (re.compile(r"(_|\b)pos(itive|_|\b)|^prompt|正面"), re.compile(r"(_|\b)neg(ative|_|\b)|负面"))


@dataclass(frozen=True, slots=True)
class Broadcast:
    """What one input of a sender sends, and to whom. `name_rule` compares names when types repeat."""

    sender: UiNode
    type: str
    origin: tuple[NodeId, int]
    priority: float
    title: Pattern | None = None
    input: Pattern | None = None
    color: tuple[int, JsonValue] = (0, None)
    name: tuple[int, str] | None = None
    name_pattern: Pattern | None = None

    def reaches(self, node: UiNode, slot: UiInput, effort: Effort) -> bool:
        """Whether it may be sent to an open input of its type."""
        effort.left -= 1
        how, color = self.color
        return (
            self.origin[0] != node_id(node)
            and (not how or (_color_of(node) == color) == (how == 1))
            and (self.title is None or self.title.fits(node.title or node.type, effort))
            and (self.input is None or self.input.fits(label(slot), effort))
            and (self.name is None or _same_name(self.name, node, slot))
            and (self.name_pattern is None or self.name_pattern.fits(label(slot), effort))
        )


def broadcasts_of(sender: UiNode, graph: UiGraph, live: LiveLinks, problems: list[Problem]) -> Iterator[Broadcast]:
    """What a sender sends."""
    rules = _rules(sender)
    if rules.get("group_restricted") or _pattern(rules, "group", sender, graph, problems) is not None:
        text = "sends to groups of nodes only, which cannot be converted"
        problems.append(graph.problem("unsupported_node", sender, text, HINT))
        return
    title, named = (_pattern(rules, key, sender, graph, problems) for key in ("title", "input"))
    plain = Broadcast(
        sender, "INT", (node_id(sender), 0), _priority(sender, rules), title, named, _color(sender, rules)
    )
    if sender.type == "Seed Everywhere":
        yield replace(plain, input=named or Pattern(_SEED))
        return
    linked = list(_linked(sender, graph, live))
    types = Counter(type_ for _, _, type_ in linked)
    for slot, link, type_ in linked:
        sent = replace(plain, type=type_, origin=(NodeId(str(link.origin_id)), link.origin_slot))
        if sender.type == "Prompts Everywhere":
            negative = slot is not (sender.inputs or [slot])[0]
            yield replace(sent, input=Pattern(_PROMPTS[negative]))
        elif rules.get("version") and (types[type_] > 1 or rules.get("apply_to_unrepeated")):
            rule = rules.get("repeated_type_rule")
            named_alike = replace(sent, priority=sent.priority + (0 if title or named else 20))
            yield _with_name(named_alike, rule if isinstance(rule, int) else 0, label(slot))
        else:
            yield sent


def _with_name(sent: Broadcast, rule: int, name: str) -> Broadcast:
    """What one input of several sends, to inputs whose names fit its own in the way the user chose."""
    if rule in _NAME_RULES:
        return replace(sent, name=(rule, name))
    pattern = read_pattern(name) if is_bounded(name) else None
    return replace(sent, name_pattern=pattern or NOTHING)


def _linked(sender: UiNode, graph: UiGraph, live: LiveLinks) -> Iterator[tuple[UiInput, UiLink, str]]:
    """The inputs of a sender that are linked to what runs, with the types of the links."""
    for slot in sender.inputs or ():
        link = graph.links.get(str(slot.link)) if slot.link is not None else None
        if link is None:
            continue
        origin = graph.nodes.get(NodeId(str(link.origin_id)))
        outputs = origin.outputs or [] if origin is not None else []
        given = outputs[link.origin_slot].type if 0 <= link.origin_slot < len(outputs) else "*"
        type_ = str(link.type if given == "*" else given)
        first = live.begin(link, type_)
        begin = graph.nodes.get(NodeId(str(first.origin_id))) if first is not None else None
        if first is not None and (begin is None or begin.mode != MUTED):
            yield slot, first, type_


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
    """More restrictions go before fewer; the numbers are the pack's, before version 7 and since."""
    colored = bool(rules.get("color_restricted"))
    if not rules.get("version"):
        boost = rules.get("priority_boost")
        return _OLD_PRIORITIES[sender.type] + 0.3 * colored + (boost if isinstance(boost, int | float) else 0)
    match rules.get("priority"):
        case (int() | float()) as chosen if chosen:
            return chosen
    restricted = any(_is_pattern(rules.get(f"{name}_regex")) for name in ("title", "input"))
    return 10 + 10 * (sender.type in ("Prompts Everywhere", "Seed Everywhere")) + 20 * restricted + 6 * colored


def _color(sender: UiNode, rules: Mapping[str, JsonValue]) -> tuple[int, JsonValue]:
    """1 for nodes of the sender's colour, 2 for nodes of others, 0 for all; and the colour."""
    how = rules.get("color_restricted")
    return (how if how in (1, 2) and isinstance(how, int) else 0), _color_of(sender)


def _color_of(node: UiNode) -> str | None:
    color = (node.model_extra or {}).get("color")
    return color if isinstance(color, str) else None


def _is_pattern(text: JsonValue) -> bool:
    return isinstance(text, str) and text not in ("", ".*")


def _pattern(
    rules: Mapping[str, JsonValue], name: str, sender: UiNode, graph: UiGraph, problems: list[Problem]
) -> Pattern | None:
    """The pattern for titles or input names; None without one or when it is no pattern, as in the pack."""
    text = rules.get(f"{name}_regex")
    if not isinstance(text, str) or not _is_pattern(text):
        return None
    if not is_bounded(text):
        what = f"the pattern {text[:80]!r} is too complicated to be matched safely"
        problems.append(graph.problem("unsupported_node", sender, what, HINT))
        return NOTHING
    return read_pattern(text, inverted=bool(rules.get(f"{name}_regex_invert")))


def _same_name(rule: tuple[int, str], node: UiNode, slot: UiInput) -> bool:
    """Whether the name of what is sent fits that of an input, in the way the user chose."""
    how, sent = rule
    wanted = label(slot)
    shorter = min(len(sent), len(wanted))
    match how:
        case 0:
            return wanted == sent
        case 1:
            return wanted[:shorter] == sent[:shorter]
        case 2:
            return wanted[len(wanted) - shorter :] == sent[len(sent) - shorter :]
        case _:
            return (node.title or node.type) == sent


def label(slot: UiInput) -> str:
    """What the editor shows for an input."""
    given = (slot.model_extra or {}).get("label")
    return given if isinstance(given, str) and given else slot.name
