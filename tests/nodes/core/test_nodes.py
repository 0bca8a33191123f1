import subprocess
import sys
from typing import Any

import pytest

from graphengine_nodes.core import NODE_CLASS_MAPPINGS
from graphengine_nodes.core.preview_nodes import PreviewAny, as_text


@pytest.mark.parametrize(
    ("class_type", "inputs", "expected"),
    [
        ("PrimitiveInt", {"value": -7}, -7),
        ("PrimitiveFloat", {"value": 0.5}, 0.5),
        ("PrimitiveBoolean", {"value": True}, True),
        ("PrimitiveString", {"value": "a"}, "a"),
        ("PrimitiveStringMultiline", {"value": "a\nb"}, "a\nb"),
        ("StringConcatenate", {"string_a": "a", "string_b": "b", "delimiter": ", "}, "a, b"),
        ("StringSubstring", {"string": "strawberry", "start": 0, "end": 5}, "straw"),
        ("StringSubstring", {"string": "strawberry", "start": -5, "end": -1}, "berr"),
        ("StringLength", {"string": "straw\n"}, 6),
        ("CaseConverter", {"string": "a RED fox", "mode": "UPPERCASE"}, "A RED FOX"),
        ("CaseConverter", {"string": "a RED fox", "mode": "lowercase"}, "a red fox"),
        ("CaseConverter", {"string": "a RED fox", "mode": "Capitalize"}, "A red fox"),
        ("CaseConverter", {"string": "a RED fox", "mode": "Title Case"}, "A Red Fox"),
        ("StringTrim", {"string": " a ", "mode": "Both"}, "a"),
        ("StringTrim", {"string": " a ", "mode": "Left"}, "a "),
        ("StringTrim", {"string": " a ", "mode": "Right"}, " a"),
        ("StringReplace", {"string": "aXbX", "find": "X", "replace": "-"}, "a-b-"),
        ("StringContains", {"string": "Red", "substring": "red", "case_sensitive": True}, False),
        ("StringContains", {"string": "Red", "substring": "red", "case_sensitive": False}, True),
        (
            "StringCompare",
            {"string_a": "Red fox", "string_b": "red", "mode": "Starts With", "case_sensitive": False},
            True,
        ),
        (
            "StringCompare",
            {"string_a": "Red fox", "string_b": "fox", "mode": "Ends With", "case_sensitive": True},
            True,
        ),
        ("StringCompare", {"string_a": "Red", "string_b": "red", "mode": "Equal", "case_sensitive": True}, False),
    ],
)
def test_each_node_gives_its_value(class_type: str, inputs: dict[str, Any], expected: object) -> None:
    node: Any = NODE_CLASS_MAPPINGS[class_type]()
    (value,) = getattr(node, node.FUNCTION)(**inputs)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (7, "7"),
        (0.5, "0.5"),
        (True, "True"),
        (None, "None"),
        ({"a": [1, None]}, '{"a": [1, null]}'),
        ({1, 2}, "{1, 2}"),
    ],
)
def test_any_value_can_be_read_as_text(value: object, text: str) -> None:
    assert as_text(value) == text


def test_a_structure_that_contains_itself_can_be_shown() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert as_text(loop) == "[[...]]"


def test_preview_any_shows_the_text() -> None:
    assert PreviewAny().show(source=3) == {"ui": {"text": ["3"]}}


def test_definitions_load_without_heavy_packages() -> None:
    script = (
        "import sys, graphengine_nodes.core, graphengine_nodes.image\n"
        "import graphengine_nodes.diffusion.nodes.latent_nodes\n"
        "print(*{'torch', 'numpy', 'PIL', 'safetensors'} & sys.modules.keys())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert ran.stdout.split() == []
