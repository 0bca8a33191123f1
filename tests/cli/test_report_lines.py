"""In which line of a file a node stands."""

from pathlib import Path

import pytest

from graphengine.cli.report_lines import line_of, node_lines

UI = """{"nodes": [
  {"id": 3, "type": "KSampler"},
  {"id": "a-b",
   "type": "Load"}
], "definitions": {"subgraphs": [{"nodes": [
  {"id": 3, "type": "Encode"}
]}]}}"""


@pytest.mark.parametrize(
    ("node_id", "class_type", "line"),
    [("3", "KSampler", 2), ("a-b", "Load", 3), ("12:3", "Encode", 6), ("3", "Other", 1), (None, None, 1)],
)
def test_nodes_of_the_editor_are_known_by_id_and_type(
    tmp_path: Path, node_id: str | None, class_type: str | None, line: int
) -> None:
    file = tmp_path / "ui.json"
    file.write_text(UI)
    assert line_of(node_lines(file), node_id, class_type) == line


def test_nodes_of_an_api_document_are_known_by_their_whole_id(tmp_path: Path) -> None:
    file = tmp_path / "api.json"
    file.write_text('{"3": {"inputs": {}},\n "12:3": {"inputs": {}}}')
    assert [line_of(node_lines(file), key, "X") for key in ("3", "12:3", "12")] == [1, 2, 1]


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n", b"[1]", b"", b"{\xff"])
def test_a_file_that_is_no_object_of_text_has_no_lines(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x"
    file.write_bytes(content)
    assert node_lines(file) == {}


def test_a_file_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    assert node_lines(tmp_path / "nowhere") == {}
