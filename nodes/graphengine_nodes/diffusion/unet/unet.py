"""A walk over the blocks of diffusers' UNet2DConditionModel, with hooks where ComfyUI's model patches have theirs.

The blocks are those of LDM: input block 0 is the first convolution, then each residual block (with its attention)
and each downsampler is one; the middle is one; each residual block on the way up (with its attention and, as the
last of a level, the upsampler) is one output block. Without patches the result is bit for bit that of the module.

A patch is a function in `NetworkCall.options["patches"]`, by the name of its place:

- input_block_patch(h, options) -> h: after an input block and its control, before its skip connection is kept
- input_block_patch_after_skip(h, options) -> h: after that
- output_block_patch(h, skip, options) -> (h, skip): before an output block joins both
- attn1_patch, attn2_patch(n, context, value, options) -> (n, context, value): what queries, keys and values are
  made of, before their projections
- attn1_output_patch, attn2_output_patch(n, options) -> n: the result of an attention
- middle_patch(n, options) -> n: between the two attentions

h is (B, C, H, W), n (B, T, C). `options["patches_replace"]` holds, under "attn1" and "attn2", functions
f(q, k, v, options) -> (B, T, C) that take the place of one attention, by (block, number) or (block, number, index
of the transformer block in its stack); q, k and v are projected and not split into heads. The options given to a
patch are the call's with "block", "block_index", "transformer_index", "original_shape", "activations_shape" and,
in attentions, "n_heads" and "dim_head".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from graphengine_nodes.diffusion.model.unet_view import layers

if TYPE_CHECKING:
    from graphengine_nodes.diffusion.model.model import NetworkCall, Residuals

Patch = Callable[..., Any]
"""A function of a node pack; what it takes and gives depends on its place."""

_ATTENTION_PATCHES = (
    "attn1_patch",
    "attn1_output_patch",
    "attn2_patch",
    "attn2_output_patch",
    "middle_patch",
)
_OVERRIDE = "optimized_attention_override"

# Any throughout: the modules are diffusers', which mypy sees as untyped, and the options are the node packs'.


def run(module: Any, call: NetworkCall) -> Tensor:
    """The output (B, C, H, W) of a UNet2DConditionModel, in the dtype of call.x.

    call.extra["y"], (B, D): the vector that SDXL adds to the embedding of the time.

    Raises:
        ValueError: the UNet needs a vector "y" that the call does not have.
    """
    dtype = module.conv_in.weight.dtype
    x = call.x.to(dtype)
    walk = _Walk(
        embedding=_embedding(module, x, call),
        context=call.context.to(dtype),
        options={**call.options, "original_shape": list(x.shape), "transformer_index": 0},
        control=call.control,
    )
    h = walk.up(module, walk.middle(module, walk.down(module, x)))
    result: Tensor = module.conv_out(module.conv_act(module.conv_norm_out(h)))
    return result.to(call.x.dtype)


def _embedding(module: Any, x: Tensor, call: NetworkCall) -> Tensor:
    """What the residual blocks are told: the time and, for the networks that have it, the vector y."""
    embedded: Tensor = module.time_embedding(module.get_time_embed(sample=x, timestep=call.timestep))
    add = getattr(module, "add_embedding", None) or module.class_embedding
    if add is None:
        return embedded
    if "y" not in call.extra:
        raise ValueError("the UNet needs a vector 'y' beside the text, which the conditioning does not give")
    added: Tensor = add(call.extra["y"].to(x.dtype))
    return embedded + added


@dataclass(slots=True, eq=False)
class _Walk:
    """One way through the network: what its blocks are given, and the skip connections left so far."""

    embedding: Tensor
    context: Tensor
    options: dict[str, Any]
    control: Residuals | None
    skips: list[Tensor] = field(default_factory=list)
    patches: Mapping[str, Sequence[Patch]] = field(init=False)
    replacements: Mapping[str, Mapping[tuple[str | int, ...], Patch]] = field(init=False)
    hooked_attention: bool = field(init=False)

    def __post_init__(self) -> None:
        self.patches = self.options.get("patches") or {}
        self.replacements = self.options.get("patches_replace") or {}
        hooks: list[Any] = [self.patches.get(name) for name in _ATTENTION_PATCHES]
        hooks += [self.replacements.get("attn1"), self.replacements.get("attn2"), self.options.get(_OVERRIDE)]
        self.hooked_attention = any(hooks)

    def down(self, module: Any, x: Tensor) -> Tensor:
        """The state after the input blocks."""
        self._enter_input()
        h = self._leave_input(module.conv_in(x))
        for level in module.down_blocks:
            for resnet, attention in layers(level):
                self._enter_input()
                h = self._leave_input(self._through(resnet, attention, h))
            for downsampler in level.downsamplers or ():
                self._enter_input()
                h = self._leave_input(downsampler(h))
        return h

    def middle(self, module: Any, h: Tensor) -> Tensor:
        """The state after the middle block."""
        self.options["block"] = ("middle", 0)
        block = module.mid_block
        if block is not None:  # distilled networks lack it
            h = block.resnets[0](h, self.embedding)
            for attention, resnet in zip(block.attentions, block.resnets[1:], strict=True):
                h = resnet(h if attention is None else self._attended(attention, h), self.embedding)
        residuals = self.control.middle if self.control else ()
        for number in range(len(residuals)):
            h = _added(h, residuals, number)
        return h

    def up(self, module: Any, h: Tensor) -> Tensor:
        """The state after the output blocks."""
        number = 0
        for level in module.up_blocks:
            for resnet, attention in layers(level):
                self.options["block"] = ("output", number)
                h = self._through(resnet, attention, self._joined(h))
                number += 1
            for upsampler in level.upsamplers or ():
                h = upsampler(h, self.skips[-1].shape[-2:])
        return h

    def _enter_input(self) -> None:
        self.options["block"] = ("input", len(self.skips))

    def _leave_input(self, h: Tensor) -> Tensor:
        h = _added(h, self.control.input, len(self.skips)) if self.control else h
        h = self._patched("input_block_patch", h)
        self.skips.append(h)
        return self._patched("input_block_patch_after_skip", h)

    def _joined(self, h: Tensor) -> Tensor:
        """The state and the last skip connection left, (B, C + S, H, W)."""
        skip = self.skips.pop()
        skip = _added(skip, self.control.output, len(self.skips)) if self.control else skip
        for patch in self.patches.get("output_block_patch", ()):
            h, skip = patch(h, skip, self.options)
        return torch.cat([h, skip], dim=1)

    def _patched(self, place: str, h: Tensor, options: dict[str, Any] | None = None) -> Tensor:
        for patch in self.patches.get(place, ()):
            h = patch(h, self.options if options is None else options)
        return h

    def _through(self, resnet: Any, attention: Any, h: Tensor) -> Tensor:
        h = resnet(h, self.embedding)
        return h if attention is None else self._attended(attention, h)

    def _attended(self, transformer: Any, h: Tensor) -> Tensor:
        """The state after a stack of transformer blocks; its own forward where no patch looks inside."""
        if self.hooked_attention:
            h = self._walked(transformer, h)
        else:
            h = transformer(h, encoder_hidden_states=self.context, return_dict=False)[0]
        self.options["transformer_index"] += 1
        return h

    def _walked(self, transformer: Any, x: Tensor) -> Tensor:
        batch, _, height, width = x.shape
        self.options["activations_shape"] = list(x.shape)
        h, linear = transformer.norm(x), transformer.use_linear_projection
        h = h if linear else transformer.proj_in(h)
        h = h.permute(0, 2, 3, 1).reshape(batch, height * width, -1)
        h = transformer.proj_in(h) if linear else h
        for index, block in enumerate(transformer.transformer_blocks):
            self.options["block_index"] = index
            h = self._block(block, h)
        h = transformer.proj_out(h) if linear else h
        h = h.reshape(batch, height, width, -1).permute(0, 3, 1, 2).contiguous()
        walked: Tensor = h if linear else transformer.proj_out(h)
        return walked + x

    def _block(self, block: Any, h: Tensor) -> Tensor:
        """One transformer block over tokens (B, T, C)."""
        own = {"n_heads": block.attn1.heads, "dim_head": block.attn1.inner_dim // block.attn1.heads}
        options = {**self.options, **own, "attn_precision": None}
        looked_at = self.context if block.only_cross_attention else None
        h = self._attention("attn1", block.attn1, block.norm1(h), looked_at, options) + h
        h = self._patched("middle_patch", h, options)
        if block.attn2 is not None:
            h = self._attention("attn2", block.attn2, block.norm2(h), self.context, options) + h
        fed: Tensor = block.ff(block.norm3(h))
        return fed + h

    def _attention(
        self, name: str, attention: Any, n: Tensor, context: Tensor | None, options: dict[str, Any]
    ) -> Tensor:
        """One attention (B, T, C) of n to the context, or to itself, with the patches of its name."""
        context = n if context is None else context
        value = context
        for patch in self.patches.get(f"{name}_patch", ()):
            n, context, value = patch(n, context, value, options)
        q, k, v = attention.to_q(n), attention.to_k(context), attention.to_v(context if value is None else value)
        attend = self._replacement(name, options) or _attend
        result = attend(q, k, v, options)
        for layer in attention.to_out:
            result = layer(result)
        return self._patched(f"{name}_output_patch", result, options)

    def _replacement(self, name: str, options: Mapping[str, Any]) -> Patch | None:
        """What takes the place of this attention: a function for its transformer block, or for its whole stack."""
        functions = self.replacements.get(name) or {}
        found = functions.get((*options["block"], options["block_index"]))
        return functions.get(options["block"]) if found is None else found


def _attend(query: Tensor, key: Tensor, value: Tensor, options: Mapping[str, Any]) -> Tensor:
    """Attention with several heads, (B, T, C); by the function that a node pack put in place of ours, if any."""
    heads: int = options["n_heads"]
    override = options.get(_OVERRIDE)
    if override is None:
        return split_attention(query, key, value, heads)
    result: Tensor = override(split_attention, query, key, value, heads, transformer_options=options)
    return result


def split_attention(query: Tensor, key: Tensor, value: Tensor, heads: int, **options: Any) -> Tensor:
    """softmax(q k / sqrt(d)) v by heads: query (B, T, C), key and value (B, S, C) to (B, T, C)."""
    q, k, v = (part.view(*part.shape[:2], heads, -1).transpose(1, 2) for part in (query, key, value))
    return scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def _added(h: Tensor, residuals: Sequence[Tensor | None], number: int) -> Tensor:
    """h and the residual of this number, where there is one."""
    residual = residuals[number] if number < len(residuals) else None
    return h if residual is None else h + residual.to(h.dtype)
