"""What the server says of model files."""

import json
import struct
from pathlib import Path

import pytest
from PIL import Image

from graphengine.server import models
from tests.server.asking import Server


def safetensors(path: Path, header: object) -> None:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)


@pytest.fixture
def checkpoints(folders: object, tmp_path: Path) -> Path:
    """The folder of checkpoints, with two files."""
    place = tmp_path / "checkpoints"
    (place / "sub").mkdir()
    safetensors(place / "a.safetensors", {"__metadata__": {"modelspec.title": "A", "no text": [1]}})
    safetensors(place / "sub" / "b.safetensors", {})
    (place / "notes.txt").write_text("no model")
    return place


def test_kinds_and_files_are_listed(server: Server, checkpoints: Path) -> None:
    assert server.get("/models").json == ["checkpoints"]
    assert server.get("/api/models/checkpoints").json == ["a.safetensors", "sub/b.safetensors"]
    assert server.get("/models/none").status == 404
    assert server.get("/embeddings").json == []


def test_the_editor_gets_folders_sizes_and_times(server: Server, checkpoints: Path) -> None:
    assert server.get("/experiment/models").json == [{"name": "checkpoints", "folders": [str(checkpoints)]}]
    first, second = server.get("/experiment/models/checkpoints").json
    assert (first["name"], first["pathIndex"], first["size"]) == ("a.safetensors", 0, 66)
    assert abs(first["modified"] - (checkpoints / "a.safetensors").stat().st_mtime * 1000) < 2
    assert second["name"] == "sub/b.safetensors"
    assert server.get("/experiment/models/none").status == 404


def test_metadata_is_what_the_author_wrote(server: Server, checkpoints: Path) -> None:
    answer = server.get("/view_metadata/checkpoints?filename=a.safetensors")
    assert (answer.status, answer.json) == (200, {"modelspec.title": "A"})


@pytest.mark.parametrize("filename", ["sub/b.safetensors", "none.safetensors", "notes.txt"])
def test_without_metadata_the_answer_is_404_and_empty(filename: str, server: Server, checkpoints: Path) -> None:
    answer = server.get("/view_metadata/checkpoints", params={"filename": filename})
    assert (answer.status, answer.body) == (404, b"")


@pytest.mark.parametrize(
    "content",
    [b"", b"\x01", struct.pack("<Q", 2**62) + b"{}", struct.pack("<Q", 2) + b"{", struct.pack("<Q", 2) + b"[]",
     struct.pack("<Q", 50_000) + b"[" * 50_000, struct.pack("<Q", 2) + b"\xff\xff"],
)  # fmt: skip
def test_a_damaged_header_has_no_metadata(content: bytes, server: Server, checkpoints: Path) -> None:
    (checkpoints / "a.safetensors").write_bytes(content)
    assert server.get("/view_metadata/checkpoints?filename=a.safetensors").status == 404


def test_a_header_over_the_limit_is_not_read(
    server: Server, checkpoints: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "MAX_BYTES", 41)
    assert server.get("/view_metadata/checkpoints?filename=a.safetensors").status == 404


@pytest.mark.parametrize("filename", ["", "../a.safetensors", "/a.safetensors", "a\n.safetensors"])
def test_a_name_that_leads_out_is_refused(filename: str, server: Server, checkpoints: Path) -> None:
    assert server.get("/view_metadata/checkpoints", params={"filename": filename}).status == 400


def test_a_picture_beside_a_model_is_its_preview(server: Server, checkpoints: Path) -> None:
    Image.new("RGB", (4, 4), "red").save(checkpoints / "sub" / "b.preview.png")
    address = "/experiment/models/preview/checkpoints"
    answer = server.get(f"{address}/0/sub/b.safetensors")
    assert (answer.status, answer.headers["Content-Type"], answer.body[8:12]) == (200, "image/webp", b"WEBP")
    for other in ("/0/a.safetensors", "/1/sub/b.safetensors", "/x/sub/b.safetensors", "/²/a", "/99999/a"):
        assert server.get(address + other).status == 404
