"""`graphengine bisect`: between runs, between commits, and commits with packs of their own."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import CommandLine

NODES = Path(__file__).parents[2] / "nodes"
PACK = """
class Half:
    RETURN_TYPES = ("STRING",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {})}}

    def run(self, text):
        return (text[: len(text) // 2],)


class Keep:
    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {})}}

    def run(self, text):
        return {"ui": {"text": [text]}}


NODE_CLASS_MAPPINGS = {"Half": Half, "Keep": Keep}
"""


def document(text: str, title: str = "Text") -> str:
    return json.dumps(
        {
            "1": {"class_type": "PrimitiveString", "inputs": {"value": text}, "_meta": {"title": title}},
            "2": {"class_type": "TrialSave", "inputs": {"text": ["1", 0]}},
        }
    )


def test_the_parameter_that_changed_an_output_is_told(graphengine: CommandLine, place: Path) -> None:
    (place / "flow.json").write_text(document("hello"))
    graphengine("run", "flow.json", "--quiet")
    graphengine("run", "flow.json", "--quiet", "--set", "1.value=hullo")
    done = graphengine("bisect", "@2", "@1", "--device", "cpu")
    assert done.code == 0
    assert done.out.splitlines()[1:3] == [
        "changed by this:",
        "  node 1 (PrimitiveString): value: 'hello' → 'hullo'",
    ]
    assert "trial 1: node 1 (PrimitiveString): value: 'hello' → 'hullo': bad, 1 difference left" in done.err
    told = json.loads(graphengine("bisect", "@2", "@1", "--json", "--device", "cpu").out)
    assert told["causes"][0][0]["node_id"] == "1"


def test_runs_that_are_not_there_or_the_same_are_told(graphengine: CommandLine, place: Path) -> None:
    (place / "flow.json").write_text(document("hello"))
    graphengine("run", "flow.json", "--quiet")
    graphengine("run", "flow.json", "--quiet")
    done = graphengine("bisect", "@2", "@1", "--device", "cpu")
    assert (done.code, "both runs gave the same" in done.err) == (1, True)
    done = graphengine("bisect", "v1", "v2")
    assert (done.code, "for commits name the workflow file as well: GOOD BAD FILE" in done.err) == (2, True)
    assert graphengine("bisect", "@2", "@1", "--metric", "'").code == 2


@pytest.fixture
def repository(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "Tester")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "tester@example.org")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    git(place, "init", "-q", "-b", "main")
    return place


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(folder: Path, message: str, **files: str) -> None:
    for name, content in files.items():
        file = name.replace("_json", ".json")
        (folder / file).write_text(content)
        git(folder, "add", file)
    git(folder, "commit", "-qm", message)


def test_the_commit_that_changed_an_output_is_found(graphengine: CommandLine, repository: Path) -> None:
    commit(repository, "start", flow_json=document("hello"))
    git(repository, "tag", "v1")
    commit(repository, "a title", flow_json=document("hello", "Greeting"))
    commit(repository, "broken", flow_json="{")
    commit(repository, "the culprit", flow_json=document("hullo", "Greeting"))
    commit(repository, "another title", flow_json=document("hullo", "Word"))
    (repository / "flow.json").write_text("edited")
    before = git(repository, "status", "--porcelain")
    done = graphengine("bisect", "v1", "HEAD", "flow.json", "--device", "cpu")
    assert done.code == 0
    assert done.out.splitlines()[0].endswith("the culprit")
    assert "4 commits between" in done.err
    assert git(repository, "status", "--porcelain") == before
    assert (repository / "flow.json").read_text() == "edited"
    told: dict[str, Any] = json.loads(graphengine("bisect", "v1", "HEAD", "flow.json", "--json").out)
    assert told["first_bad"]["subject"] == "the culprit"


def test_commits_that_give_the_same_are_told(graphengine: CommandLine, repository: Path) -> None:
    commit(repository, "start", flow_json=document("hello"))
    commit(repository, "a title", flow_json=document("hello", "Greeting"))
    done = graphengine("bisect", "HEAD~1", "HEAD", "flow.json", "--device", "cpu")
    assert (done.code, "both commits give the same" in done.err) == (1, True)
    done = graphengine("bisect", "HEAD", "HEAD", "flow.json", "--device", "cpu")
    assert "no commit between them touches" in done.err
    done = graphengine("bisect", "nope", "HEAD", "flow.json")
    assert (done.code, "'nope' is no commit here" in done.err) == (2, True)


def test_each_commit_runs_with_its_own_packs(
    graphengine: CommandLine, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the processes that run commits are to know the core nodes alone, as this one does
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), str(NODES)]))
    (repository / "custom_nodes").unlink()
    halves = {
        "1": {"class_type": "Half", "inputs": {"text": "hello"}},
        "2": {"class_type": "Keep", "inputs": {"text": ["1", 0]}},
    }
    commit(repository, "a workflow", flow_json=json.dumps(halves))
    pack = repository / "custom_nodes" / "halving" / "__init__.py"
    pack.parent.mkdir(parents=True)
    other = PACK.replace("// 2", "// 3")
    for message, code in (("start", PACK), ("a comment", f"# nothing\n{PACK}"), ("the culprit", other)):
        pack.write_text(code)
        assert graphengine("nodes", "trust", "halving").code == 0
        git(repository, "add", "custom_nodes/halving", "graphengine.toml")
        git(repository, "commit", "-qm", message)
    before = {path: path.read_bytes() for path in repository.rglob("*.py")}
    done = graphengine("bisect", "HEAD~2", "HEAD", "flow.json", "--device", "cpu")
    assert (done.code, done.out.splitlines()[0][-11:]) == (0, "the culprit")
    assert "a comment: good, 0 commits left" in done.err
    assert {path: path.read_bytes() for path in repository.rglob("*.py")} == before
