"""Shapes of T5 encoders and language models in the layouts of their files, of any size."""

from __future__ import annotations

from .ldm_layout import Shapes

T5_WORDS, UMT5_WORDS, QWEN_WORDS = 32128, 256384, 152064


def t5(
    width: int = 64, blocks: int = 2, *, words: int = T5_WORDS, own_positions: bool = False, gated: bool = True
) -> Shapes:
    """T5 with heads of 16; own_positions: relative positions in each block, as umT5 has them."""
    shapes: Shapes = {"shared.weight": (words, width), "encoder.final_layer_norm.weight": (width,)}
    for number in range(blocks):
        name = f"encoder.block.{number}.layer"
        shapes |= {f"{name}.0.SelfAttention.{part}.weight": (width, width) for part in "qkvo"}
        if own_positions or number == 0:
            shapes[f"{name}.0.SelfAttention.relative_attention_bias.weight"] = (32, width // 16)
        for layer in ("wi_0", "wi_1") if gated else ("wi",):
            shapes[f"{name}.1.DenseReluDense.{layer}.weight"] = (2 * width, width)
        shapes[f"{name}.1.DenseReluDense.wo.weight"] = (width, 2 * width)
        shapes |= {f"{name}.{layer}.layer_norm.weight": (width,) for layer in (0, 1)}
    return shapes


def language_model(
    width: int = 64,
    layers: int = 3,
    *,
    words: int = QWEN_WORDS,
    head: int = 128,
    heads: int = 2,
    bias: bool = False,
    norms: bool = False,
) -> Shapes:
    """Llama's layout, two heads and one of keys; bias: as Qwen2 has it, norms: of queries and keys as in Qwen3."""
    shapes: Shapes = {"model.embed_tokens.weight": (words, width), "model.norm.weight": (width,)}
    for number in range(layers):
        name = f"model.layers.{number}"
        for part, rows in (("q", heads * head), ("k", head), ("v", head)):
            shapes[f"{name}.self_attn.{part}_proj.weight"] = (rows, width)
            shapes |= {f"{name}.self_attn.{part}_proj.bias": (rows,)} if bias else {}
        shapes[f"{name}.self_attn.o_proj.weight"] = (width, heads * head)
        shapes |= {f"{name}.self_attn.{part}_norm.weight": (head,) for part in "qk"} if norms else {}
        shapes |= {f"{name}.mlp.{part}_proj.weight": (2 * width, width) for part in ("gate", "up")}
        shapes[f"{name}.mlp.down_proj.weight"] = (width, 2 * width)
        shapes |= {f"{name}.{part}_layernorm.weight": (width,) for part in ("input", "post_attention")}
    return shapes


def qwen_vision(width: int = 80, blocks: int = 2, *, out: int = 64) -> Shapes:
    """The vision tower of Qwen2.5-VL with one head of 80."""
    shapes: Shapes = {"visual.patch_embed.proj.weight": (width, 3, 2, 14, 14)}
    for name in (f"visual.blocks.{number}" for number in range(blocks)):
        shapes |= {f"{name}.norm{number}.weight": (width,) for number in (1, 2)}
        for part, rows, columns in (("attn.qkv", 3 * width, width), ("attn.proj", width, width)):
            shapes |= {f"{name}.{part}.weight": (rows, columns), f"{name}.{part}.bias": (rows,)}
        for part, rows, columns in (("gate", 96, width), ("up", 96, width), ("down", width, 96)):
            shapes |= {f"{name}.mlp.{part}_proj.weight": (rows, columns), f"{name}.mlp.{part}_proj.bias": (rows,)}
    shapes["visual.merger.ln_q.weight"] = (width,)
    for place, rows in ((0, 4 * width), (2, out)):
        shapes |= {
            f"visual.merger.mlp.{place}.weight": (rows, 4 * width),
            f"visual.merger.mlp.{place}.bias": (rows,),
        }
    return shapes


def gemma2(width: int = 64, layers: int = 3, *, words: int = 300) -> Shapes:
    """Gemma 2, whose layers have four norms."""
    shapes = language_model(width, layers, words=words, head=256)
    for number in range(layers):
        for part in ("pre_feedforward", "post_feedforward"):
            shapes[f"model.layers.{number}.{part}_layernorm.weight"] = (width,)
    return shapes
