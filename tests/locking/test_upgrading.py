"""Taking one pack into a lock."""

from pathlib import Path

import pytest

from graphengine.errors import LockError
from graphengine.locking.lock_file import lock_text
from graphengine.locking.schema import Lock
from graphengine.locking.upgrading import newest, with_pack
from graphengine.packs.installing.environment import open_environment
from graphengine.packs.installing.install import PackInstaller, Proposal
from graphengine.packs.installing.requiring import Wishes
from graphengine.packs.installing.sources import parse_source
from tests.locking.conftest import Place, commit_all


def agree(proposal: Proposal) -> bool:
    return True


def refuse(proposal: Proposal) -> bool:
    return False


@pytest.fixture
def origin(place: Place, tmp_path: Path) -> Path:
    """The repository of the pack, which is installed from it; the project is locked."""
    folder = tmp_path / "small"
    (place.root / "custom_nodes/small").rename(folder)
    commit_all(folder, "first")
    installer = PackInstaller(place.root / "custom_nodes", open_environment(), Wishes(), agree)
    installer.install(parse_source(f"git+file://{folder}"))
    place.lock()
    return folder


def upgrade(place: Place, lock: Lock, name: str = "small") -> Lock:
    with place.opened() as project:
        return with_pack(project, lock, name).lock


def test_only_the_pack_changes_in_the_lock(place: Place) -> None:
    lock = place.lock()
    place.write("custom_nodes/small/more.py", "MORE = 2\n")
    place.write("models/checkpoints/style.safetensors", b"changed as well")
    place.write("custom_nodes/small/requirements.txt", "hypothesis\n")
    after = upgrade(place, lock)
    lines = set(lock_text(after).splitlines()) - set(lock_text(lock).splitlines())
    assert after.packs["small"].content != lock.packs["small"].content
    assert (after.models, after.workflows, after.engine) == (lock.models, lock.workflows, lock.engine)
    assert {name: after.packages[name] for name in lock.packages} == lock.packages
    assert "hypothesis" in after.packages
    assert any(line.startswith('"more.py" = ') for line in lines)


def test_a_pack_that_is_not_there_is_named(place: Place) -> None:
    with pytest.raises(LockError) as refused:
        upgrade(place, place.lock(), "smal")
    assert refused.value.hint == "did you mean 'small'?"


def test_the_newest_commit_is_brought_and_locked(place: Place, origin: Path) -> None:
    (origin / "more.py").write_text("MORE = 3\n")
    commit = commit_all(origin, "second")
    with place.opened() as project:
        assert newest(project, "small", agree)[0] == f"small is at its newest commit now: {commit[:12]}"
        assert newest(project, "small", agree) == ["small is at its newest commit"]
    assert place.told()
    lock = upgrade(place, place.make().lock)
    assert lock.packs["small"].commit == commit
    assert lock.packs["small"].source == f"file://{origin}"


def test_without_consent_nothing_changes(place: Place, origin: Path) -> None:
    (origin / "more.py").write_text("MORE = 3\n")
    commit_all(origin, "second")
    with place.opened() as project, pytest.raises(LockError, match="was not upgraded"):
        newest(project, "small", refuse)
    assert place.told() == []


def test_edited_files_are_not_overwritten(place: Place, origin: Path) -> None:
    place.write("custom_nodes/small/more.py", "MORE = 'mine'\n")
    with place.opened() as project, pytest.raises(LockError, match="were edited"):
        newest(project, "small", agree)


def test_a_pack_that_was_copied_is_taken_in_as_it_is(place: Place) -> None:
    with place.opened() as project:
        assert newest(project, "small", agree) == [
            "small was not installed from git by graphengine: it is taken in as it is"
        ]
