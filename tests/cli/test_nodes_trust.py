import json
from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine


@pytest.fixture
def pack(place: Path) -> Path:
    """The trial nodes, which this project does not list any more."""
    (place / "graphengine.toml").unlink()
    return place / "custom_nodes" / "trial_nodes.py"


def test_packs_are_listed_by_name_or_all(graphengine: CommandLine, place: Path, pack: Path) -> None:
    named = graphengine("nodes", "trust", "trial_nodes")
    text = (place / "graphengine.toml").read_text()
    assert (named.code, named.err) == (0, "")
    assert named.out.startswith("trial_nodes: trusted as it is now (sha256:")
    assert text.startswith('[packs.trial_nodes]\ntrusted = "sha256:')
    every = graphengine("nodes", "trust", "--all", "--json")
    assert list(json.loads(every.out)["packs"]) == ["trial_nodes"]
    assert (place / "graphengine.toml").read_text() == text
    assert graphengine("nodes", "trust", "--remove", "trial_nodes").code == 0
    assert (place / "graphengine.toml").read_text() == "[packs.trial_nodes]\n"


def test_a_run_names_the_command_that_trusts_a_pack(graphengine: CommandLine, place: Path, pack: Path) -> None:
    flow = place / "flow.json"
    flow.write_text(json.dumps({"1": {"class_type": "TrialSave", "inputs": {}}}))
    done = graphengine("run", str(flow))
    assert done.code == 1
    assert "[untrusted_pack]" in done.err
    assert "graphengine nodes trust trial_nodes" in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ([], 2, "which packs are meant?"),
        (["--all", "trial_nodes"], 2, "which packs are meant?"),
        (["trail_nodes"], 1, "did you mean 'trial_nodes'?"),
        (["--remove", "trial_nodes"], 1, "does not list pack 'trial_nodes'"),
    ],
)
def test_packs_that_are_not_there_are_named(
    graphengine: CommandLine, pack: Path, arguments: list[str], code: int, told: str
) -> None:
    done = graphengine("nodes", "trust", *arguments)
    assert done.code == code
    assert told in done.err
