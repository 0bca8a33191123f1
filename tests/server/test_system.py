"""What the server says of the machine."""

import os
import sys
from pathlib import Path

import pytest

from graphengine.engine import Engine
from graphengine.server.system import memory
from tests.server.asking import Server, running


def test_system_stats_have_what_clients_read(server: Server) -> None:
    stats = server.get("/system_stats").json
    assert set(stats["system"]) >= {
        "os", "ram_total", "ram_free", "comfyui_version", "required_frontend_version",
        "installed_templates_version", "required_templates_version", "python_version",
        "pytorch_version", "embedded_python", "argv",
    }  # fmt: skip
    (device,) = stats["devices"]
    assert (device["name"], device["type"], device["index"]) == ("cpu", "cpu", None)
    assert {"vram_total", "vram_free", "torch_vram_total", "torch_vram_free"} < set(device)


def test_the_memory_is_the_machines() -> None:
    total, free = memory()
    assert total == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < free < total


def test_the_command_line_is_told_without_the_token(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["graphengine", "serve", "--token", "s3cret", "--other=s3cret"])
    with running(engine, tmp_path, token="s3cret") as server:
        answer = server.get("/system_stats", headers={"Authorization": "Bearer s3cret"})
    assert answer.json["system"]["argv"] == ["graphengine", "serve", "--token", "***", "--other=***"]
    assert b"s3cret" not in answer.body


def test_features_tell_the_upload_limit(engine: Engine, tmp_path: Path) -> None:
    with running(engine, tmp_path, max_upload_bytes=12345) as server:
        assert server.get("/features").json == {"supports_preview_metadata": True, "max_upload_size": 12345}


def test_folder_paths_are_told_under_their_own_address_only(server: Server, tmp_path: Path) -> None:
    paths = server.get("/internal/folder_paths").json
    assert paths == {kind: [str(tmp_path / kind)] for kind in ("output", "input", "temp", "checkpoints")}
    assert server.get("/api/internal/folder_paths").status == 404


def test_files_of_a_folder_are_listed_newest_first(server: Server, tmp_path: Path) -> None:
    for age, name in enumerate(["new.png", "old.png", ".hidden"]):
        (tmp_path / "output" / name).write_bytes(b"")
        os.utime(tmp_path / "output" / name, (1000 - age, 1000 - age))
    (tmp_path / "output" / "link.png").symlink_to("/etc/passwd")
    (tmp_path / "output" / "folder").mkdir()
    assert server.get("/internal/files/output").json == ["new.png", "old.png"]
    assert server.get("/internal/files/models").status == 400
