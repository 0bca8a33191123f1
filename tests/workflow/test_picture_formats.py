"""Workflows in EXIF data and comments of pictures; most pictures are written by Pillow."""

import json
from io import BytesIO
from struct import pack
from xml.sax.saxutils import escape, quoteattr

import pytest
from PIL import Image

from graphengine.errors import WorkflowFormatError
from graphengine.workflow.documents import Document
from graphengine.workflow.formats import read_document
from tests.workflow.containers import (
    API,
    PROMPT,
    UI,
    WORKFLOW,
    XMP_ELEMENTS,
    avif,
    exif,
    gif,
    gif_comment,
    jpeg,
    riff,
    segment,
    webp,
    xmp,
)
from tests.workflow.pictures import international_text, png

IMAGE = Image.new("RGB", (8, 8), "teal")
USER_COMMENT = 0x9286


def picture(kind: str, **options: object) -> bytes:
    file = BytesIO()
    IMAGE.save(file, kind, **options)
    return file.getvalue()


def refusal(data: bytes) -> WorkflowFormatError:
    with pytest.raises(WorkflowFormatError) as caught:
        read_document(data)
    return caught.value


def says(found: Document) -> tuple[object, object]:
    return (found.api and found.api.to_json(), found.ui and found.ui.to_json())


@pytest.mark.parametrize("kind", ["WEBP", "JPEG", "AVIF", "PNG"])
def test_tags_of_the_camera_hold_both_documents(kind: str) -> None:
    data = Image.Exif()
    data[0x010F], data[0x0110] = "workflow:" + json.dumps(UI), "prompt:" + json.dumps(API)
    assert says(read_document(picture(kind, exif=data))) == (API, UI)


@pytest.mark.parametrize("kind", ["WEBP", "JPEG", "AVIF"])
def test_a_picture_without_a_workflow_says_so(kind: str) -> None:
    assert "picture holds no workflow" in refusal(picture(kind)).message


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("tag", [0x010E, 0x010F, 0x0131])
def test_any_text_tag_may_name_its_document(order: str, tag: int) -> None:
    found = read_document(webp(riff(b"EXIF", exif({0x0132: "2024:01:01", tag: f"Prompt: {PROMPT}"}, order))))
    assert says(found) == (API, None)


@pytest.mark.parametrize(
    "value",
    [
        b"ASCII\0\0\0" + PROMPT.encode(),
        bytes(8) + PROMPT.encode(),
        b"UNICODE\0" + PROMPT.encode("utf-16-le"),
        b"UNICODE\0" + PROMPT.encode("utf-16-be"),
        b"UNICODE\0\xff\xfe" + PROMPT.encode("utf-16-le"),
        b"UNICODE\0\xfe\xff" + PROMPT.encode("utf-16-be"),
        PROMPT.encode(),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_users_comment_is_read_in_whatever_encoding_it_names(value: bytes, order: str) -> None:
    found = read_document(jpeg(segment(0xE1, b"Exif\0\0" + exif({USER_COMMENT: value}, order))))
    assert says(found)[0] == API


def test_a_users_comment_stands_in_a_directory_of_its_own() -> None:
    data = Image.Exif()
    data.get_ifd(0x8769)[USER_COMMENT] = b"ASCII\0\0\0" + json.dumps({"prompt": API, "workflow": UI}).encode()
    found = read_document(picture("JPEG", exif=data))
    assert found.ui is not None
    assert found.ui.to_json() == UI


def test_a_broken_text_in_utf16_is_no_workflow() -> None:
    broken = b"UNICODE\0" + PROMPT.encode("utf-16-le") + b"\0\xd8"
    assert "not valid JSON" in refusal(jpeg(segment(0xE1, b"Exif\0\0" + exif({USER_COMMENT: broken})))).message


def test_generation_parameters_are_told_from_a_workflow() -> None:
    value = b"UNICODE\0" + "a cat\nSteps: 20, Sampler: Euler a".encode("utf-16-be")
    message = refusal(jpeg(segment(0xE1, b"Exif\0\0" + exif({USER_COMMENT: value})))).message
    assert message == "the JPEG picture holds generation parameters as text, but no workflow"


def test_the_comment_of_a_jpeg_picture_is_read() -> None:
    assert says(read_document(picture("JPEG", comment=json.dumps(API).encode()))) == (API, None)


def test_a_jpeg_picture_without_a_marker_is_damaged() -> None:
    message = refusal(b"\xff\xd8\xff\xe0\0\x04ab" + b"pixels").message
    assert message == "the JPEG picture is damaged: there is no marker where one should stand (at byte 9)"


def test_a_jpeg_segment_shorter_than_its_length_is_damaged() -> None:
    assert "shorter than its own length" in refusal(b"\xff\xd8\xff\xe0\0\1").message


@pytest.mark.parametrize(
    "data",
    [
        picture("GIF", comment=json.dumps({"prompt": API, "workflow": UI})),
        gif(gif_comment(f'{{"prompt": {PROMPT}, "workflow": {WORKFLOW}}}')),
        gif(behind=gif_comment(json.dumps({"output": API, "workflow": UI}))),
    ],
)
def test_the_comment_of_a_gif_picture_is_read(data: bytes) -> None:
    found = read_document(data)
    assert found.api is not None
    assert found.ui is not None
    assert (found.api.nodes["1"].inputs, found.ui.to_json()) == (API["1"]["inputs"], UI)


def test_a_comment_that_is_no_workflow_is_not_taken_for_one() -> None:
    assert refusal(gif(gif_comment("made by hand"))).message == "the GIF picture holds no workflow"
    assert "looks like an object with other keys ('steps')" in refusal(gif(gif_comment('{"steps": 20}'))).message


def test_an_unknown_block_of_a_gif_picture_is_damage() -> None:
    assert "there is no block of kind 7" in refusal(gif(b"\7")).message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"none of it", "its EXIF data has no header"),
        (b"II*\0\xff\0\0\0", "a directory of its EXIF data is not there"),
        (b"II*\0\x08\0\0\0\xff\xff", "a directory of its EXIF data is cut off"),
    ],
)
def test_damaged_exif_data_is_refused_with_its_place(data: bytes, message: str) -> None:
    assert refusal(webp(riff(b"EXIF", data))).message.startswith(
        f"the WebP picture is damaged: {message} (at byte "
    )
    assert refusal(avif(data)).message.startswith(f"the AVIF picture is damaged: {message} (at byte ")


def test_exif_texts_that_share_their_bytes_are_refused() -> None:
    whole = exif({0x010F: "x" * 1000, 0x0110: "y"})
    entry = whole[10:22]
    shared = whole[:22] + b"\x10\1" + entry[2:] + whole[34:]
    assert "longer than the data" in refusal(webp(riff(b"EXIF", shared))).message


def test_a_directory_that_names_itself_is_read_once() -> None:
    tags = exif({0x8769: b"12345678", 0x0110: f"prompt:{PROMPT}"})
    looped = tags[:18] + b"\x08\0\0\0" + tags[22:]  # the place of the inner directory is that of the first
    assert says(read_document(webp(riff(b"EXIF", looped)))) == (API, None)


@pytest.mark.parametrize("kind", ["WEBP", "JPEG", "PNG"])
def test_xmp_data_holds_both_documents(kind: str) -> None:
    data = xmp(*XMP_ELEMENTS)
    if kind == "PNG":
        found = read_document(png(international_text("XML:com.adobe.xmp", data.decode(), compressed=True)))
    else:
        found = read_document(picture(kind, xmp=data))
    assert says(found) == (API, UI)


def test_xmp_data_holds_a_document_in_an_attribute_or_a_description() -> None:
    attribute = xmp(attributes=f"our:prompt={quoteattr(json.dumps(API))}")
    assert says(read_document(picture("WEBP", xmp=attribute))) == (API, None)
    description = (
        f"<dc:description><rdf:Alt><rdf:li xml:lang='x-default'>{escape(json.dumps(UI))}</rdf:li></rdf:Alt>"
    )
    data = xmp(f"{description}</dc:description>")
    assert says(read_document(picture("WEBP", xmp=data))) == (None, UI)


def test_exif_data_counts_before_xmp_data() -> None:
    other = {"1": {"class_type": "Other", "inputs": {}}}
    data = Image.Exif()
    data[0x010F] = "prompt:" + json.dumps(API)
    packet = xmp(f"<our:prompt>{escape(json.dumps(other))}</our:prompt>")
    for kind in ("WEBP", "JPEG"):
        assert says(read_document(picture(kind, exif=data, xmp=packet))) == (API, None)


def test_long_xmp_data_of_a_jpeg_is_put_together() -> None:
    data = xmp(*XMP_ELEMENTS)
    begin = b"http://ns.adobe.com/xmp/extension/\0" + b"D" * 32 + pack(">I", len(data))
    pieces = [segment(0xE1, begin + pack(">I", at) + data[at : at + 200]) for at in range(0, len(data), 200)]
    assert says(read_document(jpeg(*reversed(pieces)))) == (API, UI)


@pytest.mark.parametrize(
    "data",
    [
        b"no XML {",
        b"<a>{</a",
        b'<!DOCTYPE a [<!ENTITY b "{}"><!ENTITY c "&b;&b;&b;&b;">]><a prompt="{&c;">&c;</a>',
        b"<a>" * 100_000,
        b"",
    ],
)
def test_xmp_data_that_is_none_or_declares_entities_is_passed_over(data: bytes) -> None:
    assert "WebP picture holds no workflow" in refusal(webp(riff(b"XMP ", data))).message


def test_a_webp_picture_that_is_cut_off_behind_its_exif_data_is_read() -> None:
    cut = webp(riff(b"EXIF", exif({0x010F: PROMPT}))) + b"XMP \xff\0\0\0cut"
    assert read_document(cut).api is not None
