"""More families of diffusion transformers in the layouts of their files, of any size; see `tiny_dit`."""

from __future__ import annotations

from .ldm_layout import Shapes
from .tiny_dit import flux_blocks, linear, mlp


def chroma(width: int = 64, double: int = 2, single: int = 2, *, text: int = 48, inner: int = 40) -> Shapes:
    """Chroma with heads of 32."""
    shapes = linear("img_in", width, 64) | linear("txt_in", width, text) | flux_blocks(width, double, single)
    guidance = "distilled_guidance_layer"
    shapes |= linear(f"{guidance}.in_proj", inner, 64) | linear(f"{guidance}.out_proj", width, inner)
    for number in range(2):
        shapes |= mlp(f"{guidance}.layers.{number}", "in_layer", "out_layer", inner, inner, inner)
        shapes[f"{guidance}.norms.{number}.scale"] = (inner,)
    return shapes


def lumina2(width: int = 96, *, text: int = 48) -> Shapes:
    """Lumina 2 with two heads of 48 and one of keys."""
    shapes = _next_dit(width, 48, keys=1, inner=80, embedded=96, text=text)
    return shapes | {"norm_final.weight": (width,)}


def omnigen2(width: int = 96, *, text: int = 48, pictures: int = 3) -> Shapes:
    """OmniGen2 with two heads of 48 and one of keys; the names are those of Lumina 2 in diffusers."""
    shapes = linear("x_embedder", width, 64) | linear("ref_image_patch_embedder", width, 64)
    shapes |= {"image_index_embedding": (pictures, width), "time_caption_embed.caption_embedder.0.weight": (text,)}
    shapes |= linear("time_caption_embed.caption_embedder.1", width, text)
    shapes |= mlp("time_caption_embed.timestep_embedder", "linear_1", "linear_2", 256, width, width)
    shapes |= linear("norm_out.linear_1", width, width) | linear("norm_out.linear_2", 64, width)
    plain, modulated = ("context_refiner.0",), ("noise_refiner.0", "ref_image_refiner.0", "layers.0", "layers.1")
    for name in (*plain, *modulated):
        for part, rows in (("to_q", width), ("to_k", width // 2), ("to_v", width // 2), ("to_out.0", width)):
            shapes[f"{name}.attn.{part}.weight"] = (rows, width)
        shapes |= {f"{name}.attn.norm_{part}.weight": (48,) for part in "qk"}
        shapes |= {f"{name}.feed_forward.linear_{part}.weight": (80, width) for part in "13"}
        shapes[f"{name}.feed_forward.linear_2.weight"] = (width, 80)
        shapes |= {f"{name}.{norm}.weight": (width,) for norm in ("norm2", "ffn_norm1", "ffn_norm2")}
        shapes[f"{name}.norm1{'.norm' if name in modulated else ''}.weight"] = (width,)
        shapes |= linear(f"{name}.norm1.linear", 4 * width, width) if name in modulated else {}
    return shapes


def z_image(width: int = 64, *, text: int = 48) -> Shapes:
    """Z-Image with heads of 32."""
    shapes = _next_dit(width, 32, keys=2, inner=int(width / 3 * 8), embedded=64, text=text, middle=1024, place=0)
    return shapes | {"x_pad_token": (1, width), "cap_pad_token": (1, width)}


def _next_dit(
    width: int,
    head: int,
    *,
    keys: int,
    inner: int,
    embedded: int,
    text: int,
    middle: int | None = None,
    place: int = 1,
) -> Shapes:
    """What Lumina 2 and Z-Image have alike; embedded: the width of the time's embedding."""
    shapes = linear("x_embedder", width, 64) | linear("cap_embedder.1", width, text)
    shapes |= {"cap_embedder.0.weight": (text,)}
    shapes |= mlp("t_embedder.mlp", "0", "2", 256, middle or embedded, embedded)
    shapes |= linear("final_layer.adaLN_modulation.1", width, embedded) | linear("final_layer.linear", 64, width)
    for part, count, modulated in (("context_refiner", 1, False), ("noise_refiner", 1, True), ("layers", 2, True)):
        for name in (f"{part}.{number}" for number in range(count)):
            shapes[f"{name}.attention.qkv.weight"] = (width + 2 * keys * head, width)
            shapes[f"{name}.attention.out.weight"] = (width, width)
            shapes |= {f"{name}.attention.{side}_norm.weight": (head,) for side in "qk"}
            shapes |= {f"{name}.feed_forward.w{side}.weight": (inner, width) for side in "13"}
            shapes[f"{name}.feed_forward.w2.weight"] = (width, inner)
            for norm in ("attention_norm1", "attention_norm2", "ffn_norm1", "ffn_norm2"):
                shapes[f"{name}.{norm}.weight"] = (width,)
            shapes |= linear(f"{name}.adaLN_modulation.{place}", 4 * width, embedded) if modulated else {}
    return shapes


def hidream(width: int = 128, *, text: int = 48, pooled: int = 192, llama: int = 32) -> Shapes:
    """HiDream with one block of each kind."""
    shapes = linear("x_embedder.proj", width, 64)
    for name, size in (("t_embedder.timestep_embedder", 256), ("p_embedder.pooled_embedder", pooled)):
        shapes |= mlp(name, "linear_1", "linear_2", size, width, width)
    for number, size in enumerate((llama, llama, text)):
        shapes[f"caption_projection.{number}.linear.weight"] = (width, size)
    for kind, streams in (("double", ("", "_t")), ("single", ("",))):
        name = f"{kind}_stream_blocks.0.block"
        shapes |= linear(f"{name}.adaLN_modulation.1", (12 if kind == "double" else 6) * width, width)
        for stream in streams:
            for part in ("to_q", "to_k", "to_v", "to_out"):
                shapes |= linear(f"{name}.attn1.{part}{stream}", width, width)
            shapes |= {f"{name}.attn1.{part}_rms_norm{stream}.weight": (width,) for part in "qk"}
        shapes |= {f"{name}.ff_i.gate.weight": (4, width)} | _swiglu(f"{name}.ff_i.shared_experts", width, 256)
        for expert in range(4):
            shapes |= _swiglu(f"{name}.ff_i.experts.{expert}", width, 512)
        shapes |= _swiglu(f"{name}.ff_t", width, 512) if kind == "double" else {}
    shapes |= linear("final_layer.adaLN_modulation.1", 2 * width, width)
    return shapes | linear("final_layer.linear", 64, width)


def _swiglu(name: str, width: int, inner: int) -> Shapes:
    shapes: Shapes = {f"{name}.w{side}.weight": (inner, width) for side in "13"}
    return shapes | {f"{name}.w2.weight": (width, inner)}


def hunyuan_video(
    width: int = 64, *, channels: int = 16, text: int = 48, pooled: int = 40, guided: bool = True
) -> Shapes:
    """HunyuanVideo with heads of 32; channels: of the input, 33 for the first model of image to video."""
    shapes = linear("img_in.proj", width, channels, 1, 2, 2)
    for name in ("time_in", *(["guidance_in"] if guided else [])):
        shapes |= mlp(f"{name}.mlp", "0", "2", 256, width, width)
    shapes |= mlp("vector_in", "in_layer", "out_layer", pooled, width, width)
    shapes |= linear("txt_in.input_embedder", width, text)
    shapes |= mlp("txt_in.t_embedder.mlp", "0", "2", 256, width, width)
    shapes |= mlp("txt_in.c_embedder", "linear_1", "linear_2", text, width, width)
    for name in (f"txt_in.individual_token_refiner.blocks.{number}" for number in range(2)):
        shapes |= linear(f"{name}.norm1", width) | linear(f"{name}.norm2", width)
        shapes |= linear(f"{name}.self_attn_qkv", 3 * width, width) | linear(
            f"{name}.self_attn_proj", width, width
        )
        shapes |= mlp(f"{name}.mlp", "fc1", "fc2", width, 4 * width, width)
        shapes |= linear(f"{name}.adaLN_modulation.1", 2 * width, width)
    for number in range(2):
        for stream in (f"double_blocks.{number}.{part}" for part in ("img", "txt")):
            shapes |= linear(f"{stream}_mod.linear", 6 * width, width)
            shapes |= linear(f"{stream}_attn_qkv", 3 * width, width) | linear(f"{stream}_attn_proj", width, width)
            shapes |= {f"{stream}_attn_{side}_norm.weight": (32,) for side in "qk"}
            shapes |= mlp(f"{stream}_mlp", "fc1", "fc2", width, 4 * width, width)
        name = f"single_blocks.{number}"
        shapes |= linear(f"{name}.linear1", 7 * width, width) | linear(f"{name}.linear2", width, 5 * width)
        shapes |= {f"{name}.{side}_norm.weight": (32,) for side in "qk"}
        shapes |= linear(f"{name}.modulation.linear", 3 * width, width)
    shapes |= linear("final_layer.adaLN_modulation.1", 2 * width, width)
    return shapes | linear("final_layer.linear", 64, width)


def mochi(width: int = 64, pooled: int = 24, *, text: int = 48) -> Shapes:
    """Mochi with heads of 32; pooled: the width of the text in its blocks."""
    shapes = linear("x_embedder.proj", width, 12, 2, 2) | mlp("t_embedder.mlp", "0", "2", 256, width, width)
    shapes |= linear("t5_y_embedder.to_kv", 2 * text, text) | linear("t5_y_embedder.to_q", text, text)
    shapes |= linear("t5_y_embedder.to_out", width, text) | linear("t5_yproj", pooled, text)
    shapes |= {"pos_frequencies": (3, 2, 16)}
    for number in range(2):
        name, last = f"blocks.{number}", number == 1
        shapes |= linear(f"{name}.mod_x", 4 * width, width)
        shapes |= linear(f"{name}.mod_y", (1 if last else 4) * pooled, width)
        shapes |= linear(f"{name}.attn.proj_x", width, width)
        for stream, size in (("x", width), ("y", pooled)):
            shapes[f"{name}.attn.qkv_{stream}.weight"] = (3 * width, size)
            shapes |= {f"{name}.attn.{side}_norm_{stream}.weight": (32,) for side in "qk"}
            inner = 4 * size * 2 // 3
            if stream == "x" or not last:
                shapes[f"{name}.mlp_{stream}.w1.weight"] = (2 * inner, size)
                shapes[f"{name}.mlp_{stream}.w2.weight"] = (size, inner)
        shapes |= {} if last else linear(f"{name}.attn.proj_y", pooled, width)
    return shapes | linear("final_layer.mod", 2 * width, width) | linear("final_layer.linear", 48, width)


def ltx_video(width: int = 64, *, text: int = 48) -> Shapes:
    """LTX-Video with 32 heads of two numbers."""
    shapes = linear("patchify_proj", width, 128) | linear("proj_out", 128, width)
    shapes |= {"scale_shift_table": (2, width)} | linear("adaln_single.linear", 6 * width, width)
    shapes |= mlp("adaln_single.emb.timestep_embedder", "linear_1", "linear_2", 256, width, width)
    shapes |= mlp("caption_projection", "linear_1", "linear_2", text, width, width)
    for name in (f"transformer_blocks.{number}" for number in range(2)):
        shapes[f"{name}.scale_shift_table"] = (6, width)
        for attention in (f"{name}.attn1", f"{name}.attn2"):
            for part in ("to_q", "to_k", "to_v", "to_out.0"):
                shapes |= linear(f"{attention}.{part}", width, width)
            shapes |= {f"{attention}.{side}_norm.weight": (width,) for side in "qk"}
        shapes |= mlp(f"{name}.ff.net", "0.proj", "2", width, 4 * width, width)
    return shapes


def cosmos(width: int = 64, *, text: int = 48) -> Shapes:
    """Cosmos Predict2 with heads of 32; no layer has a bias."""
    plain = {
        "x_embedder.proj.1": (width, 68),
        "t_embedder.1.linear_1": (width, width),
        "t_embedder.1.linear_2": (3 * width, width),
        "t_embedding_norm": (width,),
        "final_layer.adaln_modulation.1": (16, width),
        "final_layer.adaln_modulation.2": (2 * width, 16),
        "final_layer.linear": (64, width),
    }
    for name in (f"blocks.{number}" for number in range(2)):
        for part in ("self_attn", "cross_attn", "mlp"):
            plain[f"{name}.adaln_modulation_{part}.1"] = (16, width)
            plain[f"{name}.adaln_modulation_{part}.2"] = (3 * width, 16)
        for part, size in (("self_attn", width), ("cross_attn", text)):
            plain[f"{name}.{part}.q_proj"] = plain[f"{name}.{part}.output_proj"] = (width, width)
            plain[f"{name}.{part}.k_proj"] = plain[f"{name}.{part}.v_proj"] = (width, size)
            plain[f"{name}.{part}.q_norm"] = plain[f"{name}.{part}.k_norm"] = (32,)
        plain[f"{name}.mlp.layer1"], plain[f"{name}.mlp.layer2"] = (4 * width, width), (width, 4 * width)
    return {f"{name}.weight": shape for name, shape in plain.items()}


def aura_flow(width: int = 256, *, text: int = 48) -> Shapes:
    """AuraFlow with one block of each kind and one head of 256."""
    shapes = linear("init_x_linear", width, 16) | mlp("t_embedder.mlp", "0", "2", 256, width, width)
    shapes |= {"positional_encoding": (1, 64, width), "register_tokens": (1, 8, width)}
    shapes |= {"cond_seq_linear.weight": (width, text), "modF.1.weight": (2 * width, width)}
    shapes |= {"final_linear.weight": (16, width)}
    inner = 768
    for name, mlps, modulations, streams in (
        ("double_layers.0", ("mlpX", "mlpC"), ("modX", "modC"), "12"),
        ("single_layers.0", ("mlp",), ("modCX",), "1"),
    ):
        shapes |= {f"{name}.attn.w{stream}{part}.weight": (width, width) for stream in streams for part in "qkvo"}
        shapes |= {f"{name}.{modulation}.1.weight": (6 * width, width) for modulation in modulations}
        for layer in mlps:
            shapes |= {f"{name}.{layer}.{part}.weight": (inner, width) for part in ("c_fc1", "c_fc2")}
            shapes[f"{name}.{layer}.c_proj.weight"] = (width, inner)
    return shapes
