"""The canonical form: one text for one workflow, and what runs stays."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.errors import WorkflowFormatError
from graphengine.workflow.api_format import workflow_to_api
from graphengine.workflow.canonical import canonical, canonical_text, read_raw, text_of
from graphengine.workflow.documents import document_from_json
from graphengine.workflow.formats import read_document, to_workflow
from graphengine.workflow.json_input import parse_json
from graphengine.workflow.layout_file import join_layout, layout_text, split_layout
from tests.workflow.properties import PATIENT
from tests.workflow.ui_documents import KNOWN, document, node

EXAMPLES = Path(__file__).parents[2] / "workflows"


def drawn(raw: Mapping[str, Any]) -> str:
    return canonical_text(json.dumps(raw).encode())


def what_runs(text: str | bytes) -> Mapping[str, Any]:
    data = text.encode() if isinstance(text, str) else text
    return workflow_to_api(to_workflow(document_from_json(data), KNOWN).workflow)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A chain of samplers with shuffled nodes and links, and whatever an editor leaves behind."""
    count = draw(st.integers(1, 5))
    links: list[tuple[Any, ...]] = []
    nodes = [node(1, "Load", outputs=("MODEL", "CLIP"), values=["a.safetensors"])]
    for number in range(2, 2 + count):
        link = 10 * number
        links.append((link, draw(st.integers(1, number - 1)), 0, number, 0, "MODEL"))
        slots: list[tuple[Any, ...]] = [("model", "MODEL", link)]
        if draw(st.booleans()):
            slots += [("amount", "FLOAT", None, "widget")] * draw(st.integers(1, 3))
        amount = draw(st.floats(-5, 5, allow_nan=False) | st.integers(-5, 5))
        left = draw(st.fixed_dictionaries({}, optional={"order": st.integers(0, 9), "selected": st.booleans()}))
        mode = draw(st.sampled_from((0, 0, 2, 4)))
        nodes.append(node(number, "Sharpen", inputs=slots, outputs=("MODEL",), values=[amount], mode=mode, **left))
    raw = document(draw(st.permutations(nodes)), draw(st.permutations(links)), draw(st.sampled_from((0.4, 1))))
    return {**raw, "last_node_id": draw(st.integers(0, 99)), "last_link_id": draw(st.integers(0, 99))}


@PATIENT
@given(documents())
def test_what_runs_is_unchanged_and_a_second_time_changes_nothing(raw: dict[str, Any]) -> None:
    text = drawn(raw)
    assert what_runs(text) == what_runs(json.dumps(raw))
    assert canonical_text(text.encode()) == text


@PATIENT
@given(documents())
def test_a_layout_that_was_split_off_comes_back(raw: dict[str, Any]) -> None:
    whole = canonical(read_raw(json.dumps(raw).encode()))
    bare, layout = split_layout(whole)
    kept = parse_json(layout_text(layout).encode(), as_written=True).value
    assert isinstance(kept, dict)
    assert all("pos" not in each for each in bare["nodes"])
    assert text_of(canonical(join_layout(read_raw(text_of(bare).encode()), kept))) == text_of(whole)


@PATIENT
@given(documents(), st.randoms())
def test_the_order_of_nodes_links_and_keys_does_not_count(raw: dict[str, Any], random: Any) -> None:
    mixed = {key: raw[key] for key in random.sample(list(raw), len(raw))}
    mixed["nodes"] = random.sample(mixed["nodes"], len(mixed["nodes"]))
    mixed["links"] = random.sample(mixed["links"], len(mixed["links"]))
    assert drawn(mixed) == drawn(raw)


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.json")), ids=lambda file: file.name)
def test_the_example_workflows_run_as_before(file: Path) -> None:
    data = file.read_bytes()
    assert what_runs(canonical_text(data)) == what_runs(data)


def test_numbers_stay_as_they_were_written() -> None:
    text = '{"1": {"class_type": "X", "inputs": {"a": 1e3, "b": 0.10, "c": 8.0, "d": -0, "e": 12345678901234567}}}'
    lines = canonical_text(text.encode()).splitlines()
    assert [line.strip().rstrip(",") for line in lines[4:9]] == [
        '"a": 1e3',
        '"b": 0.10',
        '"c": 8.0',
        '"d": -0',
        '"e": 12345678901234567',
    ]


def test_a_widget_stands_on_a_line_of_its_own() -> None:
    lines = drawn(document([node(3, "Sample", values=[7, "fixed", 20])])).splitlines()
    assert [line.strip() for line in lines[lines.index('      "widgets_values": [') + 1 :][:3]] == [
        "7,",
        '"fixed",',
        "20",
    ]


def test_noise_is_removed() -> None:
    raw = document([node(3, "Sample", order=7, selected=True, flags={"selected": True})])
    raw |= {"last_node_id": 99, "last_link_id": 5, "revision": 12}
    made = json.loads(drawn(raw))
    assert made["extra"] == {}
    assert (made["last_node_id"], made["last_link_id"], made["revision"]) == (3, 0, 0)
    assert (made["nodes"][0]["order"], made["nodes"][0]["flags"]) == (0, {})
    assert "selected" not in made["nodes"][0]


def test_the_second_slot_of_a_widget_goes_and_later_links_follow() -> None:
    slots = [("seed", "INT", None, "w"), ("seed", "INT", None, "w"), ("model", "MODEL", 4)]
    raw = document(
        [node(1, "Load", outputs=("MODEL",)), node(2, "Sample", inputs=slots)], [(4, 1, 0, 2, 2, "MODEL")]
    )
    made = json.loads(drawn(raw))
    assert [slot["name"] for slot in made["nodes"][1]["inputs"]] == ["seed", "model"]
    assert made["links"] == [[4, 1, 0, 2, 1, "MODEL"]]
    assert what_runs(json.dumps(made)) == what_runs(json.dumps(raw))


def test_old_sizes_become_lists() -> None:
    made = json.loads(drawn(document([node(1, "Load", size={"0": 210, "1": 46})])))
    assert made["nodes"][0]["size"] == [210, 46]


def test_line_ends_and_a_byte_order_mark_go_and_texts_stay() -> None:
    data = '\ufeff{"1":\r\n {"class_type": "Text", "inputs": {"text": "a\\r\\nb"}}}'.encode()
    made = canonical_text(data)
    assert "\r" not in made
    assert not made.startswith("\ufeff")
    assert json.loads(made)["1"]["inputs"]["text"] == "a\r\nb"


def test_subgraphs_are_put_in_order_too() -> None:
    inside = {
        "id": "b7",
        "name": "Refine",
        "revision": 3,
        "state": {"lastNodeId": 50, "lastLinkId": 60, "lastRerouteId": 0},
        "inputNode": {"bounding": [0, 0, 120, 60], "id": -10},
        "outputs": [{"id": "x", "name": "out", "type": "LATENT", "linkIds": [9, 8], "pos": [1, 2]}],
        "nodes": [node(5, "Sample"), node(4, "Sharpen")],
        "links": [],
    }
    raw = {**document([node(1, "b7")]), "definitions": {"subgraphs": [inside]}, "last_node_id": 1}
    made = json.loads(drawn(raw))
    graph = made["definitions"]["subgraphs"][0]
    assert [each["id"] for each in graph["nodes"]] == [4, 5]
    assert graph["state"] == {"lastLinkId": 0, "lastNodeId": 5, "lastRerouteId": 0}
    assert graph["outputs"] == [{"id": "x", "name": "out", "type": "LATENT", "linkIds": [9, 8]}]
    assert made["last_node_id"] == 5


def test_documents_in_an_envelope_are_put_in_order() -> None:
    raw = {"client_id": "me", "prompt": {"10": {"inputs": {}, "class_type": "A"}, "9": {"class_type": "B"}}}
    made = json.loads(canonical_text(json.dumps(raw).encode()))
    assert list(made) == ["prompt", "client_id"]
    assert list(made["prompt"]) == ["9", "10"]
    assert list(made["prompt"]["10"]) == ["class_type", "inputs"]


def test_a_document_gets_the_layout_of_the_file_beside_it(tmp_path: Path) -> None:
    raw = json.loads(drawn(document([node(1, "Load", color="#223")])))
    bare, layout = split_layout(raw)
    (tmp_path / "flow.json").write_text(text_of(bare))
    (tmp_path / "flow.layout.json").write_text(layout_text(layout))
    read = read_document(tmp_path / "flow.json").ui
    assert read is not None
    assert read.to_json() == raw


def test_a_broken_layout_is_a_warning(tmp_path: Path) -> None:
    bare, _ = split_layout(document([node(1, "Load")]))
    (tmp_path / "flow.json").write_text(text_of(bare))
    (tmp_path / "flow.layout.json").write_text("{}")
    read = read_document(tmp_path / "flow.json")
    assert [problem.code for problem in read.problems] == ["unreadable_layout"]


@pytest.mark.parametrize("text", [b"", b"{}", b"[1]", b'"text"', b"{", b'{"nodes": 3}'])
def test_what_is_no_workflow_is_refused(text: bytes) -> None:
    with pytest.raises(WorkflowFormatError):
        canonical_text(text)
