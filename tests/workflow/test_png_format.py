"""Workflows in PNG pictures."""

import json
import tracemalloc
import zlib
from io import BytesIO

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from graphengine.errors import WorkflowFormatError
from graphengine.workflow import byte_reader
from graphengine.workflow.documents import Document
from graphengine.workflow.json_input import MAX_BYTES
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
    assert error.message == "the PNG picture holds no workflow"
    assert error.hint is not None


def test_generation_parameters_are_told_from_a_workflow() -> None:
    error = refusal(png(text("parameters", "a cat\nSteps: 20, Sampler: Euler a")))
    assert error.message == "the PNG picture holds generation parameters as text, but no workflow"


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        (text("prompt", "{"), "the text 'prompt' of the PNG picture: not valid JSON"),
        (text("workflow", ""), "the text 'workflow' of the PNG picture: the file is empty"),
        (text("workflow", "[1]"), "the text 'workflow' of the PNG picture: this is no workflow"),
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
    assert refusal(whole[:60]).message == "the PNG picture is damaged: the file ends early (at byte 41)"
    assert refusal(whole[:40]).message == "the PNG picture is damaged: the file ends early (at byte 37)"
    assert refusal(png()[:30]).message == "the PNG picture is damaged: the file ends early (at byte 30)"
    assert refusal(SIGNATURE).message == "the PNG picture is damaged: the file ends early (at byte 8)"
    assert refusal(b"GIF89a..").message == "the PNG picture is damaged: it has no PNG signature (at byte 8)"


def test_a_text_whose_checksum_does_not_fit_is_damaged() -> None:
    broken = png(text("prompt", PROMPT)).replace(b"Encode", b"Decode")
    assert "damaged: the checksum of a tEXt chunk does not fit" in refusal(broken).message


def test_a_compressed_text_that_cannot_be_read_is_damaged() -> None:
    assert "compressed text" in refusal(png(chunk(b"zTXt", b"prompt\0\0nonsense"))).message


def test_a_text_over_the_size_limit_is_refused_packed_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_reader, "MAX_BYTES", 10_000)
    assert "too large" in refusal(png(compressed_text("prompt", " " * 20_000))).message
    assert "too large" in refusal(png(text("prompt", " " * 20_000))).message


def test_many_texts_that_inflate_are_refused_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_reader, "MAX_BYTES", 10_000)
    bomb = compressed_text("prompt", " " * 4_000)
    assert "too large" in refusal(png(bomb, bomb, bomb)).message


def test_a_text_of_64_mib_packed_into_64_kib_is_refused_without_being_unpacked() -> None:
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(2**20)) for _ in range(64)) + packer.flush()
    tracemalloc.start()
    try:
        assert "too large" in refusal(png(chunk(b"zTXt", b"prompt\0\0" + packed))).message
        assert tracemalloc.get_traced_memory()[1] < 2.5 * MAX_BYTES
    finally:
        tracemalloc.stop()


def test_empty_chunks_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_reader, "MAX_PARTS", 100)
    message = refusal(png(chunk(b"teSt", b"") * 101)).message
    assert message == "the PNG picture has more than 100 parts, and no workflow in those"


def test_exif_data_is_read_as_well() -> None:
    exif = Image.Exif()
    exif[0x0110] = "prompt:" + json.dumps(API)
    file = BytesIO()
    Image.new("RGB", (4, 4)).save(file, "PNG", exif=exif)
    found = read(file.getvalue())
    assert found.api is not None
    assert found.api.to_json() == API


def test_a_prompt_that_cannot_be_read_is_a_warning_beside_the_editors_document() -> None:
    found = read(png(text("prompt", '{"3": {"class_type": '), text("workflow", WORKFLOW)))
    assert found.api is None
    assert found.ui is not None
    assert [(each.code, each.severity) for each in found.problems] == [("unreadable_api", "warning")]
