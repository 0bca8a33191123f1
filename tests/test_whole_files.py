"""A file that is being written takes its place as a whole, or leaves what was there."""

from pathlib import Path

import pytest

from graphengine.whole_files import being_written


def test_a_file_is_replaced_when_its_new_content_is_whole(tmp_path: Path) -> None:
    place = tmp_path / "a.txt"
    place.write_text("old")
    with being_written(place) as new:
        new.write_text("new")
        assert place.read_text() == "old"
    assert place.read_text() == "new"
    assert list(tmp_path.iterdir()) == [place]


def half_written(place: Path) -> None:
    with being_written(place) as new:
        new.write_text("half")
        raise OSError("no room")


def test_what_was_there_stays_when_writing_fails(tmp_path: Path) -> None:
    place = tmp_path / "a.txt"
    place.write_text("old")
    with pytest.raises(OSError, match="no room"):
        half_written(place)
    assert place.read_text() == "old"
    assert list(tmp_path.iterdir()) == [place]
