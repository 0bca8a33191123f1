"""The three small networks, with the parameter names of SD1.x single files where this is practical."""

from __future__ import annotations

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional as F

AE_WIDTH = 48
TEXT_WIDTH, TEXT_LAYERS = 64, 3
UNET_WIDTHS = (96, 128, 192)


class Block(nn.Module):
    """Three 3x3 convolutions beside a shortcut, without normalisation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        convs = [nn.Conv2d(width, width, 3, padding=1) for _ in range(3)]
        self.conv = nn.Sequential(convs[0], nn.ReLU(), convs[1], nn.ReLU(), convs[2])

    def forward(self, x: Tensor) -> Tensor:
        """Features of the same shape."""
        return F.relu(self.conv(x) + x)


class Clamp(nn.Module):
    """Latents softly held within -3..3."""

    def forward(self, x: Tensor) -> Tensor:
        """Latents of the same shape."""
        return torch.tanh(x / 3) * 3


class TinyAutoencoder(nn.Module):
    """TAESD layout: pictures in 0..1, (B, 3, H, W), to latents (B, 4, H/8, W/8) and back."""

    def __init__(self, width: int = AE_WIDTH) -> None:
        super().__init__()
        down: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1), Block(width)]
        up: list[nn.Module] = [Clamp(), nn.Conv2d(4, width, 3, padding=1), nn.ReLU()]
        for _ in range(3):
            down.append(nn.Conv2d(width, width, 3, padding=1, stride=2, bias=False))
            down += [Block(width) for _ in range(3)]
            up += [Block(width) for _ in range(3)]
            up += [nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, padding=1, bias=False)]
        self.taesd_encoder = nn.Sequential(*down, nn.Conv2d(width, 4, 3, padding=1))
        self.taesd_decoder = nn.Sequential(*up, Block(width), nn.Conv2d(width, 3, 3, padding=1))


class TextLayer(nn.Module):
    """One causal transformer layer of CLIP's text tower, heads of 64 channels, quick GELU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.self_attn = nn.ModuleDict(
            {name: nn.Linear(width, width) for name in ("q_proj", "k_proj", "v_proj", "out_proj")}
        )
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})

    def forward(self, x: Tensor) -> Tensor:
        """States of the same shape, (B, T, width)."""
        normed = self.layer_norm1(x)
        heads = [
            self.self_attn[name](normed).unflatten(-1, (-1, 64)).transpose(1, 2)
            for name in ("q_proj", "k_proj", "v_proj")
        ]
        mixed = F.scaled_dot_product_attention(*heads, is_causal=True)
        x = x + self.self_attn["out_proj"](mixed.transpose(1, 2).flatten(2))
        hidden = self.mlp["fc1"](self.layer_norm2(x))
        return x + self.mlp["fc2"](hidden * torch.sigmoid(1.702 * hidden))


class TextTower(nn.Module):
    """CLIP text tower over a table of `vocabulary` tokens: (B, 77) ids to (B, 77, width) states."""

    def __init__(self, vocabulary: int, width: int = TEXT_WIDTH, layers: int = TEXT_LAYERS) -> None:
        super().__init__()
        self.embeddings = nn.ModuleDict(
            {"token_embedding": nn.Embedding(vocabulary, width), "position_embedding": nn.Embedding(77, width)}
        )
        self.encoder = nn.ModuleDict({"layers": nn.ModuleList(TextLayer(width) for _ in range(layers))})
        self.final_layer_norm = nn.LayerNorm(width)
        nn.init.normal_(self.embeddings["token_embedding"].weight, std=0.5)
        nn.init.normal_(self.embeddings["position_embedding"].weight, std=0.1)

    def forward(self, ids: Tensor) -> Tensor:
        """States after the final norm."""
        x = self.embeddings["token_embedding"](ids) + self.embeddings["position_embedding"].weight
        for layer in self.encoder["layers"]:
            x = layer(x)
        return self.final_layer_norm(x)


def make_unet(context: int = TEXT_WIDTH, widths: tuple[int, ...] = UNET_WIDTHS) -> UNet2DConditionModel:
    """SD1.x UNet with fewer and narrower levels: 8 heads everywhere, one residual block a level."""
    attended = len(widths) - 1
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=widths,
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",) * attended + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * attended,
        cross_attention_dim=context,
        attention_head_dim=8,
    )


def count(module: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in module.parameters())
