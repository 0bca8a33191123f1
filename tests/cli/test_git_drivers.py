"""Git with the drivers: merges, rebases, cherry-picks, stashes, and files that are no workflows."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import CommandLine

ROOT = Path(__file__).parents[2]
Git = Callable[..., subprocess.CompletedProcess[str]]


def flow(**changes: Any) -> str:
    """A document of three nodes; `seed`, `steps` and `text` are values in it, each far from the others."""
    values = {"seed": 1, "steps": 20, "text": "a fox", **changes}
    raw = {
        "1": {"class_type": "Text", "inputs": {"text": values["text"]}},
        "2": {
            "class_type": "Sample",
            "inputs": {"text": ["1", 0], "seed": values["seed"], "steps": values["steps"]},
        },
    }
    return json.dumps({**raw, **values.get("more", {})})


def inputs(file: Path, key: str = "2") -> dict[str, Any]:
    return dict(json.loads(file.read_text())[key]["inputs"])


@pytest.fixture
def git(place: Path, graphengine: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Git:
    """Git in a new repository with the drivers set up, and one commit."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(ROOT), str(ROOT / "nodes"))))
    for name in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"):
        monkeypatch.setenv(name, "A")
    for name in ("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "a@b.c")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)

    def run(*args: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(["git", *args], cwd=place, capture_output=True, text=True, check=False)
        assert not ok or done.returncode == 0, done.stderr + done.stdout
        return done

    run("init", "-q", "-b", "main")
    assert graphengine("git", "setup").code == 0
    (place / "flow.json").write_text(flow())
    (place / "other.json").write_text('{\n  "a": 1,\n  "b": 2,\n  "c": 3,\n  "d": 4\n}\n')
    run("add", ".gitattributes", "flow.json", "other.json")
    run("commit", "-qm", "first")
    return run


def commit(git: Git, place: Path, text: str, name: str = "flow.json") -> None:
    (place / name).write_text(text)
    git("commit", "-qam", "edit")


def branches(git: Git, place: Path, ours: str, theirs: str, name: str = "flow.json") -> None:
    git("checkout", "-qb", "side")
    commit(git, place, theirs, name)
    git("checkout", "-q", "main")
    commit(git, place, ours, name)


def test_a_merge_takes_both_edits(git: Git, place: Path) -> None:
    branches(git, place, flow(seed=5), flow(steps=30))
    git("merge", "-q", "side")
    assert inputs(place / "flow.json") == {"text": ["1", 0], "seed": 5, "steps": 30}
    assert git("status", "--porcelain", "-uno").stdout == ""


def test_a_conflict_leaves_a_valid_document_that_can_be_resolved(
    git: Git, place: Path, graphengine: CommandLine
) -> None:
    branches(git, place, flow(seed=5), flow(seed=6, steps=30))
    done = git("merge", "side", ok=False)
    assert done.returncode == 1
    assert "conflict: flow.json: node 2, seed: ours 5, theirs 6" in done.stderr + done.stdout
    assert git("status", "--porcelain", "-uno").stdout == "UU flow.json\n"
    assert inputs(place / "flow.json") == {"text": ["1", 0], "seed": 5, "steps": 30}
    assert graphengine("resolve", "flow.json", "--theirs", "2.seed").code == 0
    assert inputs(place / "flow.json")["seed"] == 6
    assert "conflicts" not in (place / "flow.json").read_text()
    git("commit", "-qam", "merged")


def test_a_rebase_and_a_cherry_pick_take_both_edits(git: Git, place: Path) -> None:
    branches(git, place, flow(seed=5), flow(steps=30))
    git("checkout", "-q", "side")
    git("rebase", "-q", "main")
    assert inputs(place / "flow.json") == {"text": ["1", 0], "seed": 5, "steps": 30}
    commit(git, place, flow(seed=5, steps=30, text="a bird"))
    git("checkout", "-q", "main")
    git("cherry-pick", "side")
    assert inputs(place / "flow.json") == {"text": ["1", 0], "seed": 5, "steps": 20}
    assert inputs(place / "flow.json", "1") == {"text": "a bird"}


def test_a_stash_comes_back_onto_other_edits(git: Git, place: Path) -> None:
    (place / "flow.json").write_text(flow(steps=30))
    git("stash", "-q")
    commit(git, place, flow(seed=5))
    git("stash", "pop", "-q")
    assert inputs(place / "flow.json") == {"text": ["1", 0], "seed": 5, "steps": 30}


def test_branches_that_cross_are_merged(git: Git, place: Path) -> None:
    branches(git, place, flow(seed=5), flow(steps=30))
    git("branch", "left", "main")
    git("branch", "right", "side")
    git("merge", "-q", "right")
    git("checkout", "-q", "side")
    git("merge", "-q", "left")
    commit(git, place, flow(seed=5, steps=30, text="a bird"))
    git("checkout", "-q", "main")
    commit(git, place, flow(seed=5, steps=40))
    git("merge", "-q", "side")
    assert inputs(place / "flow.json")["steps"] == 40
    assert inputs(place / "flow.json", "1") == {"text": "a bird"}


def test_other_files_are_merged_as_text(git: Git, place: Path) -> None:
    lines = (place / "other.json").read_text()
    branches(git, place, lines.replace("1", "10"), lines.replace("4", "40"), "other.json")
    git("merge", "-q", "side")
    assert json.loads((place / "other.json").read_text()) == {"a": 10, "b": 2, "c": 3, "d": 40}


def test_other_files_have_conflicts_as_text(git: Git, place: Path) -> None:
    lines = (place / "other.json").read_text()
    branches(git, place, lines.replace("1", "10"), lines.replace("1", "11"), "other.json")
    assert git("merge", "side", ok=False).returncode == 1
    assert "<<<<<<<" in (place / "other.json").read_text()


def test_a_file_that_both_add_is_merged_as_text(git: Git, place: Path) -> None:
    git("checkout", "-qb", "side")
    (place / "new.json").write_text(flow(seed=3))
    git("add", "new.json")
    git("commit", "-qm", "one")
    git("checkout", "-q", "main")
    (place / "new.json").write_text(flow(seed=4))
    git("add", "new.json")
    git("commit", "-qm", "two")
    assert git("merge", "side", ok=False).returncode == 1
    assert git("status", "--porcelain", "-uno").stdout == "AA new.json\n"


def test_a_diff_names_nodes_and_inputs(git: Git, place: Path) -> None:
    (place / "flow.json").write_text(flow(seed=5))
    lines = git("diff").stdout.splitlines()
    assert [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")] == [
        "-  seed = 1",
        "+  seed = 5",
    ]


def test_a_diff_of_another_file_is_as_ever(git: Git, place: Path) -> None:
    (place / "other.json").write_text('{"a": 2}\n')
    assert '+{"a": 2}' in git("diff").stdout


def test_setup_can_be_repeated_and_removed(git: Git, place: Path, graphengine: CommandLine) -> None:
    attributes = place / ".gitattributes"
    attributes.write_text("*.png binary\n" + attributes.read_text() + "*.txt text\n")
    assert graphengine("git", "setup", "--pattern", "flows/*.json").code == 0
    assert attributes.read_text().count("graphengine: begin") == 1
    assert "flows/*.json merge=graphengine diff=graphengine" in attributes.read_text()
    assert graphengine("git", "remove").code == 0
    assert attributes.read_text() == "*.png binary\n*.txt text\n"
    assert git("config", "--get-regexp", "graphengine", ok=False).stdout == ""
    assert graphengine("git", "remove").code == 0


def test_without_a_repository_there_is_nothing_to_set_up(place: Path, graphengine: CommandLine) -> None:
    done = graphengine("git", "setup")
    assert done.code == 2
    assert "in no git repository" in done.err


def test_a_merge_as_a_command_writes_its_result(place: Path, graphengine: CommandLine) -> None:
    for name, text in (("base", flow()), ("ours", flow(seed=5)), ("theirs", flow(steps=30))):
        (place / f"{name}.json").write_text(text)
    done = graphengine("merge", "base.json", "ours.json", "theirs.json")
    assert done.code == 0
    assert json.loads(done.out)["2"]["inputs"] == {"text": ["1", 0], "seed": 5, "steps": 30}
    (place / "theirs.json").write_text(flow(seed=7))
    done = graphengine("merge", "base.json", "ours.json", "theirs.json", "-o", "out.json")
    assert done.code == 1
    assert "1 conflict; to settle them: graphengine resolve out.json" in done.err
    assert graphengine("resolve", "out.json", "--list").out == "2.seed: ours 5, theirs 7\n"
    assert graphengine("resolve", "out.json", "--ours", "2.steps").code == 2
    assert graphengine("resolve", "out.json", "--all", "theirs").code == 0
    assert inputs(place / "out.json")["seed"] == 7


def test_resolve_asks_one_by_one(
    place: Path, graphengine: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, text in (("base", flow()), ("ours", flow(seed=5, steps=1)), ("theirs", flow(seed=6, steps=2))):
        (place / f"{name}.json").write_text(text)
    graphengine("merge", "base.json", "ours.json", "theirs.json", "-o", "out.json")
    (tmp_path / "answers").write_text("t\ns\n")
    with (tmp_path / "answers").open() as answers:
        monkeypatch.setattr(sys, "stdin", answers)
        done = graphengine("resolve", "out.json")
    assert done.code == 1
    assert inputs(place / "out.json") == {"text": ["1", 0], "seed": 6, "steps": 1}
    assert done.out == "2.steps: ours 1, theirs 2\n"


def test_two_drags_of_one_node_merge_in_the_layout_file(place: Path, graphengine: CommandLine) -> None:
    for name, pos in (("base", 0), ("ours", 1), ("theirs", 2)):
        nodes = {"1": {"pos": [pos, 0]}, "2": {"pos": [0, pos if name == "theirs" else 0]}}
        (place / f"{name}.json").write_text(json.dumps({"format": "graphengine-layout", "nodes": nodes}))
    assert graphengine("merge", "--driver", "base.json", "ours.json", "theirs.json").code == 0
    assert json.loads((place / "ours.json").read_text())["nodes"] == {"1": {"pos": [1, 0]}, "2": {"pos": [0, 2]}}


def test_a_missing_base_is_told_and_changes_nothing(place: Path, graphengine: CommandLine) -> None:
    (place / "ours.json").write_text(flow())
    (place / "theirs.json").write_text(flow(seed=3))
    done = graphengine("merge", "none.json", "ours.json", "theirs.json", "-o", "ours.json")
    assert done.code == 1
    assert "none.json: cannot be read" in done.err
    assert (place / "ours.json").read_text() == flow()


def test_line_ends_of_windows_stay(git: Git, place: Path, graphengine: CommandLine) -> None:
    assert graphengine("fmt", "flow.json").code == 0
    lines = (place / "flow.json").read_text().replace("\n", "\r\n")
    (place / "flow.json").write_bytes(lines.encode())
    assert graphengine("fmt", "--check", "flow.json").code == 0
    git("commit", "-qam", "windows")
    git("checkout", "-qb", "side")
    (place / "flow.json").write_bytes(lines.replace('"seed": 1', '"seed": 5').encode())
    git("commit", "-qam", "theirs")
    git("checkout", "-q", "main")
    (place / "flow.json").write_bytes(lines.replace('"steps": 20', '"steps": 30').encode())
    git("commit", "-qam", "ours")
    git("merge", "-q", "side")
    merged = lines.replace('"seed": 1', '"seed": 5').replace('"steps": 20', '"steps": 30')
    assert (place / "flow.json").read_bytes() == merged.encode()


def test_a_checkout_with_other_line_ends_merges(git: Git, place: Path) -> None:
    git("config", "core.autocrlf", "true")
    branches(git, place, flow(seed=5).replace("}", "}\r\n"), flow(steps=30))
    git("merge", "-q", "side")
    assert inputs(place / "flow.json") == {"text": ["1", 0], "seed": 5, "steps": 30}
    assert git("status", "--porcelain", "-uno").stdout == ""


def test_a_byte_order_mark_is_no_change(git: Git, place: Path) -> None:
    git("checkout", "-qb", "side")
    (place / "flow.json").write_bytes(b"\xef\xbb\xbf" + flow(steps=30).encode())
    git("commit", "-qam", "theirs")
    git("checkout", "-q", "main")
    commit(git, place, flow(seed=5))
    git("merge", "-q", "side")
    assert inputs(place / "flow.json") == {"text": ["1", 0], "seed": 5, "steps": 30}
    assert "-  steps = 20" in git("diff", "main~1", "main").stdout


def test_a_shallow_clone_merges_what_it_has(
    git: Git, place: Path, tmp_path: Path, graphengine: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    branches(git, place, flow(seed=5), flow(steps=30))
    clone = tmp_path / "clone"
    git("clone", "-q", "--depth", "1", "--no-single-branch", place.as_uri(), str(clone))
    monkeypatch.chdir(clone)
    assert graphengine("git", "setup").code == 0
    git("-C", str(clone), "commit", "-qam", "attributes", ok=False)
    refused = git("-C", str(clone), "merge", "-q", "origin/side", ok=False)
    assert "unrelated histories" in refused.stderr
    done = git("-C", str(clone), "merge", "-q", "--allow-unrelated-histories", "origin/side", ok=False)
    assert done.returncode == 1
    assert "<<<<<<< " in (clone / "flow.json").read_text()  # without a base: as text, with both sides in it
    git("-C", str(clone), "merge", "--abort")
    git("-C", str(clone), "fetch", "-q", "--unshallow")
    git("-C", str(clone), "merge", "-q", "origin/side")
    assert inputs(clone / "flow.json") == {"text": ["1", 0], "seed": 5, "steps": 30}


def test_a_shallow_clone_says_which_commit_is_not_there(
    git: Git, place: Path, tmp_path: Path, graphengine: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(git, place, flow(seed=5))
    clone = tmp_path / "clone"
    git("clone", "-q", "--depth", "1", place.as_uri(), str(clone))
    monkeypatch.chdir(clone)
    done = graphengine("diff", "HEAD~1..HEAD")
    assert done.code == 2
    assert "a shallow clone may lack the commit" in done.err


def test_a_criss_cross_with_conflicts_in_its_base_is_merged(git: Git, place: Path) -> None:
    branches(git, place, flow(seed=5), flow(seed=6))
    git("branch", "left", "main")
    git("branch", "right", "side")
    for branch, other, seed in (("main", "right", 5), ("side", "left", 6)):  # each settles it in its own way
        git("checkout", "-q", branch)
        assert git("merge", other, ok=False).returncode == 1
        (place / "flow.json").write_text(flow(seed=seed))
        git("commit", "-qam", "settled")
    git("checkout", "-q", "main")
    assert len(git("merge-base", "--all", "main", "side").stdout.split()) == 2
    assert git("merge", "side", ok=False).returncode == 1
    assert git("status", "--porcelain", "-uno").stdout == "UU flow.json\n"
    assert inputs(place / "flow.json")["seed"] == 5


def test_a_driver_that_cannot_be_run_leaves_a_merge_of_lines(git: Git, place: Path) -> None:
    driver = git("config", "merge.graphengine.driver").stdout.strip()
    git("config", "merge.graphengine.driver", driver.replace(sys.executable, "/nowhere/python"))
    branches(git, place, flow(seed=5), flow(seed=6))
    assert git("merge", "side", ok=False).returncode == 1
    text = (place / "flow.json").read_text()
    assert "<<<<<<<" in text
    assert '"seed": 5' in text
    assert '"seed": 6' in text


def test_a_textconv_that_cannot_be_run_shows_the_text(git: Git, place: Path) -> None:
    convert = git("config", "diff.graphengine.textconv").stdout.strip()
    git("config", "diff.graphengine.textconv", convert.replace(sys.executable, "/nowhere/python"))
    (place / "flow.json").write_text(flow(seed=5))
    assert '"seed": 5' in git("diff").stdout


def test_a_file_beyond_the_limit_is_merged_as_text(git: Git, place: Path, graphengine: CommandLine) -> None:
    lines = ['{"1": {"class_type": "A", "inputs": {"text": "x"}}', *(["," + " " * 2**20] * 65), '"2": {}}', ""]
    for name, change in (("base", {}), ("ours", {0: '{"one": {}'}), ("theirs", {66: '"three": {}}'})):
        own = [change.get(number, line) for number, line in enumerate(lines)]
        (place / f"{name}.json").write_text("\n".join(own))
    assert graphengine("merge", "--driver", "base.json", "ours.json", "theirs.json").code == 0
    merged = (place / "ours.json").read_text().splitlines()
    assert (merged[0], merged[-1], len(merged)) == ('{"one": {}', '"three": {}}', 67)


def test_what_goes_wrong_in_the_driver_leaves_a_merge_of_lines(
    place: Path, graphengine: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("graphengine.cli.merge.merge_documents", fail)
    for name, text in (("base", flow()), ("ours", flow(seed=5)), ("theirs", flow(seed=6))):
        (place / f"{name}.json").write_text(text)
    done = graphengine("merge", "--driver", "base.json", "ours.json", "theirs.json")
    assert done.code == 1
    assert "merged as text: unexpected MemoryError" in done.err
    assert "<<<<<<< ours" in (place / "ours.json").read_text()


def test_a_problem_that_the_merge_made_is_told(place: Path, graphengine: CommandLine) -> None:
    base = {
        "1": {"class_type": "PrimitiveInt", "inputs": {"value": 1}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    }
    ours = {**base, "1": {"class_type": "PrimitiveString", "inputs": {"value": 1}}}  # nothing minds
    theirs = {**base, "3": {"class_type": "PrimitiveInt", "inputs": {"value": ["1", 0]}}}
    for name, document in (("base", base), ("ours", ours), ("theirs", theirs)):
        (place / f"{name}.json").write_text(json.dumps(document))
    done = graphengine("merge", "base.json", "ours.json", "theirs.json", "-o", "out.json")
    assert done.code == 1
    assert "error: node 3 (PrimitiveInt): input 'value' takes INT, is given STRING [type_mismatch]" in done.err


def test_a_problem_that_a_side_had_is_not_told(place: Path, graphengine: CommandLine) -> None:
    base = {"1": {"class_type": "PrimitiveInt", "inputs": {"value": "no number"}}}
    ours = {**base, "2": {"class_type": "PrimitiveInt", "inputs": {"value": "none either"}}}
    theirs = {**base, "2": {"class_type": "PrimitiveInt", "inputs": {"value": "nor this"}}}
    for name, document in (("base", base), ("ours", ours), ("theirs", theirs)):
        (place / f"{name}.json").write_text(json.dumps(document))
    done = graphengine("merge", "base.json", "ours.json", "theirs.json", "-o", "out.json")
    assert (done.code, done.err) == (0, "")
    assert set(json.loads((place / "out.json").read_text())) == {"1", "2", "3"}
