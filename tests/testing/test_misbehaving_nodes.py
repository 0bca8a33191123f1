"""Nodes that hang, exit, crash or eat the memory are findings, and the next one is checked."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from graphengine.testing.checking_process import CheckingFailed, CheckOrder, PackChecks
from graphengine.testing.checks import NodeReport
from graphengine.testing.contract import Contract, contract_of
from graphengine.testing.deadlines import Deadline
from graphengine.testing.importing import import_findings

from .conftest import PACKS

CHECKED = ("Fine", "NeverComesBack", "EatsMemory", "ExitsAtOnce", "Prints")
WAITING = """
import ctypes, signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
ctypes.PyDLL(None).sleep(3600)
"""
Write = Callable[[str], Path]


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return Path(shutil.copy(PACKS / "misbehaving_nodes.py", tmp_path))


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a pack of one file."""

    def written(text: str) -> Path:
        (tmp_path / "written.py").write_text(text)
        return tmp_path / "written.py"

    return written


@pytest.fixture
def contract(tmp_path: Path, pack: Path) -> Iterator[Contract]:
    made = contract_of(tmp_path / "place", pack, deadline=Deadline(0.5))
    with made.engine:
        yield made


def found(report: NodeReport) -> list[tuple[str, str]]:
    return [(finding.code, finding.message) for finding in report.findings]


def test_each_node_that_does_not_come_back_is_told_and_the_next_one_is_checked(pack: Path) -> None:
    order = CheckOrder(pack, examples=0, seconds=0.5, memory=2**30)
    with PackChecks(order, jobs=2) as checks:
        reports = list(checks.check_all(CHECKED))
        numbers = [process.started().pid for process in checks._processes]
    assert [report.class_type for report in reports] == [*CHECKED]
    told = {report.class_type: found(report) for report in reports}
    assert told["Fine"] == told["Prints"] == []
    line = pack.read_text().split("\n").index("        ctypes.PyDLL(None).sleep(3600)") + 1
    assert told["NeverComesBack"] == [
        ("comes_back", f"a call with defaults has not ended after 0.5 s (misbehaving_nodes.py:{line})")
    ]
    [(code, text)] = told["EatsMemory"]
    assert code == "comes_back"
    assert text.startswith("takes more memory than there is: MemoryError")
    assert told["ExitsAtOnce"] == [("comes_back", "a call with defaults ends the process: its exit code is 7")]
    for number in numbers:
        with pytest.raises(ProcessLookupError):
            os.kill(number, 0)


@pytest.mark.parametrize(
    ("class_type", "told"),
    [
        ("Hangs", "a call has not ended after 0.5 s (misbehaving_nodes.py:"),
        ("HangsInIsChanged", "asking the class has not ended after 0.5 s (misbehaving_nodes.py:"),
        ("Exits", "ends the process: it raises SystemExit('I quit') (misbehaving_nodes.py:"),
    ],
)
def test_a_call_that_can_be_interrupted_leaves_the_process_alone(
    contract: Contract, class_type: str, told: str
) -> None:
    [(code, text)] = found(contract.check(class_type))
    assert code == "comes_back"
    assert text.startswith(told)


def test_threads_that_are_left_running_are_told(contract: Contract) -> None:
    [(code, text)] = found(contract.check("LeavesThreads"))
    assert (code, text.partition(" (with ")[0]) == ("global_state", "changes the number of threads that run")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("while True:\n    pass", "was still being imported after 0.5 s (written.py, line"),
        (WAITING, "has not ended after 0.5 s"),
        ("import sys\nsys.exit('no')", "ends the program when it is imported: sys.exit('no')"),
        ("import os\nos._exit(3)", "ends the process with code 3; its last words: nothing"),
        (
            "import sys\nprint('a' * 9000, file=sys.__stderr__, flush=True)\nimport os\nos._exit(0)",
            "last words: aaa",
        ),
    ],
)
def test_an_import_that_does_not_come_back_is_told(write: Write, code: str, told: str) -> None:
    [finding] = import_findings(write(code), 0.5)
    assert finding.code == "imports_alone"
    assert told in finding.message


def test_a_pack_that_prints_when_it_is_imported_and_when_it_ends_is_fine(write: Write) -> None:
    nodes = "import atexit\nprint('hello')\natexit.register(print, '{}')\nNODE_CLASS_MAPPINGS = {}\n"
    assert list(import_findings(write(nodes), 60.0)) == []


def test_a_pack_that_cannot_be_read_by_the_process_is_an_error(write: Write) -> None:
    with (
        PackChecks(CheckOrder(write("NODE_CLASS_MAPPINGS = nothing\n"))) as checks,
        pytest.raises(CheckingFailed, match="name 'nothing' is not defined"),
    ):
        checks.check("Any")
