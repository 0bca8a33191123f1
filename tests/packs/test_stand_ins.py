import importlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from graphengine.errors import PackError
from graphengine.packs.discover import Pack
from graphengine.packs.load import load_pack
from graphengine.packs.stand_ins import StandInFinder, put_in_place

FILES = {
    "sample_stand_ins/__init__.py": "",
    "sample_stand_ins/_inner.py": "",
    "sample_stand_ins/sampled/__init__.py": "",
    "sample_stand_ins/sampled/sums.py": "limit = 1\n",
    "sample_stand_ins/sampled_alone.py": "",
    "sampled/sums.py": "limit = 'of the folder'\n",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package of stand-ins for `sampled` and `sampled_alone`, with a folder of the first name on the path."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    others = [finder for finder in sys.meta_path if not isinstance(finder, StandInFinder)]
    monkeypatch.setattr(sys, "meta_path", others)
    monkeypatch.syspath_prepend(tmp_path)
    yield "sample_stand_ins"
    for name in [name for name in sys.modules if name.startswith("sample")]:
        del sys.modules[name]


def test_a_module_is_one_object_whichever_name_it_is_imported_by(package: str) -> None:
    put_in_place([package])
    by_public_name = importlib.import_module("sampled.sums")
    by_own_name = importlib.import_module("sample_stand_ins.sampled.sums")
    assert by_public_name is by_own_name
    assert by_own_name.__spec__ is not None
    assert by_own_name.__spec__.name == "sample_stand_ins.sampled.sums"


def test_every_form_of_import_gives_it(package: str) -> None:
    put_in_place([package])
    names: dict[str, object] = {}
    exec(
        "import sampled.sums\nimport sampled.sums as u\nfrom sampled import sums\nfrom sampled.sums import limit",
        names,
    )
    sampled = names["sampled"]
    assert isinstance(sampled, ModuleType)
    assert sampled.sums is names["u"] is names["sums"]
    assert names["limit"] == 1


def test_nothing_is_imported_before_it_is_asked_for(package: str) -> None:
    put_in_place([package])
    assert "sample_stand_ins.sampled" not in sys.modules
    importlib.import_module("sampled")
    assert "sample_stand_ins.sampled.sums" not in sys.modules


def test_what_is_assigned_by_one_name_is_seen_by_the_other(package: str) -> None:
    put_in_place([package])
    vars(importlib.import_module("sampled.sums"))["limit"] = 2
    assert importlib.import_module("sample_stand_ins.sampled.sums").limit == 2


def test_an_unknown_submodule_says_that_there_is_no_stand_in(package: str) -> None:
    put_in_place([package])
    with pytest.raises(ModuleNotFoundError, match=r"'sampled\.products': graphengine has no stand-in") as caught:
        importlib.import_module("sampled.products")
    assert caught.value.name == "sampled.products"


def test_modules_with_an_underscore_stand_in_for_nothing(package: str) -> None:
    assert sorted(put_in_place([package]).names) == ["sampled", "sampled_alone"]


def test_a_second_call_changes_nothing(package: str) -> None:
    before = put_in_place([package])
    names, finders = dict(before.names), list(sys.meta_path)
    assert put_in_place([package]) is put_in_place() is before
    assert (before.names, sys.meta_path) == (names, finders)


def test_a_folder_of_that_name_gives_way(package: str) -> None:
    assert importlib.import_module("sampled").__file__ is None
    put_in_place([package])
    assert importlib.import_module("sampled").__name__ == "sample_stand_ins.sampled"


def test_a_module_that_is_already_there_stays_and_is_told_of(
    package: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    (tmp_path / "sampled_alone.py").write_text("")
    there = importlib.import_module("sampled_alone")
    with caplog.at_level(logging.WARNING):
        put_in_place([package])
    assert "the module 'sampled_alone' from" in caplog.text
    assert importlib.import_module("sampled_alone") is there


def _load(tmp_path: Path, source: str) -> None:
    (tmp_path / "sample_pack.py").write_text(source)
    load_pack(Pack("sample", "sample_pack_module", tmp_path / "sample_pack.py"))


def test_a_pack_that_needs_a_missing_part_of_comfyui_is_told_so(package: str, tmp_path: Path) -> None:
    put_in_place([package])
    with pytest.raises(PackError, match=r"needs the module 'sampled.products' of ComfyUI, .* no stand-in"):
        _load(tmp_path, "import sampled.products\n")
    with pytest.raises(PackError, match=r"needs 'products' of 'sampled' of ComfyUI, .* no stand-in"):
        _load(tmp_path, "from sampled import products\n")


def test_a_pack_that_breaks_off_an_import_is_quoted(package: str, tmp_path: Path) -> None:
    put_in_place([package])
    with pytest.raises(PackError, match="cannot be imported: ImportError: too old"):
        _load(tmp_path, "raise ImportError('too old')\n")


def test_installed_packs_need_no_stand_ins(package: str) -> None:
    load_pack(Pack("core", "graphengine_nodes.core"))
    assert not any(isinstance(finder, StandInFinder) for finder in sys.meta_path)
