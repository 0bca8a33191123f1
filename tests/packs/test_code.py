import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphengine.packs.code import CodeOfPack
from graphengine.packs.discover import Pack, custom_packs, import_names
from graphengine.packs.imports import read_facts
from graphengine.packs.load import load_pack
from graphengine.packs.source import SourceReader

NODE = """
class {name}:
    RETURN_TYPES = ("INT",)
    FUNCTION = "run"
    @classmethod
    def INPUT_TYPES(cls):
        return {{"required": {{"value": ("INT", {{}})}}}}
    def run(self, value):
        return (value,)
"""
ENTRY = """
from .resize import Resize
from .blur import Blur
NODE_CLASS_MAPPINGS = {"Resize": Resize, "Blur": Blur}
NODE_CLASS_MAPPINGS.update({})
"""
FILES = {
    "__init__.py": ENTRY,
    "resize.py": "from .maths.scale import factor\n" + NODE.format(name="Resize"),
    "blur.py": "import numpy\n" + NODE.format(name="Blur"),
    "maths/__init__.py": "",
    "maths/scale.py": "from . import constants\nfactor = 2\n",
    "maths/constants.py": "PI = 3\n",
    "unused.py": "x = 1\n",
}


@pytest.fixture
def custom_nodes(tmp_path: Path) -> Iterator[Path]:
    """A folder for packs, whose modules are let go of at the end."""
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("graphengine_pack_")]:
        del sys.modules[name]


def write(root: Path, files: Mapping[str, str], pack: str = "pictures") -> Pack:
    for file, text in files.items():
        path = root / pack / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return next(known for known in custom_packs([root]) if known.name == pack)


def code(root: Path, changes: Mapping[str, str]) -> dict[str, list[str]]:
    """The files of each node of the pack with some files changed."""
    pack = write(root, {**FILES, **changes})
    return {definition.class_type: list(definition.code) for definition in load_pack(pack).definitions}


def test_the_files_of_a_node_are_those_that_its_class_imports(custom_nodes: Path) -> None:
    assert code(custom_nodes, {}) == {
        "Resize": ["maths/constants.py", "maths/scale.py", "resize.py"],
        "Blur": ["blur.py"],
    }


@pytest.mark.parametrize(
    "line",
    [
        "from .maths import scale",
        "from .maths.scale import *",
        "def late():\n    from .maths import scale",
        "import custom_nodes.pictures.maths.scale",
        "import importlib\nscale = importlib.import_module('pictures.maths.scale')",
    ],
)
def test_an_import_is_followed_however_it_is_written(custom_nodes: Path, line: str) -> None:
    pack = write(custom_nodes, {**FILES, "blur.py": f"{line}\n{NODE.format(name='Blur')}"})
    source = SourceReader().read(custom_nodes / "pictures")
    # The module need not be imported for that: its text tells.
    sys.modules[f"{pack.module}.blur"] = ModuleType("blur")
    sys.modules[f"{pack.module}.blur"].__file__ = str(custom_nodes / "pictures/blur.py")
    files = CodeOfPack(source, import_names(pack)).code_of(f"{pack.module}.blur")
    assert list(files) == ["blur.py", "maths/constants.py", "maths/scale.py"]


@pytest.mark.parametrize(
    "blur",
    [
        "import importlib\nmodule = importlib.import_module('.' + 'maths', __package__)\n"
        + NODE.format(name="Blur"),
        "from .maths import *\n" + NODE.format(name="Blur"),
        "def made():\n    class Blur:\n        FUNCTION = 'run'\n        RETURN_TYPES = ()\n"
        "        INPUT_TYPES = classmethod(lambda cls: {})\n        run = print\n    return Blur\nBlur = made()\n",
        "exec('x = 1')\n" + NODE.format(name="Blur"),
    ],
)
def test_where_the_text_does_not_tell_all_files_count(custom_nodes: Path, blur: str) -> None:
    assert code(custom_nodes, {"blur.py": blur})["Blur"] == sorted(FILES)


def test_imports_that_only_type_checkers_see_do_not_count(custom_nodes: Path) -> None:
    blur = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .resize import Resize\n"
    assert code(custom_nodes, {"blur.py": blur + NODE.format(name="Blur")})["Blur"] == ["blur.py"]


def test_a_package_that_does_something_when_it_is_imported_counts(custom_nodes: Path) -> None:
    effects = {
        "effects.py": "def patch():\n    pass\n",
        "maths/__init__.py": "from ..effects import patch\npatch()\n",
    }
    assert code(custom_nodes, effects)["Resize"] == [
        "effects.py",
        "maths/__init__.py",
        "maths/constants.py",
        "maths/scale.py",
        "resize.py",
    ]


def test_a_method_that_was_put_into_the_class_counts(custom_nodes: Path) -> None:
    entry = "from .unused import other\n" + ENTRY + "Blur.run = other\n"
    files = {"__init__.py": entry, "unused.py": "def other(self, value):\n    return (value,)\n"}
    assert "unused.py" in code(custom_nodes, files)["Blur"]


def test_data_files_that_a_node_names_are_code(custom_nodes: Path) -> None:
    blur = NODE.format(name="Blur") + '    GRAPHENGINE_CODE_FILES = ("table.json", "none.json", "../secret")\n'
    pack = write(custom_nodes, {**FILES, "blur.py": blur, "table.json": "[1]"})
    found = load_pack(pack).definitions[1].code
    assert list(found) == ["blur.py", "table.json", "none.json", "../secret"]
    assert [found["none.json"], found["../secret"]] == ["absent", "absent"]
    write(custom_nodes, {"table.json": "[2]"})
    assert load_pack(write(custom_nodes, {})).definitions[1].code["table.json"] != found["table.json"]


def test_data_files_that_a_module_names_are_code_of_what_imports_it(custom_nodes: Path) -> None:
    scale = "GRAPHENGINE_CODE_FILES: list[str] = ['table.json']\n" + FILES["maths/scale.py"]
    found = code(custom_nodes, {"maths/scale.py": scale, "table.json": "[1]"})
    assert ("table.json" in found["Resize"], "table.json" in found["Blur"]) == (True, False)


def test_a_comment_in_a_helper_changes_only_the_nodes_that_import_it(custom_nodes: Path) -> None:
    before = load_pack(write(custom_nodes, FILES)).definitions
    versions = {node.class_type: node.version for node in before}
    after = load_pack(write(custom_nodes, {"maths/constants.py": "PI = 3  # about\n"})).definitions
    changed = {node.class_type for node in after if node.version != versions[node.class_type]}
    assert changed == {"Resize"}


@pytest.mark.parametrize("file", ["unused.py", "__init__.py", "readme.txt"])
def test_another_file_changes_nothing(custom_nodes: Path, file: str) -> None:
    before = load_pack(write(custom_nodes, FILES)).definitions
    versions = [node.version for node in before]
    text = FILES.get(file, "") + "\n# changed\n"
    assert [node.version for node in load_pack(write(custom_nodes, {file: text})).definitions] == versions


#: How a module may reach another one, from the place above both.
FORMS = (
    "from {up}{parent} import {name}",
    "from {up}{parent}.{name} import VALUE",
    "from {up}{parent}.{name} import *",
    "import traced.{parent}.{name}",
    "def late():\n    from {up}{parent} import {name}\nlate()",
    "try:\n    from {up}{parent}.{name} import VALUE\nexcept ImportError:\n    raise",
)
PLACES = ("a", "a.b", "c")
TRACE = "import json, sys, traced.a.m6; print(json.dumps([m for m in sys.modules if m.startswith('traced.')]))"


@settings(max_examples=20, deadline=None)
@given(links=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 5), st.sampled_from(FORMS)), max_size=12))
def test_the_files_of_a_module_are_those_that_python_imports_for_it(links: list[tuple[int, int, str]]) -> None:
    texts = dict.fromkeys(range(7), "VALUE = 1\n")
    for source, target, form in links:
        if target < source:  # Python itself stumbles over some circles
            up = "." * (2 + PLACES[source % 3].count("."))
            texts[source] += form.format(up=up, parent=PLACES[target % 3], name=f"m{target}") + "\n"
    files = {f"{PLACES[n % 3].replace('.', '/')}/m{n}.py": text for n, text in texts.items()}
    with TemporaryDirectory() as folder:
        write(Path(folder), {**files, "__init__.py": "", "a/__init__.py": "", "a/b/__init__.py": ""}, "traced")
        done = subprocess.run([sys.executable, "-c", TRACE], cwd=folder, capture_output=True, check=True)
        sys.modules["traced.a.m6"] = module = ModuleType("traced.a.m6")
        module.__file__ = str(Path(folder, "traced/a/m6.py"))
        try:
            source_now = SourceReader().read(Path(folder, "traced"))
            found = CodeOfPack(source_now, ["traced"]).code_of("traced.a.m6")
        finally:
            del sys.modules["traced.a.m6"]
    imported = {name.removeprefix("traced.").replace(".", "/") + ".py" for name in json.loads(done.stdout)}
    assert set(found) == imported & files.keys()


def test_files_that_import_each_other_are_followed_once(custom_nodes: Path) -> None:
    circle = {"maths/constants.py": "from . import scale\nfrom .. import unused\n"}
    assert "unused.py" in code(custom_nodes, circle)["Resize"]


@pytest.mark.parametrize("text", [b"def (", b"\xff\xfe", b"x = 1\0", b"(" * 100_000])
def test_a_file_that_cannot_be_read_may_import_anything(text: bytes) -> None:
    assert read_facts(text).dynamic


def test_invalid_escapes_of_authors_are_passed_over() -> None:
    assert read_facts(b'pattern = "\\d"\nimport os\n').imports[0].module == "os"
