import json
from pathlib import Path

import pytest

from graphengine.cache.disk import DiskStore
from graphengine.cache.store import Made, Outputs
from graphengine.cli.app import main

KEY = "ab12cd34" + "0" * 56


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A cache folder with one entry, used by a run of `w.json`."""
    (tmp_path / "w.json").touch()
    with DiskStore(tmp_path / "cache") as store:
        store.put(KEY, Outputs(((1,),), made=Made("Add", 1.0)))
        store.runs.record("run", tmp_path / "w.json", 1e9, [KEY])
    return tmp_path / "cache"


def ask(folder: Path, capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, object]:
    assert main(["cache", *args, "--json", "--cache", str(folder)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert isinstance(answer, dict)
    return answer


def test_info_tells_entries_limit_and_pins(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = ask(folder, capsys, "info")
    assert answer["root"] == str(folder)
    assert isinstance(answer["totals"], dict)
    assert answer["totals"]["actions"] == 1
    assert main(["cache", "info", "--cache", str(folder)]) == 0
    assert "1, 0 pinned" in capsys.readouterr().out


@pytest.mark.parametrize("named", [KEY, KEY[:8]])
def test_an_entry_is_pinned_by_its_key(folder: Path, capsys: pytest.CaptureFixture[str], named: str) -> None:
    assert ask(folder, capsys, "pin", named) == {"pinned": 1}
    assert ask(folder, capsys, "unpin", named) == {"unpinned": 1}


def test_a_workflow_file_stands_for_what_its_last_run_used(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(folder, capsys, "pin", str(folder.parent / "w.json")) == {"pinned": 1}
    assert ask(folder, capsys, "gc", "--keep", "1 second")["entries"] == 0
    assert ask(folder, capsys, "unpin", "--all") == {"unpinned": 1}


def test_gc_says_what_it_would_remove(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder.parent / "w.json").unlink()
    answer = ask(folder, capsys, "gc", "--keep-referenced", "--dry-run")
    assert (answer["entries"], answer["dry_run"]) == (1, True)
    assert ask(folder, capsys, "gc", "--keep", "last run")["entries"] == 0
    assert main(["cache", "gc", "--keep-referenced", "--cache", str(folder)]) == 0
    assert capsys.readouterr().out.startswith("removed 1 entry, ")


def test_gc_keeps_what_a_lock_names(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder.parent / "w.json").unlink()
    place = folder.parent / "graphengine.lock"
    place.write_text(
        'version = 1\n[engine]\ngraphengine = "1"\npython = "3.11"\ndevice = "cpu"\nplatform = "linux"\n'
        "[workflows.'w.json']\n[end]\ncomplete = true\n"
    )
    assert ask(folder, capsys, "gc", "--keep-referenced", "--lock", str(folder.parent))["entries"] == 0
    place.write_text("version = 1\n")
    assert main(["cache", "gc", "--keep-referenced", "--lock", str(place), "--cache", str(folder)]) == 1
    assert "was cut off" in capsys.readouterr().err
    assert main(["cache", "gc", "--lock", str(place), "--cache", str(folder)]) == 2


def test_verify_fails_when_something_is_damaged(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(folder, capsys, "verify")["damaged"] == []
    with DiskStore(folder) as store:
        store.index.write(lambda index: index.connection.execute("UPDATE actions SET structure = '[]'"))
    assert main(["cache", "verify", "--cache", str(folder)]) == 1
    output = capsys.readouterr()
    assert "1 damaged, removed" in output.out
    assert f"damaged: Add {KEY}" in output.err


def test_clear_removes_everything(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(folder, capsys, "clear")["entries"] == 1
    with DiskStore(folder) as store:
        assert store.get(KEY) is None


def test_settings_are_changed_for_the_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(folder, capsys, "set", "--limit", "3GB", "--compress", "none") == {
        "limit_bytes": 3_000_000_000,
        "compressed": [],
    }
    assert ask(folder, capsys, "set", "--limit", "none", "--compress", "both")["compressed"] == ["tensors", "text"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["pin"], "nothing is named"),
        (["pin", "other.json"], "no run of 'other.json' is recorded"),
        (["pin", "0123456789"], "nothing is kept under 0123456789"),
        (["gc", "--keep", "everything"], "there is no rule 'everything'"),
        (["set", "--limit", "lots"], "the limit 'lots' is no size"),
        (["set", "--compress", "models"], "there is no kind of values 'models'"),
    ],
)
def test_wrong_usage_says_what_to_do(
    folder: Path, capsys: pytest.CaptureFixture[str], args: list[str], message: str
) -> None:
    assert main(["cache", *args, "--cache", str(folder)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "hint: " in error
