import json
from pathlib import Path

from graphengine_nodes.video import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS
from tests.nodes.core.described import described


def test_the_definitions_are_those_that_saved_workflows_were_made_with() -> None:
    expected = json.loads(Path(__file__).with_name("definitions.json").read_text())
    assert described(NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS) == expected


def test_every_class_has_a_title() -> None:
    assert NODE_DISPLAY_NAME_MAPPINGS.keys() == NODE_CLASS_MAPPINGS.keys()
