"""A UNet of diffusers under the names that LDM has for its blocks, as node packs look for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn

# Any throughout: the module is diffusers', which mypy sees as untyped.


class LdmUNet(nn.Module):
    """A view: `input_blocks.4.1.transformer_blocks.0.attn2` and so on are the modules of the UNet themselves.

    What stands in a block has LDM's place there, 0 for the residual block, 1 for the stack of transformer blocks;
    the parts of a residual block have the names of diffusers. ask(x, timestep, context, extra, options) gives what
    the UNet says.
    """

    def __init__(self, module: Any, ask: Callable[..., Tensor]) -> None:
        super().__init__()
        self.input_blocks = nn.ModuleList(map(nn.ModuleList, _input_blocks(module)))
        self.middle_block = nn.ModuleList(_middle_block(module))
        self.output_blocks = nn.ModuleList(map(nn.ModuleList, _output_blocks(module)))
        self.time_embed, self.out = module.time_embedding, nn.ModuleList([module.conv_norm_out, module.conv_out])
        self.in_channels, self.out_channels = module.conv_in.in_channels, module.conv_out.out_channels
        self.model_channels = module.conv_in.out_channels
        self._ask = ask

    @property
    def dtype(self) -> Any:
        """What the UNet computes in."""
        return next(self.parameters()).dtype

    def forward(
        self,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor,
        y: Tensor | None = None,
        control: Any = None,
        transformer_options: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Tensor:
        """The output of the UNet for the scaled x (B, C, H, W), timesteps (B,) and text states (B, T, D)."""
        extra = {} if y is None else {"y": y}
        return self._ask(x, timesteps, context, extra, transformer_options or {}, control=control)


def is_unet(module: Any) -> bool:
    """Whether the module is a UNet whose blocks have LDM's order."""
    return all(hasattr(module, name) for name in ("conv_in", "down_blocks", "mid_block", "up_blocks"))


def _input_blocks(module: Any) -> Iterator[list[Any]]:
    yield [module.conv_in]
    for level in module.down_blocks:
        yield from ([layer for layer in layers if layer is not None] for layers in layers(level))
        yield from ([downsampler] for downsampler in level.downsamplers or ())


def _middle_block(module: Any) -> Iterator[Any]:
    if module.mid_block is not None:
        first, *others = module.mid_block.resnets
        yield first
        for attention, resnet in zip(module.mid_block.attentions, others, strict=True):
            yield from (layer for layer in (attention, resnet) if layer is not None)


def _output_blocks(module: Any) -> Iterator[list[Any]]:
    for level in module.up_blocks:
        blocks = [[layer for layer in layers if layer is not None] for layers in layers(level)]
        blocks[-1] += level.upsamplers or ()
        yield from blocks


def layers(level: Any) -> Iterator[tuple[Any, Any]]:
    """The residual blocks of a level, each with its attention or None."""
    attentions = getattr(level, "attentions", None)
    yield from zip(level.resnets, attentions or [None] * len(level.resnets), strict=True)
