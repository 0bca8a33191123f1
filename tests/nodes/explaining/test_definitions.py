import json
import re
from pathlib import Path

import pytest

from graphengine_nodes.explaining import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS
from tests.nodes.core.described import described


def test_the_definitions_are_those_that_saved_workflows_were_made_with() -> None:
    expected = json.loads(Path(__file__).with_name("definitions.json").read_text())
    assert described(NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS) == expected


def test_every_class_has_a_title_and_a_category() -> None:
    assert NODE_DISPLAY_NAME_MAPPINGS.keys() == NODE_CLASS_MAPPINGS.keys()
    assert {node.CATEGORY.split("/")[0] for node in NODE_CLASS_MAPPINGS.values()} == {"explain"}


@pytest.mark.parametrize("name", sorted(NODE_CLASS_MAPPINGS))
def test_every_node_says_what_it_computes(name: str) -> None:
    assert len(NODE_CLASS_MAPPINGS[name].DESCRIPTION) > 30


@pytest.mark.parametrize(
    "name",
    ["ExplainVAEPosterior", "ExplainReconstruction", "ExplainKLDivergence", "ExplainELBO", "ExplainTrainMLPVAE",
     "ExplainMLPVAEReconstruct", "ExplainMLPVAELatentGrid", "ExplainTrainContrastivePair",
     "ExplainContrastiveLoss", "ExplainNoiseLevels", "ExplainForwardNoise", "ExplainGuidance", "ExplainKSampler",
     "ExplainSamplerCustom"],
)  # fmt: skip
def test_a_formula_has_its_source(name: str) -> None:
    assert re.search(r"\(?(19|20)\d\d\b", NODE_CLASS_MAPPINGS[name].DESCRIPTION)
