"""How torch computes is set by the engine, whatever a pack did to it."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from graphengine.cache.store import MemoryStore
from graphengine.engine import Engine
from graphengine.errors import SettingsError
from graphengine.execution.executor import LocalExecutor
from graphengine.execution.numerics import Numerics, read_numerics
from graphengine.node.comfy_classes import define
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.settings import load_settings
from graphengine.workflow.models import NodeId
from tests.workflows import workflow

# Any throughout: nodes are written as authors write them.


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    Numerics().apply()


def state() -> tuple[object, ...]:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.get_float32_matmul_precision(),
        torch.get_default_dtype(),
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.deterministic,
    )


class State:
    """Tells how torch computes, and then changes it for all others."""

    FUNCTION = "run"
    RETURN_TYPES = ("*",)
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"number": ("INT", {})}}

    def run(self, number: int) -> Any:
        found = [str(each) for each in state()]
        torch.backends.cudnn.benchmark = True
        torch.set_default_dtype(torch.float64)
        torch.set_float32_matmul_precision("medium")
        return (found,)


def told(numerics: Numerics, store: MemoryStore, number: int = 0) -> tuple[object, int]:
    """What the node tells, and whether it was called."""
    definition = replace(define("State", State, version="1"), packages={"torch": "2"})
    engine = Engine(NodeRegistry([definition]), store, Folders(), LocalExecutor(), "cpu", numerics=numerics)
    result = engine.run(workflow({"1": ("State", {"number": number})}))
    outputs = result.outputs(NodeId("1"))
    assert outputs is not None
    return outputs.slots[0][0], len(result.executed)


def test_torch_computes_as_set_whatever_another_node_did() -> None:
    store = MemoryStore()
    plain = ["False", "highest", "torch.float32", "False", "False"]
    assert told(Numerics(), store, 1) == (plain, 1)
    assert told(Numerics(), store, 2) == (plain, 1)


def test_another_setting_is_another_key() -> None:
    store = MemoryStore()
    told(Numerics(), store)
    strict = Numerics(deterministic=True, precision="high")
    found = ["True", "high", "torch.float32", "False", "True"]
    assert told(strict, store) == (found, 1)
    assert told(strict, store) == (found, 0)
    assert told(Numerics(), store)[1] == 0


def test_torch_is_set_when_old_and_new_names_of_its_settings_were_mixed() -> None:
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    Numerics().apply()
    assert torch.get_float32_matmul_precision() == "highest"


def test_what_nobody_chose_needs_no_torch() -> None:
    code = "import sys; from graphengine.execution import numerics; numerics.Numerics().apply()"
    code += "; print('torch' in sys.modules)"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout == "False\n"


def test_the_environment_chooses() -> None:
    environ = {"GRAPHENGINE_DETERMINISTIC": "1", "GRAPHENGINE_FLOAT32_PRECISION": "High"}
    assert read_numerics(environ) == Numerics(deterministic=True, precision="high")
    assert read_numerics({}) == Numerics()
    assert load_settings(environ=environ, no_cache=True).numerics.deterministic


@pytest.mark.parametrize(
    ("name", "value"), [("GRAPHENGINE_DETERMINISTIC", "maybe"), ("GRAPHENGINE_FLOAT32_PRECISION", "tf32")]
)
def test_a_value_that_there_is_not_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is '{value}'"):
        read_numerics({name: value})
