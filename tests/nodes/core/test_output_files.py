import errno
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.errors import FileRefused, GraphEngineError
from graphengine_nodes.core import output_files
from graphengine_nodes.core.output_files import (
    OutputPlace,
    expand_prefix,
    output_place,
    write_numbered,
    write_streamed,
)

NOW = datetime(2026, 3, 5, 7, 8, 9)


def _write(root: Path, prefix: str, *contents: bytes) -> list[str]:
    return write_numbered(output_place(root, prefix), ".png", contents)


def _files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


# Numbers


def test_numbers_start_at_one_and_go_on_after_the_highest(tmp_path: Path) -> None:
    (tmp_path / "cat_00007_.png").write_bytes(b"old")
    assert _write(tmp_path, "dog", b"a", b"b") == ["dog_00001_.png", "dog_00002_.png"]
    assert _write(tmp_path, "cat", b"c") == ["cat_00008_.png"]
    assert _files(tmp_path)["cat_00007_.png"] == b"old"


def test_a_large_file_is_written_as_it_comes_and_leaves_nothing_when_it_fails(tmp_path: Path) -> None:
    def write(file: BinaryIO) -> None:
        file.write(b"one")
        file.write(b"two")

    def fail(file: BinaryIO) -> None:
        file.write(b"one")
        raise ValueError("no more")

    place = output_place(tmp_path, "m")
    assert write_streamed(place, ".bin", write) == "m_00001_.bin"
    with pytest.raises(ValueError, match="no more"):
        write_streamed(place, ".bin", fail)
    assert _files(tmp_path) == {"m_00001_.bin": b"onetwo"}


@pytest.mark.parametrize(
    "other", ["cat_big_00009_.png", "cats_00009_.png", "cat_00009.png", "cat_x_.png", "a_cat_00009_.png"]
)
def test_files_of_another_stem_do_not_count(tmp_path: Path, other: str) -> None:
    (tmp_path / other).write_bytes(b"")
    assert _write(tmp_path, "cat", b"") == ["cat_00001_.png"]


def test_a_stem_is_no_pattern(tmp_path: Path) -> None:
    assert [_write(tmp_path, "a.(b)[c]", b"")[0] for _ in range(2)] == [
        "a.(b)[c]_00001_.png",
        "a.(b)[c]_00002_.png",
    ]


def test_the_number_in_the_batch_can_stand_in_the_name(tmp_path: Path) -> None:
    assert _write(tmp_path, "i%batch_num%", b"", b"") == ["i0_00001_.png", "i1_00002_.png"]
    assert _write(tmp_path, "i%batch_num%", b"") == ["i0_00003_.png"]


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    def contents() -> Iterator[bytes]:
        (tmp_path / "x_00001_.png").write_bytes(b"of another process")
        yield b"ours"

    assert write_numbered(output_place(tmp_path, "x"), ".png", contents()) == ["x_00002_.png"]
    assert _files(tmp_path) == {"x_00001_.png": b"of another process", "x_00002_.png": b"ours"}


def test_a_link_that_leads_nowhere_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x_00001_.png").symlink_to(tmp_path / "elsewhere")
    # The link's number counts as taken.
    assert _write(tmp_path / "out", "x", b"ours") == ["x_00002_.png"]
    assert not (tmp_path / "elsewhere").exists()


def test_writers_at_the_same_time_each_get_their_own_numbers(tmp_path: Path) -> None:
    contents = [bytes([writer]) * 3 for writer in range(24)]
    with ThreadPoolExecutor(8) as pool:
        names = [name for written in pool.map(lambda c: _write(tmp_path, "x", c), contents) for name in written]
    assert sorted(names) == [f"x_{number:05}_.png" for number in range(1, 25)]
    assert sorted(_files(tmp_path).values()) == contents


# File systems


def test_a_file_system_without_hard_links_is_written_to_as_safely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(source: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    def contents() -> Iterator[bytes]:
        (tmp_path / "x_00001_.png").write_bytes(b"of another process")
        yield b"ours"

    monkeypatch.setattr(os, "link", no_links)
    assert write_numbered(output_place(tmp_path, "x"), ".png", contents()) == ["x_00002_.png"]
    assert _files(tmp_path) == {"x_00001_.png": b"of another process", "x_00002_.png": b"ours"}


class _SmallDisk:
    """A file on a disk with room for some bytes: writes what fits, then fails as the system does."""

    def __init__(self, path: Path, room: int) -> None:
        self._file, self._room = path.open("xb"), room

    def __enter__(self) -> "_SmallDisk":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: bytes) -> None:
        self._file.write(data[: self._room])
        if len(data) > self._room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_no_partial_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x_00001_.png").write_bytes(b"old")
    monkeypatch.setattr(output_files, "open", lambda path, mode: _SmallDisk(path, 4), raising=False)
    with pytest.raises(GraphEngineError, match="No space left on device") as caught:
        _write(tmp_path, "x", b"fits", b"does not fit")
    assert str(tmp_path) in caught.value.message
    assert "free space" in str(caught.value.hint)
    assert _files(tmp_path) == {"x_00001_.png": b"old", "x_00002_.png": b"fits"}


def test_an_output_folder_that_is_a_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "output").write_bytes(b"")
    with pytest.raises(GraphEngineError, match=r"cannot write to .*output"):
        _write(tmp_path / "output", "x", b"")


def test_a_name_that_is_too_long_is_an_error_that_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(GraphEngineError, match="File name too long"):
        _write(tmp_path, "x" * 300, b"")
    assert _files(tmp_path) == {}


# Places


def test_subfolders_are_made(tmp_path: Path) -> None:
    place = output_place(tmp_path, "dogs/small\\terrier")
    assert (place.subfolder, place.stem) == ("dogs/small", "terrier")
    assert write_numbered(place, ".png", [b""]) == ["terrier_00001_.png"]
    assert list(_files(tmp_path)) == ["dogs/small/terrier_00001_.png"]


@pytest.mark.parametrize("prefix", ["", ".", "./"])
def test_a_prefix_without_a_name_counts_as_comfyui(tmp_path: Path, prefix: str) -> None:
    assert output_place(tmp_path, prefix) == OutputPlace(tmp_path, "", "ComfyUI")


@pytest.mark.parametrize(
    "prefix", ["../x", "a/../../x", "..", "/etc/passwd", "..\\x", "C:\\x", "C:x", "\\\\host\\share\\x", "a\0b"]
)
def test_a_prefix_that_leads_out_is_refused(tmp_path: Path, prefix: str) -> None:
    with pytest.raises(FileRefused, match=r"input 'filename_prefix': .* leads out of the output folder"):
        output_place(tmp_path, prefix)


def test_a_linked_subfolder_that_leads_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "private").mkdir()
    (tmp_path / "out" / "link").symlink_to(tmp_path / "private")
    with pytest.raises(FileRefused, match="leads out"):
        output_place(tmp_path / "out", "link/x")


def test_the_output_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    _write(tmp_path / "out", "a/x", b"")
    assert list(_files(tmp_path / "disk")) == ["a/x_00001_.png"]


@given(st.text("a./\\ ~:%", max_size=12))
def test_whatever_the_prefix_files_stay_below_the_folder(prefix: str) -> None:
    root = Path("/nowhere/output")
    try:
        place = output_place(root, prefix)
    except FileRefused:
        return
    name = os.path.normpath(place.folder / f"{place.stem}_00001_.png")
    assert name.startswith("/nowhere/output/")
    assert Path(name).name == f"{place.stem}_00001_.png"


# Tokens

PROMPT: dict[str, Any] = {
    "3": {
        "class_type": "KSampler",
        "inputs": {"seed": 42, "cfg": 8.0, "sampler_name": "a/b:c", "model": ["4", 0]},
    },
    "4": {"class_type": "Loader", "inputs": {"name": "x"}, "_meta": {"title": "My Loader"}},
    "5": {"class_type": "Bare"},
}


@pytest.mark.parametrize(
    ("prefix", "expanded"),
    [
        ("plain", "plain"),
        ("%width%x%height%", "640x480"),
        ("%year%-%month%-%day% %hour%.%minute%.%second%", "2026-03-05 07.08.09"),
        ("%date:yyyy-MM-dd%/x", "2026-03-05/x"),
        ("%date:yy-M-d h.m.s hhmmss%", "26-3-5 7.8.9 070809"),
        ("%KSampler.seed%", "42"),
        ("%KSampler.cfg%", "8"),
        ("%KSampler.sampler_name%", "a_b_c"),
        ("%My Loader.name%_%Loader.name%", "x_x"),
        ("%KSampler.model%", "%KSampler.model%"),
        ("%Nobody.seed% %unknown% 100%", "%Nobody.seed% %unknown% 100%"),
        ("i%batch_num%", "i%batch_num%"),
    ],
)
def test_tokens_of_a_prefix_are_replaced(prefix: str, expanded: str) -> None:
    assert expand_prefix(prefix, NOW, width=640, height=480, prompt=PROMPT) == expanded
