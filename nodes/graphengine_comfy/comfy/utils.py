"""Progress of a node, and the size of pictures."""

from typing import TYPE_CHECKING, Any, Literal

from graphengine.node.api import Preview, current_context

if TYPE_CHECKING:
    from torch import Tensor

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


def common_upscale(samples: "Tensor", width: int, height: int, upscale_method: str, crop: str) -> "Tensor":
    """Pictures or latents (B, C, H, W) in another size; `crop` "center" cuts what the new shape has no room for.

    `upscale_method` is "nearest-exact", "bilinear", "area", "bicubic", "lanczos" or "bislerp".
    """
    from graphengine_nodes.image.scaling import resize  # brings torch

    return resize(samples, width, height, upscale_method, crop)
