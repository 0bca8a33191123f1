"""What changed an output: of two runs their differences, of two commits the first bad one."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from graphengine.errors import GraphEngineError, SettingsError
from graphengine.provenance.history.past_run import PastRun
from graphengine.replaying.bisect_revisions import CommitSearch
from graphengine.replaying.bisect_runs import Found, RunBisection
from graphengine.replaying.judging import Metric, read_metric
from graphengine.replaying.minimal import Verdict
from graphengine.replaying.repository import Commit, Repository
from graphengine.replaying.revision_runs import Sharing, same_packs
from graphengine.replaying.stage import Stage
from graphengine.replaying.subject import subject_of_run
from tests.replaying.project import PAINTED, Nodes, Project

LEVEL = "from PIL import Image; import sys; print(Image.open(sys.argv[1]).getpixel((0, 0))[0])"


def bisected(
    project: Project, good: PastRun, bad: PastRun, metric: Metric | None = None, output: str | None = None
) -> Found:
    with Stage.opened(project.settings, project.history.root, project.engine) as stage:
        known = stage.engine.registry
        then, now = (subject_of_run(run, project.history, known) for run in (good, bad))
        return RunBisection(stage, good, bad, then, now, metric, output).find()


def causes(found: Found) -> list[list[str]]:
    return [[edit.told for edit in cause] for cause in found.causes]


def test_the_one_change_that_counts_is_found_among_many(project: Project) -> None:
    flow: Nodes = {**PAINTED, **{str(n): ("Number", {"value": n}) for n in range(10, 20)}}
    flow["20"] = ("Show", {"value": ["10", 0]})
    other = {
        **flow,
        **{str(n): ("Number", {"value": n * 100}) for n in range(10, 20)},
        "2": ("Number", {"value": 6}),
    }
    found = bisected(project, project.run(flow), project.run(other), output="5")
    assert causes(found) == [["node 2 (Number): value: 5 → 6"]]
    assert len(found.harmless) == 10


def test_changes_that_make_up_for_each_other_are_no_cause(project: Project) -> None:
    good = {"1": ("Number", {"value": 3}), "2": ("Number", {"value": 4})}
    # each of them alone would show; 3 + 4 and 4 + 3 do not
    tail: Nodes = {"3": ("Sum", {"a": ["1", 0], "b": ["2", 0]}), "4": ("Paint", {"level": ["3", 0]})}
    then = project.run({**good, **tail})
    now = project.run({"1": ("Number", {"value": 4}), "2": ("Number", {"value": 3}), **tail})
    with pytest.raises(GraphEngineError, match="gave the same"):
        bisected(project, then, now)


def test_changes_that_count_only_together_are_found_together(project: Project) -> None:
    both: Nodes = {**PAINTED, "6": ("Sum", {"a": 2, "b": 3}), "7": ("Show", {"value": ["6", 0]})}
    # node 6 gave the same as node 2: it counts once it is read, and gives something else
    other: Nodes = {
        **both,
        "6": ("Sum", {"a": 2, "b": 6}),
        "3": ("Weigh", {"model": ["1", 0], "value": ["6", 0]}),
    }
    found = bisected(project, project.run(both), project.run(other), output="5")
    assert [sorted(cause) for cause in causes(found)] == [
        ["node 3 (Weigh): value: node 2, output 0 → node 6, output 0", "node 6 (Sum): b: 3 → 6"]
    ]


def test_two_causes_are_told_apart_and_a_renumbered_node_is_none(project: Project) -> None:
    now: Nodes = {
        "1": ("LoadWeight", {"name": "m.safetensors"}),
        "12": ("Number", {"value": 6}),
        "3": ("Weigh", {"model": ["1", 0], "value": ["12", 0]}),
        "4": ("Sum", {"a": ["3", 0], "b": 2}),
        "5": ("Paint", {"level": ["4", 0]}),
    }
    found = bisected(project, project.run(PAINTED), project.run(now))
    assert sorted(causes(found)) == [["node 2 (Number): value: 5 → 6"], ["node 4 (Sum): b: 1 → 2"]]


def test_a_model_of_the_same_name_and_other_bytes_is_the_cause(project: Project) -> None:
    then = project.run(PAINTED)
    project.model.write_bytes(b"\x09")
    now = project.run({**PAINTED, "6": ("Number", {"value": 1})})
    found = bisected(project, then, now)
    assert found.causes == ()
    assert found.first == "1"
    assert [(each.part, each.name) for each in found.departures] == [("file", "checkpoints/m.safetensors")]


def test_a_model_is_named_by_the_nodes_of_the_bad_run(project: Project) -> None:
    then = project.run(PAINTED)
    project.model.write_bytes(b"\x09")
    renumbered = json.loads(json.dumps(PAINTED).replace('"1"', '"31"'))
    found = bisected(project, then, project.run(renumbered))
    assert (found.first, [each.nodes for each in found.departures]) == ("31", [("31",)])


def test_other_code_is_the_cause_when_nothing_else_is(project: Project) -> None:
    diced: Nodes = {"1": ("Dice", {}), "2": ("Paint", {"level": ["1", 0]})}
    then = project.run(diced)
    project.code["Dice"] = "2"
    found = bisected(project, then, project.run(diced))
    assert (found.first, [each.part for each in found.departures]) == ("1", ["pack"])


def test_a_metric_that_writes_numbers_finds_what_moved_it_most(project: Project) -> None:
    then = project.run(PAINTED)
    now = project.run({**PAINTED, "2": ("Number", {"value": 15}), "4": ("Sum", {"a": ["3", 0], "b": 2})})
    metric = Metric((sys.executable, "-c", LEVEL, "{}"))
    assert causes(bisected(project, then, now, metric)) == [["node 2 (Number): value: 5 → 15"]]


def test_a_metric_by_exit_code_is_heard(project: Project) -> None:
    then = project.run(PAINTED)
    now = project.run({**PAINTED, "2": ("Number", {"value": 15}), "4": ("Sum", {"a": ["3", 0], "b": 2})})
    code = LEVEL.replace("print(", "sys.exit(").replace("[0])", "[0] > 50)")
    found = bisected(project, then, now, Metric((sys.executable, "-c", code)))
    assert causes(found) == [["node 2 (Number): value: 5 → 15"]]


def test_a_metric_that_tells_nothing_is_refused(project: Project) -> None:
    then, now = project.run(PAINTED), project.run({**PAINTED, "2": ("Number", {"value": 6})})
    with pytest.raises(GraphEngineError, match="so it tells nothing"):
        bisected(project, then, now, Metric((sys.executable, "-c", "")))
    with pytest.raises(GraphEngineError, match="the metric is 3 for the good one and for the bad one"):
        bisected(project, then, now, Metric((sys.executable, "-c", "print(3)")))
    with pytest.raises(GraphEngineError, match="cannot run 'no-such-program'"):
        bisected(project, then, now, Metric(("no-such-program",)))
    with pytest.raises(SettingsError, match="--metric"):
        read_metric("'open")


def test_an_output_that_only_one_run_has_is_refused(project: Project) -> None:
    then = project.run(PAINTED)
    now = project.run({**PAINTED, "6": ("Show", {"value": ["4", 0]})}, ["6"])
    with pytest.raises(GraphEngineError, match="no output in common"):
        bisected(project, then, now)
    with pytest.raises(SettingsError, match="node 6 is no output of both runs"):
        bisected(project, then, project.run(PAINTED), output="6")


# Commits


def commits(count: int) -> list[Commit]:
    return [Commit(f"{number:040x}", "2026-11-22", f"change {number}") for number in range(count)]


@pytest.mark.parametrize("first", range(9))
def test_the_first_bad_commit_is_found_in_few_trials(first: int) -> None:
    listed = commits(9)

    def test(commit: Commit) -> Verdict:
        return "bad" if listed.index(commit) >= first else "good"

    found = CommitSearch(listed, test).find()
    assert (found.commit, found.unclear) == (listed[first], ())
    assert found.trials <= 4


def test_commits_that_cannot_be_tried_are_passed_over() -> None:
    listed = commits(9)

    def test(commit: Commit) -> Verdict:
        number = listed.index(commit)
        return "unclear" if number in (3, 4) else "bad" if number >= 4 else "good"

    found = CommitSearch(listed, test).find()
    assert found.commit == listed[5]
    assert found.unclear == (listed[3], listed[4])


def test_without_commits_the_cause_lies_elsewhere() -> None:
    with pytest.raises(GraphEngineError, match="no commit between them touches"):
        CommitSearch([], lambda commit: "bad").find()


@pytest.fixture
def git(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "Tester")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "tester@example.org")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    call(project.root, "init", "-q", "-b", "main")
    return project


def call(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def committed(folder: Path, content: str, message: str, name: str = "flow.json") -> str:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    call(folder, "add", name)
    call(folder, "commit", "-qm", message)
    return call(folder, "rev-parse", "HEAD")


def document(value: int, note: str = "") -> str:
    nodes = {key: {"class_type": kind, "inputs": inputs} for key, (kind, inputs) in PAINTED.items()}
    nodes["2"] = {"class_type": "Number", "inputs": {"value": value}, "_meta": {"title": note}}
    return json.dumps(nodes)


def verdicts(project: Project, listed: Sequence[Commit]) -> list[str | None]:
    repository = Repository.around(project.root / "flow.json")
    with Stage.opened(project.settings, project.history.root, project.engine) as stage:
        runs = Sharing(repository, "flow.json", stage)
        found = [runs(commit) for commit in listed]
    return [None if each is None else each.contents[0] for each in found]


def test_documents_are_read_out_of_git_and_nothing_is_touched(git: Project) -> None:
    root = git.root
    good = committed(root, document(5), "five")
    committed(root, document(5, "note"), "a title")
    committed(root, "{broken", "broken")
    committed(root, "one line", "not about it", "notes.txt")
    bad = committed(root, document(6), "six")
    (root / "flow.json").write_text("edited and not committed")
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    repository = Repository.around(root / "flow.json")
    listed = repository.between(repository.commit(good), repository.commit("HEAD"), ["flow.json"])
    assert [commit.subject for commit in listed] == ["a title", "broken", "six"]
    first, titled, broken, last = verdicts(git, [repository.commit(good), *listed])
    assert (first == titled, broken, last == first) == (True, None, False)
    assert listed[-1].id == bad
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_the_first_parents_alone_are_looked_at(git: Project) -> None:
    root = git.root
    good = committed(root, document(5), "five")
    call(root, "checkout", "-qb", "side")
    committed(root, document(7), "seven, on the side")
    committed(root, document(8), "eight, on the side")
    call(root, "checkout", "-q", "main")
    committed(root, "x", "meanwhile", "notes.txt")
    call(root, "merge", "-q", "--no-ff", "-m", "merged", "side")
    repository = Repository.around(root / "flow.json")
    found = repository.between(repository.commit(good), repository.commit("main"), ["flow.json"])
    assert [commit.subject for commit in found] == ["merged"]


def test_commits_that_are_not_there_or_the_wrong_way_round_are_refused(git: Project) -> None:
    good = committed(git.root, document(5), "five")
    bad = committed(git.root, document(6), "six")
    repository = Repository.around(git.root / "flow.json")
    with pytest.raises(SettingsError, match="'nope' is no commit here"):
        repository.commit("nope")
    with pytest.raises(SettingsError, match="'--help' is no commit here"):
        repository.commit("--help")
    with pytest.raises(SettingsError, match="is not before"):
        repository.between(repository.commit(bad), repository.commit(good), ["flow.json"])
    with pytest.raises(SettingsError, match="in another repository"):
        repository.name_of(Path("/elsewhere/flow.json"))


def test_a_folder_without_repository_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(SettingsError, match="in no git repository"):
        Repository.around(tmp_path / "flow.json")


def test_packs_of_commits_are_compared_and_written_out(git: Project, tmp_path: Path) -> None:
    root = git.root
    one = committed(root, "a = 1\n", "pack", "custom_nodes/a/__init__.py")
    same = committed(root, document(5), "five")
    other = committed(root, "a = 2\n", "pack changed", "custom_nodes/a/__init__.py")
    repository = Repository.around(root / "flow.json")
    first, second, third = (repository.commit(name) for name in (one, same, other))
    assert same_packs(repository, [first, second], "custom_nodes")
    assert not same_packs(repository, [first, third], "custom_nodes")
    repository.export(first, ["custom_nodes", "flow.json"], tmp_path / "export")
    written = {path.name: path.read_text() for path in (tmp_path / "export").rglob("*") if path.is_file()}
    assert written == {"__init__.py": "a = 1\n"}
