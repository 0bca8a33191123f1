"""`watch --test`: packs that are good, wrong, that hang, exit and shout; tests run in processes."""

import json
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from graphengine.cli import watch_tests
from graphengine.cli.watch_tests import PackTests, TestResult

PACK = """
class Doubled:
    RETURN_TYPES = ("INT",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {{"required": {{"value": ("INT", {{"default": 1, "max": 100}})}}}}

    def run(self, value):
        return {result}

NODE_CLASS_MAPPINGS = {{"Doubled": Doubled}}
"""


def pack(folder: Path, result: str = "(value * 2,)", **tests: str) -> Path:
    """A pack of one node, with files of tests."""
    root = folder / "doubling"
    (root / "tests").mkdir(parents=True)
    (root / "__init__.py").write_text(PACK.format(result=result))
    for name, text in tests.items():
        (root / "tests" / f"test_{name}.py").write_text(text)
    return root


def result_of(root: Path, seconds: float = 120.0) -> TestResult:
    told: list[TestResult] = []
    tests = PackTests(told.append, seconds)
    tests.start({"doubling": root})
    tests.wait()
    (result,) = told
    return result


def checks_end(monkeypatch: pytest.MonkeyPatch, code: int | None, out: str = "", errors: str = "") -> None:
    """Let the checks end so, without the seconds that they take."""
    run = watch_tests._run

    def ended(command: Sequence[str], folder: Path, until: float, over: threading.Event) -> watch_tests._Ended:
        is_check = "graphengine.cli" in command
        return watch_tests._Ended(code, out, errors) if is_check else run(command, folder, until, over)

    monkeypatch.setattr(watch_tests, "_run", ended)


def test_a_good_pack_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checks_end(monkeypatch, 0, '{"nodes": [], "summary": {"good": 2, "nodes": 2}}')
    result = result_of(pack(tmp_path, good="def test_it(): pass"))
    assert result.good
    (line,) = result.lines
    assert line.startswith("tests of doubling: 2 of 2 nodes keep what they promise, 1 passed (")


@pytest.mark.parametrize(
    ("code", "out", "errors", "why"),
    [
        (None, "", "", "still running when the time was up, or it wrote too much"),
        (2, "", "Usage\nError: no such pack\n", "ended with code 2; its last words: Error: no such pack"),
        (-11, "", "", "ended with code -11; its last words: nothing"),
        (1, '{"nodes": 3}', "", 'ended with code 1; its last words: {"nodes": 3}'),
    ],
)
def test_checks_that_do_not_end_say_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int | None, out: str, errors: str, why: str
) -> None:
    checks_end(monkeypatch, code, out, errors)
    (tmp_path / "single.py").write_text("")
    result = result_of(tmp_path / "single.py")
    assert not result.good
    assert result.lines[0].startswith("tests of doubling: the checks did not end")
    assert result.lines[1:] == (why,)


def test_findings_and_failing_tests_are_listed(tmp_path: Path) -> None:
    root = pack(tmp_path, "(value, value)", bad="def test_it(): assert 1 == 2", good="def test_it(): pass")
    result = result_of(root)
    assert not result.good
    head, finding, failure = result.lines
    assert "0 of 1 node keep what they promise, 1 failed, 1 passed" in head
    assert finding.startswith("Doubled: ")
    assert "[wrong_result" in finding
    assert failure.startswith("FAILED tests/test_bad.py::test_it - assert 1 == 2")


def only_own_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the checks out, which take seconds."""
    monkeypatch.setattr(watch_tests, "_checks", lambda path, until, ended: ("", []))


def test_a_test_that_hangs_is_ended_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_own_tests(monkeypatch)
    child = f"subprocess.Popen([{sys.executable!r}, '-c', 'import time; time.sleep(600)']).wait()"
    root = pack(tmp_path, hangs=f"import subprocess\ndef test_it(): {child}")
    begun = time.monotonic()
    head, why = result_of(root, 3.0).lines
    assert "pytest did not end" in head
    assert why == "still running when the time was up, or it wrote too much"
    assert time.monotonic() - begun < 60


def test_a_test_that_ends_its_process_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only_own_tests(monkeypatch)
    head, why = result_of(pack(tmp_path, exits="import os\ndef test_it(): os._exit(7)")).lines
    assert "pytest did not end" in head
    assert why.startswith("ended with code 7")


def test_a_test_that_prints_without_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only_own_tests(monkeypatch)
    monkeypatch.setattr(watch_tests, "_MOST_BYTES", 100_000)
    shouts = "import os\ndef test_it(capfd):\n  with capfd.disabled():\n    while True: os.write(1, b'x' * 9999)"
    head, why = result_of(pack(tmp_path, shouts=shouts)).lines
    assert "pytest did not end" in head
    assert why == "still running when the time was up, or it wrote too much"


def test_a_newer_change_ends_the_tests_of_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only_own_tests(monkeypatch)
    told: list[TestResult] = []
    tests = PackTests(told.append, 600.0)
    hanging = pack(tmp_path / "old", hangs="import time\ndef test_it(): time.sleep(600)")
    tests.start({"doubling": hanging})
    tests.start({"doubling": pack(tmp_path / "new", good="def test_it(): pass")})
    tests.wait()
    assert [result.good for result in told] == [True]


def test_the_end_of_a_watch_ends_the_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only_own_tests(monkeypatch)
    told: list[TestResult] = []
    tests = PackTests(told.append, 600.0)
    tests.start({"doubling": pack(tmp_path, hangs="import time\ndef test_it(): time.sleep(600)")})
    tests.close()
    tests.poll()
    assert told == []
    assert not any(thread.name == "watch tests" for thread in threading.enumerate())


def test_of_each_check_one_finding_is_told_and_the_others_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [("out_of_range", "-1"), ("out_of_range", "2"), ("signature", "no 'b'")]
    findings = [{"code": code, "message": text, "file": None, "line": 1} for code, text in texts]
    node = {"class_type": "Doubled", "findings": findings}
    checks_end(monkeypatch, 1, json.dumps({"nodes": [node], "summary": {"good": 0, "nodes": 1}}))
    (tmp_path / "single.py").write_text("")
    assert result_of(tmp_path / "single.py").lines[1:] == (
        "Doubled: -1 [out_of_range, and 1 more]",
        "Doubled: no 'b' [signature]",
    )


def test_a_pack_without_tests_has_its_checks_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_tests, "_checks", lambda path, until, ended: ("1 of 1 node", []))
    file = tmp_path / "single.py"
    file.write_text(PACK.format(result="(value,)"))
    (line,) = result_of(file).lines
    assert line.startswith("tests of doubling: 1 of 1 node (")
