"""Workflows in videos, sound and tensors; some are written by PyAV, as ComfyUI does, where it is installed."""

import json
import zlib
from io import BytesIO
from struct import pack

import pytest

from graphengine.errors import WorkflowFormatError
from graphengine.workflow.formats import read_document
from tests.workflow.containers import (
    API,
    BOTH,
    PROMPT,
    UI,
    WORKFLOW,
    box,
    comments,
    element,
    flac,
    id3,
    mp3,
    mp4,
    mp4_keys,
    ogg,
    safetensors,
    webm,
)

COMMENT = json.dumps({"prompt": PROMPT, "workflow": UI})


def refusal(data: bytes) -> WorkflowFormatError:
    with pytest.raises(WorkflowFormatError) as caught:
        read_document(data)
    return caught.value


def text_of(data: bytes) -> object:
    """The text input of the one node."""
    found = read_document(data)
    assert found.api is not None
    return found.api.nodes["1"].inputs["text"]


def item(name: bytes, value: bytes, kind: int = 1) -> bytes:
    """An entry of the list of a video's texts."""
    return box(name, box(b"data", pack(">II", kind, 0), value))


@pytest.mark.parametrize(
    "part",
    [
        mp4_keys({"comment": COMMENT}),
        mp4_keys({"com.apple.quicktime.prompt": PROMPT}),
        box(b"udta", mp4_keys(BOTH)),
        box(b"udta", box(b"meta", bytes(4), box(b"ilst", item(b"\xa9cmt", COMMENT.encode())))),
        box(b"udta", box(b"meta", box(b"hdlr", bytes(24)), box(b"ilst", item(b"desc", COMMENT.encode())))),
        box(b"meta", bytes(4), box(b"ilst", item(b"\xa9cmt", COMMENT.encode("utf-16-be"), kind=2))),
        box(b"udta", box(b"\xa9cmt", pack(">HH", len(COMMENT.encode()), 0x55C4) + COMMENT.encode())),
        box(
            b"meta",
            bytes(4),
            box(
                b"ilst",
                box(
                    b"----",
                    box(b"mean", bytes(4), b"me"),
                    box(b"name", bytes(4), b"prompt"),
                    box(b"data", pack(">II", 1, 0), PROMPT.encode()),
                ),
            ),
        ),
    ],
)
def test_a_video_keeps_its_texts_in_many_places(part: bytes) -> None:
    assert text_of(mp4(part)) == "Zürich 🎈"


def test_a_video_of_quicktime_may_begin_without_its_type() -> None:
    assert text_of(mp4(mp4_keys(BOTH))[16:]) == "Zürich 🎈"


def test_a_box_longer_than_its_file_is_damage() -> None:
    data = mp4(box(b"udta")) + pack(">I", 999) + b"free"
    assert refusal(data).message.startswith("the MP4 video is damaged: a box 'free' is longer than what holds it")


def test_a_box_shorter_than_its_head_is_damage() -> None:
    assert "a box 'free' is shorter than its own head" in refusal(mp4() + pack(">I", 7) + b"free").message


@pytest.mark.parametrize("texts", [BOTH, {"comment": COMMENT}])
@pytest.mark.parametrize("is_open", [False, True])
def test_a_matroska_file_is_read_with_lengths_or_without(texts: dict[str, str], is_open: bool) -> None:
    assert text_of(webm(texts, is_open=is_open)) == "Zürich 🎈"


def test_tags_before_the_pictures_are_read_though_the_video_is_cut_off() -> None:
    tags = element(0x1254C367, element(0x67C8, element(0x45A3, b"PROMPT"), element(0x4487, PROMPT.encode())))
    cluster = bytes.fromhex("1f43b675") + pack(">I", 1 << 28 | 9999)
    assert text_of(element(0x1A45DFA3) + element(0x18538067, tags, cluster)) == "Zürich 🎈"


def test_a_matroska_file_that_is_none_behind_its_head_is_damaged() -> None:
    message = refusal(element(0x1A45DFA3) + b"\0\0\0\0").message
    assert message == "the Matroska video is damaged: there is no element where one should stand (at byte 9)"


@pytest.mark.parametrize("start", [b"\3vorbis", b"OpusTags", b"\x81theora"])
@pytest.mark.parametrize("page", [1, 2, 255])
def test_comments_of_ogg_streams_are_put_together_from_pages(start: bytes, page: int) -> None:
    texts = {"encoder": "x" * 600, "PROMPT": PROMPT, "workflow": WORKFLOW}
    assert text_of(ogg(b"first", start + comments(texts), b"third", page=page)) == "Zürich 🎈"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (flac({})[:-4] + b"\xff\0\0\0", "its list of comments is cut off"),
        (
            flac({"prompt": ""}).replace(b"\7\0\0\0", b"\xff\0\0\0"),
            "a comment is longer than the list",
        ),
        (
            b"OggS" + bytes(23) + b"nonsense behind it, of more bytes than a head",
            "there is no page where one should",
        ),
    ],
)
def test_damaged_comments_are_refused(data: bytes, message: str) -> None:
    assert message in refusal(data).message


def frame(encoding: bytes, codec: str, name: str = "prompt") -> bytes:
    """A text of the user's own; zero is two bytes where letters are."""
    return encoding + name.encode(codec) + "\0".encode(codec) + PROMPT.encode(codec)


LATIN = json.dumps(API).encode()


@pytest.mark.parametrize(
    "data",
    [
        id3((b"TIT2", b"\3song"), (b"TXXX", frame(b"\3", "utf-8"))),
        id3((b"TXXX", frame(b"\2", "utf-16-be"))),
        id3((b"TXXX", b"\1\xff\xfe" + "prompt\0".encode("utf-16-le") + b"\xff\xfe" + PROMPT.encode("utf-16-le"))),
        id3((b"TXXX", b"\1\xfe\xff" + "prompt\0".encode("utf-16-be") + b"\xfe\xff" + PROMPT.encode("utf-16-be"))),
        id3((b"TXXX", b"\0prompt\0" + LATIN), version=3),
        id3((b"COMM", b"\3eng\0" + COMMENT.encode()), version=3),
        b"ID3\2\0\0" + bytes([0, 0, (len(LATIN) + 14) >> 7, (len(LATIN) + 14) & 127])
        + b"TXX" + (len(LATIN) + 8).to_bytes(3) + b"\0prompt\0" + LATIN,
    ],
)  # fmt: skip
def test_id3_texts_are_read_in_every_version_and_encoding(data: bytes) -> None:
    assert text_of(data) == "Zürich 🎈"


def test_a_packed_id3_frame_is_unpacked() -> None:
    packed = bytes(4) + zlib.compress(b"\0prompt\0" + LATIN)
    data = id3((b"TXXX", packed), version=3)
    assert text_of(data[:18] + b"\0\x80" + data[20:]) == "Zürich 🎈"
    broken = id3((b"TXXX", b"1234nonsense"), version=3)
    assert "a packed frame of its tag cannot be read" in refusal(broken[:18] + b"\0\x80" + broken[20:]).message


@pytest.mark.parametrize("frame_text", [b"\1abc\0\0d", b"\1a\0\0", b"\2abcdef"])
def test_a_wide_id3_text_without_a_zero_at_an_even_place_ends(frame_text: bytes) -> None:
    """The search for that zero once went round for ever."""
    assert refusal(id3((b"TXXX", frame_text))).message == "the MP3 file holds no workflow"


def test_an_id3_frame_longer_than_its_tag_is_damage() -> None:
    data = mp3(BOTH)
    assert "the frame 'TXXX' of its tag is longer" in refusal(data[:14] + b"\x7f" + data[15:]).message


def test_an_id3_tag_of_a_version_to_come_is_refused() -> None:
    assert "its tag is of version 2.9" in refusal(b"ID3\x09" + bytes(6)).message


def test_a_model_without_metadata_holds_no_workflow() -> None:
    assert refusal(safetensors(None)).message == "the safetensors file holds no workflow"
    assert refusal(safetensors({"format": "pt"})).message == "the safetensors file holds no workflow"


def test_a_damaged_header_of_tensors_is_refused() -> None:
    assert "the header of the safetensors file: not valid JSON" in refusal(pack("<Q", 2) + b"{]").message
    assert "the file ends early" in refusal(pack("<Q", 9) + b"{}").message


@pytest.mark.parametrize(
    ("name", "codec", "options", "keys"),
    [
        ("mp4", "mpeg4", {"movflags": "use_metadata_tags"}, ("prompt", "workflow")),
        ("mp4", "mpeg4", {}, ("comment",)),
        ("mov", "mpeg4", {"movflags": "use_metadata_tags"}, ("prompt", "workflow")),
        ("mov", "mpeg4", {}, ("comment",)),
        ("webm", "libvpx", {}, ("prompt", "workflow")),
        ("matroska", "mpeg4", {}, ("comment",)),
    ],
)
def test_a_video_that_pyav_wrote_is_read(name: str, codec: str, options: dict[str, str], keys: tuple[str]) -> None:
    av = pytest.importorskip("av")
    file = BytesIO()
    with av.open(file, "w", format=name, options=options) as container:
        for key in keys:
            container.metadata[key] = COMMENT if key == "comment" else BOTH[key]
        stream = container.add_stream(codec, rate=8)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        container.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        container.mux(stream.encode(None))
    assert text_of(file.getvalue()) == "Zürich 🎈"
    assert read_document(file.getvalue()).ui is not None


@pytest.mark.parametrize(
    ("name", "codec", "sample"),
    [("flac", "flac", "s16"), ("mp3", "libmp3lame", "s16p"), ("opus", "libopus", "s16")],
)
def test_sound_that_pyav_wrote_is_read(name: str, codec: str, sample: str) -> None:
    av = pytest.importorskip("av")
    file = BytesIO()
    with av.open(file, "w", format=name) as container:
        container.metadata.update(BOTH)
        stream = container.add_stream(codec, rate=48000)
        silence = av.AudioFrame(format=sample, layout="stereo", samples=960)
        silence.sample_rate = 48000
        container.mux(stream.encode(silence))
        container.mux(stream.encode(None))
    assert text_of(file.getvalue()) == "Zürich 🎈"
    assert read_document(file.getvalue()).ui is not None


def test_tensors_that_safetensors_wrote_are_read() -> None:
    numpy = pytest.importorskip("numpy")
    from safetensors.numpy import save

    assert text_of(save({"latent_tensor": numpy.zeros((1, 4, 2, 2), "float32")}, metadata=BOTH)) == "Zürich 🎈"


def test_a_comment_counts_where_the_prompt_is_no_document() -> None:
    found = read_document(mp4(mp4_keys({"prompt": "a cat", "comment": COMMENT})))
    assert found.api is not None
    assert [each.code for each in found.problems] == ["unreadable_api"]


def test_of_thousands_of_comments_the_first_are_tried() -> None:
    tags = [element(0x45A3, b"COMMENT"), element(0x4487, b"{")] * 2000
    message = refusal(element(0x1A45DFA3) + b"".join(tags)).message
    assert message.startswith("the text 'comment 1' of the Matroska video: not valid JSON")


def test_streams_of_an_ogg_file_are_read_side_by_side() -> None:
    first = ogg(b"first", b"\3vorbis" + comments({"title": "song"}))
    second = ogg(b"other", b"OpusTags" + comments(BOTH), page=1).replace(b"mono", b"duet")
    head, rest = second[:33], second[33:]
    assert head.endswith(b"other")
    assert text_of(head + first + rest) == "Zürich 🎈"
