"""`graphengine lock`, `run --locked` and `restore` as commands."""

import json
import os
from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine, trust_packs_in

PACK = """
class SmallNode:
    RETURN_TYPES = ("STRING",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"count": ("INT", {"default": 1}), "model": ("STRING", {})}}

    def run(self, count, model):
        return (f"{count} of {model}",)

NODE_CLASS_MAPPINGS = {"SmallNode": SmallNode}
"""
FLOW = {
    "1": {"class_type": "SmallNode", "inputs": {"count": 1, "model": "style.safetensors"}},
    "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
}


@pytest.fixture
def flow(place: Path) -> Path:
    """A workflow with a trusted pack and a model, nothing locked."""
    (place / "custom_nodes").unlink()
    for name, text in (
        ("custom_nodes/small/__init__.py", PACK),
        ("models/checkpoints/style.safetensors", "weights"),
        ("models/checkpoints/other.safetensors", "others"),
        ("workflows/flow.json", json.dumps(FLOW)),
    ):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    trust_packs_in(place / "custom_nodes")
    return place / "workflows" / "flow.json"


def test_a_locked_workflow_runs_until_something_differs(graphengine: CommandLine, flow: Path, place: Path) -> None:
    locked = graphengine("lock", "--offline")
    assert locked.code == 0
    assert "what SmallNode takes is not known here" in locked.err
    assert locked.out == "1 workflow, 2 packs, 1 package, 1 model locked in graphengine.lock\n"
    assert graphengine("run", str(flow), "--locked", "--quiet").code == 0
    (place / "models/checkpoints/style.safetensors").write_text("weighty")
    (place / "custom_nodes/small/more.py").write_text("MORE = 1\n")
    refused = graphengine("run", str(flow), "--locked", "--trust", "small")
    assert refused.code == 1
    assert "pack 'small' is other code than the lock says: new more.py [locked_pack]" in refused.err
    assert "model checkpoints/style.safetensors has the SHA-256 " in refused.err
    assert "error: 2 things differ from graphengine.lock" in refused.err
    assert not list((place / "custom_nodes/small").glob("__pycache__/more*"))


def test_a_run_that_is_refused_says_so_as_json(graphengine: CommandLine, flow: Path) -> None:
    graphengine("lock", "--offline")
    flow.write_text(flow.read_text().replace("1", "2", 1))
    refused = graphengine("run", str(flow), "--locked", "--json")
    assert refused.code == 1
    told = json.loads(refused.out)
    assert [problem["code"] for problem in told["error"]["problems"]] == ["locked_workflow"]


def test_what_the_command_line_sets_must_be_locked_too(graphengine: CommandLine, flow: Path) -> None:
    graphengine("lock", "--offline")
    assert graphengine("run", str(flow), "--locked", "--quiet", "--set", "1.count=5").code == 0
    refused = graphengine("run", str(flow), "--locked", "--set", "1.model=other.safetensors")
    assert refused.code == 1
    assert "model checkpoints/other.safetensors is used and not in the lock" in refused.err


def test_a_run_needs_a_lock_that_can_be_read(graphengine: CommandLine, flow: Path, place: Path) -> None:
    missing = graphengine("run", str(flow), "--locked")
    assert (missing.code, "there is no lock" in missing.err) == (1, True)
    graphengine("lock", "--offline")
    lock = place / "graphengine.lock"
    lock.write_bytes(lock.read_bytes()[:-30])
    for words in (["run", str(flow), "--locked"], ["lock", "--check"], ["lock"], ["restore"]):
        refused = graphengine(*words)
        assert (refused.code, "was cut off" in refused.err) == (1, True)
    assert graphengine("run", str(flow), "--locked", "--install-missing").code == 2


def test_check_tells_all_that_differs(graphengine: CommandLine, flow: Path, place: Path) -> None:
    graphengine("lock", "--offline")
    fine = graphengine("lock", "--check")
    assert (fine.code, fine.out) == (0, "all as graphengine.lock says: 1 workflow, 2 packs, 1 package, 1 model\n")
    (place / "models/checkpoints/style.safetensors").unlink()
    flow.write_text("{}")
    checked = graphengine("lock", "--check", "--json")
    told = json.loads(checked.out)
    assert (checked.code, told["ok"]) == (1, False)
    assert [problem["code"] for problem in told["problems"]] == ["locked_workflow", "locked_model"]
    assert graphengine("lock", "--check").out == "2 differences from graphengine.lock\n"


def test_locking_again_tells_what_changed(graphengine: CommandLine, flow: Path, place: Path) -> None:
    graphengine("lock", "--offline")
    again = graphengine("lock", "--offline")
    assert again.out.endswith("1 model already in graphengine.lock\n")
    (place / "models/checkpoints/style.safetensors").write_text("weighty")
    (place / "workflows/more.json").write_text(
        json.dumps({"1": {"class_type": "PreviewAny", "inputs": {"source": "x"}}})
    )
    told = json.loads(graphengine("lock", "--offline", "--json", str(place / "workflows/more.json")).out)
    assert told["written"] is True
    assert told["changes"] == [
        "changed model checkpoints/style.safetensors: sha256",
        "added workflow workflows/more.json",
    ]
    (place / "workflows/more.json").unlink()
    assert "removed workflow workflows/more.json\n" in graphengine("lock", "--offline").out


def test_nothing_to_lock_is_told(graphengine: CommandLine, place: Path) -> None:
    done = graphengine("lock")
    assert (done.code, "there is nothing to lock" in done.err) == (1, True)
    for words in (
        ["--check", "flow.json"],
        ["--upgrade", "small", "flow.json"],
        ["--check", "--upgrade", "small"],
    ):
        assert graphengine("lock", *words).code == 2


def test_a_pack_is_taken_in_alone(graphengine: CommandLine, flow: Path, place: Path) -> None:
    graphengine("lock", "--offline")
    (place / "custom_nodes/small/more.py").write_text("MORE = 1\n")
    (place / "models/checkpoints/style.safetensors").write_text("weighty")
    done = graphengine("lock", "--offline", "--upgrade", "small")
    assert "changed pack small: content, files\n" in done.out
    assert [line for line in done.out.splitlines() if "model check" in line] == []
    assert "checkpoints/style.safetensors" in graphengine("lock", "--check").err


def test_packages_without_hashes_are_told(graphengine: CommandLine, flow: Path, tmp_path: Path) -> None:
    info = next(tmp_path.glob("site/*/METADATA"))
    info.write_text(info.read_text() + "Requires-Dist: typing-extensions\n")
    told = graphengine("lock", "--offline").err
    assert "1 package without hashes of files (typing-extensions): no index was asked (--offline)" in told


@pytest.fixture
def elsewhere(graphengine: CommandLine, flow: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another folder with the workflow, the pack and the lock; the model is missing."""
    graphengine("lock", "--offline")
    other = place.with_name("other")
    for name in ("workflows", "custom_nodes", "graphengine.lock"):
        other.mkdir(exist_ok=True)
        os.rename(place / name, other / name)
    monkeypatch.chdir(other)
    return other


def test_restore_tells_first_and_does_it_when_asked(
    graphengine: CommandLine, elsewhere: Path, place: Path
) -> None:
    model = elsewhere / "models/checkpoints/style.safetensors"
    line = f"link model checkpoints/style.safetensors (7 bytes) to {place}/models/checkpoints/style.safetensors\n"
    dry = graphengine("restore", "--dry-run", "--models", str(place / "models"))
    assert (dry.code, dry.out, model.exists()) == (0, line, False)
    unasked = graphengine("restore", "--models", str(place / "models"))
    assert (unasked.code, "add --yes" in unasked.err, model.exists()) == (1, True, False)
    done = graphengine("restore", "--yes", "--models", str(place / "models"))
    assert (done.code, done.out, model.read_text()) == (0, f"{line}restored\n", "weights")
    assert graphengine("restore").out.startswith("nothing is missing: ")
    assert graphengine("lock", "--check").code == 0


def test_restore_tells_what_it_cannot_bring(graphengine: CommandLine, elsewhere: Path) -> None:
    done = graphengine("restore", "--yes", "--json")
    told = json.loads(done.out)
    assert (done.code, told["done"], told["ok"], told["steps"]) == (1, False, False, [])
    assert [problem["code"] for problem in told["problems"]] == ["not_restorable"]


def test_restore_refuses_a_folder_that_is_not_there(graphengine: CommandLine, elsewhere: Path) -> None:
    assert graphengine("restore", "--models", "nowhere").code == 2
    assert graphengine("restore", "--tool", "uv").code == 2
