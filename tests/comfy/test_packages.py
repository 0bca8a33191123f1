"""The packages of ComfyUI's names, in a process of their own: what is imported stays imported."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
START = """
import sys
from graphengine.packs.stand_ins import put_in_place
put_in_place(["graphengine_comfy"])
"""


def run(code: str) -> str:
    answer = subprocess.run(
        [sys.executable, "-c", START + code],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'nodes'}", "PATH": ""},
        cwd=ROOT,
    )
    return answer.stdout.strip()


def test_a_module_of_comfy_is_there_without_being_imported() -> None:
    assert run("import comfy; print(comfy.utils.ProgressBar(3).total)") == "3"


def test_the_name_nodes_is_ours_even_beside_a_folder_of_that_name() -> None:
    assert run("import nodes; print(nodes.MAX_RESOLUTION)") == "16384"


@pytest.mark.parametrize("module", ["cmd", "nodes", "model_downloader"])
def test_a_module_of_a_fork_is_missing_however_a_pack_asks(module: str) -> None:
    code = f"""
import comfy
try:
    import comfy.{module}
except ImportError as error:
    print(hasattr(comfy, {module!r}), hasattr(comfy, '_private'), error.name)
"""
    assert run(code) == f"False False comfy.{module}"


@pytest.mark.parametrize(
    "module", ["comfy.utils", "comfy_execution.graph_utils", "comfy_api.latest", "folder_paths", "nodes", "server"]
)
def test_importing_a_stand_in_needs_neither_torch_nor_aiohttp(module: str) -> None:
    assert run(f"import {module}; print([name for name in ('torch', 'aiohttp') if name in sys.modules])") == "[]"
