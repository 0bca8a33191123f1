"""Limits of the house that no linter states."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(
    path for folder in ("graphengine", "nodes", "scripts", "benchmarks") for path in (ROOT / folder).rglob("*.py")
)
MAIN_PATH = ["torch", "numpy", "diffusers", "transformers", "PIL", "scipy", "av"]


def names(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=names)
def test_modules_stay_under_400_lines_and_functions_under_60(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, node.name


@pytest.mark.parametrize(
    "module",
    ["graphengine", "graphengine.engine", "graphengine.cli", "graphengine_nodes.core", "graphengine_nodes.image",
     "graphengine_nodes.diffusion", "graphengine_nodes.mask", "graphengine_nodes.latent",
     "graphengine_nodes.audio", "graphengine_nodes.video", "graphengine_nodes.explaining"],
)  # fmt: skip
def test_importing_and_defining_nodes_leaves_heavy_packages_out(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {MAIN_PATH!r} if name in sys.modules])"
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'nodes'}", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.strip() == "[]"


def test_no_top_level_source_folder_is_a_package() -> None:
    assert not [name for name in ("nodes", "schemas", "workflows") if (ROOT / name / "__init__.py").exists()]


def test_every_problem_code_is_documented_and_no_other() -> None:
    documented = {
        line.split("`")[1]
        for line in (ROOT / "docs" / "problems.md").read_text().splitlines()
        if line.startswith("| `")
    }
    assert codes_in_the_source() == documented


def codes_in_the_source() -> set[str]:
    """Texts that stand where a problem's code stands; see the cases."""
    codes: set[str] = set()
    for path in (ROOT / "graphengine").rglob("*.py"):
        about_the_machine = path.stem in ("diagnosis", "doctor")
        for node in () if about_the_machine else ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name(id="Problem"), args=[code, *_]):  # Problem("cycle", …)
                    codes |= texts(code)
                case ast.Call(func=ast.Name(id="_problem"), args=[_, code, *_]):  # _problem(node, "cycle", …)
                    codes |= texts(code)
                case ast.Call(func=ast.Attribute(attr="problem"), args=[code, *_]):  # place.problem("cycle", …)
                    codes |= texts(code)
                case ast.Call(func=ast.Name(id="replace"), keywords=[ast.keyword(arg="code", value=code), *_]):
                    codes |= texts(code)
                case ast.Return(value=ast.Tuple(elts=[code, _, _])) if path.name == "values.py":  # a finding
                    codes |= texts(code)
                case ast.Assign(targets=[ast.Name(id="code")], value=code):
                    codes |= texts(code)
    return codes


def texts(code: ast.expr) -> set[str]:
    """The texts that an expression can give: one, or two behind `… if … else …`."""
    branches = [code.body, code.orelse] if isinstance(code, ast.IfExp) else [code]
    return {node.value for node in branches if isinstance(node, ast.Constant) and isinstance(node.value, str)}
