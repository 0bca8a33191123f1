"""What a source means, and how its files come here."""

import json
import subprocess
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from graphengine.errors import InstallRefused
from graphengine.packs.installing.archives import Limits
from graphengine.packs.installing.fetching import fetch, newest_commit
from graphengine.packs.installing.sources import parse_source
from tests.packs.installing.wheels import make_pack


def git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b.invalid", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with two commits, a branch and a tag on the first."""
    folder = make_pack(tmp_path / "ComfyUI-Foo", nodes=["First"])
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "one")
    git(folder, "tag", "-a", "v1", "-m", "first")
    git(folder, "branch", "old")
    (folder / "second.py").write_text("")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "two")
    return folder


@pytest.mark.parametrize(
    ("text", "place", "ref", "name"),
    [
        ("https://host/o/ComfyUI-Foo", "https://host/o/ComfyUI-Foo", None, "ComfyUI-Foo"),
        ("https://host/o/ComfyUI-Foo.git@1a2b3c4", "https://host/o/ComfyUI-Foo.git", "1a2b3c4", "ComfyUI-Foo"),
        ("git+https://host/o/n@feature/x", "https://host/o/n", "feature/x", "n"),
        ("https://user@host/o/n", "https://user@host/o/n", None, "n"),
        ("git@host:o/n.git", "git@host:o/n.git", None, "n"),
        ("git@host:o/n.git@v1", "git@host:o/n.git", "v1", "n"),
    ],
)
def test_addresses_of_repositories(text: str, place: str, ref: str | None, name: str) -> None:
    source = parse_source(text)
    assert (source.kind, source.place, source.ref, source.name) == ("git", place, ref, name)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("https://host/o/n.zip", "archive on another machine"),
        ("ext::sh -c evil", "is no address"),
        ("--upload-pack=evil", "is no address"),
        ("https://host/o/n@--evil", "is no commit, branch or tag"),
        ("./nowhere", "there is no file or folder"),
        ("nowhere.zip", "there is no file or folder"),
        ("some-id", "there is no index to look it up in"),
    ],
)
def test_what_is_no_source_is_told(text: str, reason: str) -> None:
    with pytest.raises(InstallRefused, match=reason):
        parse_source(text)


def test_a_mirror_stands_in_for_an_address() -> None:
    source = parse_source("https://host/o/n@v1", mirrors=["https://host/=https://mirror.invalid/git/"])
    assert (source.place, source.ref, source.asked) == (
        "https://mirror.invalid/git/o/n",
        "v1",
        "https://host/o/n@v1",
    )


def test_a_commit_branch_or_tag_is_fetched_without_the_history(tmp_path: Path, repository: Path) -> None:
    first = git(repository, "rev-parse", "old")
    for number, ref in enumerate((first, first[:9], "old", "v1")):
        place = tmp_path / f"out{number}"
        assert fetch(parse_source(f"file://{repository}@{ref}"), place, Limits()) == first
        assert sorted(path.name for path in place.iterdir()) == ["__init__.py"]


def test_the_default_branch_is_fetched_when_nothing_is_said(tmp_path: Path, repository: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    assert fetch(parse_source(f"file://{repository}"), tmp_path / "out", Limits()) == head
    assert newest_commit(f"file://{repository}", None) == head
    assert newest_commit(f"file://{repository}", "v1") == git(repository, "rev-parse", "old")


def test_a_repository_that_is_not_there_is_told_with_gits_reason(tmp_path: Path) -> None:
    with pytest.raises(InstallRefused, match="cannot be fetched"):
        fetch(parse_source(f"file://{tmp_path}/nothing"), tmp_path / "out", Limits())


def test_a_link_out_of_a_repository_is_refused(tmp_path: Path, repository: Path) -> None:
    (repository / "secrets").symlink_to("/etc")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "link")
    with pytest.raises(InstallRefused, match="'secrets' is a link to '/etc', outside the pack"):
        fetch(parse_source(f"file://{repository}"), tmp_path / "out", Limits())


def test_a_folder_is_copied_without_its_history_and_with_its_commit(tmp_path: Path, repository: Path) -> None:
    source = parse_source(str(repository))
    assert fetch(source, tmp_path / "out", Limits()) == git(repository, "rev-parse", "HEAD")
    assert not (tmp_path / "out" / ".git").exists()


def test_the_only_folder_of_an_archive_is_the_pack(tmp_path: Path) -> None:
    archive = tmp_path / "ComfyUI-Foo-main.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("ComfyUI-Foo-main/__init__.py", "x = 1")
    source = parse_source(str(archive))
    fetch(source, tmp_path / "out", Limits())
    assert source.name == "ComfyUI-Foo"
    assert (tmp_path / "out" / "__init__.py").read_text() == "x = 1"


def test_an_id_is_looked_up_with_its_version_and_digest(tmp_path: Path) -> None:
    archive = tmp_path / "foo-1.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("__init__.py", "x = 1")
    digest = sha256(archive.read_bytes()).hexdigest()
    entry = {"source": "https://host/o/foo", "versions": {"1.0": {"source": "foo-1.zip", "sha256": digest}}}
    index = tmp_path / "index.json"
    index.write_text(json.dumps({"packs": {"foo-pack": entry}}))
    assert parse_source("foo_pack", index=index).place == "https://host/o/foo"
    source = parse_source("foo-pack@1.0", index=index)
    assert (source.kind, source.name, source.sha256) == ("archive", "foo-pack", digest)
    archive.write_bytes(archive.read_bytes() + b"changed")
    with pytest.raises(InstallRefused, match="its index says"):
        fetch(source, tmp_path / "out", Limits())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"packs": {"foo": {}}}', r"packs\.foo\.source"),
        ("[]", "no index of packs"),
        ("no json", "no index of packs"),
        ('{"packs": {"fooo": {"source": "x"}}}', "'foo' is not in"),
    ],
)
def test_an_index_that_does_not_help_is_told(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "index.json").write_text(content)
    with pytest.raises(InstallRefused, match=reason):
        parse_source("foo", index=tmp_path / "index.json")
