"""Whatever is tampered with is found and named."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from graphengine.locking.differences import differences_for, differences_of_changes
from graphengine.locking.lock_file import read_lock
from tests.locking.conftest import FLOW, STYLE, Place
from tests.workflows import workflow


def change_byte(file: Path) -> None:
    """Another byte, of the same size and times as far as a user can set them."""
    before = file.stat()
    content = bytearray(file.read_bytes())
    content[3] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def change_lock(place: Place, before: str, after: str) -> None:
    file = place.root / "graphengine.lock"
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after, 1), encoding="utf-8")


def change_flow(place: Place) -> None:
    flow = json.loads(json.dumps(FLOW))
    flow["1"]["inputs"]["count"] = 2
    place.write("workflows/flow.json", json.dumps(flow))


TAMPERED: dict[str, tuple[Callable[[Place], object], str]] = {
    "a byte of a model": (
        lambda place: change_byte(place.root / "models" / STYLE),
        f"model {STYLE} has the SHA-256 ",
    ),
    "a longer model": (
        lambda place: place.write(f"models/{STYLE}", b"longer than it was when it was locked"),
        f"model {STYLE} has 37 bytes, locked are 22",
    ),
    "a model renamed": (
        lambda place: (place.root / "models" / STYLE).rename(place.root / "models/checkpoints/other.safetensors"),
        f"model {STYLE} is not there; that file is there as checkpoints/other.safetensors",
    ),
    "a model removed": (
        lambda place: (place.root / "models" / STYLE).unlink(),
        f"model {STYLE} is not there",
    ),
    "a node file": (
        lambda place: change_byte(place.root / "custom_nodes/small/more.py"),
        "pack 'small' is other code than the lock says: changed more.py",
    ),
    "a file added to a pack": (
        lambda place: place.write("custom_nodes/small/.hidden/evil.js", "x"),
        "pack 'small' is other code than the lock says: new .hidden/evil.js",
    ),
    "a file removed from a pack": (
        lambda place: (place.root / "custom_nodes/small/more.py").unlink(),
        "pack 'small' is other code than the lock says: removed more.py",
    ),
    "a pack removed": (
        lambda place: (place.root / "custom_nodes/small").rename(place.root / "small"),
        "pack 'small' is not in custom_nodes",
    ),
    "a value of a workflow": (
        change_flow,
        "workflow workflows/flow.json is not what the lock says: what it runs was changed",
    ),
    "a workflow removed": (
        lambda place: (place.root / "workflows/flow.json").unlink(),
        "workflows/flow.json: ",
    ),
    "the hash of a model in the lock": (
        lambda place: change_lock(place, 'size = 22\nsha256 = "', 'size = 22\nsha256 = "' + "0" * 64 + '" #'),
        f"model {STYLE} has the SHA-256 ",
    ),
    "a model taken out of the lock": (
        lambda place: change_lock(place, '[models.checkpoints."style', '[models.checkpoints."stile'),
        f"model {STYLE} is used and not in the lock",
    ),
    "the hash of a pack in the lock": (
        lambda place: change_lock(place, 'content = "sha256:', 'content = "sha256:' + "0" * 64 + '" #'),
        "pack 'small' is other code than the lock says",
    ),
    "a file of a pack in the lock": (
        lambda place: change_lock(place, '"more.py" = "', '"more.py" = "' + "0" * 64 + '" #'),
        "pack 'small': its table of files in the lock is not what its content says",
    ),
    "a version of a package in the lock": (
        lambda place: change_lock(place, '[packages.pydantic]\nversion = "', '[packages.pydantic]\nversion = "0.'),
        "package pydantic is ",
    ),
    "a package that is not there": (
        lambda place: change_lock(place, "[packages.pydantic]", "[packages.pydantix]"),
        "package pydantix is not installed",
    ),
    "what a package installed": (
        lambda place: change_lock(place, 'installed = "', 'installed = "' + "0" * 64 + '" #'),
        " is another build than the lock says: its files differ",
    ),
    "the device": (
        lambda place: change_lock(place, 'device = "cpu"', 'device = "cuda"'),
        "device is cpu, locked is cuda",
    ),
    "a setting": (
        lambda place: change_lock(place, 'deterministic = "no"', 'deterministic = "yes"'),
        "the setting deterministic is no, locked is yes",
    ),
    "the code of an installed pack": (
        lambda place: change_lock(place, '\ncode = "', '\ncode = "0123456789abcdef" #'),
        "installed pack 'core' (graphengine-comfy 0.1.0) is other code than the lock says",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERED)
def test_what_is_tampered_with_is_found_and_named(place: Place, what: str) -> None:
    place.lock()
    tamper, told = TAMPERED[what]
    tamper(place)
    assert [message for message in place.told() if told in message]


def test_nothing_differs_right_after_locking(place: Place) -> None:
    place.lock()
    assert place.told() == []


def test_a_model_is_read_once_for_locking_and_checking(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: object, digest: str) -> object:
        raise AssertionError("the model is read again")

    settled = (place.root / "models" / STYLE).stat().st_mtime_ns - 10**10
    os.utime(place.root / "models" / STYLE, ns=(settled, settled))
    place.lock()
    monkeypatch.setattr("graphengine.cache.hashing.file_digest", refuse)
    assert place.told() == []


def test_checking_and_a_cached_locked_run_import_nothing_heavy(place: Place, tmp_path: Path) -> None:
    place.write("workflows/flow.json", json.dumps({"1": {"class_type": "PreviewAny", "inputs": {"source": "x"}}}))
    run = ["run", "workflows/flow.json", "--quiet", "--device", "cpu"]
    code = f"""
import sys
from graphengine.cli import main
codes = [main(words) for words in ({run}, ["lock", "--offline"], ["lock", "--check"], [*{run}, "--locked"])]
print(codes, [name for name in ("torch", "numpy", "aiohttp", "asyncio") if name in sys.modules])
"""
    here = Path(__file__).parents[2]
    paths = os.pathsep.join(map(str, (tmp_path / "site", here, here / "nodes")))
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": paths, "GRAPHENGINE_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=place.root, env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[0, 0, 0, 0] []"


def test_all_differences_are_told_at_once(place: Place) -> None:
    place.lock()
    for what in ("a byte of a model", "a node file", "a value of a workflow", "the device"):
        TAMPERED[what][0](place)
    assert len(place.told()) == 4


def test_another_platform_is_a_warning_and_its_builds_are_right(place: Place) -> None:
    lock = place.lock()
    change_lock(place, f'platform = "{lock.engine.platform}"', 'platform = "amiga-m68k"')
    change_lock(place, 'installed = "', 'installed = "' + "0" * 64 + '" #')
    change_lock(place, "[packages.", '[packages.intuition]\nversion = "39.0"\n\n[packages.')
    with place.opened() as project:
        found = differences_for(project, read_lock(project.file), place.root / "workflows/flow.json")
    told = [("warning", "locked_environment"), ("warning", "locked_package")]
    assert [(problem.severity, problem.code) for problem in found] == told


def test_a_run_is_not_refused_for_another_workflow(place: Place) -> None:
    place.write("workflows/other.json", json.dumps({"1": {"class_type": "PreviewAny", "inputs": {"source": "x"}}}))
    place.lock()
    change_flow(place)
    with place.opened() as project:
        lock = read_lock(project.file)
        assert differences_for(project, lock, place.root / "workflows/other.json") == []
        assert len(differences_for(project, lock, place.root / "workflows/flow.json")) == 1


def test_a_workflow_that_is_not_in_the_lock_is_refused(place: Place) -> None:
    place.lock()
    new = place.write("workflows/new.json", json.dumps(FLOW))
    with place.opened() as project:
        found = differences_for(project, read_lock(project.file), new)
    assert [problem.message for problem in found] == ["workflows/new.json is not in the lock"]


def test_changes_of_the_command_line_may_name_only_what_is_locked(place: Place) -> None:
    place.lock()
    place.write("models/checkpoints/other.safetensors", b"others")
    asked = workflow({"1": ("SmallNode", {"count": 5, "model": "other.safetensors"})})
    with place.opened() as project:
        found = differences_of_changes(project, read_lock(project.file), asked)
    told = ["model checkpoints/other.safetensors is used and not in the lock"]
    assert [problem.message for problem in found] == told
