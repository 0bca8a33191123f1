import socket
from pathlib import Path

import pytest

from graphengine.errors import NodeExecutionError
from graphengine.isolation import limits, process
from graphengine.isolation.limits import bubblewrap, not_enforced, sandboxed
from graphengine.packs.project import PackOptions
from tests.isolation.conftest import NODE, Isolated, document
from tests.workflows import workflow

needs_bubblewrap = pytest.mark.skipif(bubblewrap() is None, reason="bubblewrap is not there or may not be used")


def run(project: Isolated, class_type: str, **inputs: object) -> object:
    with project.engine() as engine:
        return engine.run(workflow(document(class_type, **inputs))).ui[NODE]["text"]


@needs_bubblewrap
def test_without_network_a_node_reaches_nobody(project: Isolated) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        project.write("network = false")
        with pytest.raises(NodeExecutionError, match=r"ConnectionRefusedError|OSError"):
            run(project, "Connects", value=port)
        project.write()
        assert run(project, "Connects", value=port) == ["1"]


@needs_bubblewrap
def test_a_node_that_may_only_read_writes_into_the_folders_of_the_run_alone(project: Isolated) -> None:
    project.write("read_only = true")
    assert run(project, "Writes", path=str(project.root / "output" / "file")) == ["1"]
    assert (project.root / "output" / "file").read_text() == "written"
    with pytest.raises(NodeExecutionError, match="Read-only file system"):
        run(project, "Writes", path=str(project.root / "file"))
    assert not (project.root / "file").exists()


@needs_bubblewrap
def test_a_crash_in_a_sandbox_is_told_by_its_signal(project: Isolated) -> None:
    project.write("network = false")
    with pytest.raises(NodeExecutionError, match="was ended by SIGSEGV"):
        run(project, "Segfault", value=1)
    assert run(project, "Double", value=2) == ["4"]


def test_where_there_is_no_bubblewrap_the_run_goes_on_and_says_so(
    project: Isolated, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limits, "bubblewrap", lambda: None)
    monkeypatch.setattr(process, "bubblewrap", lambda: None)
    project.write("network = false", "read_only = true")
    assert run(project, "Double", value=2) == ["4"]
    assert "runs without these limits: network = false, read_only = true" in caplog.text


def test_the_command_line_says_each_limit(tmp_path: Path) -> None:
    command = ["python", "-c", "x"]
    assert sandboxed(command, PackOptions(), [tmp_path], "bwrap") == command
    offline = sandboxed(command, PackOptions(network=False), [tmp_path], "bwrap")
    assert offline[:4] == ["bwrap", "--dev-bind", "/", "/"]
    assert offline[offline.index("--") :] == ["--", *command]
    assert "--unshare-net" in offline
    reading = sandboxed(command, PackOptions(read_only=True), [tmp_path, tmp_path], "bwrap")
    assert reading[:4] == ["bwrap", "--ro-bind", "/", "/"]
    assert "--unshare-net" not in reading
    assert reading.count(str(tmp_path)) == 2  # from and to, once


def test_what_cannot_be_kept_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "bubblewrap", lambda: None)
    assert not_enforced(PackOptions()) == []
    assert not_enforced(PackOptions(network=False, read_only=True)) == ["network = false", "read_only = true"]
