"""Reading JSON from strangers."""

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.errors import WorkflowFormatError
from graphengine.workflow import json_input
from graphengine.workflow.documents import document_from_json
from graphengine.workflow.json_input import MAX_DEPTH, parse_json
from tests.workflow.properties import PATIENT

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text('a"\\[]{}é'),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('b"\\[]{}'), inner, max_size=4),
    max_leaves=20,
)


def refusal(data: bytes) -> WorkflowFormatError:
    with pytest.raises(WorkflowFormatError) as caught:
        parse_json(data)
    return caught.value


@PATIENT
@given(VALUES)
def test_what_json_can_say_is_read_as_it_is(value: object) -> None:
    assert parse_json(json.dumps(value).encode()).value == value
    assert parse_json(json.dumps(value, ensure_ascii=False, indent=1).encode()).value == value


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert parse_json(b"\xef\xbb\xbf[1]").value == [1]


@pytest.mark.parametrize("data", [b"", b" \n\t", b"\xef\xbb\xbf"])
def test_an_empty_file_is_called_empty(data: bytes) -> None:
    assert refusal(data).message == "the file is empty"


def test_broken_json_names_line_and_column() -> None:
    assert "at line 2, column 1" in refusal(b'{"a": 1,\n').message


def test_text_that_is_not_utf8_names_the_byte() -> None:
    assert refusal(b'{"a": "\xe9"}').message == "the file is not UTF-8 text: byte 7 does not fit"


def test_utf16_text_is_recognised() -> None:
    error = refusal('{"a": 1}'.encode("utf-16"))
    assert (error.message, error.hint) == ("the file is UTF-16 text", "save it as UTF-8")


def test_nesting_is_read_up_to_the_limit() -> None:
    value = parse_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH).value
    assert isinstance(value, list)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"\\"a":'])
def test_nesting_10000_deep_is_refused_before_it_is_parsed(opening: bytes) -> None:
    assert "nested" in refusal(opening * 10_000).message
    assert refusal(b"[" * 10_000 + b"]" * 10_000).message.startswith("the JSON is nested 10000 deep")


def test_brackets_in_texts_are_no_nesting() -> None:
    text = '[{"' * 500 + "\\"
    assert parse_json(json.dumps([text, text]).encode()).value == [text, text]


def test_a_text_over_the_size_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_input, "MAX_BYTES", 2 * 2**20)
    error = refusal(b" " * 5 * 2**20)
    assert error.message == "the file is too large for a workflow: it has 5 MiB, and at most 2 MiB are read"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" * 400 + ".0"])
def test_a_number_that_is_not_finite_is_refused_by_place(number: str) -> None:
    error = refusal(f'{{"3": {{"inputs": {{"steps": 1, "cfg": [0.5, {number}]}}}}}}'.encode())
    assert error.message.startswith("3.inputs.cfg.1: ")
    assert error.message.endswith("is not a finite number")


def test_an_integer_of_thousands_of_digits_is_refused() -> None:
    error = refusal(b"[1,\n " + b"1" * 5000 + b"]")
    assert error.message == "the integer at line 2, column 2 has more than 4,300 digits"


def test_a_fingerprint_of_nan_as_comfyui_saves_it_is_emptied() -> None:
    parsed = parse_json(b'{"3": {"class_type": "A", "is_changed": [NaN]}}')
    assert parsed.value == {"3": {"class_type": "A", "is_changed": None}}


def test_half_of_a_surrogate_pair_is_refused_by_place() -> None:
    assert refusal(b'{"3": {"text": "\\ud800"}}').message.startswith("3.text: the text holds half")
    assert refusal(b'{"3": {"\\ud800": 1}}').message.startswith("3.(key): the text holds half")
    assert parse_json(b'["\\ud83d\\ude00"]').value == ["\U0001f600"]


def test_of_a_key_that_stands_twice_the_last_counts_and_is_told() -> None:
    parsed = parse_json(b'{"a": 1, "b": 2, "a": 3}')
    assert (parsed.value, parsed.repeated_keys) == ({"a": 3, "b": 2}, ("a",))


def test_a_key_that_stands_twice_is_told_with_its_place() -> None:
    assert parse_json(b'[{"3": {"inputs": {"seed": 1, "seed": 2}}}]').repeated_keys == ("0.3.inputs.seed",)
    assert parse_json(b'{"a": {"b": 1, "b": 2}, "a": 3}').repeated_keys == ("a", "b")


def test_more_values_than_the_limit_are_refused_before_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_input, "MAX_VALUES", 9)
    assert parse_json(b"[1, 2, 3, 4]").value == [1, 2, 3, 4]
    assert refusal(b"[{},{},{},{},{}]").message == "the JSON holds more than 9 values"


def test_of_many_repeated_keys_the_first_are_told() -> None:
    twice = ", ".join(f'"{index}": 0' for index in range(30))
    assert parse_json(f"{{{twice}, {twice}}}".encode()).repeated_keys == tuple(map(str, range(20)))


@pytest.mark.parametrize(
    "data",
    [
        b'{"nodes": [{"type": "a"}' + b", {}" * 300_000 + b"]}",
        b'{"nodes": [], "links": [' + b"{}, " * 300_000 + b"{}]}",
        b'{"a": {"class_type": "x"}, ' + b", ".join(b'"%d": {}' % index for index in range(200_000)) + b"}",
    ],
    ids=["nodes", "links", "api"],
)
def test_a_document_of_nothing_but_faults_is_refused_for_the_first(data: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(WorkflowFormatError):
            document_from_json(data)
        assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    finally:
        tracemalloc.stop()
