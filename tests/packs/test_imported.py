"""What of a pack is imported anew after an edit, and what stays."""

import gc
import sys
import weakref
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphengine.errors import PackError
from graphengine.packs.code import CodeOfPack
from graphengine.packs.discover import Pack
from graphengine.packs.importing import import_pack, imported_version, read_source
from tests.packs.place import forget_packs

NAME = "graphengine_pack_kept"


class Edited:
    """A pack in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "kept"
        self.pack = Pack("kept", NAME, self.folder)

    def write(self, files: Mapping[str, str | None]) -> None:
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                path.unlink()
            else:
                path.write_text(text)

    def load(self) -> ModuleType:
        source = read_source(self.pack)
        module = import_pack(self.pack, source)
        CodeOfPack(source, ()).remember()
        return module

    def anew(self, files: Mapping[str, str | None]) -> list[str]:
        """Edit, and tell which of the modules from before are other ones now; "" is the pack's own."""
        before = modules()
        self.write(files)
        self.load()
        now = modules()
        return sorted(name for name, module in before.items() if now.get(name) is not module)


def modules() -> dict[str, ModuleType]:
    found = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == NAME}
    return {name[len(NAME) + 1 :]: module for name, module in found.items()}


def value(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    return getattr(modules()[module], attribute)


@pytest.fixture
def edited(tmp_path: Path) -> Iterator[Edited]:
    yield Edited(tmp_path)
    forget_packs()


CHAIN = {
    "__init__.py": "from .top import TOP\nfrom .other import OTHER\n",
    "top.py": "from .low import LOW\nTOP = LOW + 1\n",
    "low.py": "LOW = 1\n",
    "other.py": "OTHER = 5\nMODEL = {}\n",
}


def test_the_changed_module_and_those_that_import_it_are_imported_anew(edited: Edited) -> None:
    edited.write(CHAIN)
    edited.load()
    value("other.MODEL")["loaded"] = 7
    assert edited.anew({"low.py": "LOW = 10\n"}) == ["", "low", "top"]
    assert (value("TOP"), value("top.TOP"), value("other.MODEL")) == (11, 11, {"loaded": 7})
    assert value("other") is modules()["other"]


def test_a_comment_counts_as_an_edit_and_the_same_text_as_none(edited: Edited) -> None:
    edited.write(CHAIN)
    edited.load()
    assert edited.anew({"top.py": CHAIN["top.py"] + "# why\n"}) == ["", "top"]
    assert edited.anew({"top.py": CHAIN["top.py"] + "# why\n"}) == []


def test_a_module_that_functions_import_is_found_anew(edited: Edited) -> None:
    edited.write(
        {"__init__.py": "def late():\n    from . import low\n    return low.LOW\n", "low.py": "LOW = 1\n"}
    )
    assert edited.load().late() == 1
    assert edited.anew({"low.py": "LOW = 2\n"}) == ["", "low"]
    assert value("late")() == 2


def test_a_module_that_only_functions_of_nobody_import_leaves_the_rest_alone(edited: Edited) -> None:
    edited.write({"__init__.py": "", "low.py": "LOW = 1\n"})
    edited.load()
    __import__(f"{NAME}.low")
    first = edited.pack
    assert edited.anew({"low.py": "LOW = 2\n"}) == ["low"]
    assert value("low.LOW") == 2
    assert value("low") is modules()["low"]
    assert imported_version(first) == read_source(first).version


TABLE = {
    "__init__.py": "from .table import NODES\nfrom . import one, two\n",
    "table.py": "NODES = {}\ndef register(kind):\n    NODES[kind.__name__] = kind\n    return kind\n",
    "one.py": "from .table import register\n@register\nclass One:\n    pass\n",
    "two.py": "from .table import register\n@register\nclass Two:\n    pass\n",
    "apart.py": "APART = 1\n",
}


def test_a_table_in_which_modules_enter_their_classes_is_made_anew(edited: Edited) -> None:
    edited.write(TABLE)
    edited.load()
    assert edited.anew({"one.py": TABLE["one.py"].replace("One", "Uno")}) == ["", "one", "table", "two"]
    assert sorted(value("NODES")) == ["Two", "Uno"]


def test_a_class_that_got_into_a_table_unseen_takes_the_table_along(edited: Edited) -> None:
    edited.write(
        {
            "__init__.py": "from . import two\n",
            "table.py": "NODES = {}\n",
            "one.py": "class One:\n    pass\n",
            "two.py": "from . import table, one\nnodes = table.NODES\nnodes['One'] = one.One\n",
        }
    )
    edited.load()
    assert edited.anew({"one.py": "class One:\n    changed = True\n"}) == ["", "one", "table", "two"]
    assert value("table.NODES") == {"One": value("one.One")}


def test_a_module_that_nobody_imports_any_more_is_gone_with_what_it_did(edited: Edited) -> None:
    edited.write(TABLE)
    edited.load()
    edited.anew({"__init__.py": "from .table import NODES\nfrom . import two\n"})
    assert list(value("NODES")) == ["Two"]
    assert "one" not in modules()


def test_what_an_edited_module_said_before_counts_as_well(edited: Edited) -> None:
    fills = "from . import table\ntable.NODES['count'] = 1\n"
    edited.write({"__init__.py": "from . import table, one\n", "table.py": "NODES = {}\n", "one.py": fills})
    edited.load()
    edited.anew({"one.py": "from . import table\n"})
    assert value("table.NODES") == {}


def test_a_cache_that_another_module_fills_is_emptied_with_it(edited: Edited) -> None:
    edited.write(
        {
            "__init__.py": "from .one import compute\n",
            "cache.py": "KEPT = {}\n",
            "one.py": "from . import cache\ndef compute():\n    if 'x' not in cache.KEPT:\n"
            "        cache.KEPT['x'] = 1\n    return cache.KEPT['x']\n",
        }
    )
    assert edited.load().compute() == 1
    edited.anew({"one.py": (edited.folder / "one.py").read_text().replace("= 1", "= 2")})
    assert value("compute")() == 2


def test_a_base_class_that_notes_its_subclasses_is_made_anew(edited: Edited) -> None:
    edited.write(
        {
            "__init__.py": "from . import one\nfrom .base import Base\n",
            "base.py": "class Base: ...\ndef names():\n    return [c.__name__ for c in Base.__subclasses__()]\n",
            "one.py": "from .base import Base\nclass One(Base):\n    pass\n",
        }
    )
    edited.load()
    edited.anew({"one.py": "from .base import Base\nclass Uno(Base):\n    pass\n"})
    assert value("base.names")() == ["Uno"]


def test_where_the_text_does_not_tell_what_is_imported_all_counts_as_importing_it(edited: Edited) -> None:
    gather = "import importlib\nfor n in ('one', 'two'):\n    importlib.import_module('.' + n, __package__)\n"
    edited.write({"__init__.py": gather, "one.py": "ONE = 1\n", "two.py": "TWO = 2\n"})
    edited.load()
    assert edited.anew({"one.py": "ONE = 3\n"}) == ["", "one", "two"]
    assert value("one.ONE") == 3


def test_a_package_inside_the_pack_gets_its_unchanged_modules_back(edited: Edited) -> None:
    edited.write(
        {
            "__init__.py": "import graphengine_pack_kept.sub.low\nLOW = graphengine_pack_kept.sub.low.LOW\n"
            "from .sub import SUB\n",
            "sub/__init__.py": "SUB = 1\n",
            "sub/low.py": "LOW = 1\n",
        }
    )
    edited.load()
    assert edited.anew({"sub/__init__.py": "SUB = 2\n"}) == ["", "sub"]
    assert (value("SUB"), value("LOW"), value("sub.low.LOW")) == (2, 1, 1)


@pytest.mark.parametrize(
    "files",
    [
        {"low.py": None, "low/__init__.py": "LOW = 2\n"},
        {"low/__init__.py": "LOW = 2\n"},
        {"low.py": None, "low/deep.py": "", "top.py": "from .low import deep\nTOP = 3\n"},
    ],
)
def test_a_module_may_become_a_folder(edited: Edited, files: Mapping[str, str | None]) -> None:
    edited.write(CHAIN)
    edited.load()
    edited.anew(files)
    assert value("TOP") == 3
    back: dict[str, str | None] = {file: None for file, text in files.items() if text is not None}
    assert set(edited.anew({**back, **CHAIN})) - {"low.deep"} == {"", "low", "top"}
    assert value("TOP") == 2


def test_a_renamed_module_is_found_by_its_new_name_alone(edited: Edited) -> None:
    edited.write(CHAIN)
    edited.load()
    edited.write({"low.py": None})
    with pytest.raises(PackError, match=r"kept.low.*top\.py, line 1"):
        edited.load()
    edited.anew({"deep.py": "LOW = 4\n", "top.py": "from .deep import LOW\nTOP = LOW + 1\n"})
    assert value("TOP") == 5
    assert "low" not in modules()
    assert not hasattr(value("top"), "low")


@pytest.mark.parametrize(
    "text", ["def broken(:\n", "1 / 0\n", "raise SystemExit(3)\n", "from .nowhere import X\n"]
)
def test_a_failed_import_leaves_all_as_it_was(edited: Edited, text: str) -> None:
    edited.write({**CHAIN, "sub/__init__.py": "", "sub/deep.py": "DEEP = 1\n"})
    edited.load()
    __import__(f"{NAME}.sub.deep")
    before, names, version = modules(), set(vars(value("sub"))), imported_version(edited.pack)
    edited.write(
        {"top.py": text, "sub/deep.py": "DEEP = 2\n", "fresh.py": "", "other.py": "from . import fresh\n"}
    )
    with pytest.raises((PackError, SystemExit)):
        edited.load()
    assert modules() == before
    assert (set(vars(value("sub"))), value("sub.deep.DEEP")) == (names, 1)
    assert imported_version(edited.pack) == version
    edited.write({"top.py": "TOP = 9\n", "other.py": "OTHER = 1\n"})
    edited.load()
    assert (value("TOP"), value("sub.deep.DEEP")) == (9, 2)


def test_modules_that_do_not_go_with_those_that_stayed_are_all_imported_anew(edited: Edited) -> None:
    # `once` refuses a name that it knows; that one of its callers calls it, only running tells
    once = "names = set()\ndef once(name):\n    assert name not in names\n    names.add(name)\n"
    edited.write(
        {
            "__init__.py": "from . import one\n",
            "table.py": once,
            "one.py": "from . import table\ncall = table.once\n(lambda f: f('one'))(call)\n",
        }
    )
    edited.load()
    assert edited.anew({"one.py": (edited.folder / "one.py").read_text() + "# again\n"}) == ["", "one", "table"]


def test_a_pack_that_has_another_one_imported_keeps_what_stays(edited: Edited, tmp_path: Path) -> None:
    inner = tmp_path / "inner.py"
    inner.write_text("INNER = 1\n")
    more = f"""
from pathlib import Path
from graphengine.packs.discover import Pack
from graphengine.packs.importing import import_pack, read_source
other = Pack("inner", "graphengine_pack_inner", Path({str(inner)!r}))
INNER = import_pack(other, read_source(other)).INNER
"""
    edited.write({**CHAIN, "top.py": more + CHAIN["top.py"]})
    edited.load()
    inner.write_text("INNER = 2\n")
    assert edited.anew({"low.py": "LOW = 2\n"}) == ["", "low", "top"]
    assert (value("top.INNER"), value("TOP")) == (2, 3)


def test_old_modules_and_classes_are_let_go_of(edited: Edited) -> None:
    one = "class One:\n    pass\n"
    edited.write(
        {"__init__.py": "from .one import One\nfrom .two import TWO\n", "one.py": one, "two.py": "TWO = 2\n"}
    )
    edited.load()
    gone = []
    for n in range(5):
        gone += [weakref.ref(value("One")), weakref.ref(modules()["one"]), weakref.ref(modules()[""])]
        edited.anew({"one.py": f"{one}# {n}\n"})
    gc.collect()
    assert [ref for ref in gone if ref() is not None] == []


def test_a_pack_in_one_file_is_imported_anew_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "single.py"
    pack = Pack("single", "graphengine_pack_single", file)
    file.write_text("VALUE = 1\n")
    (tmp_path / "neighbour.py").write_text("")
    assert import_pack(pack, read_source(pack)).VALUE == 1
    file.write_text("VALUE = 2\n")
    assert import_pack(pack, read_source(pack)).VALUE == 2
    forget_packs()


@given(st.data())
@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_after_any_edits_a_pack_is_as_a_new_process_would_import_it(edited: Edited, data: st.DataObject) -> None:
    names = ["m0", "m1", "m2", "sub.m3", "m4"]
    texts = {"": "", "sub": ""} | dict.fromkeys(names, "")

    def text(name: str) -> str:
        """A number, and what it imports of the modules before it: so nothing goes in a circle."""
        before = names[: names.index(name)] if name in names else names if name == "" else []
        used: list[str] = data.draw(st.lists(st.sampled_from(before), max_size=3, unique=True)) if before else []
        form = data.draw(st.sampled_from(["from {0} import VALUE as v{1}", "import {0}\nv{1} = {0}.VALUE"]))
        lines = [form.format(f"{NAME}.{each}", each[-1]) for each in used]
        if data.draw(st.booleans()) and before:
            lines.append(f"import {NAME}.m0\n{NAME}.m0.TABLE[{name!r}] = {data.draw(st.integers(0, 3))}")
        total = " + ".join([str(data.draw(st.integers(0, 9))), *(f"v{each[-1]}" for each in used)])
        return "\n".join(["TABLE = {}", *lines, f"VALUE = {total}", ""])

    def write(changed: Collection[str]) -> None:
        texts.update({name: text(name) for name in changed})
        for name in texts:
            path = name.replace(".", "/")
            file = f"{path}.py" if name in names else f"{path}/__init__.py".lstrip("/")
            edited.write({file: texts[name]})

    def state() -> dict[str, Any]:
        return {name: (getattr(m, "VALUE", 0), getattr(m, "TABLE", {})) for name, m in modules().items()}

    forget_packs()
    write(texts)
    edited.load()
    for _ in range(3):
        write(data.draw(st.sets(st.sampled_from(sorted(texts)), min_size=1, max_size=2)))
        edited.load()
        now = state()
        forget_packs()
        edited.load()
        fresh = state()
        assert {name: now.get(name) for name in fresh} == fresh
