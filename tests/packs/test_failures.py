"""What is told of packs that cannot be loaded: which one, in which file and line, and what to do."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from graphengine.errors import PackError
from graphengine.packs.discover import Pack
from graphengine.packs.import_policy import ImportPolicy
from graphengine.packs.load import LoadedPack, load_pack
from graphengine.packs.missing_modules import packages_of
from tests.packs.place import forget_packs

NONE = "NODE_CLASS_MAPPINGS = {}\n"


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    forget_packs()


def load(root: Path, files: dict[str, str | bytes], policy: ImportPolicy | None = None) -> LoadedPack:
    for name, text in files.items():
        path = root / "foo-pack" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_pack(Pack("foo-pack", "graphengine_pack_foo_pack", root / "foo-pack"), policy=policy)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "import sys\nsys.exit(3)\n",
            "ends the program when it is imported: sys.exit(3) (foo-pack/nodes.py, line 2)",
        ),
        ("raise RuntimeError('no GPU')\n", "RuntimeError: no GPU (foo-pack/nodes.py, line 1)"),
        ("\n\nx = undefined\n", "name 'undefined' is not defined (foo-pack/nodes.py, line 3)"),
        ("import json\njson.loads('{')\n", "(foo-pack/nodes.py, line 2)"),
        ("def broken(:\n", "cannot be imported: foo-pack/nodes.py, line 1: invalid syntax"),
        (b"x = 1\ny = '\xe9'\n", "foo-pack/nodes.py, line 2: it is not UTF-8: byte 0xe9 in line 2"),
        (b"\x00\x01\x02binary", "cannot be imported: foo-pack/nodes.py"),
        ("x = 1\nimport surely_not_there\n", "needs the module 'surely_not_there', which is not installed"),
        ("from json import surely_not_there\n", "cannot import name 'surely_not_there' from 'json'"),
        (
            "import comfy_execution.surely_not_there\n",
            "the module 'comfy_execution.surely_not_there' of ComfyUI",
        ),
        ("raise ExceptionGroup('many', [ValueError('one')])\n", "many (1 sub-exception)"),
    ],
)
def test_the_pack_the_file_and_the_line_are_named(text: str | bytes, told: str, tmp_path: Path) -> None:
    with pytest.raises(PackError) as caught:
        load(tmp_path, {"__init__.py": f"from .nodes import *\n{NONE}", "nodes.py": text})
    assert told in caught.value.message
    assert caught.value.message.startswith("pack 'foo-pack' ")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("files", "hint"),
    [
        ({}, "install it with: pip install opencv-python-headless (the pack does not list it)"),
        (
            {"requirements.txt": "numpy\nopencv-python>=4\n"},
            "the pack lists opencv-python: install it with: graphengine nodes sync foo-pack",
        ),
        (
            {"pyproject.toml": "[project]\ndependencies = ['opencv_contrib_python']\n"},
            "the pack lists opencv-contrib-python: install it with: graphengine nodes sync foo-pack",
        ),
    ],
)
def test_a_missing_module_is_told_with_its_package(
    files: dict[str, str | bytes], hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(
        PackError, match=r"needs the module 'cv2', which is not installed \(foo-pack/__init__.py"
    ) as e:
        load(tmp_path, {"__init__.py": "import cv2\n", **files})
    assert e.value.hint == hint


def test_packages_have_the_names_that_indexes_give_them() -> None:
    assert packages_of("skimage.metrics") == ("scikit-image",)
    assert packages_of("some_thing") == ("some-thing",)


@pytest.mark.parametrize("line", ["import time; time.sleep(60)", "while True: pass"])
def test_an_import_that_hangs_ends(line: str, tmp_path: Path) -> None:
    with pytest.raises(PackError, match=r"imported after 0.2 s \(foo-pack/__init__.py, line 2\)") as caught:
        load(tmp_path, {"__init__.py": f"x = 1\n{line}\n"}, ImportPolicy(timeout=0.2))
    assert caught.value.hint is not None
    assert "--import-timeout" in caught.value.hint


def test_an_import_that_hangs_ends_in_another_thread_too(tmp_path: Path) -> None:
    told: list[str] = []

    def work() -> None:
        try:
            load(tmp_path, {"__init__.py": "while True: pass\n"}, ImportPolicy(timeout=0.2))
        except PackError as error:
            told.append(error.message)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    assert told == ["pack 'foo-pack' was still being imported after 0.2 s (foo-pack/__init__.py, line 1)"]


def test_what_a_pack_prints_goes_to_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = load(
        tmp_path, {"__init__.py": f"import sys\nsys.stdout.reconfigure()\nprint('hello', flush=True)\n{NONE}"}
    )
    assert loaded.problems == ()
    assert capsys.readouterr() == ("", "hello\n")


def test_a_pack_that_prints_binary_is_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = load(
        tmp_path,
        {
            "__init__.py": f"from .noise import x\n{NONE}",
            "noise.py": "import sys\nx = sys.stdout.buffer.write(b'\\x89PNG\\r\\n')\n",
        },
    )
    (problem,) = loaded.problems
    assert "printed bytes that are no text, at foo-pack/noise.py, line 2" in problem.message
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("\\x89PNG\r\n")


START = {
    "__init__.py": NONE,
    "prestartup_script.py": "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\n",
}


def test_a_script_for_the_start_is_not_run_and_told(tmp_path: Path) -> None:
    (problem,) = load(tmp_path, {**START}).problems
    assert (problem.code, problem.severity) == ("prestartup_not_run", "warning")
    assert not (tmp_path / "foo-pack" / "ran").exists()


@pytest.mark.parametrize(
    "policy", [ImportPolicy(every_prestartup=True), ImportPolicy(prestartup=frozenset({"foo-pack"}))]
)
def test_a_script_for_the_start_is_run_where_it_may(policy: ImportPolicy, tmp_path: Path) -> None:
    assert load(tmp_path, {**START}, policy).problems == ()
    assert (tmp_path / "foo-pack" / "ran").exists()


def test_an_error_in_the_script_for_the_start_is_the_packs(tmp_path: Path) -> None:
    with pytest.raises(PackError, match=r"division by zero \(foo-pack/prestartup_script.py, line 1\)"):
        load(tmp_path, {**START, "prestartup_script.py": "1 / 0\n"}, ImportPolicy(every_prestartup=True))


def test_an_entry_point_that_raises_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(PackError, match=r"cannot list its nodes: ValueError: no \(foo-pack/__init__.py, line 2\)"):
        load(tmp_path, {"__init__.py": "def comfy_entrypoint():\n    raise ValueError('no')\n"})
