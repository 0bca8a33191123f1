"""Widget values that an instance of a subgraph keeps for what is inside, in all ways editors have written them."""

from typing import Any

import pytest

from tests.workflow.ui_documents import converted, document, everything, node, subgraph, with_subgraphs

REFINE, OUTER = "9f76cdf2-b272-41bd-8228-bd7850366c83", "11111111-2222-3333-4444-555555555555"
SAMPLE = node(
    3,
    "Sample",
    inputs=[("seed", "INT", 1, "widget"), ("steps", "INT", 2, "widget")],
    outputs=["LATENT"],
    values=[5, "randomize", 20],
)
INSIDE = subgraph(
    REFINE,
    [SAMPLE],
    [(1, -10, 0, 3, 0, "INT"), (2, -10, 1, 3, 1, "INT"), (3, 3, 0, -20, 0, "LATENT")],
    inputs=["seed", "steps"],
    outputs=["LATENT"],
)
OWN = {"seed": 5, "steps": 20}
SLOTS = [("seed", "INT", None, "widget"), ("steps", "INT", None, "widget")]


def instance(proxies: Any = None, type_: str = REFINE, **more: Any) -> dict[str, Any]:
    properties = {} if proxies is None else {"proxyWidgets": proxies}
    return node(12, type_, **{"inputs": SLOTS, "outputs": ["LATENT"], "properties": properties, **more})


def sampled(drawn: dict[str, Any], inside: dict[str, Any] = INSIDE) -> dict[str, Any]:
    """The values that node 3 inside of the instance gets."""
    conversion = converted(with_subgraphs(document([drawn]), inside))
    assert conversion.problems == ()
    return everything(conversion)["12:3"]


@pytest.mark.parametrize(
    ("proxies", "values", "wanted"),
    [
        (None, [7, 30], {"seed": 7, "steps": 30}),
        (None, [None, 30], {"seed": 5, "steps": 30}),
        (None, [7], {"seed": 7, "steps": 20}),
        (None, [7, 30, 40, "surplus"], {"seed": 7, "steps": 30}),
        (None, None, OWN),
        (None, {"steps": 30, "other": 1}, {"seed": 5, "steps": 30}),
        ([], [7, 30], {"seed": 7, "steps": 30}),
        ([["3", "steps"], ["3", "seed"]], [], OWN),
        ([["-1", "steps"], ["-1", "seed"]], [], OWN),
        ([["-1", "steps"], ["-1", "seed"]], [30, 7], {"seed": 7, "steps": 30}),
        ([["3", "steps"], ["-1", "seed"]], [None, 7], {"seed": 7, "steps": 20}),
        (
            [["3", "steps"], ["3", "control_after_generate"], ["-1", "seed"]],
            [30, None, 7],
            {"seed": 7, "steps": 30},
        ),
        ([[3, "steps", "more"], "broken", ["4"], ["99", "gone"]], [30, 1, 2], {"seed": 5, "steps": 30}),
    ],
)
def test_values_of_the_instance_go_before_those_inside(proxies: Any, values: Any, wanted: Any) -> None:
    assert sampled(instance(proxies, values=values)) == wanted


def test_an_instance_that_keeps_no_slots_keeps_its_values() -> None:
    assert sampled(instance(values=[7, 30], inputs=[])) == {"seed": 7, "steps": 30}


def test_a_link_goes_before_the_value_of_the_instance() -> None:
    number = node(4, "Number", outputs=["INT"])
    drawn = instance(values=[7, 30], inputs=[("seed", "INT", 40, "widget")])
    raw = with_subgraphs(document([number, drawn], [(40, 4, 0, 12, 0, "INT")]), INSIDE)
    assert everything(converted(raw))["12:3"] == {"seed": ["4", 0], "steps": 30}


def test_one_value_goes_to_all_that_the_input_feeds_and_the_first_shows_it() -> None:
    slots = [("seed", "INT", 5, "widget"), ("steps", "INT", 6, "widget")]
    other = node(4, "Sample", inputs=slots, outputs=["LATENT"], values=[6, "fixed", 10])
    links = [
        (6, -10, 0, 4, 1, "INT"),
        (2, -10, 0, 3, 1, "INT"),
        (5, -10, 1, 4, 0, "INT"),
        (1, -10, 1, 3, 0, "INT"),
    ]
    both = subgraph(REFINE, [other, SAMPLE], links, inputs=["steps", "seed"])
    both["inputs"][0]["linkIds"] = [2, 6]  # node 3 was linked first
    told = everything(converted(with_subgraphs(document([instance(values=[30, 7])]), both)))
    assert told == {"12:4": {"seed": 7, "steps": 30}, "12:3": {"seed": 7, "steps": 30}}
    shown = everything(converted(with_subgraphs(document([instance(values=[None, None])]), both)))
    assert shown == {"12:4": {"seed": 6, "steps": 20}, "12:3": {"seed": 6, "steps": 20}}


def nested(proxies: Any = None, **more: Any) -> dict[str, Any]:
    inner = {
        **instance(proxies, **more),
        "id": 7,
        "inputs": [(slot | {"link": link}) for slot, link in INNER_SLOTS],
    }
    return subgraph(
        OUTER,
        [inner],
        [(1, -10, 0, 7, 0, "INT"), (2, -10, 1, 7, 1, "INT"), (3, 7, 0, -20, 0, "LATENT")],
        inputs=["a", "b"],
        outputs=["LATENT"],
        name="All",
    )


INNER_SLOTS = [
    ({"name": "seed", "type": "INT", "widget": {"name": "seed"}}, 1),
    ({"name": "steps", "type": "INT", "widget": {"name": "steps"}}, 2),
]


@pytest.mark.parametrize(
    ("outer_proxies", "outer_values", "inner_values", "wanted"),
    [
        (None, [7, 30], [8, 40], {"seed": 7, "steps": 30}),
        (None, [None, 30], [8, 40], {"seed": 8, "steps": 30}),
        (None, None, [8, None], {"seed": 8, "steps": 20}),
        (None, None, None, OWN),
        ([["7", "seed"], ["-1", "b"]], [7, 30], None, {"seed": 7, "steps": 30}),
    ],
)
def test_the_outermost_value_counts(outer_proxies: Any, outer_values: Any, inner_values: Any, wanted: Any) -> None:
    slots = [("a", "INT", None, "widget"), ("b", "INT", None, "widget")]
    drawn = instance(outer_proxies, type_=OUTER, values=outer_values, inputs=slots)
    raw = with_subgraphs(document([drawn]), nested(values=inner_values), INSIDE)
    conversion = converted(raw)
    assert (everything(conversion), conversion.problems) == ({"12:7:3": wanted}, ())


def test_what_an_outer_instance_says_of_a_widget_two_levels_down_is_handed_on() -> None:
    drawn = instance([["7", "steps"]], type_=OUTER, values=[33], inputs=[])
    inner = {**nested([["3", "steps"]]), "links": []}
    inner["nodes"] = [{**inner["nodes"][0], "inputs": []}]
    raw = with_subgraphs(document([drawn]), inner, INSIDE)
    assert everything(converted(raw)) == {"12:7:3": {"seed": 5, "steps": 33}}


def test_a_promoted_value_passes_reroutes_inside() -> None:
    through = subgraph(
        REFINE,
        [
            node(4, "Reroute", inputs=[("", "*", 1, "widget")], outputs=["*"]),
            {**SAMPLE, "inputs": [{"name": "seed", "type": "INT", "link": 2, "widget": {"name": "seed"}}]},
        ],
        [(1, -10, 0, 4, 0, "INT"), (2, 4, 0, 3, 0, "INT")],
        inputs=["seed"],
    )
    assert sampled(instance(values=[7]), through) == {"seed": 7, "steps": 20}
    assert sampled(instance(values=[None]), through) == OWN
