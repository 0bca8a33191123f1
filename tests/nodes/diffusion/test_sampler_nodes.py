import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from graphengine.node.api import NodeContext, Preview, RunCancelled
from graphengine_nodes.diffusion.model.model import Latent
from graphengine_nodes.diffusion.nodes import sampler_nodes
from graphengine_nodes.diffusion.nodes.sampler_nodes import (
    NODE_CLASS_MAPPINGS,
    NODE_DISPLAY_NAME_MAPPINGS,
    KSampler,
    KSamplerAdvanced,
)
from graphengine_nodes.diffusion.sampling.names import SAMPLERS

from .sampling_cases import text, tiny_model

EXPECTED = json.loads((Path(__file__).parent / "assets" / "sampler_definitions.json").read_text())


def common() -> dict[str, Any]:
    return {
        "model": tiny_model(),
        "steps": 4,
        "cfg": 3.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "positive": [text(0.4)],
        "negative": [text(0.1)],
    }


def empty() -> Latent:
    return {"samples": torch.zeros(1, 4, 4, 4)}


@pytest.mark.parametrize("name", ["KSampler", "KSamplerAdvanced"])
def test_the_definition_is_comfyuis(name: str) -> None:
    node, expected = NODE_CLASS_MAPPINGS[name], EXPECTED[name]
    inputs = json.loads(json.dumps(node.INPUT_TYPES()))
    offered = inputs["required"]["sampler_name"][0]
    known = expected["input"]["required"]["sampler_name"][0]
    assert offered == [sampler for sampler in known if sampler in SAMPLERS]
    expected["input"]["required"]["sampler_name"][0] = offered
    assert inputs["required"] == expected["input"]["required"]
    assert list(inputs["required"]) == expected["input_order"]["required"]
    assert inputs["hidden"] == {"context": "GRAPHENGINE_CONTEXT"}
    assert list(node.RETURN_TYPES) == expected["output"]
    assert expected["category"] == node.CATEGORY
    assert NODE_DISPLAY_NAME_MAPPINGS[name] == expected["display_name"]


def test_listing_the_nodes_imports_no_torch() -> None:
    code = f"import sys, {sampler_nodes.__name__} as n; n.KSampler.INPUT_TYPES(); sys.exit('torch' in sys.modules)"
    roots = [str(Path(sampler_nodes.__file__).parents[2]), str(Path(__file__).parents[3])]
    done = subprocess.run([sys.executable, "-c", f"import sys; sys.path[:0] = {roots}; {code}"], check=False)
    assert done.returncode == 0


def test_both_nodes_give_the_same_for_a_whole_run() -> None:
    [simple] = KSampler().sample(**common(), seed=7, latent_image=empty(), denoise=1.0, context=NodeContext())
    [advanced] = KSamplerAdvanced().sample(
        **common(),
        add_noise="enable",
        noise_seed=7,
        latent_image=empty(),
        start_at_step=0,
        end_at_step=10000,
        return_with_leftover_noise="disable",
        context=NodeContext(),
    )
    assert torch.equal(simple["samples"], advanced["samples"])


def test_two_advanced_nodes_share_one_schedule() -> None:
    shared = {**common(), "steps": 8, "noise_seed": 7, "context": NodeContext()}
    [whole] = KSamplerAdvanced().sample(
        **shared,
        add_noise="enable",
        latent_image=empty(),
        start_at_step=0,
        end_at_step=8,
        return_with_leftover_noise="disable",
    )
    [first] = KSamplerAdvanced().sample(
        **shared,
        add_noise="enable",
        latent_image=empty(),
        start_at_step=0,
        end_at_step=3,
        return_with_leftover_noise="enable",
    )
    [second] = KSamplerAdvanced().sample(
        **shared,
        add_noise="disable",
        latent_image=first,
        start_at_step=3,
        end_at_step=8,
        return_with_leftover_noise="disable",
    )
    torch.testing.assert_close(second["samples"], whole["samples"], rtol=1e-4, atol=1e-4)


def test_the_node_reports_its_steps_and_obeys_cancellation() -> None:
    seen: list[tuple[int, int]] = []
    context = NodeContext(
        on_progress=lambda value, total: seen.append((value, total)), is_cancelled=lambda: len(seen) == 2
    )
    with pytest.raises(RunCancelled):
        KSampler().sample(**common(), seed=7, latent_image=empty(), denoise=1.0, context=context)
    assert seen == [(1, 4), (2, 4)]


def test_each_step_is_shown_to_whoever_watches() -> None:
    shown: list[Preview] = []
    KSampler().sample(
        **common(), seed=1, latent_image=empty(), denoise=1.0, context=NodeContext(on_preview=shown.append)
    )
    assert len(shown) == 4
    assert callable(shown[0].image)
    assert shown[0].image().size == (4, 4)
