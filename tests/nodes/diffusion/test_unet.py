from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from graphengine_nodes.diffusion.model.model import NetworkCall, Residuals
from graphengine_nodes.diffusion.unet import unet

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what the libraries say of their own optional parts
    from diffusers import UNet2DConditionModel

VECTOR, TIMES = 24, 8


def small_unet(*, wide: bool = False, linear: bool = False) -> Any:
    """A UNet of three levels with random weights: as SD1, or, wide, as SDXL with deep stacks and a vector y."""
    torch.manual_seed(7)
    down, up = ["CrossAttnDownBlock2D"] * 3, ["CrossAttnUpBlock2D"] * 3
    down[0 if wide else 2], up[2 if wide else 0] = "DownBlock2D", "UpBlock2D"
    more: dict[str, Any] = {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": TIMES,
        "projection_class_embeddings_input_dim": VECTOR + 6 * TIMES,
    }
    module = UNet2DConditionModel(
        block_out_channels=(16, 32, 32),
        down_block_types=tuple(down),
        up_block_types=tuple(up),
        layers_per_block=2,
        transformer_layers_per_block=[1, 1, 2] if wide else 1,
        attention_head_dim=[2, 4, 4] if wide else 2,
        cross_attention_dim=12,
        norm_num_groups=8,
        use_linear_projection=linear,
        **(more if wide else {}),
    )
    return module.eval().requires_grad_(False)


def call_of(
    x: Tensor,
    *,
    extra: Mapping[str, Tensor] | None = None,
    control: Residuals | None = None,
    **options: Any,
) -> NetworkCall:
    context = torch.randn(len(x), 5, 12, generator=torch.Generator().manual_seed(1))
    timestep = torch.linspace(999.0, 3.0, len(x))
    return NetworkCall(x, timestep, context, extra or {}, control, options)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def unchanged(n: Tensor, options: Any) -> Tensor:
    return n


@pytest.mark.parametrize("size", [(8, 8), (6, 10), (7, 5)])
@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("options", [{}, {"patches": {"middle_patch": [unchanged]}}])
def test_the_walk_is_bit_equal_to_the_module(size: tuple[int, int], linear: bool, options: Any) -> None:
    module = small_unet(linear=linear)
    call = call_of(noise(2, 4, *size), **options)
    expected = module(call.x, call.timestep, call.context, return_dict=False)[0]
    assert torch.equal(unet.run(module, call), expected)


@pytest.mark.parametrize("options", [{}, {"patches": {"middle_patch": [unchanged]}}])
def test_a_vector_beside_the_text_counts_as_in_the_module(options: Any) -> None:
    module = small_unet(wide=True, linear=True)
    pooled, sizes = noise(2, VECTOR, seed=2), torch.tensor([[64.0, 48, 0, 8, 64, 48]] * 2)
    y = torch.cat([pooled, module.add_time_proj(sizes.flatten()).reshape(2, -1)], dim=1)
    call = call_of(noise(2, 4, 8, 8), extra={"y": y}, **options)
    added = {"text_embeds": pooled, "time_ids": sizes}
    expected = module(call.x, call.timestep, call.context, added_cond_kwargs=added, return_dict=False)[0]
    assert torch.equal(unet.run(module, call), expected)


def test_a_unet_that_needs_a_vector_says_so() -> None:
    with pytest.raises(ValueError, match="needs a vector 'y'"):
        unet.run(small_unet(wide=True), call_of(noise(1, 4, 8, 8)))


def test_the_dtype_of_the_state_is_that_of_the_call() -> None:
    module = small_unet().to(torch.float64)
    assert unet.run(module, call_of(noise(1, 4, 8, 8))).dtype == torch.float32


def test_blocks_are_numbered_as_in_ldm() -> None:
    seen: list[tuple[Any, ...]] = []

    def joined(h: Tensor, skip: Tensor, options: Any) -> tuple[Tensor, Tensor]:
        seen.append((*options["block"], h.shape[1], skip.shape[1], *h.shape[2:]))
        return h, skip

    def left(h: Tensor, options: Any) -> Tensor:
        seen.append((*options["block"], h.shape[1], *h.shape[2:]))
        return h

    patches = {"input_block_patch": [left], "output_block_patch": [joined]}
    unet.run(small_unet(), call_of(noise(1, 4, 8, 8), patches=patches))
    down = [(16, 8), (16, 8), (16, 8), (16, 4), (32, 4), (32, 4), (32, 2), (32, 2), (32, 2)]
    assert seen[:9] == [("input", number, width, side, side) for number, (width, side) in enumerate(down)]
    up = [(32, 32, 2)] * 3 + [(32, 32, 4)] * 2 + [(32, 16, 4), (32, 16, 8), (16, 16, 8), (16, 16, 8)]
    assert seen[9:] == [("output", number, h, skip, side, side) for number, (h, skip, side) in enumerate(up)]


def test_attention_patches_are_told_where_they_are() -> None:
    seen = []

    def look(n: Tensor, options: Any) -> Tensor:
        names = ("block", "block_index", "transformer_index", "n_heads", "dim_head", "original_shape", "sigmas")
        seen.append(tuple(options[name] for name in names))
        return n

    module = small_unet(wide=True, linear=True)
    y = noise(1, VECTOR + 6 * TIMES)
    call = call_of(noise(1, 4, 8, 8), extra={"y": y}, patches={"attn1_output_patch": [look]}, sigmas=3.0)
    unet.run(module, call)
    shape = [1, 4, 8, 8]
    assert seen[:3] == [
        (("input", 4), 0, 0, 4, 8, shape, 3.0),
        (("input", 5), 0, 1, 4, 8, shape, 3.0),
        (("input", 7), 0, 2, 4, 8, shape, 3.0),
    ]
    middle = [entry[:3] for entry in seen if entry[0] == ("middle", 0)]
    assert middle == [(("middle", 0), 0, 4), (("middle", 0), 1, 4)]
    assert seen[-1][:3] == (("output", 5), 0, 10)


def test_the_options_of_a_call_stay_as_they_are() -> None:
    call = call_of(noise(1, 4, 8, 8), patches={"middle_patch": [unchanged]}, cond_or_uncond=[0])
    before = dict(call.options)
    unet.run(small_unet(), call)
    assert call.options == before


@pytest.mark.parametrize("name", ["attn1", "attn2"])
def test_a_replacement_that_attends_changes_nothing(name: str) -> None:
    def attend(q: Tensor, k: Tensor, v: Tensor, options: Any) -> Tensor:
        return unet.split_attention(q, k, v, options["n_heads"])

    module, x = small_unet(), noise(2, 4, 8, 8)
    replace = {name: {("input", 1): attend, ("middle", 0, 0): attend}}
    plain = unet.run(module, call_of(x))
    assert torch.equal(unet.run(module, call_of(x, patches_replace=replace)), plain)


def test_a_replacement_for_one_transformer_block_goes_before_that_for_its_stack() -> None:
    called = []

    def named(name: str) -> Callable[..., Tensor]:
        def replace(q: Tensor, k: Tensor, v: Tensor, options: Any) -> Tensor:
            called.append((name, options["block_index"]))
            return q

        return replace

    replace = {"attn1": {("middle", 0): named("stack"), ("middle", 0, 1): named("second")}}
    call = call_of(noise(1, 4, 8, 8), extra={"y": noise(1, VECTOR + 6 * TIMES)}, patches_replace=replace)
    unet.run(small_unet(wide=True), call)
    assert called == [("stack", 0), ("second", 1)]


def test_attention_patches_change_what_is_attended_to() -> None:
    module, x = small_unet(), noise(1, 4, 8, 8)

    def twice(n: Tensor, context: Tensor, value: Tensor, options: Any) -> tuple[Tensor, Tensor, Tensor]:
        return n, torch.cat([context, context], dim=1), torch.cat([value, value], dim=1)

    def silent(n: Tensor, context: Tensor, value: Tensor, options: Any) -> tuple[Tensor, Tensor, Tensor]:
        return n, context, torch.zeros_like(value)

    plain = unet.run(module, call_of(x))
    doubled = unet.run(module, call_of(x, patches={"attn2_patch": [twice]}))
    silenced = unet.run(module, call_of(x, patches={"attn2_patch": [silent]}))
    # each token twice has the same softmax mean; no values have none
    assert torch.allclose(doubled, plain, atol=1e-5)
    assert not torch.allclose(silenced, plain, atol=1e-3)


def test_a_function_in_place_of_attention_is_given_the_one_it_replaces() -> None:
    heads = []

    def attend(original: Any, q: Tensor, k: Tensor, v: Tensor, count: int, **options: Any) -> Tensor:
        heads.append(count)
        result: Tensor = original(q, k, v, count, **options)
        return result

    module, x = small_unet(), noise(1, 4, 8, 8)
    result = unet.run(module, call_of(x, optimized_attention_override=attend))
    assert torch.equal(result, unet.run(module, call_of(x)))
    assert heads == [2] * 22


def test_input_patches_see_the_state_before_and_after_its_skip_connection() -> None:
    module, x = small_unet(), noise(1, 4, 8, 8)

    def zero_at_4(h: Tensor, options: Any) -> Tensor:
        return h * 0 if options["block"] == ("input", 4) else h

    skips: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., tuple[Tensor, Tensor]]:
        def patch(h: Tensor, skip: Tensor, options: Any) -> tuple[Tensor, Tensor]:
            if options["block"] == ("output", 4):
                skips[name] = skip
            return h, skip

        return patch

    before = {"input_block_patch": [zero_at_4], "output_block_patch": [keep("before")]}
    after = {"input_block_patch_after_skip": [zero_at_4], "output_block_patch": [keep("after")]}
    unet.run(module, call_of(x, patches=before))
    unet.run(module, call_of(x, patches=after))
    assert not skips["before"].any()
    assert skips["after"].any()


def test_a_state_may_be_made_smaller_on_the_way_down() -> None:
    def halve(h: Tensor, options: Any) -> Tensor:
        return h[..., ::2, ::2] if options["block"] == ("input", 3) else h

    def fit(h: Tensor, skip: Tensor, options: Any) -> tuple[Tensor, Tensor]:
        if h.shape[-2:] != skip.shape[-2:]:
            h = torch.nn.functional.interpolate(h, skip.shape[-2:])
        return h, skip

    patches = {"input_block_patch_after_skip": [halve], "output_block_patch": [fit]}
    assert unet.run(small_unet(), call_of(noise(1, 4, 16, 12), patches=patches)).shape == (1, 4, 16, 12)


def test_control_is_added_where_the_module_of_diffusers_adds_it() -> None:
    module, x = small_unet(), noise(2, 4, 8, 8)
    sides = [8, 8, 8, 4, 4, 4, 2, 2, 2]
    widths = [16, 16, 16, 16, 32, 32, 32, 32, 32]
    skips = [noise(2, width, side, side, seed=width + side) for width, side in zip(widths, sides, strict=True)]
    middle = noise(2, 32, 2, 2, seed=3)
    call = call_of(x, control=Residuals(input=(), middle=(middle,), output=tuple(skips)))
    expected = module(
        x,
        call.timestep,
        call.context,
        down_block_additional_residuals=skips,
        mid_block_additional_residual=middle,
        return_dict=False,
    )[0]
    assert torch.equal(unet.run(module, call), expected)


def test_adapters_are_added_where_the_module_of_diffusers_adds_them() -> None:
    module, x = small_unet(), noise(2, 4, 8, 8)
    first, second = noise(2, 16, 8, 8, seed=3), noise(2, 32, 4, 4, seed=4)
    control = Residuals(input=(None, None, first, None, None, second), middle=(), output=())
    call = call_of(x, control=control)
    zero = torch.zeros(2, 32, 2, 2)
    expected = module(
        x,
        call.timestep,
        call.context,
        down_intrablock_additional_residuals=[first, second, zero],
        return_dict=False,
    )[0]
    assert torch.allclose(unet.run(module, call), expected, atol=1e-6)
