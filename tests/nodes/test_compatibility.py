"""docs/compatibility.md says what the built-in packs hold."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """scripts/generate_compatibility.py as a module."""
    spec = importlib.util.spec_from_file_location(
        "generate_compatibility", ROOT / "scripts" / "generate_compatibility.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_fresh(script: ModuleType) -> None:
    page = script.page(script.read_facts(), script.built_in_classes())
    assert (ROOT / "docs" / "compatibility.md").read_text() == page, "run scripts/generate_compatibility.py"


def test_there_are_two_hundred_classes_and_each_once(script: ModuleType) -> None:
    facts = script.read_facts()
    assert len(facts.most_used) == len({*facts.most_used}) == 200
    assert facts.newer <= {*facts.most_used}


def test_every_reason_and_remark_is_about_a_class_that_there_is(script: ModuleType) -> None:
    facts = script.read_facts()
    assert facts.reasons.keys() <= {*facts.most_used}
    assert facts.remarks.keys() <= script.built_in_classes()


def test_a_class_is_built_in_in_part_or_absent_with_its_reason(script: ModuleType) -> None:
    facts = script.Facts(
        most_used=("A", "B", "C", "D"),
        newer=frozenset({"D"}),
        reasons={"A": "no model", "C": "no library"},
        remarks={"B": ("partly", "without sound"), "E": ("yes", "odd sides")},
    )
    text = script.page(facts, frozenset({"A", "B", "E", "F"}))
    assert "| 1 | A | yes |  |" in text
    assert "| 2 | B | partly | without sound |" in text
    assert "| 3 | C | no | no library |" in text
    assert "| 4 | D | no | newer than" in text
    assert "1 are built in, 1 in part, 2 not. Of the 3 among them that ComfyUI 0.3.64 has, 2 exist." in text
    assert "| E | odd sides |" in text
    assert "`E`, `F`" in text
