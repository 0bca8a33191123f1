"""Every example is read, validated and run, in both of its forms."""

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from graphengine.cache.store import MemoryStore
from graphengine.engine import Engine
from graphengine.execution.executor import LocalExecutor
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.packs.discover import Pack
from graphengine.packs.load import load_pack
from graphengine.workflow.models import Workflow, WorkflowNode

WORKFLOWS = Path(__file__).parent.parent / "workflows"
NAMES = sorted(path.stem for path in WORKFLOWS.glob("*.json") if not path.name.endswith(".api.json"))
EXPLAINED = "img2img_explained"
PACKS = [
    load_pack(Pack(name, f"graphengine_nodes.{name}")) for name in ("core", "image", "diffusion", "explaining")
]
SHIPPED = next(pack.models for pack in PACKS if pack.models is not None)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """The built-in nodes, the input pictures of the examples, and a temporary output folder."""
    folders = Folders(
        input=(WORKFLOWS / "input",),
        output=tmp_path / "output",
        temp=tmp_path / "temp",
        models={"checkpoints": (SHIPPED / "checkpoints",)},
    )
    registry = NodeRegistry(definition for pack in PACKS for definition in pack.definitions)
    return Engine(registry, MemoryStore(), folders, LocalExecutor(), device="cpu")


def _read(engine: Engine, path: Path) -> Workflow:
    conversion = engine.read(path)
    assert conversion.problems == ()
    return conversion.workflow


def test_the_main_jobs_have_an_example() -> None:
    assert {"img2img", EXPLAINED, "inpaint", "latent_upscale", "txt2img"} <= set(NAMES)
    assert sorted(path.name for path in WORKFLOWS.glob("*.api.json")) == [f"{name}.api.json" for name in NAMES]


@pytest.mark.parametrize("name", NAMES)
def test_an_example_has_no_problems_in_either_form(engine: Engine, name: str) -> None:
    for path in (WORKFLOWS / f"{name}.json", WORKFLOWS / f"{name}.api.json"):
        assert engine.validate(_read(engine, path)) == []


@pytest.mark.parametrize("name", NAMES)
def test_both_forms_of_an_example_say_the_same(engine: Engine, name: str) -> None:
    drawn = _read(engine, WORKFLOWS / f"{name}.json").nodes
    sent = _read(engine, WORKFLOWS / f"{name}.api.json").nodes
    assert {i: (node.class_type, node.inputs) for i, node in drawn.items()} == {
        i: (node.class_type, node.inputs) for i, node in sent.items()
    }
    named = {i: node.title for i, node in drawn.items() if node.title is not None}
    assert named == {i: sent[i].title for i in named}


# The drawing


def _drawing(name: str) -> Any:
    return json.loads((WORKFLOWS / f"{name}.json").read_text())


@pytest.mark.parametrize("name", NAMES)
def test_every_link_is_known_at_both_ends(name: str) -> None:
    document = _drawing(name)
    nodes = {node["id"]: node for node in document["nodes"]}
    at_inputs = {slot["link"] for node in nodes.values() for slot in node["inputs"]} - {None}
    at_outputs = [link for node in nodes.values() for slot in node["outputs"] for link in slot["links"] or ()]
    assert sorted(at_outputs) == sorted(at_inputs) == [link[0] for link in document["links"]]
    for link, origin, origin_slot, target, target_slot, kind in document["links"]:
        assert link in nodes[origin]["outputs"][origin_slot]["links"]
        assert nodes[target]["inputs"][target_slot]["link"] == link
        assert nodes[target]["inputs"][target_slot]["type"] == kind
        assert nodes[origin]["order"] < nodes[target]["order"]
    assert document["last_node_id"] == max(nodes)
    assert document["last_link_id"] == len(document["links"])


@pytest.mark.parametrize("name", NAMES)
def test_nodes_lie_beside_each_other(name: str) -> None:
    title_bar = 30
    for one, other in combinations(_drawing(name)["nodes"], 2):
        (x, y), (width, height), (other_x, other_y) = one["pos"], one["size"], other["pos"]
        apart_across = x + width <= other_x or other_x + other["size"][0] <= x
        apart_down = y + height + title_bar <= other_y or other_y + other["size"][1] + title_bar <= y
        assert apart_across or apart_down, (one["id"], other["id"])


# The run


def _with_steps(workflow: Workflow, steps: int) -> Workflow:
    return Workflow(
        {
            node_id: WorkflowNode(node.class_type, {**node.inputs, "steps": steps}, node.title)
            if "steps" in node.inputs
            else node
            for node_id, node in workflow.nodes.items()
        },
        ui=workflow.ui,
    )


@pytest.mark.parametrize("name", sorted({*NAMES} - {EXPLAINED}))
def test_an_example_makes_a_picture_and_the_second_run_is_cached(engine: Engine, name: str) -> None:
    workflow = _with_steps(_read(engine, WORKFLOWS / f"{name}.json"), 2)
    first = engine.run(workflow)
    (saved,) = engine.folders.output.iterdir()
    assert saved.name == f"{name}_00001_.png"
    with Image.open(saved) as picture:
        assert picture.size == (256, 256)
        assert len(picture.getcolors(256 * 256) or ()) > 100
    assert engine.read(saved).workflow.nodes == workflow.nodes  # what ran, not what was drawn
    second = engine.run(workflow)
    assert (first.cached, dict(second.executed)) == ((), {})
    assert list(engine.folders.output.iterdir()) == [saved]


def test_the_explained_example_draws_its_pictures_and_the_second_run_is_cached(engine: Engine) -> None:
    workflow = _with_steps(_read(engine, WORKFLOWS / f"{EXPLAINED}.json"), 2)
    first = engine.run(workflow)
    savers = [node for node in workflow.nodes.values() if node.class_type == "SaveImage"]
    saved = sorted((engine.folders.output / EXPLAINED).iterdir())
    assert [path.name for path in saved] == sorted(
        f"{str(node.inputs['filename_prefix']).removeprefix(EXPLAINED + '/')}_00001_.png" for node in savers
    )
    for path in saved:
        with Image.open(path) as picture:
            assert min(picture.size) > 90, path.name
            assert len(picture.getcolors(1 << 22) or ()) > 20, path.name
    assert sum("text" in outputs for outputs in first.ui.values()) == 5
    assert dict(engine.run(workflow).executed) == {}
