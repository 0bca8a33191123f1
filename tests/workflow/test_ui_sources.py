"""Where the editor's document says that node types and models come from."""

from typing import Any

import pytest

from graphengine.workflow.ui_sources import file_name, model_sources, pack_sources

MODEL = {"name": "a.safetensors", "directory": "vae", "url": "https://example.com/a.safetensors"}


def node(type_: str = "Load", **properties: Any) -> dict[str, Any]:
    return {"id": 1, "type": type_, "properties": properties}


def test_packs_of_subgraphs_and_group_nodes_are_found() -> None:
    inner = {"nodes": [node("B", cnr_id="b")], "definitions": {"subgraphs": [{"nodes": [node("C", cnr_id="c")]}]}}
    ui = {
        "nodes": [node("A", aux_id="someone/a", ver="2")],
        "definitions": {"subgraphs": [inner]},
        "extra": {"groupNodes": {"G": {"nodes": [node("D", cnr_id="d")]}}},
    }
    assert {name: str(source) for name, source in pack_sources(ui).items()} == {
        "A": "https://github.com/someone/a (version 2)",
        "B": "'b'",
        "C": "'c'",
        "D": "'d'",
    }


def test_a_node_of_comfyui_itself_is_told_from_one_of_a_pack() -> None:
    source = pack_sources({"nodes": [node("A", cnr_id="comfy-core", ver="0.3.9")]})["A"]
    assert source.is_core
    assert str(source) == "ComfyUI itself (version 0.3.9)"


def test_models_are_found_on_nodes_and_at_the_top() -> None:
    ui = {"nodes": [node(models=[MODEL])], "models": [{"name": "x/b.pt", "directory": "loras", "hash": "12"}]}
    found = model_sources(ui)
    assert found["a.safetensors"].url == "https://example.com/a.safetensors"
    assert str(found["b.pt"]) == "its hash is 12"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "javascript:alert(1)", 5, None, "https://" + "x" * 400])
def test_only_web_addresses_are_passed_on(url: Any) -> None:
    found = model_sources({"nodes": [node(models=[{**MODEL, "url": url}])]})
    assert found["a.safetensors"].url is None


@pytest.mark.parametrize(
    "ui",
    [
        {},
        {"nodes": 5, "definitions": [], "extra": None, "models": {}},
        {
            "nodes": [
                1,
                {"type": 2, "properties": {"cnr_id": "a"}},
                {"type": "A", "properties": [1]},
                node(cnr_id=3),
            ]
        },
        {"nodes": [node(models={"a": 1}), node(models=[1, {"name": "a"}, {"name": 1, "directory": "vae"}])]},
    ],
)
def test_what_has_another_form_is_left_out(ui: dict[str, Any]) -> None:
    assert pack_sources(ui) == {}
    assert model_sources(ui) == {}


def test_names_may_have_either_slash() -> None:
    assert file_name("a\\b/c.pt") == "c.pt"
