from pathlib import Path

import pytest

from graphengine.cache.store import MemoryStore
from graphengine.engine import Engine
from graphengine.errors import PackError, ValidationFailed
from graphengine.execution.executor import LocalExecutor
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.packs.discover import Pack, custom_packs, installed_packs
from graphengine.packs.load import load_pack
from graphengine.packs.source import SourceReader
from tests.workflows import workflow

DOUBLE = """
from .arithmetic import double

class Double:
    RETURN_TYPES = ("INT",)
    FUNCTION = "run"
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {})}}
    def run(self, value):
        return (double(value),)

NODE_CLASS_MAPPINGS = {"Double": Double}
NODE_DISPLAY_NAME_MAPPINGS = {"Double": "Twice as much"}
"""


@pytest.fixture
def custom_nodes(tmp_path: Path) -> Path:
    """A folder with one good pack, one that fails, a single file and things that are no packs."""
    root = tmp_path / "custom_nodes"
    for name, files in {
        "double-pack.v1": {"__init__.py": DOUBLE, "arithmetic.py": "def double(x):\n    return 2 * x\n"},
        "broken": {"__init__.py": "import surely_not_installed\nNODE_CLASS_MAPPINGS = {'Broken': 1}\n"},
        "old.disabled": {"__init__.py": "raise SystemExit\n"},
        "notes": {"readme.txt": "no pack"},
        ".": {"single.py": "NODE_CLASS_MAPPINGS = {}\n"},
    }.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            (root / name / file).write_text(text)
    return root


def engine(custom_nodes: Path, registry: NodeRegistry) -> Engine:
    return Engine(registry, MemoryStore(), Folders(), LocalExecutor(), "cpu", tuple(custom_packs([custom_nodes])))


def test_packages_and_files_are_packs_and_disabled_ones_are_not(custom_nodes: Path) -> None:
    assert [pack.name for pack in custom_packs([custom_nodes])] == ["broken", "double-pack.v1", "single"]


def test_a_pack_with_a_hyphen_a_dot_and_relative_imports_loads(custom_nodes: Path) -> None:
    (double,) = load_pack(custom_packs([custom_nodes])[1]).definitions
    assert (double.class_type, double.display_name, double.module) == (
        "Double",
        "Twice as much",
        "custom_nodes.double-pack.v1",
    )
    assert double.load is not None
    assert double.load()().run(4) == (8,)


def test_a_missing_module_is_named(custom_nodes: Path) -> None:
    with pytest.raises(PackError, match="needs the module 'surely_not_installed'"):
        load_pack(custom_packs([custom_nodes])[0])


def test_a_pack_without_nodes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("x = 1\n")
    with pytest.raises(PackError, match="no NODE_CLASS_MAPPINGS"):
        load_pack(Pack("empty", "graphengine_pack_empty", tmp_path / "empty.py"))


def test_a_run_loads_only_the_packs_it_needs(custom_nodes: Path, registry: NodeRegistry) -> None:
    twice = workflow({"1": ("Double", {"value": 21}), "2": ("Show", {"value": ["1", 0]})})
    assert engine(custom_nodes, registry).run(twice).ui == {"2": {"text": ["42"]}}


def test_validation_runs_no_code_of_a_pack(custom_nodes: Path, registry: NodeRegistry) -> None:
    marker = custom_nodes / "ran"
    (custom_nodes / "single.py").write_text(
        f"open({str(marker)!r}, 'w').close()\nNODE_CLASS_MAPPINGS = {{'Single': 1}}\n"
    )
    graph = workflow({"1": ("Single", {}), "2": ("Show", {"value": ["1", 0]})})
    (problem,) = engine(custom_nodes, registry).validate(graph)
    assert (problem.code, problem.severity) == ("pack_not_loaded", "warning")
    assert not marker.exists()


def test_a_workflow_whose_only_output_is_in_a_pack_may_be_fine(custom_nodes: Path, registry: NodeRegistry) -> None:
    problems = engine(custom_nodes, registry).validate(workflow({"1": ("Double", {"value": 21})}))
    assert {problem.code: problem.severity for problem in problems} == {
        "no_output_node": "warning",
        "pack_not_loaded": "warning",
    }


def test_a_broken_pack_is_reported_with_the_node_it_defines(custom_nodes: Path, registry: NodeRegistry) -> None:
    graph = workflow({"1": ("Broken", {}), "2": ("Show", {"value": ["1", 0]})})
    with pytest.raises(ValidationFailed) as caught:
        engine(custom_nodes, registry).run(graph)
    assert [problem.code for problem in caught.value.problems] == ["broken_pack", "unknown_node"]


def test_the_digest_changes_with_the_source_and_not_with_its_place(custom_nodes: Path, tmp_path: Path) -> None:
    pack = custom_nodes / "double-pack.v1"
    before = SourceReader().read(pack).version
    moved = pack.rename(tmp_path / "elsewhere")
    assert SourceReader().read(moved).version == before
    (moved / "arithmetic.py").write_text("def double(x):\n    return 3 * x\n")
    assert SourceReader().read(moved).version != before


def test_class_names_are_found_in_the_source_without_running_it(custom_nodes: Path) -> None:
    assert SourceReader().mentions(custom_nodes / "broken", {"Broken", "Double"}) == {"Broken"}


def test_a_class_type_that_is_taken_stays_with_the_first(registry: NodeRegistry) -> None:
    with pytest.raises(PackError, match="'Add' of a pack is already defined"):
        registry.add(registry["Add"])


def test_a_pack_that_puts_names_together_is_found_when_no_other_has_the_node(
    tmp_path: Path, registry: NodeRegistry
) -> None:
    (tmp_path / "built.py").write_text(
        "class Twice:\n"
        "    RETURN_TYPES, FUNCTION = ('INT',), 'run'\n"
        "    @classmethod\n"
        "    def INPUT_TYPES(cls):\n"
        "        return {'required': {'value': ('INT', {})}}\n"
        "    def run(self, value):\n"
        "        return (2 * value,)\n"
        "NODE_CLASS_MAPPINGS = {f'Twice ({suffix})': Twice for suffix in ['mine']}\n"
    )
    found = engine(tmp_path, registry)
    assert found.load_packs(["Twice (mine)"]) == []
    assert "Twice (mine)" in found.registry


def test_a_distribution_that_an_interrupted_pip_left_behind_announces_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("some_nodes", "~ome_nodes"):
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-nodes\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[graphengine.nodes]\nsome = some_nodes\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert [pack.module for pack in installed_packs()].count("some_nodes") == 1
