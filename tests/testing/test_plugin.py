"""The plugin in the repository of a pack, as its author runs it; and in one that has nothing to do with nodes."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from graphengine.testing.scaffold import write_pack

ROOT = Path(__file__).parent.parent.parent
Pytest = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run_pytest(tmp_path: Path) -> Pytest:
    """Runs pytest in a folder, in a process of its own, with the plugin."""

    def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pytest", "-p", "graphengine.testing.plugin", "-p", "no:cacheprovider"]
        environment = {
            "PYTHONPATH": f"{ROOT}:{ROOT / 'nodes'}",
            "PATH": "",
            "OMP_NUM_THREADS": "1",
            "HOME": str(tmp_path),
        }
        return subprocess.run(
            [*command, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

    return run


def test_a_new_pack_passes_its_tests_and_all_checks(tmp_path: Path, run_pytest: Pytest) -> None:
    write_pack(tmp_path / "my-nodes", "v1")
    done = run_pytest(tmp_path / "my-nodes", "-q", "-W", "error")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "49 passed" in done.stdout


def test_fixtures_work_in_a_pack_with_nothing_configured(tmp_path: Path, run_pytest: Pytest) -> None:
    pack = tmp_path / "plain"
    pack.mkdir()
    (pack / "__init__.py").write_text(NODES)
    (pack / "test_it.py").write_text(TESTS)
    done = run_pytest(pack, "-q", "-W", "error")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 passed" in done.stdout


def test_checks_are_chosen_by_name_and_fail_in_plain_words(
    tmp_path: Path, run_pytest: Pytest, broken_pack: Path
) -> None:
    done = run_pytest(
        tmp_path, f"--graphengine-pack={broken_pack.name}", "-q", "-k", "To255 or Threads", "--junitxml=j.xml"
    )
    assert done.returncode == 1
    assert "broken_nodes.py::To255::out_of_range" in done.stdout
    assert "broken_nodes.py::Threads::global_state" in done.stdout
    assert "2 failed, 40 passed" in done.stdout
    assert 'name="out_of_range"' in (tmp_path / "j.xml").read_text()


def test_a_pack_that_cannot_be_imported_is_one_failure(tmp_path: Path, run_pytest: Pytest) -> None:
    (tmp_path / "wrong.py").write_text("import nothing_of_this_name\nNODE_CLASS_MAPPINGS = {}\n")
    done = run_pytest(tmp_path, "--graphengine-pack=wrong.py", "-q")
    assert "1 failed, 1 passed" in done.stdout
    assert "'nothing_of_this_name', which is not installed" in done.stdout


def test_a_pack_that_is_not_there_is_a_wrong_usage(tmp_path: Path, run_pytest: Pytest) -> None:
    done = run_pytest(tmp_path, "--graphengine-pack=nowhere")
    assert done.returncode == 4
    assert "there is no pack at" in done.stderr


def test_the_plugin_imports_nothing_where_it_is_not_used(tmp_path: Path, run_pytest: Pytest) -> None:
    (tmp_path / "test_other.py").write_text(
        "import json, sys\n\ndef test_it():\n    names = [n for n in sys.modules if n.startswith('graphengine')]\n"
        "    names += [n for n in ('torch', 'numpy', 'pydantic', 'networkx', 'PIL') if n in sys.modules]\n"
        "    open('modules.json', 'w').write(json.dumps(sorted(names)))\n"
    )
    assert run_pytest(tmp_path, "-q", "-p", "no:hypothesispytest").returncode == 0
    names = json.loads((tmp_path / "modules.json").read_text())
    assert names == ["graphengine", "graphengine.testing", "graphengine.testing.plugin"]


NODES = """
import folder_paths

from comfy.utils import common_upscale


class Join:
    RETURN_TYPES = ("STRING", "INT")
    RETURN_NAMES = ("joined", "count")
    FUNCTION = "run"
    INPUT_IS_LIST = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"texts": ("STRING",), "between": ("STRING", {"default": "-"})}}

    def run(self, texts, between):
        return (between[0].join(texts), len(texts))


class Split:
    RETURN_TYPES = ("STRING",)
    OUTPUT_IS_LIST = (True,)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {"default": "a b"})}}

    async def run(self, text):
        return (text.split(),)


class Choose:
    RETURN_TYPES = ("*",)
    RETURN_NAMES = ("value",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        lazy = {"lazy": True}
        return {
            "required": {"first": ("BOOLEAN", {"default": True})},
            "optional": {"one": ("*", lazy), "other": ("*", lazy)},
            "hidden": {"unique_id": "UNIQUE_ID"},
        }

    def check_lazy_status(self, first, one=None, other=None):
        return [("one" if first else "other")]

    def run(self, first, unique_id, one=None, other=None):
        return ((one if first else other, one is None, other is None),)


class Twice:
    RETURN_TYPES = ("INT",)
    RETURN_NAMES = ("sum",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"number": ("INT", {"default": 2, "max": 10})}}

    def run(self, number):
        nodes = {"sum": {"class_type": "Join", "inputs": {"texts": str(number), "between": ""}}}
        return {"result": (["sum", 1],), "expand": nodes}


class Folder:
    RETURN_TYPES = ("STRING",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def run(self):
        return (folder_paths.get_output_directory(),)


NODE_CLASS_MAPPINGS = {node.__name__: node for node in (Join, Split, Choose, Twice, Folder)}
"""

TESTS = """
import pytest
from graphengine.errors import GraphEngineError, ValidationFailed
from graphengine.testing import fakes
from graphengine.testing.calling import Many


def test_lists(run_node):
    out = run_node("Join", texts=["a", "b"])
    assert dict(out) == {"joined": "a-b", "count": 2}
    assert run_node("Split")["STRING"] == ["a", "b"]
    assert run_node("Split", text=Many("a", "b c"))[0] == ["a", "b", "c"]


def test_lazy(run_node):
    assert run_node("Choose", one="x", other="y")["value"] == ("x", False, True)


def test_expansion(run_node):
    assert run_node("Twice")["sum"] == 1


def test_folders(run_node, graphengine, tmp_path):
    assert run_node("Folder")["STRING"] == str(tmp_path / "output")


def test_what_is_wrong_is_told(run_node):
    with pytest.raises(ValidationFailed):
        run_node("Twice", number=11)
    with pytest.raises(GraphEngineError, match="no input 'nunber'"):
        run_node("Twice", nunber=1)
    with pytest.raises(GraphEngineError, match="no node type 'Twicee'"):
        run_node("Twicee")


def test_a_workflow(run_workflow):
    document = {
        "1": {"class_type": "Split", "inputs": {"text": "a b"}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    }
    assert run_workflow(document)["2"].ui["text"] == ["a", "b"]


def test_a_class_that_no_pack_maps(run_node):
    class Negative:
        RETURN_TYPES = ("IMAGE",)
        FUNCTION = "run"

        @classmethod
        def INPUT_TYPES(cls):
            return {"required": {"image": ("IMAGE",)}}

        def run(self, image):
            return (1.0 - image,)

    assert run_node(Negative, image=fakes.image())["IMAGE"].equal(1.0 - fakes.image())


def test_the_tiny_checkpoint(run_node, tiny_model, tiny_conditioning, tiny_vae):
    out = run_node("KSampler", model=tiny_model, positive=tiny_conditioning, negative=tiny_conditioning, steps=2)
    assert run_node("VAEDecode", samples=out["LATENT"], vae=tiny_vae)["IMAGE"].shape == (1, 64, 64, 3)
"""
