"""What the text of a module may change in others, and which modules hold what others made."""

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from graphengine.packs import holders as looking
from graphengine.packs.holders import holders
from graphengine.packs.imports import Import, read_facts

TABLE = Import(1, "", ("table",))


@pytest.mark.parametrize(
    "text",
    [
        "table.NODES['x'] = 1",
        "table.NODES.x += 1",
        "del table.NODES['x']",
        "table.counts: int = 3",
        "table.NODES.update(x=1)",
        "def later():\n    table.NODES.append(1)",
        "class Node:\n    def run(self):\n        table.CACHE['x'] = self",
        "def later():\n    setattr(table, 'x', 1)",
        "table.register(1)",
        "table.of(1).register('x')",
        "x = [table.register(n) for n in range(3)]",
        "@table.register\ndef node(): pass",
        "@table.register('x')\nclass Node: pass",
        "class Node:\n    kind = table.register()",
        "def node(x=table.register()): pass",
        "late = lambda x=table.register(): x",
    ],
)
def test_a_module_touches_what_it_changes_or_calls_while_it_is_imported(text: str) -> None:
    assert read_facts(f"from . import table\n{text}\n".encode()).touches == (TABLE,)


@pytest.mark.parametrize(
    "text",
    [
        "x = table.NODES['x']",
        "def later():\n    return table.scaled(1)",
        "late = lambda: table.scaled(1)",
        "class Node(table.Base):\n    pass",
        "NODES = {}\nNODES['x'] = table.x\nNODES.update(table.NODES)",
        "def node(self):\n    self.x = table.x\n    self.seen.append(table.x)",
    ],
)
def test_reading_is_no_touch_nor_is_a_call_in_a_function(text: str) -> None:
    assert read_facts(f"from . import table\n{text}\n".encode()).touches == ()


def test_behind_a_star_may_be_any_name() -> None:
    assert read_facts(b"from .table import *\n").touches == (Import(1, "table", ("*",)),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("class Base:\n    def __init_subclass__(cls): pass", True),
        ("class Base(metaclass=Noting): pass", True),
        ("def every():\n    return Base.__subclasses__()", True),
        ("import abc\nclass Base(metaclass=abc.ABCMeta): pass", False),
        ("class Base: pass", False),
    ],
)
def test_a_module_gathers_classes_when_it_can_notice_those_of_others(text: str, expected: bool) -> None:
    assert read_facts(text.encode()).gathers is expected


def made(name: str, text: str, **given: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(given)
    exec(text, vars(module))  # a module without a file
    return module


GONE = made("gone", "class Made: pass\ndef made(): pass\n")
HIDES: dict[str, Callable[[Any], Any]] = {
    "directly": lambda thing: thing,
    "in a table": lambda thing: {"x": [(thing,)]},
    "in a set": lambda thing: frozenset({thing}),
    "in a partial": lambda thing: functools.partial(print, thing),
    "in a method of a list": lambda thing: [thing].append,
}


@pytest.mark.parametrize("hide", HIDES.values(), ids=HIDES)
@pytest.mark.parametrize("thing", [vars(GONE)["Made"], vars(GONE)["Made"](), vars(GONE)["made"], GONE])
def test_a_module_holds_what_can_be_reached_from_its_names(hide: Callable[[Any], Any], thing: object) -> None:
    kept = {"kept": made("kept", "", held=hide(thing)), "other": made("other", "x = 1")}
    assert holders(kept, {"gone": GONE}) == {"kept"}


@pytest.mark.parametrize(
    "text",
    [
        "def closes(thing=thing):\n    return lambda: thing\nfunction = closes()",
        "class Mine:\n    kind = thing",
        "class Mine: pass\nmine = Mine()\nmine.of = thing",
        "def function(): pass\nfunction.made = thing",
        "import functools\n@functools.lru_cache\ndef of(x): return x\nof(thing)",
    ],
)
def test_functions_classes_and_objects_of_the_pack_are_looked_into(text: str) -> None:
    module = made("kept", f"{text}\ndel thing\n", thing=vars(GONE)["Made"])
    assert holders({"kept": module}, {"gone": GONE}) == {"kept"}


def test_modules_of_others_are_not_looked_into() -> None:
    foreign = made("foreign", "", held=vars(GONE)["Made"])
    package = made("kept", "", foreign=foreign, sub=made("kept.sub", ""))
    assert holders({"kept": package}, {"gone": GONE}) == set()


def test_what_is_too_much_to_look_at_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "_MOST_OBJECTS", 10)
    assert holders({"kept": made("kept", "x = [[] for n in range(99)]")}, {"gone": GONE}) is None
