"""Progress of a node, the size of pictures, tensor files and their names, large pictures in tiles."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from graphengine.node.api import Preview, current_context
from graphengine_comfy._placeholders import placeholders_of
from graphengine_comfy._tensor_files import (
    calculate_parameters,
    convert_sd_to,
    copy_to_param,
    get_attr,
    load_torch_file,
    save_torch_file,
    set_attr,
    set_attr_param,
    state_dict_key_replace,
    state_dict_prefix_replace,
    weight_dtype,
)

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "PROGRESS_BAR_ENABLED",
    "ProgressBar",
    "bislerp",
    "calculate_parameters",
    "common_upscale",
    "convert_sd_to",
    "copy_to_param",
    "get_attr",
    "get_tiled_scale_steps",
    "lanczos",
    "load_torch_file",
    "repeat_to_batch_size",
    "reshape_mask",
    "resize_to_batch_size",
    "save_torch_file",
    "set_attr",
    "set_attr_param",
    "set_progress_bar_enabled",
    "state_dict_key_replace",
    "state_dict_prefix_replace",
    "tiled_scale",
    "tiled_scale_multidim",
    "weight_dtype",
]

#: Whether nodes should draw progress bars of their own; packs read it and set it.
PROGRESS_BAR_ENABLED = True


def set_progress_bar_enabled(enabled: bool) -> None:
    """Say whether nodes should draw progress bars of their own."""
    global PROGRESS_BAR_ENABLED  # the name is ComfyUI's, and packs read it from the module
    PROGRESS_BAR_ENABLED = enabled


class ProgressBar:
    """Tells the listeners of a run how far the node has come; elsewhere it tells nobody.

    It belongs to the node that is being called where it is made, so that threads of that node may use it.
    """

    def __init__(self, total: float, node_id: str | None = None) -> None:
        self.total = total
        self.current: float = 0
        self.node_id = node_id
        self._context = current_context.get()

    # Any: a picture of PIL, which need not be imported to be passed on.
    def update_absolute(
        self, value: float, total: float | None = None, preview: tuple[str, Any, int | None] | None = None
    ) -> None:
        """`value` of `total` steps are done; `preview` is (format, PIL image, longest side in pixels).

        Raises:
            RunCancelled: the run was asked to stop.
        """
        if total is not None:
            self.total = total
        self.current = min(value, self.total)
        context = current_context.get() or self._context
        if context is None:
            return
        context.progress(int(self.current), int(self.total))
        if preview is not None:
            name, image, max_size = preview
            context.preview(Preview(image, _format(name), max_size))

    def update(self, value: float) -> None:
        """`value` more steps are done.

        Raises:
            RunCancelled: the run was asked to stop.
        """
        self.update_absolute(self.current + value)


def _format(name: str) -> Literal["jpeg", "png"]:
    return "png" if name.upper() == "PNG" else "jpeg"


# Pictures


def common_upscale(samples: "Tensor", width: int, height: int, upscale_method: str, crop: str) -> "Tensor":
    """Pictures or latents (B, C, H, W) in another size; `crop` "center" cuts what the new shape has no room for.

    `upscale_method` is "nearest-exact", "bilinear", "area", "bicubic", "lanczos" or "bislerp". Frames of a video
    (B, C, T, H, W) are scaled one by one.
    """
    from graphengine_nodes.image.scaling import resize  # brings torch

    if samples.ndim != 5:
        return resize(samples, width, height, upscale_method, crop)
    frames = samples.movedim(2, 1)
    scaled = resize(frames.flatten(0, 1), width, height, upscale_method, crop)
    return scaled.reshape(*frames.shape[:2], *scaled.shape[1:]).movedim(1, 2)


def lanczos(samples: "Tensor", width: int, height: int) -> "Tensor":
    """Pictures (B, C, H, W) in another size by Pillow's Lanczos filter, in 8 bits."""
    return common_upscale(samples, width, height, "lanczos", "disabled")


def bislerp(samples: "Tensor", width: int, height: int) -> "Tensor":
    """Latents (B, C, H, W) in another size; between two pixels the vector of the channels turns."""
    return common_upscale(samples, width, height, "bislerp", "disabled")


def repeat_to_batch_size(tensor: "Tensor", batch_size: int, dim: int = 0) -> "Tensor":
    """As many entries along `dim` as asked for: the first of them, or all of them over and over."""
    present = tensor.shape[dim]
    if present < batch_size:
        times = [1] * tensor.ndim
        times[dim] = -(-batch_size // present)
        tensor = tensor.repeat(times)
    return tensor.narrow(dim, 0, batch_size)


def resize_to_batch_size(tensor: "Tensor", batch_size: int) -> "Tensor":
    """As many entries as asked for, spread evenly over those that there are; the first and the last stay."""
    present = len(tensor)
    if batch_size == present:
        return tensor
    if batch_size <= 1:
        return tensor[:batch_size]
    # With fewer wanted the ends are kept; with more, each is repeated as often as the others, as far as it goes.
    if batch_size < present:
        return tensor[[round((present - 1) / (batch_size - 1) * index) for index in range(batch_size)]]
    return tensor[[min(int((index + 0.5) * present / batch_size), present - 1) for index in range(batch_size)]]


def reshape_mask(input_mask: "Tensor", output_shape: Sequence[int]) -> "Tensor":
    """A mask (…, H, W) as (B, C, H, W) of the shape of a latent, scaled and repeated."""
    from torch.nn import functional  # packs of plain Python import this module too

    mask = input_mask.reshape(-1, 1, *input_mask.shape[-2:])
    mask = functional.interpolate(mask, size=tuple(output_shape[-2:]), mode="bilinear")
    if mask.shape[1] < output_shape[1]:
        mask = mask.repeat(1, output_shape[1], 1, 1)[:, : output_shape[1]]
    return repeat_to_batch_size(mask, output_shape[0])


# Tiles: the engine's own; the names are those that upscalers in packs call


def get_tiled_scale_steps(width: int, height: int, tile_x: int, tile_y: int, overlap: int) -> int:
    """How many tiles `tiled_scale` computes for one picture."""
    from graphengine_nodes.diffusion.vae.tiling import positions  # brings torch

    return len(positions(height, tile_y, overlap)) * len(positions(width, tile_x, overlap))


def tiled_scale_multidim(
    samples: "Tensor",
    function: Callable[["Tensor"], "Tensor"],
    tile: Sequence[int] = (64, 64),
    overlap: int | Sequence[int] = 8,
    upscale_amount: float | Sequence[float] = 4,
    out_channels: int = 3,
    output_device: str = "cpu",
    pbar: ProgressBar | None = None,
) -> "Tensor":
    """What `function` makes of pictures (B, C, *sizes), computed in tiles that are faded into each other.

    `tile`, `overlap` and `upscale_amount` are those of each dimension, in the order of the tensor.

    Raises:
        RunCancelled: the run was asked to stop.
    """
    import torch  # packs of plain Python import this module too

    from graphengine_nodes.diffusion.vae.tiling import in_tiles, scaled

    dims = len(tile)
    overlaps = [overlap] * dims if isinstance(overlap, int) else list(overlap)
    factors = [float(upscale_amount)] * dims if isinstance(upscale_amount, int | float) else list(upscale_amount)
    axes = [scaled(*side) for side in zip(tile, overlaps, factors, strict=True)]

    def counted(cut: "Tensor") -> "Tensor":
        made = function(cut)
        if pbar is not None:
            pbar.update(1)
        return made

    parts = [in_tiles(sample[None], counted, [axes], out_channels, _nothing, output_device) for sample in samples]
    return torch.cat(parts)


def _nothing() -> None:
    """Nothing is done before a tile."""


def tiled_scale(
    samples: "Tensor",
    function: Callable[["Tensor"], "Tensor"],
    tile_x: int = 64,
    tile_y: int = 64,
    overlap: int = 8,
    upscale_amount: float = 4,
    out_channels: int = 3,
    output_device: str = "cpu",
    pbar: ProgressBar | None = None,
) -> "Tensor":
    """What `function` makes of pictures (B, C, H, W), computed in tiles that are faded into each other."""
    return tiled_scale_multidim(
        samples, function, (tile_y, tile_x), overlap, upscale_amount, out_channels, output_device, pbar
    )


__getattr__ = placeholders_of(__name__)
