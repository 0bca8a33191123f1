"""Workflows in PNG pictures."""

import json
from io import BytesIO

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from graphengine.errors import WorkflowFormatError
from graphengine.workflow import png_format
from graphengine.workflow.documents import Document
from graphengine.workflow.png_format import PngFormat
from tests.workflow.pictures import SIGNATURE, chunk, compressed_text, international_text, png, text
from tests.workflow.ui_documents import document, node

API = {"1": {"class_type": "Encode", "inputs": {"text": "Zürich 🎈"}}}
UI = document([node(1, "Encode", values=["Zürich"])])
PROMPT = json.dumps(API, ensure_ascii=False)
WORKFLOW = json.dumps(UI)


def read(data: bytes) -> Document:
    return PngFormat().read(BytesIO(data))


def refusal(data: bytes) -> WorkflowFormatError:
    with pytest.raises(WorkflowFormatError) as caught:
        read(data)
    return caught.value


@pytest.mark.parametrize(
    "chunks",
    [
        text("prompt", PROMPT),
        text("prompt", json.dumps(API)),
        compressed_text("prompt", PROMPT),
        international_text("prompt", PROMPT),
        international_text("prompt", PROMPT, compressed=True),
        text("Comment", b"\xff") + chunk(b"tIME", b"1234567") + text("prompt", PROMPT),
    ],
)
def test_a_prompt_is_read_from_every_kind_of_text_chunk(chunks: bytes) -> None:
    found = read(png(chunks))
    assert found.api is not None
    assert found.api.to_json() == API


def test_a_text_behind_the_pixels_is_read() -> None:
    data = png()
    found = read(data[:-12] + text("prompt", PROMPT) + data[-12:])
    assert found.api is not None


def test_latin_1_is_read_where_a_text_is_not_utf8() -> None:
    found = read(png(text("prompt", '{"1": {"class_type": "é"}}'.encode("latin-1"))))
    assert found.api is not None
    assert found.api.nodes["1"].class_type == "é"


def test_a_picture_that_pillow_wrote_is_read() -> None:
    info = PngInfo()
    info.add_text("prompt", json.dumps(API))
    info.add_text("workflow", WORKFLOW, zip=True)
    file = BytesIO()
    Image.new("RGB", (4, 4)).save(file, "PNG", pnginfo=info)
    found = read(file.getvalue())
    assert found.api is not None
    assert found.ui is not None
    assert (found.api.to_json(), found.ui.to_json(), found.problems) == (API, UI, ())


def test_a_picture_may_hold_the_editors_document_alone() -> None:
    found = read(png(text("workflow", WORKFLOW)))
    assert found.api is None
    assert found.ui is not None
    assert found.ui.to_json() == UI


def test_an_editors_document_that_cannot_be_read_is_a_warning_beside_a_prompt() -> None:
    found = read(png(text("prompt", PROMPT), text("workflow", '{"nodes": 3}')))
    assert found.api is not None
    assert [(each.code, each.severity) for each in found.problems] == [("unreadable_ui", "warning")]


def test_a_picture_without_metadata_says_so() -> None:
    error = refusal(png())
    assert error.message == "the picture holds no workflow"
    assert error.hint is not None


def test_generation_parameters_are_told_from_a_workflow() -> None:
    error = refusal(png(text("parameters", "a cat\nSteps: 20, Sampler: Euler a")))
    assert error.message == "the picture holds generation parameters as text, but no workflow"


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        (text("prompt", "{"), "the text 'prompt' of the picture: not valid JSON"),
        (text("workflow", ""), "the text 'workflow' of the picture: the file is empty"),
        (text("workflow", "[1]"), "the text 'workflow' of the picture: this is no workflow"),
        (
            text("prompt", '{"3": {"class_type": "A", "inputs": {"cfg": NaN}}}'),
            "3.inputs.cfg: nan is not a finite",
        ),
    ],
)
def test_a_broken_text_is_named(chunks: bytes, message: str) -> None:
    assert message in refusal(png(chunks)).message


def test_a_picture_that_is_cut_off_is_damaged_unless_the_workflow_came_first() -> None:
    whole = png(text("prompt", PROMPT))
    assert read(whole[:-20]).api is not None
    assert refusal(whole[:60]).message == "the picture is damaged: the file ends within a text"
    assert refusal(whole[:40]).message == "the picture is damaged: the file ends early"
    assert refusal(png()[:30]).message == "the picture is damaged: the file ends early"
    assert refusal(SIGNATURE).message == "the picture is damaged: the file ends early"
    assert refusal(b"GIF89a").message == "the picture is damaged: it has no PNG signature"


def test_a_text_whose_checksum_does_not_fit_is_damaged() -> None:
    broken = png(text("prompt", PROMPT)).replace(b"Encode", b"Decode")
    assert refusal(broken).message == "the picture is damaged: the checksum of a tEXt chunk does not fit"


def test_a_compressed_text_that_cannot_be_read_is_damaged() -> None:
    assert "compressed text" in refusal(png(chunk(b"zTXt", b"prompt\0\0nonsense"))).message


def test_a_text_over_the_size_limit_is_refused_packed_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png_format, "MAX_BYTES", 10_000)
    assert "too large" in refusal(png(compressed_text("prompt", " " * 20_000))).message
    assert "too large" in refusal(png(text("prompt", " " * 20_000))).message
