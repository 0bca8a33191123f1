from types import SimpleNamespace
from typing import Any

import pytest

from graphengine.errors import PackError
from graphengine.node.declared import Declared, pack_defaults, read_declared


class Silent:
    """Says nothing, as classes of ComfyUI do."""


class Clock:
    CACHEABLE = False
    PURE = False


class Table:
    READS_FILES = ("path",)


ALL: dict[str, Any] = {"CACHEABLE": True, "PURE": True, "READS_FILES": ()}


def test_a_class_that_says_nothing_is_cacheable_and_pure_and_not_declared() -> None:
    assert read_declared("Silent", Silent, {}) == Declared(cacheable=True, pure=True, is_declared=False)


def test_what_a_pack_says_holds_for_classes_that_do_not_say_otherwise() -> None:
    assert read_declared("Silent", Silent, ALL) == Declared(is_declared=True)
    assert read_declared("Clock", Clock, ALL) == Declared(cacheable=False, pure=False, is_declared=True)
    assert read_declared("Table", Table, ALL) == Declared(reads_files=("path",), is_declared=True)


def test_a_class_that_leaves_something_open_is_not_declared() -> None:
    assert not read_declared("Clock", Clock, {}).is_declared


@pytest.mark.parametrize(("name", "value"), [("CACHEABLE", "no"), ("PURE", 1), ("READS_FILES", "path")])
def test_a_value_of_another_form_is_refused_by_its_name(name: str, value: object) -> None:
    with pytest.raises(PackError, match=name):
        read_declared("Odd", type("Odd", (), {name: value}), {})


def test_a_pack_declares_by_a_mapping_of_known_names() -> None:
    assert pack_defaults(SimpleNamespace()) == {}
    assert pack_defaults(SimpleNamespace(GRAPHENGINE_DECLARES=ALL)) == ALL
    with pytest.raises(PackError, match="GRAPHENGINE_DECLARES names CACHABLE"):
        pack_defaults(SimpleNamespace(GRAPHENGINE_DECLARES={"CACHABLE": True}))
    with pytest.raises(PackError, match="GRAPHENGINE_DECLARES is True"):
        pack_defaults(SimpleNamespace(GRAPHENGINE_DECLARES=True))
