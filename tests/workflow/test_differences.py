"""What is told when the two documents of a file say different things."""

import json
from typing import Any

import pytest

from graphengine.errors import Problem
from graphengine.node.definition import InputSpec
from graphengine.workflow.formats import DocumentKind, read_document, to_workflow
from tests.workflow.ui_documents import KNOWN, definition, definitions, document, node

ENCODE = {"class_type": "Encode", "inputs": {"text": "cat"}}


def differences(api: dict[str, Any], *nodes: dict[str, Any]) -> tuple[Problem, ...]:
    found = read_document(json.dumps({"prompt": api, "workflow": document(nodes)}).encode())
    of_api = to_workflow(found, KNOWN).problems
    of_ui = to_workflow(found, KNOWN, DocumentKind.UI).problems
    assert [each for each in of_ui if each.code == "documents_differ"] == [*of_api]
    return of_api


def told(api: dict[str, Any], *nodes: dict[str, Any]) -> str:
    (problem,) = differences(api, *nodes)
    assert (problem.code, problem.severity) == ("documents_differ", "warning")
    return problem.message.removeprefix("the file's API document and the editor's differ: ")


def test_documents_that_say_the_same_are_not_mentioned() -> None:
    assert differences({"1": ENCODE}, node(1, "Encode", values=["cat"])) == ()


def test_another_value_is_named_by_its_input() -> None:
    assert told({"1": ENCODE}, node(1, "Encode", values=["dog"])) == "node 1 (Encode): input 'text'"


def test_another_class_is_named() -> None:
    drawn = node(1, "Encode", values=["cat"])
    assert (
        told({"1": {"class_type": "Decode"}}, drawn)
        == "node 1 (Decode) is of class Encode in the editor's document"
    )


def test_a_node_in_one_document_alone_is_named() -> None:
    first, third = node(1, "Encode", values=["cat"]), node(3, "Encode", values=["x"])
    assert told({"1": ENCODE, "2": ENCODE}, first) == "node 2 (Encode) is in the API document only"
    assert told({"1": ENCODE}, first, third) == "node 3 (Encode) is in the editor's document only"


def test_of_many_differences_the_first_are_named() -> None:
    ran = {str(index): ENCODE for index in range(1, 6)}
    assert told(ran, *(node(index, "Encode", values=["dog"]) for index in range(1, 6))) == (
        "node 1 (Encode): input 'text'; node 2 (Encode): input 'text'; node 3 (Encode): input 'text'; and more"
    )


def test_a_text_that_the_editor_fills_in_is_no_difference() -> None:
    assert differences({"1": ENCODE}, node(1, "Encode", values=["%date:yyyy%"])) == ()


def test_values_of_unknown_classes_are_not_compared() -> None:
    assert differences({"1": {"class_type": "Odd", "inputs": {"a": 1}}}, node(1, "Odd", values=["cat"])) == ()


@pytest.mark.parametrize(("amount", "is_told"), [(1.0, False), (0.5, True)])
def test_an_input_that_ran_without_is_told_unless_it_has_its_first_value(amount: float, is_told: bool) -> None:
    spec = InputSpec("amount", "FLOAT", options={"default": 1.0})
    document_ = {"prompt": {"1": {"class_type": "Blur"}}, "workflow": document([node(1, "Blur", values=[amount])])}
    known = definitions(definition("Blur", amount=spec))
    problems = to_workflow(read_document(json.dumps(document_).encode()), known).problems
    assert [each.code for each in problems] == ["documents_differ"] * is_told
