"""A check is switched off with a reason, and by nothing less."""

from pathlib import Path

import pytest

from graphengine.testing.checks import switched_off
from graphengine.testing.contract import contract_of

NODES = """
class Loud:
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",)}}

    def run(self, image):
        return (image * 255.0,)


class Louder(Loud):
    GRAPHENGINE_CHECKS_OFF = {"out_of_range": "it makes pictures of high dynamic range"}


class NoReason(Loud):
    GRAPHENGINE_CHECKS_OFF = {"out_of_range": " "}


class Twice(Louder):
    GRAPHENGINE_CHECKS_OFF = {"input_types": "older workflows name both"}

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",), "way": (["a", "b", "a"],)}}

    def run(self, image, way):
        return (image * 255.0,)


NODE_CLASS_MAPPINGS = {"Loud": Loud, "Louder": Louder, "NoReason": NoReason, "Twice": Twice}
"""


def pack_with(folder: Path, checks: str) -> Path:
    pack = folder / "loud"
    pack.mkdir()
    (pack / "__init__.py").write_text(NODES)
    (pack / "pyproject.toml").write_text(checks)
    return pack


def test_a_reason_in_the_class_or_in_the_project_switches_a_check_off(tmp_path: Path) -> None:
    pack = pack_with(tmp_path, '[tool.graphengine.checks.Loud]\nout_of_range = "meant"\n')
    contract = contract_of(tmp_path / "place", pack, examples=0)
    with contract.engine:
        reports = {report.class_type: report for report in contract.check_all()}
    assert reports["Loud"].findings == ()
    assert {reason for _, reason in reports["Loud"].waived} == {"meant"}
    assert {reason for _, reason in reports["Louder"].waived} == {"it makes pictures of high dynamic range"}
    assert {finding.code for finding in reports["NoReason"].findings} == {"out_of_range", "switched_off"}


def test_a_node_whose_declaration_is_meant_to_be_odd_is_called(tmp_path: Path) -> None:
    contract = contract_of(tmp_path / "place", pack_with(tmp_path, ""), examples=0)
    with contract.engine:
        report = contract.check("Twice")
    assert report.calls > 0
    assert [finding.code for finding, _ in report.waived] == ["input_types"]
    assert {finding.code for finding in report.findings} == {"out_of_range"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[tool.graphengine.checks]\nout_of_range = ''\n", "switches out_of_range off without a reason"),
        ("[tool.graphengine.checks]\nout_of_range = true\n", "switches out_of_range off without a reason"),
        ("[tool.graphengine.checks]\nout_of_rang = 'x'\n", "names the check 'out_of_rang', which does not exist"),
        ("[tool.graphengine.checks.Loud]\nnothing = 'x'\n", "names the check 'nothing', which does not exist"),
        ("[tool.graphengine\n", "cannot be read"),
        ("tool = 3\n", "cannot be read"),
    ],
)
def test_what_is_wrong_with_switching_off_is_told(tmp_path: Path, text: str, told: str) -> None:
    [wrong] = switched_off(pack_with(tmp_path, text)).wrong
    assert told in wrong


def test_a_check_for_all_nodes_counts_for_each(tmp_path: Path) -> None:
    off = switched_off(pack_with(tmp_path, "[tool.graphengine.checks]\nnetwork = 'it asks a model'\n"))
    assert off.wrong == ()
    assert off.of("Any", object) == ({"network": "it asks a model"}, [])
