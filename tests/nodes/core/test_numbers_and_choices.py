import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.errors import GraphEngineError
from graphengine_nodes.core.choice_nodes import CustomCombo, JsonExtractString
from graphengine_nodes.core.expressions import evaluate
from graphengine_nodes.core.number_nodes import ComfyMathExpression, ComfyNumberConvert, ResolutionSelector


@pytest.mark.parametrize(
    ("expression", "values", "expected"),
    [
        ("max(((a + 15) // 16) * 16, 256)", {"a": 1000}, 1008),
        ("max(5, round(a * 24)) + (5 - (max(5, round(a * 24)) % 17)) % 17", {"a": 4}, 107),
        ("a & -8", {"a": 1023}, 1016),
        ("ceil(1.5 * log2(max(a, b))) + 2", {"a": 512, "b": 1024}, 17),
        ("a % b if b > 0 else 0", {"a": 7, "b": 0}, 0),
        ("a % b if b > 0 else 0", {"a": 7, "b": 4}, 3),
        ("sum(values) / 2", {"a": 3, "b": 4}, 3.5),
        ("1 < a <= 3 and not b", {"a": 3, "b": False}, True),
        ("0 or a", {"a": 5}, 5),
        ("b and 1 / b", {"b": 0}, 0),
        ("~a ^ 1 | 8 << 2 >> 1", {"a": 0}, ~0 ^ 1 | 8 << 2 >> 1),
        ("-2 ** 2 + +3", {}, -1),
        ("pow(2, 10)", {}, 1024),
        ("  a\n + 1 ", {"a": 1}, 2),
        ("true_width if a else 2", {"a": 0}, 2),
    ],
)
def test_formulas_are_computed_as_python_computes_them(
    expression: str, values: dict[str, float], expected: float
) -> None:
    assert evaluate(expression, values) == expected


@given(st.integers(-100, 100), st.integers(-100, 100), st.floats(-10, 10))
def test_operators_have_pythons_precedence(a: int, b: int, c: float) -> None:
    found = evaluate("a + b * c - (a - b) * 2 if a >= b or c < 0 else -a", {"a": a, "b": b, "c": c})
    assert found == (a + b * c - (a - b) * 2 if a >= b or c < 0 else -a)


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        (" ", "the expression is empty"),
        ("a +", "cannot be computed: invalid syntax"),
        ("x + 1", "'x' is not known; there are values, a"),
        ("__import__('os')", "is not allowed"),
        ("a.real", "'a.real' is not allowed"),
        ("[1 for _ in values]", "is not allowed"),
        ("(lambda: 1)()", "is not allowed"),
        ("'text'", "is not allowed"),
        ("round(a, ndigits=1)", "is not allowed"),
        ("a in values", "is not allowed"),
        ("a @ a", "this operator is not allowed"),
        ("values", "which is no finite number"),
        ("values * 10 ** 9", "a list stands where a number is needed"),
        ("1 / 0", "division by zero"),
        ("sqrt(-1)", "math domain error"),
        ("9 ** 9 ** 9", "the number would be too large"),
        ("pow(9, 99999)", "the number would be too large"),
        ("1 << 99999", "the number would be too large"),
        ("1e308 * 10", "which is no finite number"),
        ("(" * 300 + "1" + ")" * 300, "cannot be computed: too many nested parentheses"),
        ("-" * 200 + "1", "nested 201 levels deep"),
        ("1 + " * 3000 + "1", "at most 4096 are allowed"),
        ("(-8) ** 0.5", "which is no finite number"),
    ],
)
def test_what_is_no_formula_is_refused_with_the_reason(expression: str, why: str) -> None:
    with pytest.raises(GraphEngineError) as error:
        evaluate(expression, {"a": 2})
    assert why in str(error.value)


@pytest.mark.parametrize(
    ("value", "expected"), [(2.9, (2.9, 2, True)), (-0.5, (-0.5, 0, True)), (0, (0.0, 0, False))]
)
def test_the_node_gives_three_kinds_of_result(value: float, expected: tuple[float, int, bool]) -> None:
    result = ComfyMathExpression().compute("a", {"a": value})
    assert result == expected
    assert [type(part) for part in result] == [float, int, bool]


def test_a_number_too_large_for_a_float_is_refused() -> None:
    with pytest.raises(GraphEngineError, match="a whole number of 1025 digits is too large"):
        ComfyMathExpression().compute("10 ** 1024", {"a": 1})


@pytest.mark.parametrize(
    ("value", "expected"),
    [(True, (1.0, 1)), (7, (7.0, 7)), (-2.7, (-2.7, -2)), (" 3.9 ", (3.9, 3)), ("12345678901234567", None)],
)
def test_numbers_are_read_from_anything(value: Any, expected: tuple[float, int] | None) -> None:
    assert ComfyNumberConvert().convert(value) == (expected or (float(value), 12345678901234567))


@pytest.mark.parametrize("value", ["", "two", "nan", "inf", math.inf, None])
def test_what_is_no_number_is_named(value: Any) -> None:
    with pytest.raises(GraphEngineError, match="input 'value' is"):
        ComfyNumberConvert().convert(value)


@pytest.mark.parametrize(
    ("ratio", "megapixels", "multiple", "expected"),
    [
        ("1:1 (Square)", 1.0, 8, (1024, 1024)),
        ("16:9 (Widescreen)", 1.0, 8, (1368, 768)),
        ("9:16 (Portrait Widescreen)", 1.0, 16, (768, 1360)),
        ("21:9 (Ultrawide)", 0.1, 128, (512, 256)),
    ],
)
def test_sides_are_the_nearest_multiples(
    ratio: str, megapixels: float, multiple: int, expected: tuple[int, int]
) -> None:
    assert ResolutionSelector().select(ratio, megapixels, multiple) == expected


def test_a_list_of_ones_own_hands_on_the_choice() -> None:
    assert CustomCombo().choose("Turbo", 2, option1="Quality", option2="Default") == ("Turbo", 2)
    assert CustomCombo.VALIDATE_INPUTS("anything")


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ('{"mu": 0.5, "s": "x"}', "s", "x"),
        ('{"mu": 0.5, "s": "x"}', "mu", "0.5"),
        ('Sure! {not this} ```json\n{"a": {"b": [1]}}\n``` done', "a", "{'b': [1]}"),
        ('{"a": null}', "a", ""),
        ('{"a": true}', "a", "True"),
        ('{"a": 1}', "b", ""),
        ("no object", "a", ""),
        ('[{"a": 1}]', "a", "1"),
        ("{" * 100_000, "a", ""),
        ('{"a":' * 5000, "a", ""),
    ],
)
def test_the_first_object_of_a_text_is_asked(text: str, key: str, expected: str) -> None:
    assert JsonExtractString().extract(text, key) == (expected,)
