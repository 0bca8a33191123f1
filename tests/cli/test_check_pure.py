"""`graphengine run --check-pure`: what it says of each node, and how it ends."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from graphengine.cli.check_pure import PurityReport
from tests.cli.conftest import CommandLine, trust_packs_in

PACK = '''
import random


class TrialDice:
    """A number from 0 to 1000, other each time."""
    RETURN_TYPES, FUNCTION, CATEGORY = ("FLOAT",), "roll", "trial"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"faces": ("INT", {"default": 6})}}

    def roll(self, faces):
        return (500 + random.random() / 1000,)


class TrialModel:
    RETURN_TYPES, FUNCTION, CATEGORY = ("MODEL",), "load", "trial"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def load(self):
        return (object(),)


class TrialChoice(TrialDice):
    NOT_IDEMPOTENT = True


NODE_CLASS_MAPPINGS = {"TrialDice": TrialDice, "TrialModel": TrialModel, "TrialChoice": TrialChoice}
'''


@pytest.fixture
def packs(place: Path) -> str:
    """A folder with a pack of nodes that are not pure."""
    (place / "packs").mkdir()
    (place / "packs" / "dice_nodes.py").write_text(PACK)
    trust_packs_in(place / "packs")
    return "packs"


def flow(place: Path, class_type: str, **inputs: Any) -> str:
    """A workflow that shows what a node gives, and a text."""
    nodes = {
        "1": {"class_type": class_type, "inputs": inputs, "_meta": {"title": "Source"}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    }
    (place / "flow.json").write_text(json.dumps(nodes))
    return "flow.json"


def test_pure_nodes_are_counted(graphengine: CommandLine, place: Path) -> None:
    done = graphengine("run", flow(place, "PrimitiveInt", value=5), "--check-pure")
    assert done.code == 0
    assert done.out.splitlines() == ["2 nodes checked: 2 pure"]


def test_nothing_is_taken_from_the_cache(graphengine: CommandLine, place: Path) -> None:
    graphengine("run", flow(place, "PrimitiveInt", value=5))
    assert graphengine("run", "flow.json", "--check-pure").out.splitlines() == ["2 nodes checked: 2 pure"]


def test_a_node_that_gives_other_values_is_named(graphengine: CommandLine, place: Path, packs: str) -> None:
    done = graphengine("run", flow(place, "TrialDice", faces=6), "--check-pure", "--custom-nodes", packs)
    assert done.code == 1
    lines = done.out.splitlines()
    assert lines[0] == "node 1 (TrialDice): impure"
    assert lines[1].startswith("  output 0 (FLOAT) is 500.0")
    assert lines[-1] == "2 nodes checked: 1 pure, 1 impure"


def test_a_tolerance_lets_numbers_differ(graphengine: CommandLine, place: Path, packs: str) -> None:
    source = flow(place, "TrialDice", faces=6)
    options = ("--check-pure", "--custom-nodes", packs, "--pure-tolerance")
    assert graphengine("run", source, *options, "0.01").code == 0
    assert graphengine("run", source, *options, "1e-12").code == 1


def test_json_tells_of_every_node(graphengine: CommandLine, place: Path, packs: str) -> None:
    done = graphengine(
        "run", flow(place, "TrialChoice", faces=6), "--check-pure", "--custom-nodes", packs, "--json"
    )
    assert done.code == 0
    report = TypeAdapter(PurityReport).validate_json(done.out, strict=True)
    assert (report["status"], report["tolerance"]) == ("pure", 0.0)
    assert report["nodes"][0] == {
        "node_id": "1",
        "class_type": "TrialChoice",
        "title": "Source",
        "verdict": "exempt",
        "reasons": ["it says that it is not idempotent"],
    }


def test_what_cannot_be_compared_is_told(graphengine: CommandLine, place: Path, packs: str) -> None:
    source = flow(place, "TrialModel")
    done = graphengine("run", source, "--check-pure", "--custom-nodes", packs, "--target", "1")
    assert done.code == 0
    assert done.out.splitlines() == [
        "node 1 (TrialModel): not compared",
        "  not compared: output 0 (MODEL), object",
        "1 node checked: 1 not compared",
    ]
    quiet = graphengine("run", source, "--check-pure", "--custom-nodes", packs, "--target", "1", "--quiet")
    assert (quiet.out, quiet.err) == ("", "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--pure-tolerance", "0.1"], "it needs --check-pure"),
        (["--check-pure", "--sweep", "value=1"], "it does not go with --sweep"),
        (["--check-pure", "--jobs", "2"], "it does not go with --jobs"),
        (["--check-pure", "--node-timeout", "2"], "it does not go with --node-timeout"),
    ],
)
def test_what_does_not_go_together_is_refused(
    graphengine: CommandLine, place: Path, options: list[str], message: str
) -> None:
    done = graphengine("run", flow(place, "PrimitiveInt", value=5), *options)
    assert done.code == 2
    assert message in " ".join(done.err.split())


def test_a_node_that_fails_ends_the_check(graphengine: CommandLine, place: Path) -> None:
    (place / "flow.json").write_text(
        json.dumps({"1": {"class_type": "TrialFailure", "inputs": {"message": "ouch"}}})
    )
    done = graphengine("run", "flow.json", "--check-pure")
    assert done.code == 1
    assert "error: node 1 (TrialFailure): ValueError: ouch" in done.err
