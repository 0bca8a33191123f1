"""Documents that are legal and made to be dear: they convert in linear time, or are refused with a place.

What conversion costs is counted in calls of functions, which no other process disturbs.
"""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from graphengine.errors import WorkflowFormatError
from graphengine.workflow import ui_links
from graphengine.workflow.api_to_ui import workflow_to_ui
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode
from graphengine.workflow.ui_extent import MAX_VALUES
from graphengine.workflow.ui_patterns import Effort, Pattern, read_pattern
from tests.workflow.ui_documents import (
    KNOWN,
    Row,
    codes,
    converted,
    document,
    everything,
    node,
    subgraph,
    with_subgraphs,
)

INSIDE = "9f76cdf2-b272-41bd-8228-bd7850366c83"
LOAD = node("load", "Load", outputs=["MODEL"], values=["a.safetensors"])

Document = dict[str, Any]


def calls(action: Callable[[], object]) -> int:
    """How many functions, of Python and of C, are called."""
    count = 0

    def count_one(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count_one)
    try:
        action()
    finally:
        sys.setprofile(before)
    return count


def taking(count: int, source: Any, types: Callable[[int], str]) -> tuple[list[Document], list[Row]]:
    """Nodes that each take the same output as an input of some type."""
    nodes = [node(f"t{at}", "Sharpen", inputs=[("model", types(at), f"l{at}")]) for at in range(count)]
    return nodes, [(f"l{at}", source, 0, f"t{at}", 0, "*") for at in range(count)]


def chain(count: int, type_: str, mode: int = 0) -> tuple[list[Document], list[Row]]:
    """Nodes behind each other that pass on whatever they are given."""
    nodes = [LOAD, *(node(at, type_, inputs=[("", "*", at)], outputs=["*"], mode=mode) for at in range(count))]
    return nodes, [(at, at - 1 if at else "load", 0, at, 0, "*") for at in range(count)]


def chain_with_types(count: int, type_: str = "Reroute", mode: int = 0) -> Document:
    """A chain, and behind it inputs of as many types."""
    nodes, links = chain(count, type_, mode)
    takers, ends = taking(count, count - 1, lambda at: f"T{at}")
    return document([*nodes, *takers], [*links, *ends])


def bypassed_with_slots(count: int) -> Document:
    """A bypassed node with many inputs, whose output is taken by inputs of as many types, none of them fitting."""
    wide = node("wide", "Sharpen", inputs=[(f"i{at}", f"I{at}", None) for at in range(count)], mode=4)
    takers, ends = taking(count, "wide", lambda at: f"T{at}")
    return document([wide, *takers], ends)


def long_type(count: int) -> Document:
    """A chain of bypassed nodes, and behind it an input of many types."""
    nodes, links = chain(count, "Sharpen", mode=4)
    takers, ends = taking(1, count - 1, lambda _: ",".join(f"T{at}" for at in range(count)))
    return document([*nodes, *takers], [*links, *ends])


def circle(count: int) -> Document:
    """Reroutes in a circle, and an input on each of them."""
    nodes = [node(at, "Reroute", inputs=[("", "*", at)], outputs=["*"]) for at in range(count)]
    takers = [node(f"t{at}", "Sharpen", inputs=[("model", "MODEL", f"l{at}")]) for at in range(count)]
    links: list[Row] = [(at, (at - 1) % count, 0, at, 0, "*") for at in range(count)]
    return document([*nodes, *takers], [*links, *((f"l{at}", at, 0, f"t{at}", 0, "*") for at in range(count))])


def promoted(count: int) -> Document:
    """A node with many widgets, all of which its subgraph shows."""
    names = [f"w{at}" for at in range(count)]
    inside = node(
        1,
        "Odd",
        inputs=[(name, "INT", at, "widget") for at, name in enumerate(names)],
        values=dict.fromkeys(names, 1),
    )
    links: list[Row] = [(at, -10, at, 1, at, "INT") for at in range(count)]
    return with_subgraphs(document([node(1, INSIDE)]), subgraph(INSIDE, [inside], links, inputs=names))


def one_input(count: int) -> Document:
    """An input of a subgraph that feeds many slots, none of them a widget."""
    inside = [node(at, "Sharpen", inputs=[("model", "MODEL", at)]) for at in range(count)]
    links: list[Row] = [(at, -10, 0, at, 0, "MODEL") for at in range(count)]
    return with_subgraphs(document([node(1, INSIDE)]), subgraph(INSIDE, inside, links, inputs=["model"]))


def inputs_of_one_name(count: int) -> Document:
    """A subgraph whose inputs all have the same name."""
    inside = [node(at, "Sharpen", inputs=[("model", "MODEL", at)]) for at in range(count)]
    links: list[Row] = [(at, -10, at, at, 0, "MODEL") for at in range(count)]
    raw = with_subgraphs(document([node(1, INSIDE)]), subgraph(INSIDE, inside, links, inputs=["m"]))
    raw["definitions"]["subgraphs"][0]["inputs"] = [{"name": "m", "linkIds": [at]} for at in range(count)]
    return raw


def group(count: int) -> Document:
    """A group node of many nodes."""
    inner = [{"type": "Sharpen", "inputs": [{"name": "model", "type": "MODEL"}]} for _ in range(count)]
    groups = {"Large": {"nodes": inner, "links": [[at, 0, at + 1, 0, 1, "MODEL"] for at in range(count - 1)]}}
    return {**document([node(1, "workflow>Large")]), "extra": {"groupNodes": groups}}


def setters(count: int) -> Document:
    """Setters and getters, all of one name."""
    setting = [node(at, "SetNode", inputs=[("", "*", at)], values=["x"]) for at in range(count)]
    getting = [node(f"g{at}", "GetNode", outputs=["*"], values=["x"]) for at in range(count)]
    takers = [node(f"t{at}", "Sharpen", inputs=[("model", "MODEL", f"l{at}")]) for at in range(count)]
    links: list[Row] = [(at, "load", 0, at, 0, "*") for at in range(count)]
    links += [(f"l{at}", f"g{at}", 0, f"t{at}", 0, "*") for at in range(count)]
    return document([LOAD, *setting, *getting, *takers], links)


def everywhere_past_bypassed(count: int) -> Document:
    """A sender, a chain of bypassed nodes, and inputs that hang on its end."""
    nodes, links = chain(count, "Sharpen", mode=4)
    for each in nodes[1:]:
        each["inputs"][0]["type"] = "MODEL"
    sender = node("e", "Anything Everywhere", inputs=[("anything", "*", "x")])
    takers, ends = taking(count, count - 1, lambda _: "MODEL")
    return document([*nodes, sender, *takers], [*links, ("x", "load", 0, "e", 0, "MODEL"), *ends])


@pytest.mark.parametrize(
    "make",
    [
        chain_with_types,
        bypassed_with_slots,
        long_type,
        circle,
        promoted,
        one_input,
        inputs_of_one_name,
        group,
        setters,
        everywhere_past_bypassed,
    ],
)
def test_twice_the_size_is_at_most_about_twice_the_work(make: Callable[[int], Document]) -> None:
    small, large = (make(count) for count in (400, 800))
    assert calls(lambda: converted(large)) < 2.3 * calls(lambda: converted(small))


def test_drawing_what_reads_one_output_is_linear() -> None:
    def star(count: int) -> Workflow:
        readers = {
            NodeId(str(at)): WorkflowNode("Sharpen", {"model": Link(NodeId("1"), 0)}) for at in range(2, count)
        }
        return Workflow({NodeId("1"): WorkflowNode("Load"), **readers})

    def cost(count: int) -> int:
        workflow = star(count)
        return calls(lambda: workflow_to_ui(workflow, KNOWN))

    assert cost(1000) < 2.3 * cost(500)
    drawn: Any = workflow_to_ui(star(500), KNOWN).document
    assert drawn["nodes"][0]["outputs"][0]["links"] == list(range(1, 499))


def test_types_in_a_chain_of_bypassed_nodes_are_followed_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ui_links, "MAX_PASSED", 100)
    assert codes(converted(chain_with_types(10, "Sharpen", mode=4))) == []
    conversion = converted(chain_with_types(20, "Sharpen", mode=4))
    assert codes(conversion) == [("bypass_too_large", "error", "t5")]
    assert everything(conversion)["t4"] == {"model": ["load", 0]}
    assert everything(conversion)["t5"] == {}


def test_a_long_value_is_given_to_so_many_inputs_only() -> None:
    primitive = node("p", "PrimitiveNode", outputs=["STRING"], values=["x" * 1_000_000])
    takers, ends = taking(100, "p", lambda _: "STRING")
    conversion = converted(document([primitive, *takers], ends))
    assert codes(conversion) == [("value_too_large", "error", "t67")]
    assert len(everything(conversion)["t66"]["model"]) == 1_000_000
    assert everything(conversion)["t67"] == {}


def instances(count: int, inside: Document) -> Document:
    return with_subgraphs(document([node(at, INSIDE) for at in range(count)]), subgraph(INSIDE, [inside], []))


def test_a_wide_node_in_many_instances_is_refused_with_the_instance() -> None:
    wide = node(1, "Sharpen", inputs=[(f"i{at}", "MODEL", None) for at in range(1000)])
    assert len(converted(instances(400, wide)).workflow.nodes) == 400
    conversion = converted(instances(600, wide))
    assert codes(conversion) == [("subgraph_too_large", "error", "0")]
    assert "600 nodes in 1 level with 600,600 slots and values" in conversion.problems[0].message
    assert f"at most 50,000 nodes in 30 levels, {MAX_VALUES:,} slots" in conversion.problems[0].message


@pytest.mark.parametrize(
    "more",
    [{"title": "x" * 100_000}, {"values": {"a": "x" * 100_000}}, {"values": ["x" * 100_000]}],
)
def test_a_long_text_in_many_instances_is_refused(more: Document) -> None:
    conversion = converted(instances(400, node(1, "Sharpen", **more)))
    assert codes(conversion) == [("subgraph_too_large", "error", "0")]
    assert "400 nodes in 1 level and 40,00" in conversion.problems[0].message


def test_long_lists_of_promoted_widgets_in_many_instances_are_refused() -> None:
    listed = {"proxyWidgets": [["1", "amount"]] * 1000}
    conversion = converted(instances(300, node(1, "Sharpen", properties=listed)))
    assert codes(conversion) == [("subgraph_too_large", "error", "0")]


def test_only_the_beginning_of_a_long_title_is_shown() -> None:
    conversion = converted(instances(1, node(1, "Sharpen", title="x" * 500)))
    (found,) = conversion.workflow.nodes.values()
    assert found.origin == f"node 1 '{'x' * 80}' inside subgraph 'Refine'"
    assert found.title == "x" * 500


def test_a_type_of_a_thousand_letters_is_refused_with_its_place() -> None:
    with pytest.raises(WorkflowFormatError, match=r"nodes\.1\.type string should have at most 1000 characters"):
        converted(document([LOAD, node(1, "x" * 1001)]))


def everywhere(pattern: str, titles: list[str]) -> Document:
    rules = {"ue_properties": {"version": "7.0", "title_regex": pattern}}
    sender = node("e", "Anything Everywhere", inputs=[("anything", "*", "x")], properties=rules)
    takers = [
        node(at, "Sharpen", inputs=[("model", "MODEL", None)], title=title) for at, title in enumerate(titles)
    ]
    return document([LOAD, sender, *takers], [("x", "load", 0, "e", 0, "MODEL")])


def test_patterns_that_try_too_much_are_refused_with_the_input() -> None:
    titles = [f"{'x' * 190}{at}" for at in range(40)]
    conversion = converted(everywhere("x.*x.*y", titles))
    assert codes(conversion) == [("unsupported_node", "error", "34")]
    assert conversion.problems[0].message.startswith("input 'model' is sent by so many nodes and patterns")


def test_patterns_that_try_little_reach_every_node() -> None:
    titles = [f"x{at}y" for at in range(400)]
    conversion = converted(everywhere("x.*1.*y", titles))
    assert codes(conversion) == []
    assert everything(conversion)["21"] == {"model": ["load", 0]}
    assert everything(conversion)["22"] == {}


def test_a_text_is_tried_once() -> None:
    pattern, effort = read_pattern("a.*b"), Effort(3)
    assert isinstance(pattern, Pattern)
    assert [pattern.fits("ab", effort) for _ in range(5)] == [True] * 5
    assert effort.left == 2
