import re

import pytest

from graphengine.node.api import GraphEngineError
from graphengine_nodes.core.logic_nodes import ComfySwitchNode
from graphengine_nodes.core.regex import extract, flags, matches, substitute
from graphengine_nodes.core.regex_nodes import RegexExtract, RegexMatch, RegexReplace

NONE = re.RegexFlag(0)
SIZES = "a 12x34, b 5x6"


@pytest.mark.parametrize(
    ("mode", "pattern", "group", "expected"),
    [
        ("First Match", r"\d+x\d+", 1, "12x34"),
        ("First Match", r"(\d+)x(\d+)", 2, "12x34"),
        ("All Matches", r"\d+x\d+", 1, "12x34\n5x6"),
        ("All Matches", r"(\d+)x(\d+)", 2, "12\n5"),
        ("First Group", r"(\d+)x(\d+)", 2, "34"),
        ("First Group", r"(\d+)x(\d+)", 0, "12x34"),
        ("All Groups", r"(\d+)x(\d+)", 2, "34\n6"),
        ("First Group", r"(\d+)x(\d+)", 3, ""),
        ("All Groups", r"\d+", 1, ""),
        ("First Group", r"(z)?\d", 1, ""),
        *[(mode, "z+", 0, "") for mode in ("First Match", "All Matches", "First Group", "All Groups")],
    ],
)
def test_a_pattern_finds(mode: str, pattern: str, group: int, expected: str) -> None:
    assert extract(SIZES, pattern, mode, group, NONE) == expected


def test_the_options_are_those_of_python() -> None:
    assert matches("CAT", "cat", flags(case_insensitive=True, multiline=False, dotall=False))
    assert not matches("CAT", "cat", flags(case_insensitive=False, multiline=True, dotall=True))
    assert matches("a\nb", "^b", flags(case_insensitive=False, multiline=True, dotall=False))
    assert matches("a\nb", "a.b", flags(case_insensitive=False, multiline=False, dotall=True))


def test_matches_are_replaced() -> None:
    assert substitute("a-b-c", "-", "+", 0, NONE) == "a+b+c"
    assert substitute("a-b-c", "-", "+", 1, NONE) == "a+b-c"
    assert substitute(SIZES, r"(\d+)x(\d+)", r"\2 by \1", 0, NONE) == "a 34 by 12, b 6 by 5"


@pytest.mark.parametrize("pattern", ["(", "[a", "*", "a{2,1}", "(?<x"])
def test_what_is_no_pattern_is_refused_by_name(pattern: str) -> None:
    with pytest.raises(GraphEngineError, match=r"input 'regex_pattern': .* is no regular expression"):
        matches("a", pattern, NONE)


def test_a_group_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(GraphEngineError, match=r"input 'replace': .* cannot be used: invalid group reference 2"):
        substitute("a", "(a)", r"\2", 0, NONE)


def test_the_nodes_do_the_same() -> None:
    on = {"case_insensitive": True, "multiline": False, "dotall": False}
    assert RegexMatch().search("Cat", "c", **on) == (True,)
    assert RegexExtract().extract("Cat", "c.", "First Match", group_index=1, **on) == ("Ca",)
    assert RegexReplace().substitute("Cat cat", "c", "b") == ("bat bat",)


def test_a_switch_asks_for_the_value_it_gives() -> None:
    switch = ComfySwitchNode()
    assert switch.check_lazy_status(True) == ["on_true"]
    assert switch.check_lazy_status(False) == ["on_false"]
    assert switch.check_lazy_status(True, on_true=0) == []
    assert switch.choose(True, on_true=0) == (0,)
    assert switch.choose(False, on_false="a") == ("a",)
