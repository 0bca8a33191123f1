"""Folders that are observed for real; a test waits for what the system reports."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from watchdog.observers.api import BaseObserver

from graphengine.errors import GraphEngineError
from graphengine.watch.changes import FolderChanges, Place

LONG = 20.0  # seconds; a report comes at once, or on a busy machine a little later


@pytest.fixture(params=[False, True], ids=["by the system", "by looking"])
def changes(request: pytest.FixtureRequest) -> Iterator[FolderChanges]:
    made = FolderChanges(poll=request.param)
    yield made
    made.close()


def wait_for(changes: FolderChanges, path: Path) -> bool:
    """Whether the path is reported, among whatever else is."""
    return any(path in changes.wait(0.5) for _ in range(int(LONG * 2)))


def test_a_write_and_a_move_into_place_are_reported(changes: FolderChanges, tmp_path: Path) -> None:
    file = tmp_path / "flow.json"
    file.write_text("{}")
    changes.watch({Place(tmp_path)})
    file.write_text('{"1": {}}')
    assert wait_for(changes, file)
    other = tmp_path / "flow.json.swp"
    other.write_text('{"2": {"a": 1}}')
    os.replace(other, file)
    assert wait_for(changes, file)


def test_a_folder_that_is_made_anew_is_observed_again(changes: FolderChanges, tmp_path: Path) -> None:
    folder = tmp_path / "flows"
    changes.watch({Place(folder)})
    folder.mkdir()
    assert wait_for(changes, folder)
    folder.rmdir()
    assert wait_for(changes, folder)
    folder.mkdir()
    assert wait_for(changes, folder)
    (folder / "flow.json").write_text("{}")
    assert wait_for(changes, folder / "flow.json")


def test_files_below_are_reported_of_recursive_places(changes: FolderChanges, tmp_path: Path) -> None:
    (tmp_path / "pack" / "nodes").mkdir(parents=True)
    (tmp_path / "circle").symlink_to(tmp_path, target_is_directory=True)
    changes.watch({Place(tmp_path, recursive=True)})
    (tmp_path / "pack" / "nodes" / "one.py").write_text("pass")
    assert wait_for(changes, tmp_path / "pack" / "nodes" / "one.py")


def test_what_is_not_watched_any_more_is_not_reported(changes: FolderChanges, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    changes.watch({Place(tmp_path / "one"), Place(tmp_path / "two")})
    changes.watch({Place(tmp_path / "two")})
    (tmp_path / "one" / "a").write_text("a")
    (tmp_path / "two" / "b").write_text("b")
    seen: set[Path] = set()
    while tmp_path / "two" / "b" not in seen:
        seen |= changes.wait(LONG)
    assert tmp_path / "one" / "a" not in seen


def test_a_system_that_observes_no_more_folders_is_told(
    changes: FolderChanges, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, "inotify watch limit reached")

    monkeypatch.setattr(BaseObserver, "schedule", refuse)
    with pytest.raises(GraphEngineError, match=r"cannot observe .*: inotify watch limit reached") as caught:
        changes.watch({Place(tmp_path)})
    assert caught.value.hint is not None
    assert "--poll" in caught.value.hint
