"""What a run says and does about packs whose requirements are missing, or whose install was killed."""

import json
import sys
from pathlib import Path

import pytest

from graphengine.cli import main
from graphengine.packs.installing.staging import Stage
from tests.packs.installing.wheels import make_pack


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a workflow of one node, and the core nodes installed."""
    info = tmp_path / "site" / "graphengine_comfy-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: graphengine-comfy\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[graphengine.nodes]\ncore = graphengine_nodes.core\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setenv("GRAPHENGINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    nodes = {"1": {"class_type": "Foo", "inputs": {"value": 3}}}
    shown = {"2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}}}
    (tmp_path / "flow.json").write_text(json.dumps(nodes | shown))
    return tmp_path


def test_a_failed_run_says_how_a_pack_gets_what_it_misses(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pack = make_pack(place / "custom_nodes" / "Foo", nodes=["Foo"], requirements="absent-one\nabsent-two>=2\n")
    start = pack / "__init__.py"
    start.write_text(f"import absent_one\n{start.read_text()}")
    assert main(["run", "flow.json", "--trust", "Foo"]) == 1
    assert "2 requirements of Foo are missing: graphengine nodes sync Foo" in capsys.readouterr().err


def test_nothing_is_said_of_packs_that_miss_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_pack(place / "custom_nodes" / "Foo", nodes=["Foo"], requirements="graphengine-comfy\n")
    assert main(["run", "flow.json", "--trust", "Foo", "--set", "1.value=no"]) != 0
    assert "missing: graphengine" not in capsys.readouterr().err


def test_a_pack_without_missing_requirements_runs_with_install_missing(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_pack(place / "custom_nodes" / "Foo", nodes=["Foo"])
    assert main(["run", "flow.json", "--trust", "Foo", "--install-missing"]) == 0
    assert "node 2 (PreviewAny): 3" in capsys.readouterr().out
    assert "absent_one" not in sys.modules


def test_the_next_command_undoes_a_killed_install(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    custom_nodes = place / "custom_nodes"
    make_pack(custom_nodes / "Foo", nodes=["Foo"])
    folder = custom_nodes / ".graphengine" / "stage-1"
    folder.mkdir(parents=True)
    Stage(custom_nodes, folder).take_out("Foo")
    assert main(["run", "flow.json", "--trust", "Foo"]) == 0
    assert "1 install that was killed half done is undone" in capsys.readouterr().err
