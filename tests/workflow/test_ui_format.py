"""From the editor's document to what runs, rule by rule, in both versions of the document."""

from typing import Any

import pytest

from graphengine.node.definition import InputSpec
from graphengine.workflow.models import Link, NodeId
from graphengine.workflow.ui_models import parse_ui
from tests.workflow.ui_documents import (
    KNOWN,
    codes,
    converted,
    definition,
    definitions,
    document,
    inputs_of,
    node,
)

LOAD = node(1, "Load", outputs=["MODEL", "CLIP"], values=["a.safetensors"])
SAMPLE_INPUTS = [("model", "MODEL", 10), ("positive", "CONDITIONING", None)]


def sample(**changes: Any) -> dict[str, Any]:
    return {**node(9, "Sample", inputs=SAMPLE_INPUTS, outputs=["LATENT"], values=[5, "randomize", 20]), **changes}


def model_of(nodes: list[dict[str, Any]], links: list[tuple[Any, ...]], version: float = 0.4) -> Any:
    """What feeds `model` of Sample node 9 (by link 10) in a graph that is right; "absent" when nothing does."""
    conversion = converted(document([*nodes, sample()], links, version))
    assert [problem for problem in conversion.problems if problem.code != "bypass_gives_nothing"] == []
    return inputs_of(conversion.workflow, "9").get("model", "absent")


@pytest.mark.parametrize("version", [0.4, 1])
def test_links_and_widgets_become_inputs(version: float) -> None:
    raw = document([LOAD, sample(title="My sampler")], [(10, 1, 0, 9, 0, "MODEL")], version)
    conversion = converted(raw)
    assert conversion.problems == ()
    assert inputs_of(conversion.workflow, "1") == {"name": "a.safetensors"}
    assert inputs_of(conversion.workflow, "9") == {"model": ["1", 0], "seed": 5, "steps": 20}
    assert conversion.workflow.nodes[NodeId("9")].title == "My sampler"
    assert conversion.workflow.ui == raw


def test_a_converted_widget_holds_its_place_and_its_link_wins() -> None:
    numbers = node(4, "Number", outputs=["INT"])
    target = node(9, "Sample", inputs=[("seed", "INT", 11, "widget")], values=[5, "fixed", 20])
    workflow = converted(document([numbers, target], [(11, 4, 2, 9, 0, "INT")])).workflow
    assert inputs_of(workflow, "9") == {"seed": ["4", 2], "steps": 20}


@pytest.mark.parametrize("version", [0.4, 1])
def test_reroutes_are_followed_to_their_source(version: float) -> None:
    reroutes = [
        node(2, "Reroute", inputs=[("", "*", 11)], outputs=["MODEL"]),
        node(3, "Reroute (rgthree)", inputs=[("", "*", 12)], outputs=["*"]),
    ]
    links = [(11, 3, 0, 2, 0, "*"), (12, 1, 0, 3, 0, "MODEL"), (10, 2, 0, 9, 0, "MODEL")]
    assert model_of([LOAD, *reroutes], links, version) == ["1", 0]


def test_a_reroute_to_which_nothing_is_linked_gives_nothing() -> None:
    reroute = node(2, "Reroute", inputs=[("", "*", None)], outputs=["*"])
    assert model_of([reroute], [(10, 2, 0, 9, 0, "*")]) == "absent"


def test_a_circle_of_reroutes_is_a_problem() -> None:
    reroutes = [node(2, "Reroute", inputs=[("", "*", 11)]), node(3, "Reroute", inputs=[("", "*", 12)])]
    links = [(11, 3, 0, 2, 0, "*"), (12, 2, 0, 3, 0, "*"), (10, 2, 0, 9, 0, "*")]
    conversion = converted(document([*reroutes, sample()], links))
    assert codes(conversion) == [("cycle", "error", "9")]
    assert conversion.problems[0].message == "input 'model': its link runs in a circle through node 2 (Reroute)"


def test_a_chain_of_5000_reroutes_is_followed_once_for_all_its_targets() -> None:
    chain = [node(100 + i, "Reroute", inputs=[("", "*", 100 + i)]) for i in range(5000)]
    links = [(100 + i, 99 + i if i else 1, 0, 100 + i, 0, "*") for i in range(5000)]
    assert model_of([LOAD, *chain], [*links, (10, 5099, 0, 9, 0, "MODEL")]) == ["1", 0]
    targets = [node(-i, "Save", inputs=[("latent", "LATENT", 10)]) for i in range(1, 5000)]
    workflow = converted(document([LOAD, *chain, *targets], [*links, (10, 5099, 0, -1, 0, "LATENT")])).workflow
    assert all(each.inputs["latent"] == Link(NodeId("1"), 0) for key, each in workflow.nodes.items() if key != "1")


def test_a_primitive_gives_its_value() -> None:
    primitive = node(4, "PrimitiveNode", outputs=["INT"], values=[77, "randomize"])
    target = node(9, "Sample", inputs=[("seed", "INT", 11, "widget")], values=[5, "fixed", 20])
    workflow = converted(document([primitive, target], [(11, 4, 0, 9, 0, "INT")])).workflow
    assert inputs_of(workflow, "9") == {"seed": 77, "steps": 20}
    assert "4" not in workflow.nodes


def test_a_primitive_without_value_leaves_the_widget_its_own() -> None:
    primitive = node(4, "PrimitiveNode", outputs=["INT"], values=[])
    target = node(9, "Sample", inputs=[("seed", "INT", 11, "widget")], values=[5, "fixed", 20])
    assert (
        inputs_of(converted(document([primitive, target], [(11, 4, 0, 9, 0, "INT")])).workflow, "9")["seed"] == 5
    )


@pytest.mark.parametrize("type_", ["Note", "MarkdownNote", "Label (rgthree)", "Fast Groups Muter (rgthree)"])
def test_notes_and_switches_of_the_editor_do_not_run(type_: str) -> None:
    conversion = converted(document([node(1, type_, values=["Read me"])]))
    assert (dict(conversion.workflow.nodes), conversion.problems) == ({}, ())


@pytest.mark.parametrize("version", [0.4, 1])
def test_setters_and_getters_of_one_name_are_one_link(version: float) -> None:
    pair = [
        node(2, "SetNode", inputs=[("MODEL", "MODEL", 11)], outputs=["*"], values=["the model"]),
        node(3, "GetNode", outputs=["MODEL"], values=["the model"]),
    ]
    links = [(11, 1, 0, 2, 0, "MODEL"), (10, 3, 0, 9, 0, "MODEL")]
    assert model_of([LOAD, *pair], links, version) == ["1", 0]


def test_a_getter_without_setter_is_a_problem_that_names_it() -> None:
    getter = node(3, "GetNode", outputs=["MODEL"], values=["gone"])
    conversion = converted(document([getter, sample()], [(10, 3, 0, 9, 0, "MODEL")]))
    assert codes(conversion) == [("missing_setter", "error", "3")]
    assert conversion.problems[0].message == "no SetNode sets 'gone'"


def test_two_setters_of_one_name_are_a_problem() -> None:
    setters = [node(id_, "SetNode", inputs=[("MODEL", "MODEL", None)], values=["m"]) for id_ in (2, 3)]
    assert codes(converted(document(setters))) == [("duplicate_setter", "error", "3")]


def test_a_muted_node_vanishes_and_its_targets_lose_the_input() -> None:
    assert model_of([{**LOAD, "mode": 2}], [(10, 1, 0, 9, 0, "MODEL")]) == "absent"
    numbers = node(4, "Number", outputs=["INT"], mode=2)
    target = node(9, "Sample", inputs=[("seed", "INT", 11, "widget")], values=[5, "fixed", 20])
    workflow = converted(document([numbers, target], [(11, 4, 0, 9, 0, "INT")])).workflow
    assert inputs_of(workflow, "9") == {"steps": 20}


class TestABypassedNode:
    """Mode 4: what an output gives is taken from an input."""

    def passes(self, inputs: list[tuple[Any, ...]], outputs: list[str], slot: int = 0) -> Any:
        bypassed = node(2, "Sharpen", inputs=inputs, outputs=outputs, mode=4)
        links = [(11 + at, 1, at, 2, at, "?") for at in range(len(inputs))] + [(10, 2, slot, 9, 0, "?")]
        return model_of([LOAD, bypassed], links)

    def test_gives_the_input_of_the_same_number_if_its_type_fits(self) -> None:
        assert self.passes([("a", "MODEL", 11), ("b", "MODEL", 12)], ["MODEL", "MODEL"], slot=1) == ["1", 1]

    def test_else_the_first_input_of_exactly_the_type(self) -> None:
        assert self.passes([("a", "CLIP", 11), ("b", "MODEL", 12)], ["MODEL"]) == ["1", 1]
        assert self.passes([("a", "*", 11), ("b", "MODEL", 12)], ["VAE", "MODEL", "MODEL"], slot=2) == ["1", 1]

    def test_else_the_first_that_fits(self) -> None:
        assert self.passes([("a", "CLIP", 11), ("b", "VAE,model", 12)], ["MODEL"]) == ["1", 1]

    def test_else_nothing(self) -> None:
        assert self.passes([("a", "CLIP", 11), ("b", "VAE", 12)], ["MODEL"]) == "absent"
        assert self.passes([], ["MODEL"]) == "absent"

    def test_that_has_no_input_of_the_type_is_named_when_the_input_is_required(self) -> None:
        bypassed = node(2, "Sharpen", inputs=[("a", "CLIP", 11)], outputs=["MODEL"], mode=4)
        raw = document([LOAD, bypassed, sample()], [(11, 1, 1, 2, 0, "CLIP"), (10, 2, 0, 9, 0, "MODEL")])
        (problem,) = converted(raw).problems
        assert (problem.code, problem.severity) == ("bypass_gives_nothing", "warning")
        assert str(problem).startswith("node 9 (Sample): input 'model': node 2 (Sharpen) is bypassed")
        optional = definition("Sample", model=InputSpec("model", "MODEL", required=False))
        assert "bypass_gives_nothing" not in str(converted(raw, {**KNOWN, **definitions(optional)}).problems)

    def test_gives_nothing_when_the_input_that_counts_is_not_linked(self) -> None:
        assert self.passes([("a", "MODEL", None), ("b", "MODEL", 12)], ["MODEL"]) == "absent"

    def test_leaves_a_widget_its_own_value_when_nothing_passes(self) -> None:
        bypassed = node(2, "Sharpen", inputs=[("a", "CLIP", 11)], outputs=["INT"], mode=4)
        target = node(9, "Sample", inputs=[("seed", "INT", 12, "widget")], values=[5, "fixed", 20])
        links = [(11, 1, 1, 2, 0, "CLIP"), (12, 2, 0, 9, 0, "INT")]
        assert inputs_of(converted(document([LOAD, bypassed, target], links)).workflow, "9")["seed"] == 5

    def test_is_passed_in_chains(self) -> None:
        chain = [node(i, "Sharpen", inputs=[("model", "MODEL", i)], outputs=["MODEL"], mode=4) for i in (2, 3)]
        links = [(2, 1, 0, 2, 0, "MODEL"), (3, 2, 0, 3, 0, "MODEL"), (10, 3, 0, 9, 0, "MODEL")]
        assert model_of([LOAD, *chain], links) == ["1", 0]


def test_a_link_that_is_not_in_the_document_counts_as_none_and_is_told() -> None:
    conversion = converted(document([sample()]))
    assert codes(conversion) == [("dangling_link", "warning", "9")]
    assert conversion.problems[0].input_name == "model"
    assert "link 10 is not in the document" in conversion.problems[0].message
    assert "model" not in inputs_of(conversion.workflow, "9")


def test_a_link_from_an_absent_node_counts_as_none_and_is_told() -> None:
    conversion = converted(document([sample()], [(10, 1, 0, 9, 0, "MODEL")]))
    assert codes(conversion) == [("dangling_link", "warning", "9")]
    assert "comes from node 1, which is absent" in conversion.problems[0].message


def test_a_link_row_that_cannot_be_read_is_told() -> None:
    for row in ([10, 1, "first", 9, 0, "MODEL"], [10, 1, True, 9, 0, "MODEL"]):
        raw = {**document([LOAD]), "links": [row, None]}
        assert codes(converted(raw)) == [("dangling_link", "warning", None)]


def test_two_nodes_of_one_id_are_a_problem() -> None:
    assert codes(converted(document([LOAD, {**LOAD, "id": "1"}]))) == [("duplicate_node", "error", "1")]


def test_an_unknown_node_keeps_its_links_and_reports_its_widgets() -> None:
    unknown = node(2, "Sparkle", inputs=[("model", "MODEL", 11)], outputs=["MODEL"], values=[0.3])
    links = [(11, 1, 0, 2, 0, "MODEL"), (10, 2, 0, 9, 0, "MODEL")]
    conversion = converted(document([LOAD, unknown, sample()], links))
    assert codes(conversion) == [("unnamed_widgets", "warning", "2")]
    assert inputs_of(conversion.workflow, "2") == {"model": ["1", 0]}


@pytest.mark.parametrize(
    ("type_", "word"),
    [
        ("9f76cdf2-b272-41bd-8228-bd7850366c83", "subgraph"),
        ("workflow>Upscale", "group node"),
        ("workflow/Upscale", "group node"),
    ],
)
def test_what_the_document_does_not_define_is_named(type_: str, word: str) -> None:
    raw = document([node(5, type_, outputs=["MODEL"], values=[1]), sample()], [(10, 5, 0, 9, 0, "MODEL")])
    conversion = converted(raw)
    assert codes(conversion) == [("missing_subgraph", "error", "5")]
    assert word in conversion.problems[0].message
    muted = converted({**raw, "nodes": [{**raw["nodes"][0], "mode": 2}, sample()]})
    assert muted.problems == ()


def test_links_that_end_at_nothing_or_share_an_id_are_told() -> None:
    links = [
        (10, 1, 1, 9, 0, "MODEL"),
        (10, 1, 0, 9, 0, "MODEL"),
        (11, 1, 0, 9, 7, "MODEL"),
        (12, 1, 0, 8, 0, "MODEL"),
    ]
    conversion = converted(document([LOAD, sample()], links))
    assert [str(problem) for problem in conversion.problems] == [
        "another link has the id 10 as well; the last one counts",
        "node 9 (Sample): link 11 ends at its input 7, which is absent; it is left out",
        "link 12 ends at node 8, which is absent; it is left out",
    ]
    assert {problem.severity for problem in conversion.problems} == {"warning"}
    assert inputs_of(conversion.workflow, "9")["model"] == ["1", 0]


def test_texts_with_substitutions_and_dotted_names_are_kept() -> None:
    dotted = node(2, "Batch", inputs=[("images.image0", "IMAGE", 11)])
    save = node(3, "Save", inputs=[("latent", "LATENT", None)], values=["%date:yyyy% %Sampler.seed%"])
    workflow = converted(document([LOAD, dotted, save], [(11, 1, 0, 2, 0, "IMAGE")])).workflow
    assert inputs_of(workflow, "2") == {"images.image0": ["1", 0]}
    assert inputs_of(workflow, "3") == {"prefix": "%date:yyyy% %Sampler.seed%"}


def test_conversion_leaves_the_document_as_it_was() -> None:
    raw = document([LOAD, sample()], [(10, 1, 0, 9, 0, "MODEL")])
    model = parse_ui(raw)
    before = model.to_json()
    converted(raw)
    assert model.to_json() == before == raw
