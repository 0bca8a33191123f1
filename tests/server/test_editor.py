"""The editor's files are served as they are installed; without it a page says how to install it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from graphengine.engine import Engine
from graphengine.errors import SettingsError
from graphengine.server import static_files
from tests.server.asking import Server, running


@pytest.fixture
def small(engine: Engine, tmp_path: Path) -> Iterator[Server]:
    """A server with a small editor."""
    root = tmp_path / "editor"
    (root / "assets").mkdir(parents=True)
    (root / "index.html").write_text("<!doctype html><p>ä")
    (root / "assets" / "a.js").write_text("export {}")
    (root / "assets" / "a.svg").write_text("<svg/>")
    (root / "assets" / "a.png").write_bytes(b"png")
    (tmp_path / "secret.txt").write_text("what nobody may read")
    (root / "link.txt").symlink_to(tmp_path / "secret.txt")
    with running(engine, tmp_path, web_root=root) as server:
        yield server


@pytest.mark.parametrize(
    ("path", "media_type", "kept"),
    [
        ("/", "text/html; charset=utf-8", "no-cache"),
        ("/index.html", "text/html; charset=utf-8", "no-cache"),
        ("/assets/a.js", "text/javascript; charset=utf-8", "no-cache"),
        ("/user.css", "text/css; charset=utf-8", "no-cache"),
        ("/assets/a.svg", "image/svg+xml; charset=utf-8", "public, max-age=86400"),
        ("/assets/a.png", "image/png", "public, max-age=86400"),
        ("/templates/index.json", "application/json; charset=utf-8", "no-cache"),
    ],
)
def test_files_have_their_types(path: str, media_type: str, kept: str, small: Server) -> None:
    answer = small.get(path)
    assert (answer.status, answer.headers["Content-Type"], answer.headers["Cache-Control"]) == (
        200,
        media_type,
        kept,
    )
    assert "Content-Disposition" not in answer.headers


def test_a_page_may_be_framed_by_the_editor_only(small: Server) -> None:
    assert small.get("/").headers["Content-Security-Policy"] == "frame-ancestors 'self'"


@pytest.mark.parametrize(
    "path", ["/none.js", "/assets", "/link.txt", "/..%2Fsecret.txt", "/api/index.html", "/docs/a.md"]
)
def test_what_is_no_file_of_the_editor_is_not_given(path: str, small: Server) -> None:
    answer = small.get(path)
    assert answer.status in (400, 404)
    assert b"what nobody may read" not in answer.body


def test_a_browser_that_has_a_file_is_told_so(small: Server) -> None:
    tag = small.get("/assets/a.js").headers["ETag"]
    assert small.get("/assets/a.js", headers={"If-None-Match": tag}).status == 304


def test_without_the_editor_a_page_says_how_to_install_it(server: Server) -> None:
    page = server.get("/")
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"pip install" in page.body
    assert server.get("/assets/a.js").status == 404
    assert server.get("/templates/index.json").json == []


def test_an_editor_that_is_not_installed_is_told_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static_files, "EDITOR_PACKAGE", "no_such_package_of_an_editor")
    with pytest.raises(SettingsError) as refused:
        static_files.editor_folder()
    assert refused.value.hint == "pip install 'graphengine-comfy[ui]'"


@pytest.fixture
def editor(engine: Engine, tmp_path: Path) -> Iterator[Server]:
    """A server with the editor that is installed."""
    pytest.importorskip("comfyui_frontend_package")
    with running(engine, tmp_path, web_root=static_files.editor_folder()) as server:
        yield server


def test_the_installed_editor_loads_its_page_scripts_and_styles(editor: Server) -> None:
    page = editor.get("/").body.decode()
    linked = re.findall(r'(?:src|href)="\./((?:assets|scripts)/[^"]+)"', page)
    assert len(linked) > 3
    types = {editor.get(f"/{name}").headers["Content-Type"].partition(";")[0] for name in linked}
    assert types <= {"text/javascript", "text/css", "application/json", "image/x-icon"}
    assert "text/javascript" in types


#: What the editor asks before it shows anything, as its scripts say.
AT_THE_START = [
    "/api/users", "/api/settings", "/api/system_stats", "/api/features", "/api/extensions", "/api/object_info",
    "/api/i18n", "/api/embeddings", "/api/workflow_templates", "/api/global_subgraphs", "/api/node_replacements",
    "/api/experiment/models", "/api/queue", "/api/history?max_items=64", "/api/jobs", "/templates/index.json",
    "/internal/folder_paths", "/internal/logs/raw",
]  # fmt: skip


@pytest.mark.parametrize("address", AT_THE_START)
def test_what_the_editor_asks_at_the_start_is_answered_with_json(address: str, editor: Server) -> None:
    answer = editor.get(address)
    assert (answer.status, answer.headers["Content-Type"].partition(";")[0]) == (200, "application/json")
