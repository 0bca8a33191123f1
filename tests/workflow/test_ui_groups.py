"""Group nodes are replaced by what the document says is inside of them."""

from typing import Any

from graphengine.node.definition import InputSpec
from graphengine.workflow.models import NodeId
from graphengine.workflow.ui_format import Conversion
from tests.workflow.ui_documents import (
    KNOWN,
    codes,
    converted,
    definition,
    definitions,
    document,
    everything,
    node,
)

LOAD = node(1, "Load", outputs=["MODEL", "CLIP"], values=["a.safetensors"])
SAVE = node(9, "Save", inputs=[("latent", "LATENT", 91)], values=["out"])
PICTURE = definition(
    "Picture",
    ("IMAGE",),
    image=InputSpec("image", "COMBO", choices=("a.png", "b.png"), options={"image_upload": True}),
)
ALL_KNOWN = {**KNOWN, **definitions(PICTURE)}


def group(*nodes: dict[str, Any], links: Any = (), external: Any = (), config: Any = None) -> dict[str, Any]:
    rows = [[*link, 0, "?"] for link in links]
    return {"nodes": list(nodes), "links": rows, "external": list(external), "config": config or {}}


def opened(described: Any, *, sign: str = ">", **more: Any) -> Conversion:
    """Load (1), a group node (37) and Save (9), linked as far as `more` says."""
    drawn = node(37, f"workflow{sign}Make", **{"outputs": ["LATENT"], **more})
    outputs = {90: 0, 92: 1}  # of Load, by link
    ends = [(at, slot["link"]) for at, slot in enumerate(drawn["inputs"]) if slot["link"] in outputs]
    links = [(link, 1, outputs[link], 37, at, "*") for at, link in ends]
    raw = document([LOAD, drawn, SAVE], [*links, (91, 37, 0, 9, 0, "LATENT")])
    raw["extra"]["groupNodes"] = {"Make": described}
    return converted(raw, ALL_KNOWN)


ENCODE = node(0, "Encode", inputs=[("clip", "CLIP", 5)], outputs=["CONDITIONING"], values=["a cat"])
SAMPLE = node(
    0,
    "Sample",
    inputs=[("model", "MODEL", 6), ("positive", "CONDITIONING", 7)],
    outputs=["LATENT"],
    values=[5, "randomize", 20],
)
MAKE = group(ENCODE, SAMPLE, links=[(0, 0, 1, 1)])
LINKED = [("clip", "CLIP", 92), ("model", "MODEL", 90)]


def test_nodes_inside_are_numbered_in_order() -> None:
    for sign in (">", "/"):
        conversion = opened(MAKE, sign=sign, inputs=LINKED, values=["a dog", 7, "fixed", 30])
        assert conversion.problems == ()
        assert everything(conversion) == {
            "1": {"name": "a.safetensors"},
            "37:0": {"text": "a dog", "clip": ["1", 1]},
            "37:1": {"seed": 7, "steps": 30, "model": ["1", 0], "positive": ["37:0", 0]},
            "9": {"latent": ["37:1", 0], "prefix": "out"},
        }
    assert conversion.workflow.nodes[NodeId("37:1")].origin == "node 1 'Sample' inside group node 'Make'"


def test_what_the_group_does_not_keep_is_as_it_was_inside() -> None:
    found = everything(opened(MAKE, inputs=LINKED, values=["a dog"]))
    assert (found["37:0"]["text"], found["37:1"]["seed"], found["37:1"]["steps"]) == ("a dog", 5, 20)


def test_inputs_of_one_name_are_told_apart_by_the_titles_of_their_nodes() -> None:
    described = group(ENCODE, {**ENCODE, "title": "Negative"}, ENCODE, SAMPLE, links=[(0, 0, 3, 1)])
    inputs = [("clip", "CLIP", 92), ("Encode text", "STRING", 90, "widget"), ("Negative clip", "CLIP", 92)]
    found = everything(opened(described, inputs=inputs, values=["one", "two", "three", 7, "fixed", 30]))
    assert found["37:0"] == {"text": "one", "clip": ["1", 1]}
    assert found["37:1"] == {"text": "two", "clip": ["1", 1]}
    assert found["37:2"] == {"text": ["1", 0]}
    assert (found["37:3"]["seed"], found["37:3"]["steps"]) == (7, 30)


def test_the_user_may_rename_inputs_and_hide_outputs() -> None:
    config = {
        "0": {"input": {"text": {"name": "words"}}, "output": {"0": {"visible": True}}},
        "1": {"output": {"0": {"visible": False}}},
    }
    described = group(ENCODE, SAMPLE, links=[(0, 0, 1, 1)], config=config)
    found = everything(opened(described, inputs=[("words", "STRING", 92, "widget")], values=["a dog"]))
    assert found["37:0"] == {"text": ["1", 1]}
    assert found["9"]["latent"] == ["37:0", 0]


def test_an_output_that_is_linked_inside_is_shown_only_when_the_document_says_so() -> None:
    shown = group(ENCODE, SAMPLE, links=[(0, 0, 1, 1)], external=[[0, 0, "CONDITIONING"]])
    assert everything(opened(shown))["9"]["latent"] == ["37:0", 0]
    assert everything(opened(MAKE))["9"]["latent"] == ["37:1", 0]


def test_a_primitive_inside_keeps_its_value_in_the_group() -> None:
    primitive = node(0, "PrimitiveNode", outputs=["INT"], values=[3, "fixed"])
    sample = {
        **SAMPLE,
        "inputs": [*SAMPLE["inputs"], *node(0, "", inputs=[("seed", "INT", 8, "widget")])["inputs"]],
    }
    described = group(primitive, sample, links=[(0, 0, 1, 2)])
    found = everything(opened(described, values=[7, "randomize", 30]))
    assert found["37:1"] == {"seed": 7, "steps": 30}
    assert everything(opened(described))["37:1"] == {"seed": 3, "steps": 20}
    titled = group({**primitive, "title": "Number"}, sample, links=[(0, 0, 1, 2)])
    linked = [("Number value", "INT", 90, "widget")]
    assert everything(opened(titled, inputs=linked, values=[7, "fixed", 30]))["37:1"]["seed"] == ["1", 0]


def test_reroutes_inside_lead_in_and_out() -> None:
    reroute = node(0, "Reroute", inputs=[("", "*", None)], outputs=["MODEL"])
    inside = group(reroute, SAMPLE, links=[(0, 0, 1, 0)])
    found = everything(opened(inside, inputs=[("", "MODEL", 90)], values=[7, "fixed", 30]))
    assert found["37:1"] == {"seed": 7, "steps": 30, "model": ["1", 0]}
    note = node(0, "Note", values=["Read me"])
    described = group(SAMPLE, note, reroute, links=[(0, 0, 2, 0)])
    assert everything(opened(described))["9"]["latent"] == ["37:0", 0]


def test_the_value_of_an_upload_button_is_passed_over() -> None:
    picture = node(0, "Picture", outputs=["IMAGE"], values=["a.png", "image"])
    described = group(picture, SAMPLE)
    for values in (["b.png", "image", 7, "fixed", 30], ["b.png", 7, "fixed", 30]):
        found = everything(opened(described, values=values))
        assert found["37:0"] == {"image": "b.png"}
        assert found["37:1"] == {"seed": 7, "steps": 30}


def test_values_of_unknown_nodes_inside_are_told_and_none_is_given_to_a_wrong_input() -> None:
    unknown = node(0, "Sparkle", inputs=[("model", "MODEL", None)], outputs=["MODEL"], values=[0.3])
    conversion = opened(
        group(unknown, SAMPLE, links=[(0, 0, 1, 0)]), inputs=[("model", "MODEL", 90)], values=[0.4, 7, "fixed", 30]
    )
    assert set(codes(conversion)) == {
        ("unnamed_widgets", "warning", "0"),
        ("unnamed_widgets", "warning", "37:0"),
    }
    found = everything(conversion)
    assert found["37:0"] == {"model": ["1", 0]}
    assert found["37:1"] == {"seed": 5, "steps": 20, "model": ["37:0", 0]}


def test_groups_may_stand_in_groups_but_not_in_themselves() -> None:
    raw = document([node(37, "workflow>Outer", values=["a dog"])])
    inner = node(0, "workflow>Inner", inputs=[("clip", "CLIP", None)])
    raw["extra"]["groupNodes"] = {"Outer": group(inner), "Inner": group(ENCODE)}
    assert everything(converted(raw, ALL_KNOWN)) == {"37:0:0": {"text": "a cat"}}
    raw["extra"]["groupNodes"]["Inner"] = group({**inner, "type": "workflow>Outer"})
    assert ("subgraph_cycle", "error", "0") in codes(converted(raw, ALL_KNOWN))


def test_what_is_described_in_no_readable_way_is_a_problem() -> None:
    unreadable: list[Any] = [None, [], {}, {"nodes": 5}, {"nodes": [{"id": 1}]}]
    for described in unreadable:
        assert codes(opened(described)) == [("missing_subgraph", "error", "37")]


def test_odd_rows_are_passed_over() -> None:
    described = {
        "nodes": MAKE["nodes"],
        "links": [None, [0], [None, 0, 1, 1], ["a", 0, 1, 1], [0, 0, 1, 1], [0, 0, 9, 0, 0, "X"], [0, 0, -1, 0]],
        "external": [None, [0], ["a", "b"]],
        "config": {"0": {"input": [], "output": 3}, "1": None},
    }
    assert everything(opened(described))["37:1"] == {"seed": 5, "steps": 20, "positive": ["37:0", 0]}
