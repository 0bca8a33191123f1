import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from graphengine.errors import GraphEngineError
from graphengine.node.api import NodeContext
from graphengine.packs.discover import Pack
from graphengine.packs.load import load_pack
from tests.comfy.conftest import Called

PACK = """
import comfy
import comfy.ldm.flux.layers
from comfy.controlnet import ControlBase, ControlLora
from comfy.ldm.lightricks.model import apply_rotary_emb, _private_helper
from comfy.model_base import ModelType
from comfy.text_encoders.sd3_clip import T5XXLModel
from comfy_extras.nodes_lt import LTXVAddGuide
from comfy_extras.chainner_models import model_loading
from nodes import LoraLoader
import torch

KINDS = {ModelType.EPS: "eps", ModelType.FLOW: "flow"}

class Net(ControlBase, torch.nn.Module):
    pass

class Own(T5XXLModel):
    def __init__(self):
        self.size = 7

@apply_rotary_emb
def decorated(x):
    return x

class Works:
    RETURN_TYPES = ("INT",)
    FUNCTION = "run"
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("INT", {"default": 1})}}
    def run(self, model: ModelType = ModelType.EPS, other: "ControlLora | None" = None):
        assert KINDS[ModelType.FLOW] == "flow" and ModelType.EPS != ModelType.FLOW
        assert not isinstance(model, ControlLora)
        return (Own().size,)

class Fails(Works):
    def run(self, model):
        return (comfy.ldm.flux.layers.apply_mod(model, 3),)

class Loads(LoraLoader):
    RETURN_TYPES = LoraLoader.RETURN_TYPES + ("STRING",)
    FUNCTION = "run"
    @classmethod
    def INPUT_TYPES(cls):
        types = super().INPUT_TYPES()
        types["required"]["note"] = ("STRING", {})
        return types
    def run(self, note, **inputs):
        return (*super().load_lora(**inputs), note)

NODE_CLASS_MAPPINGS = {"Works": Works, "Fails": Fails, "Loads": Loads}
"""


@pytest.fixture
def pack(tmp_path: Path) -> dict[str, Any]:
    """The node classes of a pack that imports much and uses little of it."""
    (tmp_path / "wants_much.py").write_text(PACK)
    loaded = load_pack(Pack("wants_much", "graphengine_pack_wants_much", tmp_path / "wants_much.py"))
    assert loaded.problems == ()
    return dict(loaded.classes)


def test_a_pack_loads_whatever_it_imports_and_its_other_nodes_run(pack: dict[str, Any], called: Called) -> None:
    with called(NodeContext()):
        assert pack["Works"]().run() == (7,)


def test_a_node_that_uses_what_is_missing_is_told_its_name(pack: dict[str, Any], called: Called) -> None:
    with (
        called(NodeContext()),
        pytest.raises(GraphEngineError, match=r"comfy\.ldm\.flux\.layers\.apply_mod"),
    ):
        pack["Fails"]().run(1)


def test_a_node_that_derives_from_a_missing_one_has_its_types_and_fails_when_it_runs(
    pack: dict[str, Any],
) -> None:
    loads = pack["Loads"]
    assert loads.RETURN_TYPES == ("MODEL", "CLIP", "STRING")
    assert list(loads.INPUT_TYPES()["required"])[2:] == ["lora_name", "strength_model", "strength_clip", "note"]
    with pytest.raises(GraphEngineError, match=r"nodes\.LoraLoader\.load_lora of ComfyUI is not in graphengine"):
        loads().run("x", model=1)


def test_an_instance_or_items_of_a_placeholder_cannot_be_had() -> None:
    ControlLora = importlib.import_module("comfy.controlnet").ControlLora

    for use in (
        lambda: ControlLora(1, 2),
        lambda: list(ControlLora.KINDS),
        lambda: type("Own", (ControlLora,), {})(),
    ):
        with pytest.raises(GraphEngineError, match="ControlLora"):
            use()
    assert repr(ControlLora) == "<no comfy.controlnet.ControlLora in graphengine>"
    assert ControlLora[int] is ControlLora


def test_a_placeholder_decorates_while_a_pack_is_imported_and_refuses_in_a_call(called: Called) -> None:
    decorator = importlib.import_module("comfy.hooks").decorator

    def function() -> None:
        raise NotImplementedError

    assert decorator(function) is decorator
    with called(NodeContext()), pytest.raises(GraphEngineError, match=r"comfy\.hooks\.decorator"):
        decorator(function)


def test_what_packs_set_themselves_in_nodes_is_not_there_before() -> None:
    code = (
        "from graphengine.packs.stand_ins import put_in_place\nput_in_place(['graphengine_comfy'])\n"
        "import nodes\nprint(hasattr(nodes, 'PackLoadFormats'))\nnodes.PackLoadFormats = {}\n"
        "print(hasattr(nodes, 'PackLoadFormats'), hasattr(nodes, 'ControlNetLoader'))"
    )
    root = Path(__file__).parents[2]
    environment = {"PYTHONPATH": f"{root}:{root / 'nodes'}", "PATH": ""}
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert answer.stdout.split() == ["False", "True", "True"]
