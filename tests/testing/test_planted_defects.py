"""Thirty planted defects are found, each by the check that is for it, and nothing is found in a good node."""

import ast
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from graphengine.testing.contract import Contract, contract_of

PACK = Path(__file__).parent / "packs" / "broken_nodes.py"


def planted() -> dict[str, str]:
    """The codes by class, read without importing the pack."""
    tree = ast.parse(PACK.read_text())
    [table] = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "DEFECTS"
    ]
    assert isinstance(table, ast.Dict)
    return {
        ast.unparse(key): ast.literal_eval(value)
        for key, value in zip(table.keys, table.values, strict=True)
        if key
    }


@pytest.fixture(scope="module")
def contract() -> Iterator[Contract]:
    with TemporaryDirectory() as folder:
        made = contract_of(Path(folder), PACK)
        with made.engine:
            yield made


def test_there_are_thirty() -> None:
    assert len(planted()) == 30


@pytest.mark.parametrize(("class_type", "code"), planted().items())
def test_a_planted_defect_is_found_and_no_other(contract: Contract, class_type: str, code: str) -> None:
    assert {finding.code for finding in contract.check(class_type).findings} == {code}


def test_nothing_is_found_in_the_node_that_they_are_made_of(contract: Contract) -> None:
    report = contract.check("Picture")
    assert report.findings == ()
    assert report.calls > 4
