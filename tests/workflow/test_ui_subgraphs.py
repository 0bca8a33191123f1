"""Instances of subgraphs are replaced by what is inside of them."""

from collections.abc import Sequence
from typing import Any

import pytest

from graphengine.workflow.models import NodeId
from graphengine.workflow.ui_extent import MAX_DEPTH, MAX_NODES
from graphengine.workflow.ui_format import Conversion
from tests.workflow.ui_documents import (
    Row,
    codes,
    converted,
    document,
    everything,
    node,
    subgraph,
    with_subgraphs,
)

REFINE, OUTER = "9f76cdf2-b272-41bd-8228-bd7850366c83", "11111111-2222-3333-4444-555555555555"
LOAD = node(1, "Load", outputs=["MODEL", "CLIP"], values=["a.safetensors"])
SAMPLE = node(9, "Sample", inputs=[("model", "MODEL", 91)], outputs=["LATENT"], values=[5, "fixed", 20])
SHARPEN = node(3, "Sharpen", inputs=[("model", "MODEL", 1)], outputs=["MODEL"], values=[0.5])
SHARPENING = subgraph(
    REFINE,
    [SHARPEN],
    [(1, -10, 0, 3, 0, "MODEL"), (2, 3, 0, -20, 0, "MODEL")],
    inputs=["model"],
    outputs=["MODEL"],
)
AROUND: list[Row] = [(90, 1, 0, 12, 0, "MODEL"), (91, 12, 0, 9, 0, "MODEL")]
ALONE = {"1": {"name": "a.safetensors"}}


def instance(id_: int, link: Any = 90, type_: str = REFINE, **more: Any) -> dict[str, Any]:
    return node(id_, type_, **{"inputs": [("model", "MODEL", link)], "outputs": ["MODEL"], **more})


def sampled(model: Any) -> dict[str, Any]:
    return {"seed": 5, "steps": 20} if model is None else {"model": model, "seed": 5, "steps": 20}


def opened(inside: dict[str, Any], links: Sequence[Row] = AROUND, **more: Any) -> Conversion:
    """Load (1), an instance (12) of `inside`, and a Sample (9) that takes its output."""
    return converted(with_subgraphs(document([LOAD, instance(12, **more), SAMPLE], links), inside))


def test_what_is_inside_runs_in_place_of_the_instance() -> None:
    conversion = opened(SHARPENING)
    assert conversion.problems == ()
    assert everything(conversion) == {
        **ALONE,
        "12:3": {"model": ["1", 0], "amount": 0.5},
        "9": sampled(["12:3", 0]),
    }


def test_nodes_inside_know_where_they_stand() -> None:
    titled = {**SHARPENING, "nodes": [{**SHARPEN, "title": "A bit more"}]}
    node_inside = opened(titled).workflow.nodes[NodeId("12:3")]
    assert node_inside.origin == "node 3 'A bit more' inside subgraph 'Refine'"
    nodes = opened(SHARPENING).workflow.nodes
    assert nodes[NodeId("12:3")].origin == "node 3 'Sharpen' inside subgraph 'Refine'"
    assert nodes[NodeId("9")].origin is None


def test_two_instances_are_two_copies() -> None:
    links = [*AROUND[:1], (91, 13, 0, 9, 0, "MODEL"), (92, 12, 0, 13, 0, "MODEL")]
    nodes = [LOAD, instance(12), instance(13, 92), SAMPLE]
    assert everything(converted(with_subgraphs(document(nodes, links), SHARPENING))) == {
        **ALONE,
        "12:3": {"model": ["1", 0], "amount": 0.5},
        "13:3": {"model": ["12:3", 0], "amount": 0.5},
        "9": sampled(["13:3", 0]),
    }


def test_subgraphs_may_stand_in_subgraphs() -> None:
    nested = subgraph(
        OUTER,
        [instance(7, 1)],
        [(1, -10, 0, 7, 0, "MODEL"), (2, 7, 0, -20, 0, "MODEL")],
        inputs=["model"],
        outputs=["MODEL"],
        name="All",
    )
    raw = with_subgraphs(document([LOAD, instance(12, type_=OUTER), SAMPLE], AROUND), SHARPENING, nested)
    conversion = converted(raw)
    assert everything(conversion) == {
        **ALONE,
        "12:7:3": {"model": ["1", 0], "amount": 0.5},
        "9": sampled(["12:7:3", 0]),
    }
    origin = conversion.workflow.nodes[NodeId("12:7:3")].origin
    assert origin == "node 3 'Sharpen' inside subgraph 'Refine' of subgraph 'All'"


def test_inputs_and_outputs_go_by_name_whatever_their_order() -> None:
    inside = subgraph(
        REFINE,
        [
            {**SHARPEN, "inputs": [*SHARPEN["inputs"]]},
            node(4, "Encode", inputs=[("clip", "CLIP", 5)], values=["a"]),
        ],
        [
            (1, -10, 1, 3, 0, "MODEL"),
            (5, -10, 0, 4, 0, "CLIP"),
            (2, 3, 0, -20, 1, "MODEL"),
            (6, 4, 0, -20, 0, "CONDITIONING"),
        ],
        inputs=["clip", "model"],
        outputs=["CONDITIONING", "MODEL"],
    )
    links = [*AROUND, (93, 1, 1, 12, 1, "CLIP")]
    more = {"inputs": [("model", "MODEL", 90), ("clip", "CLIP", 93)], "outputs": ["MODEL", "CONDITIONING"]}
    assert everything(opened(inside, links, **more)) == {
        **ALONE,
        "12:3": {"model": ["1", 0], "amount": 0.5},
        "12:4": {"clip": ["1", 1], "text": "a"},
        "9": sampled(["12:3", 0]),
    }


def test_outputs_of_one_name_go_by_number() -> None:
    inside = subgraph(
        REFINE,
        [LOAD, {**LOAD, "id": 2}],
        [(1, 1, 0, -20, 0, "MODEL"), (2, 2, 0, -20, 1, "MODEL")],
        outputs=["MODEL", "MODEL"],
    )
    links = [(91, 12, 1, 9, 0, "MODEL")]
    assert everything(opened(inside, links, inputs=[], outputs=["MODEL", "MODEL"]))["9"] == sampled(["12:2", 0])


def test_a_subgraph_may_hand_an_input_through() -> None:
    inside = subgraph(REFINE, [], [(1, -10, 0, -20, 0, "MODEL")], inputs=["model"], outputs=["MODEL"])
    assert everything(opened(inside)) == {**ALONE, "9": sampled(["1", 0])}


def test_reroutes_and_bypassed_nodes_inside_are_passed() -> None:
    inside = subgraph(
        REFINE,
        [
            node(3, "Reroute", inputs=[("", "*", 1)], outputs=["*"]),
            node(4, "Sharpen", inputs=[("model", "MODEL", 2)], outputs=["MODEL"], mode=4),
        ],
        [(1, -10, 0, 3, 0, "*"), (2, 3, 0, 4, 0, "MODEL"), (3, 4, 0, -20, 0, "MODEL")],
        inputs=["model"],
        outputs=["MODEL"],
    )
    assert everything(opened(inside)) == {**ALONE, "9": sampled(["1", 0])}


def test_a_bypassed_instance_passes_on_and_a_muted_one_gives_nothing() -> None:
    assert everything(opened(SHARPENING, mode=4)) == {**ALONE, "9": sampled(["1", 0])}
    assert everything(opened(SHARPENING, mode=2)) == {**ALONE, "9": sampled(None)}


def test_a_getter_inside_finds_the_setter_around_it() -> None:
    inside = subgraph(
        REFINE,
        [node(3, "GetNode", outputs=["MODEL"], values=["m"])],
        [(1, 3, 0, -20, 0, "MODEL")],
        outputs=["MODEL"],
    )
    setter = node(4, "SetNode", inputs=[("MODEL", "MODEL", 80)], values=["m"])
    nodes = [LOAD, setter, instance(12, inputs=[]), SAMPLE]
    raw = with_subgraphs(document(nodes, [(80, 1, 0, 4, 0, "MODEL"), AROUND[1]]), inside)
    assert everything(converted(raw))["9"] == sampled(["1", 0])


def test_an_output_that_nothing_feeds_gives_nothing() -> None:
    assert everything(opened({**SHARPENING, "links": SHARPENING["links"][:1]}))["9"] == sampled(None)
    assert everything(opened({**SHARPENING, "links": None, "outputs": None, "inputs": None}))["9"] == sampled(None)


def test_a_link_from_an_input_that_the_subgraph_does_not_have_is_told() -> None:
    broken = {**SHARPENING, "inputs": []}
    conversion = opened(broken)
    assert codes(conversion) == [("dangling_link", "warning", "12:3")]
    assert str(conversion.problems[0]).startswith(
        "node 3 'Sharpen' inside subgraph 'Refine' (12:3): input 'model'"
    )


def test_a_circle_through_a_subgraph_is_a_problem() -> None:
    inside = subgraph(REFINE, [], [(1, -10, 0, -20, 0, "MODEL")], inputs=["model"], outputs=["MODEL"])
    conversion = opened(inside, [(90, 12, 0, 12, 0, "MODEL"), AROUND[1]])
    assert codes(conversion) == [("cycle", "error", "9")]


def test_two_nodes_of_one_id_inside_are_one_problem_for_all_instances() -> None:
    twice = {**SHARPENING, "nodes": [SHARPEN, SHARPEN]}
    nodes = [LOAD, instance(12), instance(13), SAMPLE]
    conversion = converted(with_subgraphs(document(nodes, AROUND), twice))
    assert codes(conversion) == [("duplicate_node", "error", "3")]
    assert conversion.problems[0].origin == "node 3 'Sharpen' inside subgraph 'Refine'"


def test_an_id_that_looks_like_one_inside_of_an_instance_is_a_problem() -> None:
    nodes = [LOAD, {**LOAD, "id": "12:3"}, instance(12), SAMPLE]
    conversion = converted(with_subgraphs(document(nodes, AROUND), SHARPENING))
    assert codes(conversion) == [("duplicate_node", "error", "12:3")]


def test_a_subgraph_that_contains_itself_is_refused() -> None:
    inside = {**SHARPENING, "nodes": [SHARPEN, instance(4, None)]}
    conversion = opened(inside)
    assert codes(conversion) == [("subgraph_cycle", "error", "4")]
    assert conversion.problems[0].message == "is the subgraph 'Refine' within itself"
    assert conversion.workflow.nodes[NodeId("12")].class_type == REFINE


def test_subgraphs_that_contain_each_other_are_refused_and_a_muted_instance_is_no_circle() -> None:
    first = {**SHARPENING, "nodes": [SHARPEN, instance(4, None, OUTER)]}
    second = {**SHARPENING, "id": OUTER, "name": "All", "nodes": [SHARPEN, instance(5, None)]}
    raw = document([LOAD, instance(12), SAMPLE], AROUND)
    conversion = converted(with_subgraphs(raw, first, second))
    assert codes(conversion) == [("subgraph_cycle", "error", "5")]
    assert conversion.problems[0].origin == f"node 5 {REFINE!r} inside subgraph 'All'"
    muted = {**second, "nodes": [SHARPEN, instance(5, None, mode=2)]}
    assert codes(converted(with_subgraphs(raw, first, muted))) == []


def doubling(levels: int, *, by: int) -> dict[str, Any]:
    """Subgraphs in so many levels, each with `by` instances of the next."""
    names = [f"00000000-0000-0000-0000-{level:012}" for level in range(levels + 1)]
    defined = [
        subgraph(names[level], [instance(n, None, names[level + 1]) for n in range(by)], [], name=str(level))
        for level in range(levels)
    ]
    last = subgraph(names[-1], [node(1, "Load", values=["a.safetensors"])], [])
    return with_subgraphs(document([instance(1, None, names[0])]), *defined, last)


@pytest.mark.parametrize(
    ("levels", "by", "size"),
    [
        (20, 2, "3,145,726 nodes in 21 levels"),
        (60, 4, "more than a million million nodes"),
        (MAX_DEPTH, 1, "31 nodes in 31 levels"),
    ],
)
def test_what_would_get_too_large_is_refused_with_its_size(levels: int, by: int, size: str) -> None:
    conversion = converted(doubling(levels, by=by))
    assert codes(conversion) == [("subgraph_too_large", "error", "1")]
    assert size in conversion.problems[0].message
    assert list(conversion.workflow.nodes) == ["1"]


def test_what_is_not_too_large_is_converted() -> None:
    assert len(converted(doubling(9, by=2)).workflow.nodes) == 2**9 < MAX_NODES
    assert converted(doubling(MAX_DEPTH - 1, by=1)).problems == ()


def test_a_document_of_10000_nodes_in_one_subgraph_is_converted() -> None:
    chain = [
        node(i, "Sharpen", inputs=[("model", "MODEL", i)], outputs=["MODEL"], values=[1]) for i in range(10000)
    ]
    links = [(i, i - 1 if i else -10, 0, i, 0, "MODEL") for i in range(10000)]
    inside = subgraph(REFINE, chain, [*links, (10000, 9999, 0, -20, 0, "MODEL")], inputs=["model"], outputs=["M"])
    found = everything(opened(inside, outputs=["M"]))
    assert found["9"] == sampled(["12:9999", 0])
    assert found["12:0"] == {"model": ["1", 0], "amount": 1}
