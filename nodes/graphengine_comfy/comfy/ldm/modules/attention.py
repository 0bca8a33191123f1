"""Attention, as packs compute it in models of their own."""

from typing import TYPE_CHECKING, Any

from graphengine_comfy._model_families import module_class
from graphengine_comfy._placeholders import placeholders_of

if TYPE_CHECKING:
    from torch import Tensor


# Any: packs pass options of their own attention.
def optimized_attention(
    q: "Tensor",
    k: "Tensor",
    v: "Tensor",
    heads: int,
    mask: "Tensor | None" = None,
    attn_precision: Any = None,
    skip_reshape: bool = False,
    skip_output_reshape: bool = False,
    **options: Any,
) -> "Tensor":
    """Attention with several heads: (B, T, heads * D) each, or (B, heads, T, D) with `skip_reshape`.

    Gives (B, T, heads * D), or (B, heads, T, D) with `skip_output_reshape`. A mask (T, S), (B, T, S) or
    (B, heads, T, S) is added to the scores, or, of booleans, says what counts.
    """
    from torch.nn.functional import scaled_dot_product_attention  # packs of plain Python import this too

    if not skip_reshape:
        q, k, v = (value.reshape(*value.shape[:-1], heads, -1).transpose(1, 2) for value in (q, k, v))
    if mask is not None and mask.ndim == 3:
        mask = mask.unsqueeze(1)
    answer = scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=options.get("scale"))
    return answer if skip_output_reshape else answer.transpose(1, 2).flatten(2)


attention_pytorch = attention_basic = attention_sub_quad = attention_split = optimized_attention
optimized_attention_masked = optimized_attention


def optimized_attention_for_device(device: Any, mask: bool = False, small_input: bool = False) -> Any:
    """The function to use on a device: there is one for all."""
    return optimized_attention


def default(value: Any, otherwise: Any) -> Any:
    """The value, or something else if it is None."""
    return otherwise if value is None else value


def exists(value: Any) -> bool:
    """Whether the value is not None."""
    return value is not None


BasicTransformerBlock = module_class(__name__, "BasicTransformerBlock", ("BasicTransformerBlock",))
SpatialTransformer = module_class(__name__, "SpatialTransformer", ("Transformer2DModel",))
CrossAttention = module_class(__name__, "CrossAttention", ("Attention",))

__getattr__ = placeholders_of(__name__)
