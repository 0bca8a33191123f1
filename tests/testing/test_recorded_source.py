"""The text of tests that are written: values as Python code, formatted, with the imports that it needs."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.testing.recorded_source import Argument, TestText, is_literal, literal, text_lines


@given(st.one_of(st.text(st.characters(codec=None)), st.integers(), st.floats(allow_nan=False), st.booleans()))
def test_a_literal_reads_as_the_value(value: str | float) -> None:
    if is_literal(value):
        assert ast.literal_eval(literal(value)) == value


@given(st.text(st.characters(codec=None), max_size=400))
def test_a_long_text_is_several_literals_that_are_it(value: str) -> None:
    assert ast.literal_eval("\n".join(text_lines(value))) == value


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("a", '"a"'),
        ('say "a"', "'say \"a\"'"),
        ("it's", '"it\'s"'),
        ("\\ \n", '"\\\\ \\n"'),
        ("\ud800", '"\\ud800"'),
    ],
)
def test_texts_are_quoted_as_formatters_quote_them(value: str, written: str) -> None:
    assert literal(value) == written


def test_names_that_python_has_no_place_for_go_into_a_dict() -> None:
    arguments = [Argument("a", "1"), Argument("mode.x", "Many(1, 2)", "FLOAT"), Argument("class", "NOT_EVALUATED")]
    text = TestText("What it gave.", "n_1", "N", arguments, ['golden(outputs["X"], "X")'], needs_recording=False)
    assert (
        str(text)
        == '''"""What it gave.

Its values lie beside this file. If a new output is right: pytest --update-golden
"""

from graphengine.testing.calling import Many
from graphengine.testing.recorded import NOT_EVALUATED


def test_n_1_gives_what_was_recorded(run_node, golden):
    outputs = run_node(
        "N",
        a=1,
        **{
            "mode.x": Many(1, 2),  # FLOAT
            "class": NOT_EVALUATED,
        },
    )
    golden(outputs["X"], "X")
'''
    )


def test_a_comment_that_does_not_fit_stands_above() -> None:
    arguments = [
        Argument("image", 'recording.input("image")', "made again by node 1234567890 (ALoaderOfALongName)")
    ]
    lines = str(TestText("x", "n", "N", arguments, ["pass"], needs_recording=True)).splitlines()
    assert lines[12:14] == [
        "        # made again by node 1234567890 (ALoaderOfALongName)",
        '        image=recording.input("image"),',
    ]
    assert all(len(line) <= 88 for line in lines)


def test_a_title_cannot_end_the_docstring() -> None:
    text = str(TestText('a """ b \\ \n c', "n", "N", [], ["assert outputs"], needs_recording=False))
    assert ast.get_docstring(ast.parse(text), clean=False) is not None
    assert text.startswith("\"\"\"a ''' b /   c\n")
