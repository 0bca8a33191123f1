"""The checks in several environments: how these are made and kept, and what is told. `uv` is a stand-in here."""

import json
import os
import shutil
import sys
import time
from pathlib import Path
from platform import python_version
from typing import Any
from xml.etree import ElementTree
from zipfile import ZipFile

import pytest

from graphengine.cli import matrix_report as written
from graphengine.errors import GraphEngineError, InstallRefused
from graphengine.testing import matrix_environments
from graphengine.testing.checks import Finding, NodeReport
from graphengine.testing.matrix import CellResult, CheckOptions, Matrix, read_cells
from graphengine.testing.matrix_environments import (
    Cell,
    Contents,
    EnvironmentMaker,
    NotMade,
    Versions,
    clean_environ,
    contents_for,
    find_uv,
)

# Makes "environments" whose Python is a script that answers as an environment of its version would.
UV = """#!{python}
import json, os, pathlib, sys
words = sys.argv[1:]
with open({log!r}, "a") as log:
    log.write(json.dumps([words, os.environ.get("UV_FIND_LINKS"), os.environ.get("PYTHONPATH")]) + "\\n")
if words[0] == "venv":
    version, folder = words[-2], pathlib.Path(words[-1])
    if version == "3.9":
        sys.exit("error: No interpreter found for Python 3.9 in 12ms")
    (folder / "bin").mkdir(parents=True)
    python = folder / "bin" / "python"
    python.write_text({answers!r}.replace("VERSION", version))
    python.chmod(0o755)
else:
    folder = pathlib.Path(words[words.index("--python") + 1]).parent.parent
    text = (folder / "requirements.txt").read_text()
    if "torch==9.9.9" in text:
        sys.exit("x No solution found:\\nthere is no version of torch==9.9.9 at https://me:secretword@mirror")
    (folder / "held.txt").write_text(text)
"""
ANSWERS = """#!{python}
import json, sys
words = sys.argv[1:]
if "-c" in words:
    print(json.dumps({{"python": "VERSION.1", "torch": "2.0"}}))
elif "VERSION" == "3.13":
    sys.exit("it fell over")
else:
    found = [{{"code": "out_of_range", "message": "too bright", "file": "nodes.py", "line": 3}}]
    nodes = [{{"class_type": "Good", "calls": 4}}]
    nodes.append({{"class_type": "Bad", "calls": 4, "findings": found if "VERSION" == "3.12" else []}})
    print(json.dumps({{"nodes": nodes, "summary": {{}}}}))
    sys.exit(int("VERSION" == "3.12"))
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """What `uv` was called with, a line for each call."""
    return tmp_path / "log.jsonl"


@pytest.fixture
def uv(tmp_path: Path, log: Path) -> str:
    """A stand-in for uv that makes scripts in place of Pythons."""
    program = tmp_path / "uv"
    answers = ANSWERS.format(python=sys.executable)
    program.write_text(UV.format(python=sys.executable, log=str(log), answers=answers))
    program.chmod(0o755)
    return str(program)


@pytest.fixture
def maker(tmp_path: Path, uv: str) -> EnvironmentMaker:
    """Makes such environments; numpy is required."""
    contents = Contents(("graphengine-comfy[testing]==0.1.0",), "0.1.0", ("numpy>=2",), ("bad!=1",))
    return EnvironmentMaker(
        uv, tmp_path / "environments", contents, {"PYTHONPATH": "ours", "PIP_FIND_LINKS": "wheels"}
    )


def calls(log: Path) -> list[list[Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def test_lists_make_every_combination_once() -> None:
    assert read_cells(["3.11,3.12", "3.11"], ["2.9.1"], "3.13.0") == [Cell("3.11", "2.9.1"), Cell("3.12", "2.9.1")]
    assert read_cells([], ["2.9.1,2.13.0"], "3.13.0") == [Cell("3.13.0", "2.9.1"), Cell("3.13.0", "2.13.0")]
    assert read_cells(["/opt/python3.12"], [], "3.13.0") == [Cell("/opt/python3.12", "")]


@pytest.mark.parametrize(
    ("pythons", "torches"), [(["--help"], []), (["3.11,"], []), ([], ["-e x"]), ([], ["2;rm"]), (["a b"], [])]
)
def test_what_is_no_version_never_reaches_uv(pythons: list[str], torches: list[str]) -> None:
    with pytest.raises(GraphEngineError, match="is no "):
        read_cells(pythons, torches, "3.13.0")


def test_too_many_combinations_are_refused() -> None:
    with pytest.raises(GraphEngineError, match="121 combinations are too many"):
        read_cells([f"3.{number}" for number in range(11)], [f"2.{number}" for number in range(11)], "3.13")


def test_an_environment_holds_the_engine_the_requirements_and_torch(maker: EnvironmentMaker, log: Path) -> None:
    made = maker.get(Cell("3.11", "2.9.1"))
    assert made.versions == Versions(python="3.11.1", torch="2.0")
    assert (made.folder / "held.txt").read_text() == "torch==2.9.1\nnumpy>=2\n"
    assert (made.folder / "constraints.txt").read_text() == "bad!=1\n"
    (venv, _, _), (install, links, python_path) = calls(log)
    assert venv[:2] == ["venv", "--no-project"]
    assert install[:2] == ["pip", "install"]
    assert "graphengine-comfy[testing]==0.1.0" in install
    assert (links, python_path) == ("wheels", None)


def test_an_environment_is_made_once_and_another_for_other_contents(maker: EnvironmentMaker, log: Path) -> None:
    cell = Cell("3.11", "2.9.1")
    first = maker.get(cell)
    count = len(calls(log))
    again = maker.get(cell)
    assert (again.folder, again.was_there, len(calls(log))) == (first.folder, True, count)
    others = [Cell("3.12", "2.9.1"), Cell("3.11", "2.9.2"), Cell("3.11")]
    assert len({first.folder, *(maker.folder_of(other) for other in others)}) == 4
    more = EnvironmentMaker(maker.uv, maker.root, Contents(("x",), "0.1.0"), {})
    assert more.folder_of(cell) != first.folder


def test_an_environment_whose_python_is_gone_is_made_again(maker: EnvironmentMaker) -> None:
    made = maker.get(Cell("3.11"))
    made.python.unlink()
    assert not maker.get(Cell("3.11")).was_there
    assert made.python.exists()


def test_nothing_is_left_of_an_environment_that_cannot_be_made(maker: EnvironmentMaker) -> None:
    with pytest.raises(NotMade, match=r"there is no version of torch==9\.9\.9"):
        maker.get(Cell("3.11", "9.9.9"))
    assert list(maker.root.iterdir()) == []


def test_environments_that_nobody_used_for_a_month_are_removed(maker: EnvironmentMaker) -> None:
    old, new = maker.get(Cell("3.11")).folder, maker.get(Cell("3.12")).folder
    (half := maker.root / ".making_x").mkdir()
    month_ago = time.time() - 31 * 86400
    os.utime(old / "graphengine-matrix.json", (month_ago, month_ago))
    os.utime(half, (month_ago, month_ago))
    maker.clear_unused()
    assert sorted(maker.root.iterdir()) == [new]


def test_a_cell_that_fails_is_a_line_and_the_others_are_checked(maker: EnvironmentMaker, tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    matrix = Matrix(tmp_path, maker, CheckOptions(("Good",)), lambda cell, words: told.append((str(cell), words)))
    cells = read_cells(["3.9,3.11,3.12,3.13"], ["2.9.1,9.9.9"], "3.11")
    results = matrix.run(cells, jobs=3)
    assert [(str(result.cell), result.status) for result in results] == [
        ("python 3.9, torch 2.9.1", "not made"),
        ("python 3.9, torch 9.9.9", "not made"),
        ("python 3.11, torch 2.9.1", "good"),
        ("python 3.11, torch 9.9.9", "not made"),
        ("python 3.12, torch 2.9.1", "findings"),
        ("python 3.12, torch 9.9.9", "not made"),
        ("python 3.13, torch 2.9.1", "not checked"),
        ("python 3.13, torch 9.9.9", "not made"),
    ]
    assert results[0].reason == "error: No interpreter found for Python 3.9"
    assert "secretword" not in results[3].reason
    assert results[6].reason == "the checks ended with code 1:\nit fell over"
    assert results[4].reports[1].findings[0].message == "too bright"
    assert ("python 3.12, torch 2.9.1", "the nodes are checked") in told
    assert len([path for path in maker.root.iterdir() if not path.name.startswith(".")]) == 3


def test_without_uv_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(GraphEngineError, match="there is no program 'uv'") as caught:
        find_uv({"PATH": str(tmp_path)})
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("pip install uv")


def test_requirements_of_the_pack_are_read_with_their_markers(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("numpy>=2 ; python_version < '3.12'\n# note\nscipy\n")
    contents = contents_for(tmp_path)
    assert contents.requirements == ('numpy>=2; python_version < "3.12"', "scipy")
    assert contents.engine
    (tmp_path / "requirements.txt").write_text("--index-url\n-r nowhere.txt\nnot a requirement at all\n")
    with pytest.raises(InstallRefused):
        contents_for(tmp_path)


@pytest.mark.parametrize(
    ("origin", "engine"),
    [
        (
            {"url": "https://h/x.git", "vcs_info": {"vcs": "git", "commit_id": "ab12"}},
            " @ git+https://h/x.git@ab12",
        ),
        ({"url": "https://h/x.whl", "archive_info": {"hash": "sha256=1"}}, " @ https://h/x.whl"),
    ],
)
def test_the_engine_is_installed_as_this_one_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, origin: dict[str, Any], engine: str
) -> None:
    class Installed:
        version = "0.1.0"

        def read_text(self, name: str) -> str:
            assert name == "direct_url.json"
            return json.dumps(origin)

    monkeypatch.setattr(matrix_environments, "distribution", lambda name: Installed())
    assert contents_for(tmp_path).engine == (f"graphengine-comfy[testing]{engine}",)


def test_a_checkout_is_linked_and_what_it_requires_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = tmp_path / "a checkout"
    checkout.mkdir()
    (checkout / "pyproject.toml").write_text("[project]\n")

    class Installed:
        def read_text(self, name: str) -> str:
            return json.dumps({"url": checkout.as_uri(), "dir_info": {"editable": True}})

    monkeypatch.setattr(matrix_environments, "distribution", lambda name: Installed())
    before = contents_for(tmp_path)
    assert before.engine == ("--editable", f"{checkout}[testing]")
    (checkout / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert contents_for(tmp_path).state != before.state


def test_another_python_sees_nothing_of_this_ones_packages() -> None:
    environ = clean_environ({"PYTHONPATH": "x", "VIRTUAL_ENV": "y", "HOME": "h"})
    assert environ == {"HOME": "h", "PYTHONNOUSERSITE": "1"}


# Reports

BRIGHT = Finding("out_of_range", "too bright \0", "Bad", Path("nodes.py"), 3)
GOOD = NodeReport("Good", calls=3)
RESULTS = [
    CellResult(
        Cell("3.11", "2.9.1"),
        "good",
        (GOOD,),
        versions=Versions(python="3.11.7", torch="2.9.1"),
        making=8.0,
        checking=2.0,
    ),
    CellResult(
        Cell("3.11", "2.13.0"),
        "findings",
        (GOOD, NodeReport("Bad", (BRIGHT,), calls=3)),
        versions=Versions(python="3.11.7", torch="2.13.0+cpu"),
        checking=3.0,
    ),
    CellResult(Cell("3.12", "2.9.1"), "not made", reason="no interpreter", hint="install one", making=1.0),
    CellResult(Cell("3.12", "2.13.0"), "not made", reason="no interpreter", hint="install one", making=1.0),
]


def test_the_table_has_pythons_down_and_versions_of_torch_across() -> None:
    assert list(written.text_lines(RESULTS)) == [
        "python  torch 2.9.1       torch 2.13.0",
        "3.11    1 node good, 2 s  1 finding, 3 s",
        "3.12    not made          not made",
        "",
        "Bad",
        "  too bright \0 [out_of_range] (nodes.py:3)",
        "  python 3.11, torch 2.13.0",
        "",
        "python 3.12, torch 2.9.1; python 3.12, torch 2.13.0: not made",
        "  no interpreter",
        "  hint: install one",
        "",
        "1 of 4 combinations good; environments: 1 there, 1 made in 8 s",
    ]


def test_a_finding_of_all_that_were_checked_is_told_once() -> None:
    report = NodeReport("Bad", (BRIGHT,), calls=1)
    results = [CellResult(Cell(python), "findings", (report,)) for python in ("3.11", "3.12")]
    lines = list(written.text_lines(results))
    assert lines.count("Bad") == 1
    assert "  everywhere" in lines


def test_json_holds_the_axis_and_the_report_of_each() -> None:
    report = written.json_report(RESULTS)
    assert report["summary"] == {"combinations": 4, "good": 1, "findings": 1, "not_made": 2, "not_checked": 0}
    assert report["badge"]["message"] == "1 of 4 environments"
    second, third = report["matrix"][1:3]
    assert (second["python"], second["torch"], second["torch_version"]) == ("3.11", "2.13.0", "2.13.0+cpu")
    assert second["report"]["nodes"][1]["findings"][0]["code"] == "out_of_range"
    assert (third["report"], third["reason"]) == (None, "no interpreter")


def test_sarif_has_a_run_for_each_combination() -> None:
    runs = written.sarif(RESULTS, "0.1.0")["runs"]
    assert [run["automationDetails"]["id"] for run in runs][1] == "graphengine test/python 3.11, torch 2.13.0/"
    assert [len(run["results"]) for run in runs] == [0, 1, 0, 0]
    assert [run["invocations"][0]["executionSuccessful"] for run in runs] == [True, True, False, False]
    assert runs[1]["properties"] == {"python": "3.11", "torch": "2.13.0"}


def test_junit_has_a_suite_for_each_combination() -> None:
    suites = ElementTree.fromstring(written.junit(RESULTS)).findall("testsuite")
    assert [suite.get("name") for suite in suites][:2] == ["python 3.11, torch 2.9.1", "python 3.11, torch 2.13.0"]
    assert [(s.get("tests"), s.get("failures"), s.get("errors")) for s in suites] == [
        ("1", "0", "0"),
        ("2", "1", "0"),
        ("1", "0", "1"),
        ("1", "0", "1"),
    ]
    assert suites[1].find("properties/property[@name='torch']").get("value") == "2.13.0"  # type: ignore[union-attr]  # it is there
    failure = suites[1].find("testcase/failure")
    assert failure is not None
    assert failure.text == "too bright \ufffd [out_of_range] (nodes.py:3)"


def test_an_annotation_names_its_combinations() -> None:
    first, second, *_ = written.github_lines(RESULTS)
    assert first.startswith("::error file=nodes.py,line=3,title=out_of_range::Bad")
    assert "(python 3.11, torch 2.13.0)" in first
    assert "python 3.12, torch 2.9.1: no interpreter" in second


# The real uv, where it is installed, on wheels that are written here


def wheel(folder: Path, name: str, version: str, files: dict[str, str]) -> None:
    """A wheel of a few files."""
    info = f"{name}-{version}.dist-info"
    about = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in (*files, *about, f"{info}/RECORD"))
    folder.mkdir(exist_ok=True)
    with ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in {**files, **about, f"{info}/RECORD": record}.items():
            archive.writestr(path, text)


@pytest.mark.skipif(shutil.which("uv") is None, reason="uv is not installed")
def test_the_real_uv_makes_environments_and_says_why_it_cannot(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheel(wheels, "torch", "2.9.1", {"torch.py": ""})
    answer = "import json\nprint(json.dumps({'nodes': [{'class_type': 'A', 'calls': 1}]}))\n"
    wheel(
        wheels,
        "graphengine_comfy",
        "0.1.0",
        {"graphengine/__init__.py": "", "graphengine/cli/__main__.py": answer},
    )
    engine = ("--no-index", "--find-links", str(wheels), "graphengine-comfy")
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "UV_PYTHON_DOWNLOADS": "never"}
    maker = EnvironmentMaker(find_uv(os.environ), tmp_path / "environments", Contents(engine, "1"), environ)
    cells = [Cell(sys.executable, "2.9.1"), Cell(sys.executable, "2.9.2"), Cell("3.99", "2.9.1")]
    good, no_torch, no_python = Matrix(tmp_path, maker, environ=environ).run(cells)
    assert (good.status, good.reason) == ("good", "")
    assert good.versions == Versions(python=python_version(), torch="2.9.1")
    assert good.reports == (NodeReport("A", calls=1),)
    assert (no_torch.status, no_python.status) == ("not made", "not made")
    assert "torch==2.9.2" in no_torch.reason
    assert "3.99" in no_python.reason
    assert Matrix(tmp_path, maker, environ=environ).run(cells[:1])[0].making == 0.0
