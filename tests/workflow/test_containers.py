"""What holds for every kind of file that carries a workflow beside something else."""

import json
import os
import tracemalloc
from pathlib import Path
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.errors import WorkflowFormatError
from graphengine.workflow import byte_reader
from graphengine.workflow.formats import read_document
from tests.workflow.containers import API, PROMPT, UI, WITH_BOTH, WITHOUT, box, element, mp4_keys
from tests.workflow.properties import THOROUGH


def refusal(source: Path | bytes) -> WorkflowFormatError:
    with pytest.raises(WorkflowFormatError) as caught:
        read_document(source)
    return caught.value


@pytest.mark.parametrize("kind", WITH_BOTH)
def test_both_documents_are_read(kind: str) -> None:
    found = read_document(WITH_BOTH[kind])
    assert found.api is not None
    assert found.ui is not None
    assert (found.api.nodes["1"].inputs, found.ui.to_json()) == (API["1"]["inputs"], UI)
    assert found.problems == ()


@pytest.mark.parametrize("kind", WITHOUT)
def test_a_file_of_a_known_kind_without_a_workflow_says_so(kind: str) -> None:
    error = refusal(WITHOUT[kind])
    assert error.message == f"the {kind} holds no workflow"
    assert error.hint is not None


def outcome(data: bytes) -> str:
    """The message of a refusal, or "read"; whatever else is raised fails a test."""
    try:
        found = read_document(data)
    except WorkflowFormatError as error:
        return error.message
    return "nothing" if found.api is None and found.ui is None else "read"


@pytest.mark.parametrize("kind", WITH_BOTH)
def test_a_file_that_is_cut_off_is_read_or_refused_by_name(kind: str) -> None:
    data = WITH_BOTH[kind]
    for end in range(24, len(data), 7):
        assert (told := outcome(data[:end])) == "read" or kind in told


@THOROUGH
@given(st.sampled_from(sorted(WITH_BOTH)), st.data())
def test_a_file_with_any_bytes_changed_is_read_or_refused(kind: str, data: st.DataObject) -> None:
    damaged = bytearray(WITH_BOTH[kind])
    for place in data.draw(st.lists(st.integers(0, len(damaged) - 1), max_size=4)):
        damaged[place] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]))
    assert outcome(bytes(damaged)) != "nothing"


@pytest.mark.parametrize("kind", WITH_BOTH)
def test_what_a_file_says_about_its_length_is_not_believed(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_reader, "MAX_BYTES", 100)
    assert "too large for a workflow" in refusal(WITH_BOTH[kind]).message


@pytest.mark.parametrize(
    "kind", ["WebP picture", "JPEG picture", "MP4 video", "WebM video", "FLAC file", "MP3 file"]
)
def test_files_of_too_many_parts_are_refused(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_reader, "MAX_PARTS", 0)
    assert refusal(WITH_BOTH[kind]).message == f"the {kind} has more than 0 parts, and no workflow in those"


def test_a_small_file_that_lists_many_empty_parts_is_refused() -> None:
    items = pack(">HHH", 1, 0, 65_535) * 20  # each says that it has so many pieces, which take no bytes
    meta = box(b"meta", bytes(4), box(b"iinf", bytes(6)), box(b"iloc", bytes(4), pack(">BBH", 0, 0, 20), items))
    data = box(b"ftyp", b"avif", bytes(4)) + meta
    message = f"the AVIF picture has more than {len(data)} parts, and no workflow in those"
    assert refusal(data).message == message


def test_of_a_video_of_four_gigabytes_only_the_tags_are_read(tmp_path: Path) -> None:
    size = 4 * 2**30
    file = tmp_path / "video.mp4"
    with file.open("wb") as stream:
        stream.write(box(b"ftyp", b"isom", bytes(4)) + b"\0\0\0\1mdat" + (size + 16).to_bytes(8))
        stream.seek(size, os.SEEK_CUR)
        stream.write(box(b"moov", mp4_keys({"prompt": PROMPT})))
    tracemalloc.start()
    try:
        assert read_document(file).api is not None
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_of_a_matroska_file_of_four_gigabytes_without_tags_nothing_is_kept(tmp_path: Path) -> None:
    size = 4 * 2**30
    file = tmp_path / "video.mkv"
    with file.open("wb") as stream:
        stream.write(element(0x1A45DFA3, b"") + element(0x18538067, is_open=True))
        stream.write(bytes.fromhex("1f43b675") + (1 << 56 | size).to_bytes(8))
        stream.truncate(stream.tell() + size)
    assert refusal(file).message == f"{file}: the Matroska video holds no workflow"


def test_a_text_that_is_no_json_is_named_with_its_file_and_place(tmp_path: Path) -> None:
    file = tmp_path / "sound.flac"
    file.write_bytes(WITH_BOTH["FLAC file"].replace(PROMPT.encode(), PROMPT.replace("{", "[").encode()))
    found = read_document(file)
    assert found.ui is not None
    assert found.problems[0].code == "unreadable_api"
    assert "not valid JSON" in found.problems[0].message


def test_documents_written_as_texts_within_json_are_read() -> None:
    both = {"prompt": json.dumps(API), "workflow": json.dumps(UI)}
    found = read_document(json.dumps(both).encode())
    assert found.api is not None
    assert found.ui is not None
    assert (found.api.nodes["1"].class_type, found.ui.to_json()) == ("Encode", UI)
