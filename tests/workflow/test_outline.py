"""Workflows as lines of text for git."""

import json
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest

from graphengine.workflow.outline import outline_of, write_outline
from tests.workflow.test_difference import flow
from tests.workflow.test_merging import subgraph


def test_a_document_of_the_editor_is_told_by_node_and_input() -> None:
    lines = outline_of(json.dumps(flow()).encode())
    assert lines is not None
    assert lines[:4] == ["node 1 Load", '  widget 1 = "a.safetensors"', "node 2 Sharpen", "  widget 1 = 0.5"]
    assert lines[4] == "  model = [1, 0]"


def test_places_and_orders_do_not_show() -> None:
    raw = flow()
    other = {**raw, "nodes": [{**node, "pos": [9, 9]} for node in reversed(raw["nodes"])]}
    assert outline_of(json.dumps(raw).encode()) == outline_of(json.dumps(other).encode())


def test_a_text_of_several_lines_is_told_line_by_line() -> None:
    raw = {"1": {"class_type": "Text", "inputs": {"text": "a\nb", "n": 1}, "_meta": {"title": "T"}}}
    assert outline_of(json.dumps(raw).encode()) == ['node 1 Text "T"', "  text =", "    a", "    b", "  n = 1"]


def test_subgraphs_are_told_by_name() -> None:
    lines = outline_of(json.dumps(subgraph(2)).encode())
    assert lines is not None
    assert lines[0] == "node 1 Refine"
    assert lines[1:3] == ['subgraph "Refine"', "node 5 Sharpen"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[1]",
        b"{}",
        b'{"a": 1}',
        b'{"nodes": [1]}',
        b"\xff\xfe",
        b'{"nodes": [{"id": 1}]}',
        b"{" * 9999,
    ],
)
def test_what_is_no_workflow_is_written_as_it_is(data: bytes, tmp_path: Path) -> None:
    assert outline_of(data) is None
    (tmp_path / "x").write_bytes(data)
    stream = BytesIO()
    write_outline(str(tmp_path / "x"), stream)
    assert stream.getvalue() == data


def test_nothing_but_the_standard_library_is_imported() -> None:
    code = "import sys, graphengine.workflow.outline; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0
