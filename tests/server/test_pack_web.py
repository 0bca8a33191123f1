"""What node packs bring for the editor."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from graphengine.engine import Engine
from graphengine.packs.discover import Pack
from graphengine.server.pack_web import web_folder
from tests.server.asking import Server, running


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.fixture
def pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pack:
    """A loaded pack with all that a pack can bring."""
    root = tmp_path / "custom_nodes" / "my pack"
    write(root / "__init__.py", "")
    write(root / "web" / "main.js", "export {}")
    write(root / "web" / "sub" / "more.js", "export {}")
    write(root / "web" / "page.html", "<p>")
    write(root / "secret.js", "// not in the folder")
    write(root / "locales" / "en" / "main.json", {"a": {"b": "c"}})
    write(root / "locales" / "en" / "nodeDefs.json", {"Node": {"display_name": "A node"}})
    write(root / "locales" / "de" / "settings.json", "{broken")
    write(root / "example_workflows" / "first.json", {"nodes": []})
    write(root / "example_workflows" / "first.jpg", "a picture")
    write(root / "subgraphs" / "Refine.json", {"nodes": [1]})
    module = ModuleType("graphengine_pack_my_pack")
    module.__file__ = str(root / "__init__.py")
    vars(module)["WEB_DIRECTORY"] = "./web"
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return Pack("my pack", module.__name__, root)


@pytest.fixture
def server(engine: Engine, pack: Pack, tmp_path: Path) -> Iterator[Server]:
    """A server with the pack and an editor of two files."""
    write(tmp_path / "editor" / "index.html", "<p>")
    write(tmp_path / "editor" / "extensions" / "core" / "own.js", "export {}")
    with running(replace(engine, custom=(pack,)), tmp_path, web_root=tmp_path / "editor") as server:
        yield server


def test_scripts_of_loaded_packs_and_of_the_editor_are_listed(server: Server) -> None:
    listed = ["/extensions/core/own.js", "/extensions/my%20pack/main.js", "/extensions/my%20pack/sub/more.js"]
    assert server.get("/extensions").json == listed
    for address in listed:
        answer = server.get(address)
        assert (answer.status, answer.body) == (200, b"export {}")
        assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"


@pytest.mark.parametrize("file", ["..%2Fsecret.js", "%2e%2e/secret.js", "none.js", "sub"])
def test_nothing_beside_the_folder_of_scripts_is_served(file: str, server: Server) -> None:
    assert server.get(f"/extensions/my%20pack/{file}").status in (400, 404)
    assert server.get("/extensions/none/main.js").status == 404


@pytest.mark.parametrize("named", ["..", ".", "", "/etc", "none", "__init__.py", None, 5])
def test_a_folder_outside_the_pack_or_the_whole_pack_is_not_served(named: object, pack: Pack) -> None:
    vars(sys.modules[pack.module])["WEB_DIRECTORY"] = named
    assert web_folder(pack) is None


def test_a_pack_that_is_not_loaded_has_no_scripts(tmp_path: Path) -> None:
    assert web_folder(Pack("other", "graphengine_pack_other", tmp_path)) is None


def test_translations_are_merged_by_language(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    assert server.get("/i18n").json == {
        "en": {"a": {"b": "c"}, "nodeDefs": {"Node": {"display_name": "A node"}}},
        "de": {},
    }
    assert "settings.json cannot be read" in caplog.text


def test_example_workflows_are_listed_and_served(server: Server) -> None:
    assert server.get("/workflow_templates").json == {"my pack": ["first"]}
    answer = server.get("/api/workflow_templates/my%20pack/first.json")
    assert (answer.json, answer.headers["Content-Type"]) == ({"nodes": []}, "application/json; charset=utf-8")
    assert server.get("/api/workflow_templates/my%20pack/first.jpg").body == b"a picture"
    for other in ("none.json", "..%2F__init__.py", "..%2Flocales%2Fen%2Fmain.json"):
        assert server.get(f"/api/workflow_templates/my%20pack/{other}").status in (400, 404)


def test_subgraphs_are_listed_and_given(server: Server) -> None:
    ((key, described),) = server.get("/global_subgraphs").json.items()
    assert described == {"source": "custom_node", "name": "Refine", "info": {"node_pack": "my pack"}}
    given = server.get(f"/api/global_subgraphs/{key}").json
    assert given == {**described, "data": '{"nodes": [1]}'}
    assert server.get("/global_subgraphs/none").status == 404
    assert server.get("/node_replacements").json == {}
