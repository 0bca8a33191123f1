"""Lines that several processes append."""

import multiprocessing
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.provenance.history import line_file
from graphengine.provenance.history.line_file import LineFile


def lines(file: LineFile) -> list[bytes]:
    return [line.data for line in file.backwards() if line.data is not None][::-1]


@given(
    texts=st.lists(st.binary(min_size=1, max_size=40).filter(lambda text: b"\n" not in text)),
    tail=st.binary(max_size=40).filter(lambda text: b"\n" not in text),
    block=st.integers(1, 64),
)
def test_lines_are_read_from_the_end_whatever_blocks_they_lie_in(
    tmp_path_factory: pytest.TempPathFactory, texts: list[bytes], tail: bytes, block: int
) -> None:
    path = tmp_path_factory.mktemp("lines") / "file"
    path.write_bytes(b"".join(text + b"\n" for text in texts) + tail)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_file, "_BLOCK", block)
        file = LineFile(path)
        assert lines(file) == texts
        assert [line.data for line in file.forwards(0, file.end())] == texts
        for number, line in enumerate(file.forwards(0, file.end()), 1):
            assert file.at(line.offset, len(line.data or b"")) == line.data
            assert file.number(line.offset) == number


def test_a_line_that_is_too_long_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_file, "LONGEST_LINE", 100)
    monkeypatch.setattr(line_file, "_BLOCK", 16)
    path = tmp_path / "file"
    path.write_bytes(b"first\n" + b"x" * 5000 + b"\nlast\n")
    file = LineFile(path)
    assert [line.data for line in file.backwards()] == [b"last", None, b"first"]
    assert [line.data for line in file.forwards(0, file.end())] == [b"first", None, b"last"]
    with pytest.raises(ValueError, match="cannot be written"):
        file.append(b"x" * 101)


def _append(path: Path, letter: bytes, start: "multiprocessing.synchronize.Event") -> None:
    start.wait()
    file = LineFile(path)
    for number in range(60):
        file.append(letter * (1000 + 150 * number))


def test_lines_of_processes_that_write_at_once_do_not_mix(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    start, path = context.Event(), tmp_path / "file"
    writers = [context.Process(target=_append, args=(path, letter, start)) for letter in (b"a", b"b", b"c")]
    for writer in writers:
        writer.start()
    start.set()
    for writer in writers:
        writer.join(30)
        assert writer.exitcode == 0
    found = lines(LineFile(path))
    assert len(found) == 180
    for letter in (b"a", b"b", b"c"):
        own = [line for line in found if line.startswith(letter)]
        assert own == [letter * (1000 + 150 * number) for number in range(60)]


def test_a_pipe_in_the_place_of_the_file_does_not_hold_anybody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    file = LineFile(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        file.append(b"text")
    with pytest.raises(OSError, match="no regular file"):
        list(file.backwards())
