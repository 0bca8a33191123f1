"""Where the repository stood when a workflow ran."""

import os
import subprocess
from pathlib import Path

import pytest

from graphengine.recording.git_state import GitQuestion

_IDENTITY = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}


@pytest.fixture(autouse=True)
def _own_git(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in _IDENTITY.items():
        monkeypatch.setenv(name, value)


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "flow.json").write_text("{}")
    git(folder, "add", "flow.json")
    git(folder, "commit", "-q", "-m", "a workflow")
    return folder


def test_a_clean_tree_has_its_commit_and_branch(repository: Path) -> None:
    (repository / "untracked.txt").write_text("does not count")
    below = repository / "below"
    below.mkdir()
    for folder in (repository, below):
        state = GitQuestion(folder).answer()
        assert state is not None
        assert (state.commit, state.is_clean, state.branch) == (git(repository, "rev-parse", "HEAD"), True, "main")


@pytest.mark.parametrize("staged", [False, True])
def test_a_changed_file_makes_it_unclean(repository: Path, staged: bool) -> None:
    (repository / "flow.json").write_text('{"changed": 1}')
    if staged:
        git(repository, "add", "flow.json")
    state = GitQuestion(repository).answer()
    assert state is not None
    assert not state.is_clean


def test_a_detached_head_has_no_branch(repository: Path) -> None:
    git(repository, "checkout", "-q", "--detach")
    state = GitQuestion(repository).answer()
    assert state is not None
    assert state.branch is None


def test_a_shallow_clone_has_its_commit(repository: Path, tmp_path: Path) -> None:
    (repository / "flow.json").write_text("[]")
    git(repository, "commit", "-q", "-a", "-m", "another")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{repository}", "clone")
    state = GitQuestion(tmp_path / "clone").answer()
    assert state is not None
    assert state.commit == git(repository, "rev-parse", "HEAD")


def test_where_there_is_no_commit_and_no_work_tree_nothing_is_known(tmp_path: Path) -> None:
    assert GitQuestion(tmp_path).answer() is None
    (tmp_path / "new").mkdir()
    git(tmp_path / "new", "init", "-q")
    assert GitQuestion(tmp_path / "new").answer() is None
    git(tmp_path, "init", "-q", "--bare", "bare")
    assert GitQuestion(tmp_path / "bare").answer() is None
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / ".git").write_text("gitdir: nowhere")
    assert GitQuestion(tmp_path / "odd").answer() is None


def test_without_git_nothing_is_known(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository))
    assert GitQuestion(repository).answer() is None


def test_no_program_that_the_repository_names_is_started_and_nothing_is_written(repository: Path) -> None:
    trap = repository / ".git" / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {repository}/sprung\n")
    trap.chmod(0o755)
    hooks = repository / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-index-change", "fsmonitor-watchman", "reference-transaction"):
        (hooks / name).write_bytes(trap.read_bytes())
        (hooks / name).chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(trap))
    git(repository, "config", "core.pager", str(trap))
    (repository / "sprung").unlink(missing_ok=True)
    os.utime(repository / "flow.json", (1, 1))
    index = (repository / ".git" / "index").read_bytes()
    state = GitQuestion(repository).answer()
    assert state is not None
    assert state.is_clean
    assert not (repository / "sprung").exists()
    assert (repository / ".git" / "index").read_bytes() == index
    assert not list((repository / ".git").glob("*.lock"))


def test_a_question_may_be_dropped(repository: Path) -> None:
    question = GitQuestion(repository)
    question.close()
    assert question.answer() is None
