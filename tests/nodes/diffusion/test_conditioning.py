"""Options and formulas of the conditioning nodes, on states of a few numbers."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphengine.errors import GraphEngineError
from graphengine_nodes.diffusion.conditioning.conditioning import (
    average,
    concatenate,
    with_mask,
    with_properties,
    zeroed,
)
from graphengine_nodes.diffusion.model.model import Conditioning
from graphengine_nodes.diffusion.nodes import (
    conditioning_nodes,
    conditioning_option_nodes,
    conditioning_property_nodes,
)


def entry(tokens: int = 2, width: int = 3, seed: int = 0, **options: Any) -> Conditioning:
    """One entry with random states (1, tokens, width)."""
    states = torch.randn(1, tokens, width, generator=torch.Generator().manual_seed(seed))
    return [(states, options)]


def call(module: Any, name: str, **inputs: Any) -> Any:
    """What a node gives."""
    node_class = module.NODE_CLASS_MAPPINGS[name]
    return getattr(node_class(), node_class.FUNCTION)(**inputs)


def one(module: Any, name: str, **inputs: Any) -> Conditioning:
    """The only output of a node."""
    result: tuple[Conditioning] = call(module, name, **inputs)
    return result[0]


def test_combining_puts_the_entries_side_by_side() -> None:
    a, b = entry(), entry(seed=1)
    combined = one(conditioning_nodes, "ConditioningCombine", conditioning_1=a, conditioning_2=b)
    assert combined == [a[0], b[0]]
    assert len(a) == 1


def test_concatenating_appends_the_tokens_of_the_first_entry() -> None:
    to, other = entry(2, pooled_output=1), entry(4, seed=1, pooled_output=2) + entry(9, seed=2)
    ((states, options),) = concatenate(to, other)
    assert torch.equal(states, torch.cat([to[0][0], other[0][0]], dim=1))
    assert options == {"pooled_output": 1}


@given(st.floats(0, 1), st.integers(1, 5), st.integers(1, 5))
def test_an_average_is_weighted_and_has_the_length_of_the_first(strength: float, tokens: int, others: int) -> None:
    to, other = entry(tokens), entry(others, seed=1)
    ((states, _),) = average(to, other, strength)
    for token in range(tokens):
        base = other[0][0][:, token] if token < others else torch.zeros(1, 3)
        assert torch.allclose(states[:, token], strength * to[0][0][:, token] + (1 - strength) * base, atol=1e-6)


@pytest.mark.parametrize(
    ("to", "other", "expected"),
    [(2.0, 6.0, 3.0), (2.0, None, 2.0), (None, 6.0, 6.0), (None, None, None)],
)
def test_pooled_states_are_averaged_when_both_are_there(
    to: float | None, other: float | None, expected: float | None
) -> None:
    def pooled(value: float | None) -> dict[str, Any]:
        return {} if value is None else {"pooled_output": torch.tensor([[value]])}

    ((_, options),) = average(entry(**pooled(to)), entry(seed=1, **pooled(other)), 0.75)
    found = options.get("pooled_output")
    assert (None if found is None else found.item()) == expected


def test_prompts_of_different_encoders_do_not_mix() -> None:
    with pytest.raises(GraphEngineError, match="states of width 3 and 5"):
        concatenate(entry(), entry(width=5))
    with pytest.raises(GraphEngineError, match="states of width 3 and 5"):
        average(entry(), entry(width=5), 0.5)
    with pytest.raises(GraphEngineError, match="conditioning_from is empty"):
        average(entry(), [], 0.5)


def test_zeroing_keeps_the_shape_and_the_other_options() -> None:
    given_ = entry(pooled_output=torch.ones(1, 4), conditioning_lyrics=torch.ones(1, 2), strength=0.5)
    ((states, options),) = zeroed(given_)
    assert torch.equal(states, torch.zeros(1, 2, 3))
    assert torch.equal(options["pooled_output"], torch.zeros(1, 4))
    assert torch.equal(options["conditioning_lyrics"], torch.zeros(1, 2))
    assert options["strength"] == 0.5
    assert torch.equal(given_[0][1]["pooled_output"], torch.ones(1, 4))
    assert "pooled_output" not in zeroed(entry())[0][1]


def test_areas_are_counted_in_cells_or_in_parts() -> None:
    sizes = {"conditioning": entry(set_area_to_bounds=True), "strength": 0.5}
    ((_, options),) = one(conditioning_nodes, "ConditioningSetArea", width=64, height=128, x=8, y=20, **sizes)
    assert options == {"area": (16, 8, 2, 1), "strength": 0.5, "set_area_to_bounds": False}
    ((_, options),) = one(
        conditioning_nodes, "ConditioningSetAreaPercentage", width=0.5, height=0.25, x=0.1, y=0.2, **sizes
    )
    assert options["area"] == ("percentage", 0.25, 0.5, 0.2, 0.1)
    ((_, options),) = one(
        conditioning_nodes,
        "ConditioningSetAreaPercentageVideo",
        width=0.5,
        height=0.25,
        temporal=0.75,
        x=0.1,
        y=0.2,
        z=0.3,
        **sizes,
    )
    assert options["area"] == ("percentage", 0.75, 0.25, 0.5, 0.3, 0.2, 0.1)


@pytest.mark.parametrize(("bounds", "set_to_bounds"), [("default", False), ("mask bounds", True)])
def test_a_mask_has_its_own_strength(bounds: str, set_to_bounds: bool) -> None:
    ((_, options),) = one(
        conditioning_nodes,
        "ConditioningSetMask",
        conditioning=entry(strength=2.0),
        mask=torch.ones(4, 5),
        set_cond_area=bounds,
        strength=0.5,
    )
    assert options["mask"].shape == (1, 4, 5)
    assert (options["strength"], options["mask_strength"]) == (2.0, 0.5)
    assert options["set_area_to_bounds"] is set_to_bounds


def test_an_empty_mask_is_refused_with_its_shape() -> None:
    with pytest.raises(GraphEngineError, match=r"a mask has the shape \(B, H, W\), not \[0, 8\]"):
        with_mask(entry(), torch.ones(0, 8), 1.0)


@pytest.mark.parametrize(
    ("module", "name", "inputs", "options"),
    [
        (conditioning_nodes, "ConditioningSetAreaStrength", {"strength": 0.3}, {"strength": 0.3}),
        (
            conditioning_nodes,
            "ConditioningSetTimestepRange",
            {"start": 0.1, "end": 0.9},
            {"start_percent": 0.1, "end_percent": 0.9},
        ),
        (conditioning_option_nodes, "FluxGuidance", {"guidance": 3.5}, {"guidance": 3.5}),
        (conditioning_option_nodes, "FluxDisableGuidance", {}, {"guidance": None}),
        (
            conditioning_option_nodes,
            "FluxKontextMultiReferenceLatentMethod",
            {"reference_latents_method": "uxo/uno"},
            {"reference_latents_method": "uxo"},
        ),
        (
            conditioning_option_nodes,
            "FluxKontextMultiReferenceLatentMethod",
            {"reference_latents_method": "index"},
            {"reference_latents_method": "index"},
        ),
    ],
)
def test_options_are_set_in_every_entry_of_a_new_conditioning(
    module: Any, name: str, inputs: dict[str, Any], options: dict[str, Any]
) -> None:
    before = entry(kept=1) + entry(seed=1, kept=2)
    after = one(module, name, conditioning=before, **inputs)
    assert [entry_options for _, entry_options in after] == [{"kept": 1, **options}, {"kept": 2, **options}]
    assert [entry_options for _, entry_options in before] == [{"kept": 1}, {"kept": 2}]
    assert all(new[0] is old[0] for new, old in zip(after, before, strict=True))


def test_reference_latents_are_collected_in_order() -> None:
    first, second = torch.zeros(1, 4, 2, 2), torch.ones(1, 4, 3, 3)
    module, name = conditioning_option_nodes, "ReferenceLatent"
    once = one(module, name, conditioning=entry(), latent={"samples": first})
    twice = one(module, name, conditioning=once, latent={"samples": second})
    assert [latent.shape for latent in twice[0][1]["reference_latents"]] == [first.shape, second.shape]
    assert len(once[0][1]["reference_latents"]) == 1
    assert one(module, name, conditioning=once) is once


def test_the_small_picture_of_an_upscaling_model_is_a_quarter_of_the_wanted_size() -> None:
    positive, negative, latent = call(
        conditioning_option_nodes,
        "SD_4XUpscale_Conditioning",
        images=torch.full((2, 16, 24, 3), 0.75),
        positive=entry(),
        negative=entry(seed=1),
        scale_ratio=4.0,
        noise_augmentation=0.1,
    )
    for ((_, options),) in (positive, negative):
        assert torch.allclose(options["concat_image"], torch.full((2, 3, 16, 24), 0.5))
        assert options["noise_augmentation"] == 0.1
    assert torch.equal(latent["samples"], torch.zeros(2, 4, 16, 24))


def test_a_scale_of_zero_gives_one_cell() -> None:
    *_, latent = call(
        conditioning_option_nodes,
        "SD_4XUpscale_Conditioning",
        images=torch.zeros(1, 8, 8, 3),
        positive=[],
        negative=[],
        scale_ratio=0.0,
        noise_augmentation=0.0,
    )
    assert latent["samples"].shape == (1, 4, 1, 1)


def test_properties_are_set_only_as_far_as_they_are_connected() -> None:
    given_ = entry()
    assert with_properties(given_, 0.5, "mask bounds") == given_
    ((_, options),) = with_properties(given_, 0.5, "mask bounds", torch.ones(4, 4), (0.2, 0.6))
    assert options.keys() == {"mask", "mask_strength", "set_area_to_bounds", "start_percent", "end_percent"}
    assert (options["mask_strength"], options["set_area_to_bounds"]) == (0.5, True)
    assert (options["start_percent"], options["end_percent"]) == (0.2, 0.6)


def test_pairs_are_treated_as_their_parts() -> None:
    module = conditioning_property_nodes
    positive, negative, new, other = (entry(seed=seed) for seed in range(4))
    common = {"strength": 1.0, "set_cond_area": "default", "timesteps": (0.0, 0.5)}
    single = one(module, "ConditioningSetPropertiesAndCombine", cond=positive, cond_NEW=new, **common)
    assert [options for _, options in single] == [{}, {"start_percent": 0.0, "end_percent": 0.5}]
    pair = call(
        module,
        "PairConditioningSetPropertiesAndCombine",
        positive=positive,
        negative=negative,
        positive_NEW=new,
        negative_NEW=other,
        **common,
    )
    assert pair[0] == single
    assert [context for context, _ in pair[1]] == [negative[0][0], other[0][0]]
    both = call(
        module,
        "PairConditioningSetProperties",
        positive_NEW=new,
        negative_NEW=other,
        **common,
    )
    assert both[0] == one(module, "ConditioningSetProperties", cond_NEW=new, **common)
    combined = call(
        module,
        "PairConditioningCombine",
        positive_A=positive,
        negative_A=negative,
        positive_B=new,
        negative_B=other,
    )
    assert combined == ([*positive, *new], [*negative, *other])


def test_defaults_are_marked_as_such() -> None:
    module = conditioning_property_nodes
    cond, rest = entry(), entry(seed=1)
    single = one(module, "ConditioningSetDefaultCombine", cond=cond, cond_DEFAULT=rest)
    assert [options for _, options in single] == [{}, {"default": True}]
    pair = call(
        module,
        "PairConditioningSetDefaultCombine",
        positive=cond,
        negative=cond,
        positive_DEFAULT=rest,
        negative_DEFAULT=rest,
    )
    assert pair == (single, single)


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("ConditioningSetProperties", ["cond_NEW"]),
        ("ConditioningSetPropertiesAndCombine", ["cond", "cond_NEW"]),
        ("PairConditioningSetProperties", ["positive_NEW", "negative_NEW"]),
        (
            "PairConditioningSetPropertiesAndCombine",
            ["positive", "negative", "positive_NEW", "negative_NEW"],
        ),
    ],
)
def test_hooks_are_refused_by_name(name: str, inputs: list[str]) -> None:
    values = {**{key: entry() for key in inputs}, "strength": 1.0, "set_cond_area": "default"}
    with pytest.raises(GraphEngineError, match="hooks of conditionings are not supported"):
        call(conditioning_property_nodes, name, hooks=object(), **values)


def test_a_range_comes_with_what_is_before_and_after() -> None:
    ranges = call(conditioning_property_nodes, "ConditioningTimestepsRange", start_percent=0.2, end_percent=0.7)
    assert ranges == ((0.2, 0.7), (0.0, 0.2), (0.7, 1.0))
