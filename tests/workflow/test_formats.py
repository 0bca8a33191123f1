"""Reading any file: content decides, and what is no workflow is named."""

import json
import os
from pathlib import Path

import pytest

from graphengine.errors import WorkflowFormatError
from graphengine.workflow import formats
from graphengine.workflow.formats import DocumentKind, load_workflow, read_document, to_workflow
from graphengine.workflow.models import NodeId
from tests.workflow.pictures import png, text
from tests.workflow.ui_documents import KNOWN, document, inputs_of, node, subgraph

API = {"1": {"class_type": "Encode", "inputs": {"text": "ran"}}}
UI = document([node(1, "Encode", values=["drawn"])])


def refusal(source: Path | bytes) -> WorkflowFormatError:
    with pytest.raises(WorkflowFormatError) as caught:
        read_document(source)
    return caught.value


@pytest.mark.parametrize(
    "data",
    [
        json.dumps(API).encode(),
        b"\xef\xbb\xbf \n" + json.dumps(API).encode(),
        json.dumps({"prompt": API, "client_id": "c"}).encode(),
        png(text("prompt", json.dumps(API))),
    ],
)
def test_the_format_is_detected_from_content_whatever_the_name(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "workflow.txt"
    file.write_bytes(data)
    for source in (file, data):
        workflow = to_workflow(read_document(source), KNOWN).workflow
        assert inputs_of(workflow, "1") == {"text": "ran"}


def test_an_editors_document_is_converted() -> None:
    conversion = to_workflow(read_document(json.dumps(UI).encode()), KNOWN)
    assert inputs_of(conversion.workflow, "1") == {"text": "drawn"}
    assert conversion.workflow.ui == UI


@pytest.mark.parametrize(
    "data",
    [
        png(text("workflow", json.dumps(UI)), text("prompt", json.dumps(API))),
        json.dumps({"prompt": API, "extra_data": {"extra_pnginfo": {"workflow": UI}}}).encode(),
    ],
)
def test_what_ran_counts_before_what_was_drawn_and_carries_it(data: bytes) -> None:
    conversion = to_workflow(read_document(data), KNOWN)
    assert inputs_of(conversion.workflow, "1") == {"text": "ran"}
    assert conversion.workflow.ui == UI


def test_what_ran_is_found_where_the_user_drew_it() -> None:
    inside = subgraph("9f76cdf2-b272-41bd-8228-bd7850366c83", [node(3, "Encode", values=["cat"])], [])
    drawn = {**document([node(12, inside["id"])]), "definitions": {"subgraphs": [inside]}}
    ran = {"12:3": {"class_type": "Encode", "inputs": {"text": "cat"}}}
    both = read_document(json.dumps({"prompt": ran, "workflow": drawn}).encode())
    found = to_workflow(both, KNOWN)
    assert found.workflow.nodes[NodeId("12:3")].origin == "node 3 'Encode' inside subgraph 'Refine'"
    assert found.problems == ()


def test_the_editors_document_is_taken_when_it_is_wanted() -> None:
    both = read_document(json.dumps({"prompt": API, "workflow": UI}).encode())
    assert inputs_of(to_workflow(both, KNOWN, DocumentKind.UI).workflow, "1") == {"text": "drawn"}
    assert inputs_of(to_workflow(both, KNOWN, DocumentKind.API).workflow, "1") == {"text": "ran"}


@pytest.mark.parametrize(
    ("content", "wanted", "message"),
    [
        (API, DocumentKind.UI, "the file holds no document of the editor"),
        (UI, DocumentKind.API, "the file holds no API document"),
    ],
)
def test_a_wanted_document_that_is_missing_is_refused_with_the_file(
    tmp_path: Path, content: object, wanted: DocumentKind, message: str
) -> None:
    file = tmp_path / "flow.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(WorkflowFormatError) as caught:
        load_workflow(file, KNOWN, wanted)
    assert caught.value.message == f"{file}: {message}"


@pytest.mark.parametrize("wrapped", [{"workflow": UI}, {"workflow": json.dumps(UI), "other": 1}])
def test_the_editors_document_alone_may_be_wrapped(wrapped: object) -> None:
    found = read_document(json.dumps(wrapped).encode())
    assert found.api is None
    assert found.ui is not None
    assert found.ui.to_json() == UI


def test_a_node_that_stands_twice_is_told() -> None:
    data = b'{"1": {"class_type": "A"}, "1": {"class_type": "B"}}'
    conversion = to_workflow(read_document(data), KNOWN)
    assert conversion.workflow.nodes[NodeId("1")].class_type == "B"
    assert [(each.code, each.severity) for each in conversion.problems] == [("duplicate_key", "warning")]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ([1, 2], "a list of 2 values"),
        ("hello", "a text"),
        (7, "a number"),
        (None, "null"),
        (True, "true or false"),
        ({}, "an empty object"),
        (
            {"KSampler": {"input": {"required": {}}, "output": ["LATENT"]}},
            "the descriptions of node types (object_info)",
        ),
        ({"name": "x", "version": "1", "dependencies": {}}, "a package.json"),
        ({"cells": [], "nbformat": 4}, "a notebook"),
        ({"id": {"prompt": [1, "id", API], "outputs": {}}}, "the history of a ComfyUI server"),
        ({"queue_running": [], "queue_pending": []}, "the queue of a ComfyUI server"),
        ({"nodes": [{"name": "a"}], "edges": []}, "an object with other keys ('nodes', 'edges')"),
        ({"prompt": "a cat", "steps": 20}, "an object with other keys ('prompt', 'steps')"),
    ],
)
def test_json_that_is_no_workflow_says_what_it_looks_like(value: object, kind: str) -> None:
    assert refusal(json.dumps(value).encode()).message == f"this is no workflow: it looks like {kind}"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"RIFF\0\0\0\0WAVEfmt ", "this is a WAV file, not a workflow"),
        (b"RIFF\0\0\0\0AVI LIST", "this is an AVI video, not a workflow"),
        (b"II*\0\x08\0\0\0", "this is a TIFF picture, not a workflow"),
        (b"\xff\xfb\x90\0", "this is an MP3 file without tags, not a workflow"),
        (b"<!DOCTYPE html>", "this is a page of the web (HTML) or XML, not a workflow"),
        (b"PK\3\4", "this is a zip archive or a PyTorch checkpoint, not a workflow"),
        (b"\x80\2}q\0", "this is a pickle, not a workflow"),
        (b"hello", "this is neither JSON nor a picture, video, sound or model"),
        (b"", "the file is empty"),
        (b'{"1": ', "not valid JSON: Expecting value at line 1, column 7"),
        (b"[" * 10_000, "the JSON is nested 10000 deep, at most 128 levels are read"),
    ],
)
def test_what_cannot_be_read_is_named(data: bytes, message: str) -> None:
    assert refusal(data).message == message


def test_a_message_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "flow.json"
    file.write_text("{", encoding="utf-8")
    assert refusal(file).message.startswith(f"{file}: not valid JSON")


def test_a_file_of_200_mib_is_refused_without_being_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "big.json"
    with file.open("wb") as stream:
        stream.write(b"[")
        stream.truncate(200 * 2**20)
    monkeypatch.setattr(formats, "MAX_BYTES", 2**20)
    assert "it has 200 MiB, and at most 32 MiB are read" in refusal(file).message


def test_a_large_picture_is_read_for_its_text_only(tmp_path: Path) -> None:
    file = tmp_path / "big.png"
    head, tail = png(text("prompt", json.dumps(API)))[:-12], png()[-12:]
    with file.open("wb") as stream:
        stream.write(head + (200 * 2**20).to_bytes(4) + b"IDAT")
        stream.seek(200 * 2**20 + 4, os.SEEK_CUR)
        stream.write(tail)
    assert read_document(file).api is not None


def test_a_missing_file_suggests_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "img2img.json").write_text("{}", encoding="utf-8")
    error = refusal(tmp_path / "img2imgs.json")
    assert error.message == f"{tmp_path / 'img2imgs.json'}: there is no such file"
    assert error.hint == f"did you mean {tmp_path / 'img2img.json'}?"


def test_a_file_in_a_missing_folder_says_so(tmp_path: Path) -> None:
    assert (
        refusal(tmp_path / "gone" / "flow.json").hint
        == f"the folder {tmp_path / 'gone'} does not exist or cannot be read"
    )


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert refusal(tmp_path).message == f"{tmp_path}: is a folder"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_says_so(tmp_path: Path) -> None:
    file = tmp_path / "flow.json"
    file.write_text("{}", encoding="utf-8")
    file.chmod(0)
    assert refusal(file).message == f"{file}: may not be read"


def test_a_name_with_a_zero_byte_is_refused() -> None:
    assert "cannot be read" in refusal(Path("flow\0.json")).message


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_read_like_a_file() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as stream:
        stream.write(json.dumps(API).encode())
    try:
        assert read_document(Path(f"/dev/fd/{reading}")).api is not None
    finally:
        os.close(reading)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_of_more_than_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "MAX_BYTES", 10)
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as stream:
        stream.write(b"{" * 11)
    try:
        assert "MiB come out of the pipe" in refusal(Path(f"/dev/fd/{reading}")).message
    finally:
        os.close(reading)
