"""Packs that list schema-based classes in an extension, with classes that stand in for those of `comfy_api`."""

import asyncio
from pathlib import Path

import pytest

from graphengine.errors import PackError
from graphengine.packs.discover import Pack
from graphengine.packs.load import LoadedPack, load_pack

NODES = """
from types import SimpleNamespace

class Twice:
    RETURN_TYPES = ("INT",)
    FUNCTION = "run"
    @classmethod
    def GET_SCHEMA(cls):
        return SimpleNamespace(node_id="TwiceAsMuch", display_name="Twice")
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {})}}
    def run(self, value):
        return (2 * value,)

class Broken:
    @classmethod
    def GET_SCHEMA(cls):
        raise RuntimeError("no schema")
    INPUT_TYPES = GET_SCHEMA

class Extension:
    loaded = 0
    async def on_load(self):
        Extension.loaded += 1
    async def get_node_list(self):
        return [Twice, Broken]
"""


def _load(tmp_path: Path, name: str, source: str) -> LoadedPack:
    (tmp_path / f"{name}.py").write_text(NODES + source)
    return load_pack(Pack(name, f"graphengine_pack_{name}", tmp_path / f"{name}.py"))


@pytest.mark.parametrize("form", ["def", "async def"])
def test_nodes_are_listed_by_an_extension(tmp_path: Path, form: str) -> None:
    name = f"listed_by_{form.split()[0]}"
    loaded = _load(tmp_path, name, f"{form} comfy_entrypoint():\n    return Extension()\n")
    (twice,) = loaded.definitions
    assert (twice.class_type, twice.display_name) == ("TwiceAsMuch", "Twice")
    assert twice.load is not None
    assert twice.load()().run(4) == (8,)


def test_a_class_that_cannot_be_read_is_a_problem_and_hurts_no_other(tmp_path: Path) -> None:
    loaded = _load(tmp_path, "one_broken", "def comfy_entrypoint():\n    return Extension()\n")
    assert [(problem.code, problem.class_type) for problem in loaded.problems] == [("unreadable_node", "Broken")]
    assert len(loaded.definitions) == 1


def test_the_extension_is_loaded_once(tmp_path: Path) -> None:
    (twice,) = _load(tmp_path, "loaded_once", "def comfy_entrypoint():\n    return Extension()\n").definitions
    assert twice.load is not None
    node_class = twice.load()
    assert twice.load() is node_class
    assert node_class.run.__globals__["Extension"].loaded == 1


def test_a_mapping_wins_over_an_entry_point(tmp_path: Path) -> None:
    both = "def comfy_entrypoint():\n    raise RuntimeError('asked')\nNODE_CLASS_MAPPINGS = {'Mapped': Twice}\n"
    assert [d.class_type for d in _load(tmp_path, "both_ways", both).definitions] == ["Mapped"]


def test_packs_load_while_an_event_loop_runs(tmp_path: Path) -> None:
    async def load() -> LoadedPack:
        return _load(tmp_path, "inside_a_loop", "async def comfy_entrypoint():\n    return Extension()\n")

    assert len(asyncio.run(load()).definitions) == 1


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        (
            "raises_early",
            "def comfy_entrypoint():\n    raise OSError('no key')\n",
            "list its nodes: OSError: no key",
        ),
        ("lists_nothing", "def comfy_entrypoint():\n    return 5\n", "gave int, which lists no nodes"),
        ("is_no_function", "comfy_entrypoint = 5\n", "no NODE_CLASS_MAPPINGS and no comfy_entrypoint"),
    ],
)
def test_an_entry_point_that_gives_no_nodes_is_explained(
    tmp_path: Path, name: str, source: str, message: str
) -> None:
    with pytest.raises(PackError, match=message):
        _load(tmp_path, name, source)
