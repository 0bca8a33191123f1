"""Links that only the rules of "Anything Everywhere" nodes tell of."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.workflow import ui_documents
from tests.workflow.ui_documents import (
    KNOWN,
    Row,
    codes,
    converted,
    definition,
    definitions,
    everything,
    node,
    subgraph,
    with_subgraphs,
)

LOAD = node(1, "Load", outputs=["MODEL", "CLIP"], values=["a.safetensors"])
OTHER = {**LOAD, "id": 2}
SAMPLE = node(
    9, "Sample", inputs=[("model", "MODEL", None), ("positive", "CONDITIONING", None)], values=[5, "fixed", 20]
)
SOMEWHERE = definition(
    "Anything Everywhere?", (), title_regex="STRING", input_regex="STRING", group_regex="STRING"
)
ALL_KNOWN = {**KNOWN, **definitions(SOMEWHERE)}
LINKS = [(10, 1, 0, 5, 0, "*"), (20, 2, 0, 6, 0, "*"), (11, 1, 1, 5, 1, "*")]


def document(nodes: Sequence[dict[str, Any]], links: Sequence[Row] = ()) -> dict[str, Any]:
    """A document whose links end where a node says so; those that no node tells of stay if their end is there."""
    told = {slot["link"]: (each["id"], at) for each in nodes for at, slot in enumerate(each["inputs"])}
    widths = {each["id"]: len(each["inputs"]) for each in nodes}
    rows = [(*row[:3], *told.get(row[0], row[3:5]), row[5]) for row in links]
    return ui_documents.document(nodes, [row for row in rows if row[4] < widths.get(row[3], 0)])


def sender(id_: int = 5, link: Any = 10, type_: str = "Anything Everywhere", **more: Any) -> dict[str, Any]:
    return node(id_, type_, **{"inputs": [("anything", "*", link)], **more})


def rules(**given: Any) -> dict[str, Any]:
    return {"ue_properties": {"version": "7.0", **given}}


def model_of(*senders: dict[str, Any], sample: dict[str, Any] = SAMPLE, **more: Any) -> Any:
    """What feeds `model` of node 9 in a document without problems."""
    conversion = converted({**document([LOAD, OTHER, *senders, sample], LINKS), **more}, ALL_KNOWN)
    assert conversion.problems == ()
    return everything(conversion)["9"].get("model")


def test_what_is_linked_to_a_sender_goes_to_open_inputs_of_its_type() -> None:
    conversion = converted(document([LOAD, sender(), SAMPLE], LINKS))
    assert conversion.problems == ()
    assert everything(conversion)["9"] == {"model": ["1", 0], "seed": 5, "steps": 20}
    assert everything(conversion)["5"] == {"anything": ["1", 0]}


def test_inputs_that_are_linked_and_nodes_that_do_not_run_get_nothing() -> None:
    linked = node(9, "Sample", inputs=[("model", "MODEL", 30)])
    raw = document([LOAD, OTHER, sender(), linked], [*LINKS, (30, 2, 0, 9, 0, "MODEL")])
    assert everything(converted(raw))["9"]["model"] == ["2", 0]
    assert model_of() is None
    assert model_of(sender(mode=2)) is None
    assert model_of(sender(link=None)) is None
    assert model_of({**sender(), "type": "PreviewImage"}) is None
    assert "9" not in everything(converted(document([LOAD, sender(), {**SAMPLE, "mode": 4}], LINKS)))
    muted = document([{**LOAD, "mode": 2}, sender(), SAMPLE], LINKS)
    assert "model" not in everything(converted(muted))["9"]


def test_the_links_that_the_document_lists_count() -> None:
    row = {"downstream": 9, "downstream_slot": 0, "upstream": "2", "upstream_slot": 0, "controller": 6}
    odd = [None, {"downstream": 9}, {**row, "downstream": 99}, {**row, "downstream_slot": 7}]
    assert model_of(sender(), extra={"ue_links": [*odd, row, {**row, "upstream": 1}]}) == ["2", 0]


def test_widgets_are_open_when_the_user_says_so_or_made_them_slots() -> None:
    number = node(4, "Number", outputs=["INT"])
    sample = node(9, "Sample", inputs=[("steps", "INT", None, "widget")], values=[5, "fixed", 20])
    raw = document([number, sender(), sample], [(10, 4, 0, 5, 0, "*")])
    raw["extra"]["frontendVersion"] = "1.24.4"
    assert everything(converted(raw))["9"]["steps"] == 20
    raw["nodes"][2]["properties"] = rules(widget_ue_connectable={"steps": True})
    assert everything(converted(raw))["9"]["steps"] == ["4", 0]
    raw["nodes"][2]["properties"] = {}
    raw["extra"]["frontendVersion"] = "1.9.17"
    assert everything(converted(raw))["9"]["steps"] == ["4", 0]


def test_an_input_or_node_may_refuse() -> None:
    assert model_of(sender(), sample={**SAMPLE, "properties": {"rejects_ue_links": True}}) is None
    assert (
        model_of(sender(), sample={**SAMPLE, "properties": rules(input_ue_unconnectable={"model": True})}) is None
    )


def test_two_senders_of_equal_priority_leave_the_input_open_and_are_told() -> None:
    conversion = converted(document([LOAD, OTHER, sender(), sender(6, 20), SAMPLE], LINKS))
    assert codes(conversion) == [("ambiguous_link", "warning", "9")]
    assert conversion.problems[0].message.startswith("input 'model': nodes 5 and 6 both send it")
    assert "model" not in everything(conversion)["9"]


@pytest.mark.parametrize(
    ("restriction", "fits"),
    [
        (rules(title_regex="^Sam"), True),
        (rules(title_regex="^sam"), False),
        (rules(title_regex="^Sam", title_regex_invert=True), False),
        (rules(input_regex="mod|clip"), True),
        (rules(input_regex="clip"), False),
        (rules(input_regex="(unbalanced"), True),
        (rules(priority=50), True),
        (rules(color_restricted=1), True),
        (rules(color_restricted=2), False),
        (rules(apply_to_unrepeated=1), False),
        (rules(apply_to_unrepeated=1, repeated_type_rule=3), False),
        (rules(apply_to_unrepeated=1, repeated_type_rule=4), False),
    ],
)
def test_a_restricted_sender_goes_first_where_it_may_send(restriction: dict[str, Any], fits: bool) -> None:
    raised = {**restriction["ue_properties"], "priority": 50}
    restricted = sender(6, 20, properties={"ue_properties": raised})
    assert model_of(sender(), restricted) == (["2", 0] if fits else ["1", 0])


@pytest.mark.parametrize(
    ("rule", "name", "fits"),
    [
        (0, "model", True),
        (0, "mod", False),
        (1, "mod", True),
        (1, "odel", False),
        (2, "odel", True),
        (2, "mod", False),
        (3, "Sample", True),
        (3, "model", False),
        (4, "m.del|x", True),
        (4, "(((a+)+)+)+$", False),
        (4, "(", False),
    ],
)
def test_when_types_repeat_names_must_agree(rule: int, name: str, fits: bool) -> None:
    slots = [{"name": "anything", "type": "*", "link": 10, "label": name}, {"name": "b", "type": "*", "link": 20}]
    restricted = {**sender(properties=rules(repeated_type_rule=rule)), "inputs": slots}
    assert model_of(restricted) == (["1", 0] if fits else None)


def test_widgets_of_old_senders_restrict() -> None:
    old = sender(6, 20, "Anything Everywhere?", values=["Sample", ".*", ""])
    assert model_of(sender(), old) == ["2", 0]
    assert model_of(sender(), {**old, "widgets_values": ["Other", ".*"]}) == ["1", 0]


def test_before_version_7_priorities_go_by_the_type_of_the_sender() -> None:
    three = node(6, "Anything Everywhere3", inputs=[("anything", "*", 20), ("anything2", "*", 11)])
    assert model_of(sender(), three) == ["1", 0]
    boosted = {**three, "properties": {"priority_boost": 5}}
    assert model_of(sender(), boosted) == ["2", 0]
    twice = converted(
        document([LOAD, OTHER, {**three, "inputs": [*three["inputs"], *sender()["inputs"]]}, SAMPLE], LINKS)
    )
    assert codes(twice) == [("ambiguous_link", "warning", "9")]


def test_links_that_travel_in_a_picture_count_though_their_targets_do_not_tell_of_them() -> None:
    raw = document([LOAD, OTHER, sender(), sender(6, 20), SAMPLE], [*LINKS, (50, 2, 0, 9, 0, "MODEL")])
    conversion = converted(raw)
    assert (everything(conversion)["9"]["model"], conversion.problems) == (["2", 0], ())
    stale = document(
        [LOAD, OTHER, sender(), SAMPLE], [*LINKS, (50, 2, 0, 9, 0, "MODEL"), (51, 1, 0, 99, 0, "MODEL")]
    )
    assert everything(converted(stale))["9"]["model"] == ["1", 0]


def test_bypassed_nodes_are_passed_as_the_pack_does() -> None:
    sharpen = node(7, "Sharpen", inputs=[("model", "MODEL", 70)], outputs=["MODEL"], values=[1], mode=4)
    through = [*LINKS, (70, 2, 0, 7, 0, "MODEL"), (71, 7, 0, 6, 0, "MODEL")]
    sent = converted(document([OTHER, sharpen, sender(6, 71), SAMPLE], through))
    assert everything(sent)["9"]["model"] == ["2", 0]
    nothing = node(7, "Sharpen", inputs=[("model", "MODEL", None)], outputs=["MODEL"], values=[1], mode=4)
    linked = node(9, "Sample", inputs=[("model", "MODEL", 72)], values=[5])
    fed = converted(document([LOAD, sender(), nothing, linked], [*LINKS, (72, 7, 0, 9, 0, "MODEL")]))
    assert everything(fed)["9"]["model"] == ["1", 0]
    circle = node(7, "Sharpen", inputs=[("model", "MODEL", 73)], outputs=["MODEL"], values=[1], mode=4)
    round_ = converted(document([circle, sender(6, 73), SAMPLE], [(73, 7, 0, 7, 0, "MODEL")]))
    assert "model" not in everything(round_)["9"]


def test_prompts_go_to_inputs_that_sound_positive_or_negative() -> None:
    encode = [node(id_, "Encode", outputs=["CONDITIONING"], values=["a"]) for id_ in (3, 4)]
    prompts = node(5, "Prompts Everywhere", inputs=[("positive", "*", 30), ("negative", "*", 31)])
    target = node(9, "Guide", inputs=[("negative", "CONDITIONING", None), ("positive", "CONDITIONING", None)])
    links = [(30, 3, 0, 5, 0, "*"), (31, 4, 0, 5, 1, "*")]
    assert everything(converted(document([*encode, prompts, target], links)))["9"] == {
        "positive": ["3", 0],
        "negative": ["4", 0],
    }


def test_a_seed_goes_to_seeds_that_were_made_slots() -> None:
    seed = node(5, "Seed Everywhere", outputs=["INT"], inputs=[])
    slots = [("seed", "INT", None, "widget"), ("steps", "INT", None, "widget")]
    found = everything(converted(document([seed, node(9, "Sample", inputs=slots, values=[5, "fixed", 20])])))
    assert found["9"] == {"seed": ["5", 0], "steps": 20}


@pytest.mark.parametrize(
    ("properties", "word"),
    [
        (rules(group_restricted=1), "groups"),
        (rules(group_regex="upscale"), "groups"),
        (rules(title_regex="(a+)+$"), "too complicated"),
        (rules(title_regex="a*b*c*d"), "too complicated"),
        (rules(input_regex="x" * 101), "too complicated"),
    ],
)
def test_restrictions_that_cannot_be_followed_are_a_problem(properties: dict[str, Any], word: str) -> None:
    conversion = converted(document([LOAD, sender(properties=properties), SAMPLE], LINKS))
    assert ("unsupported_node", "error", "5") in codes(conversion)
    assert word in conversion.problems[0].message
    assert "model" not in everything(conversion)["9"]


def test_more_senders_than_any_document_has_are_refused() -> None:
    senders = [sender(100 + at) for at in range(201)]
    assert codes(converted(document([LOAD, *senders, SAMPLE], LINKS))) == [("unsupported_node", "error", None)]


def test_inside_of_a_subgraph_links_are_made_between_its_own_nodes() -> None:
    uuid = "9f76cdf2-b272-41bd-8228-bd7850366c83"
    inside = subgraph(uuid, [LOAD, sender(), SAMPLE], [(10, 1, 0, 5, 0, "*")], outputs=["LATENT"])
    inside["extra"] = {"ue_links": [{"downstream": -20, "downstream_slot": 0, "upstream": 9, "upstream_slot": 0}]}
    nodes = [node(12, uuid, outputs=["LATENT"]), node(13, "Save", inputs=[("latent", "LATENT", 40)], values=["a"])]
    raw = with_subgraphs(document(nodes, [(40, 12, 0, 13, 0, "LATENT")]), inside)
    assert everything(converted(raw))["13"]["latent"] == ["12:9", 0]
    inside["extra"] = {}
    assert everything(converted(raw))["12:9"]["model"] == ["12:1", 0]
