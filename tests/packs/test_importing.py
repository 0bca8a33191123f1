"""Packs that are imported anew in one process after an edit."""

import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from graphengine.packs.discover import Pack
from graphengine.packs.importing import import_pack, read_source
from tests.packs.place import forget_packs

_SECOND = 1_700_000_000


class Edited:
    """A pack in a folder whose files all bear the same second."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "edited"
        self.pack = Pack("edited", "graphengine_pack_edited", self.folder)

    def write(self, **files: str) -> None:
        for name, text in files.items():
            path = self.folder / f"{name.replace('__dot__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            os.utime(path, (_SECOND, _SECOND))

    def imported(self) -> Mapping[str, object]:
        return vars(import_pack(self.pack, read_source(self.pack)))


@pytest.fixture
def edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Edited]:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield Edited(tmp_path)
    forget_packs()
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_code_of_the_same_size_and_second_is_not_taken_for_the_old_one(edited: Edited) -> None:
    edited.write(__init__="from .one import VALUE\n", one="VALUE = 1\n")
    assert edited.imported()["VALUE"] == 1
    edited.write(one="VALUE = 2\n")
    assert edited.imported()["VALUE"] == 2
    edited.write(one="VALUE = 1\n")
    assert edited.imported()["VALUE"] == 1


def test_a_new_process_does_not_take_it_for_the_old_one_either(edited: Edited) -> None:
    edited.write(__init__="from .one import VALUE\nMINE = 1\n", one="VALUE = 1\n")
    edited.imported()
    forget_packs()
    edited.write(__init__="from .one import VALUE\nMINE = 2\n", one="VALUE = 2\n")
    now = edited.imported()
    assert (now["VALUE"], now["MINE"]) == (2, 2)


ON_PATH = "import sys, os\nsys.path.insert(0, os.path.dirname(__file__))\nfrom edited_helper import VALUE\n"


def test_a_module_that_a_pack_finds_on_a_path_of_its_own_is_imported_anew_too(edited: Edited) -> None:
    edited.write(__init__=ON_PATH, edited_helper="VALUE = 1\n")
    assert edited.imported()["VALUE"] == 1
    edited.write(edited_helper="VALUE = 2\n")
    assert edited.imported()["VALUE"] == 2


def test_a_module_that_others_imported_before_is_not_touched(edited: Edited) -> None:
    edited.write(__init__=ON_PATH, edited_helper="VALUE = 1\n")
    sys.path.insert(0, str(edited.folder))
    mine = importlib.import_module("edited_helper")
    edited.imported()
    edited.write(__init__=f"{ON_PATH}MORE = 2\n", edited_helper="VALUE = 2\n")
    edited.imported()
    assert (sys.modules["edited_helper"], vars(mine)["VALUE"]) == (mine, 1)


def test_what_is_compiled_is_used_again_and_python_itself_takes_it(edited: Edited) -> None:
    edited.write(__init__="from .one import VALUE\n", one="VALUE = 1\n")
    edited.imported()
    (compiled,) = edited.folder.glob("__pycache__/one.*.pyc")
    kept = compiled.stat().st_mtime_ns
    forget_packs()
    edited.imported()
    assert compiled.stat().st_mtime_ns == kept
    assert compiled.read_bytes()[4:8] == b"\3\0\0\0"


@pytest.mark.parametrize("damage", [lambda text: text[:20], lambda text: text[:16], lambda text: text[:16] + b"N"])
def test_a_damaged_compiled_file_is_made_anew(edited: Edited, damage: Callable[[bytes], bytes]) -> None:
    edited.write(__init__="from .one import VALUE\n", one="VALUE = 1\n")
    edited.imported()
    (compiled,) = edited.folder.glob("__pycache__/one.*.pyc")
    whole = compiled.read_bytes()
    compiled.write_bytes(damage(whole))
    forget_packs()
    assert edited.imported()["VALUE"] == 1
    assert compiled.read_bytes() == whole


def test_a_folder_that_was_moved_tells_where_it_is_now(edited: Edited) -> None:
    edited.write(__init__="def place(): pass\n")
    edited.imported()
    forget_packs()
    edited.folder = edited.folder.rename(edited.folder.with_name("moved"))
    edited.pack = Pack("moved", "graphengine_pack_moved", edited.folder)
    place = edited.imported()["place"]
    assert place.__code__.co_filename == str(edited.folder / "__init__.py")  # type: ignore[attr-defined]


def test_nothing_is_written_where_python_was_told_so(edited: Edited, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    edited.write(__init__="VALUE = 1\n")
    edited.imported()
    assert not list(edited.folder.glob("__pycache__"))
