"""Documents of yesterday in today's terms."""

from typing import Any

import pytest

from graphengine.workflow.api_format import parse_api
from graphengine.workflow.documents import Document
from graphengine.workflow.ui_models import parse_ui
from graphengine.workflow.upgrade import Upgrade, upgrade_document
from graphengine.workflow.upgrade_rules import RULES, Replacement, Rules


def api(**nodes: Any) -> Document:
    return Document(api=parse_api({key.removeprefix("n"): node for key, node in nodes.items()}))


def ui(*nodes: Any, **more: Any) -> Document:
    return Document(ui=parse_ui({"nodes": list(nodes), "links": [], "version": 0.4, **more}))


def api_nodes(upgrade: Upgrade) -> dict[str, Any]:
    assert upgrade.document.api is not None
    nodes: Any = upgrade.document.api.to_json()
    return dict(nodes)


def ui_json(upgrade: Upgrade) -> Any:
    assert upgrade.document.ui is not None
    return upgrade.document.ui.to_json()


OLD_LOADER = {
    "id": 4,
    "type": "CheckpointLoader",
    "widgets_values": ["v1-inference.yaml", "sd15.safetensors"],
    "properties": {"Node name for S&R": "CheckpointLoader", "cnr_id": "comfy-core"},
}


def test_a_replaced_node_of_an_api_document_loses_the_input_that_is_gone() -> None:
    old = {
        "class_type": "CheckpointLoader",
        "inputs": {"config_name": "v1.yaml", "ckpt_name": "a"},
        "_meta": {"title": "T"},
    }
    upgrade = upgrade_document(api(n4=old))
    assert api_nodes(upgrade)["4"] == {
        "class_type": "CheckpointLoaderSimple",
        "inputs": {"ckpt_name": "a"},
        "_meta": {"title": "T"},
    }
    (change,) = upgrade.changes
    assert str(change).startswith("node 4 (CheckpointLoader): is a 'CheckpointLoaderSimple' now (deprecated: ")


def test_a_replaced_node_of_the_editor_has_its_values_in_the_new_order() -> None:
    (node,) = ui_json(upgrade_document(ui(OLD_LOADER)))["nodes"]
    assert node == {
        "id": 4,
        "type": "CheckpointLoaderSimple",
        "widgets_values": ["sd15.safetensors"],
        "properties": {"Node name for S&R": "CheckpointLoaderSimple", "cnr_id": "comfy-core"},
    }


def test_widgets_may_change_places() -> None:
    rules = Rules((Replacement("Old", "New", "", {"a": "c"}, widgets=("a", "b"), order=("b", "c")),))
    node = {
        "id": 1,
        "type": "Old",
        "widgets_values": [1, 2, "more"],
        "inputs": [{"name": "a", "widget": {"name": "a"}}],
    }
    (new,) = ui_json(upgrade_document(ui(node), rules))["nodes"]
    assert new["widgets_values"] == [2, 1, "more"]
    assert new["inputs"] == [{"name": "c", "widget": {"name": "c"}}]


def test_values_of_another_version_stay() -> None:
    (node,) = ui_json(upgrade_document(ui({**OLD_LOADER, "widgets_values": ["sd15.safetensors"]})))["nodes"]
    assert node["widgets_values"] == ["sd15.safetensors"]


def test_named_values_are_renamed() -> None:
    node = {"id": 1, "type": "T2IAdapterLoader", "widgets_values": {"t2i_adapter_name": "a.pth"}}
    (new,) = ui_json(upgrade_document(ui(node)))["nodes"]
    assert (new["type"], new["widgets_values"]) == ("ControlNetLoader", {"control_net_name": "a.pth"})


def test_nodes_in_subgraphs_and_group_nodes_are_upgraded() -> None:
    subgraph = {"id": "u-1", "name": "Load", "nodes": [OLD_LOADER]}
    document = ui(definitions={"subgraphs": [subgraph]}, extra={"groupNodes": {"G": {"nodes": [OLD_LOADER]}}})
    upgrade = upgrade_document(document)
    raw = ui_json(upgrade)
    assert raw["definitions"]["subgraphs"][0]["nodes"][0]["type"] == "CheckpointLoaderSimple"
    assert raw["extra"]["groupNodes"]["G"]["nodes"][0]["type"] == "CheckpointLoaderSimple"
    places = {change.place for change in upgrade.changes}
    assert places == {
        "node 4 (CheckpointLoader) in subgraph 'Load'",
        "node 4 (CheckpointLoader) in group node 'G'",
    }


def test_an_input_that_is_required_now_gets_what_the_node_did_before() -> None:
    upgrade = upgrade_document(api(n1={"class_type": "VAEDecodeTiled", "inputs": {"tile_size": 256}}))
    assert api_nodes(upgrade)["1"]["inputs"] == {
        "tile_size": 256,
        "overlap": 64,
        "temporal_size": 64,
        "temporal_overlap": 8,
    }
    assert {change.document for change in upgrade.changes} == {"api"}


def test_a_document_of_today_is_given_back() -> None:
    document = api(n1={"class_type": "CLIPVisionEncode", "inputs": {"crop": "none"}})
    assert upgrade_document(document).document is document
    assert upgrade_document(document).changes == ()


def test_the_given_document_stays_as_it_is() -> None:
    document = ui(OLD_LOADER, definitions={"subgraphs": [{"id": 1, "nodes": [OLD_LOADER]}]})
    assert document.ui is not None
    before = repr(document.ui)
    assert upgrade_document(document).changes
    assert repr(document.ui) == before


@pytest.mark.parametrize(
    "extra", [{"extra": 5}, {"extra": {"groupNodes": [1]}}, {"extra": {"groupNodes": {"G": 3}}}]
)
def test_documents_of_odd_form_are_survived(extra: dict[str, Any]) -> None:
    assert len(upgrade_document(ui(OLD_LOADER, **extra)).changes) == 1


def test_an_upgrade_is_upgraded_no_further() -> None:
    once = upgrade_document(ui(OLD_LOADER))
    assert upgrade_document(once.document).changes == ()


def test_every_node_type_has_one_replacement_and_every_rule_a_reason() -> None:
    old = [rule.old for rule in RULES.replacements]
    assert len(old) == len(set(old))
    assert not {rule.new for rule in RULES.replacements} & set(old)
    assert all(rule.why for rule in RULES.replacements)
    assert all(rule.why for rule in RULES.additions)
    assert all(bool(rule.widgets) == bool(rule.order) for rule in RULES.replacements)
