"""What a pack of schema-based nodes is, and how its nodes talk to the run."""

from abc import ABC, abstractmethod
from typing import Any

from graphengine.node.api import Preview, current_context
from graphengine_comfy._v3.node import ComfyNode


class ComfyExtension(ABC):
    """A pack of nodes; a module's `comfy_entrypoint()` gives one."""

    async def on_load(self) -> None:  # noqa: B027 (a pack may override it)
        """Called once, before the nodes are listed."""

    @abstractmethod
    async def get_node_list(self) -> list[type[ComfyNode]]:
        """The node classes of the pack."""


class _ExecutionSync:
    """Progress of the node that is being called."""

    # Any: a picture of PIL, which need not be imported to be passed on.
    def set_progress(
        self,
        value: float,
        max_value: float,
        node_id: str | None = None,
        preview_image: Any = None,
        ignore_size_limit: bool = False,
    ) -> None:
        """`value` of `max_value` steps are done; `preview_image` is a PIL image.

        Raises:
            RunCancelled: the run was asked to stop.
        """
        context = current_context.get()
        if context is None:
            return
        context.progress(int(value), int(max_value))
        if preview_image is not None:
            context.preview(Preview(preview_image, max_size=None if ignore_size_limit else _PREVIEW_SIZE))


class _Execution:
    """Progress of the node that is being called, for async nodes."""

    # Any: a picture of PIL, which need not be imported to be passed on.
    async def set_progress(
        self,
        value: float,
        max_value: float,
        node_id: str | None = None,
        preview_image: Any = None,
        ignore_size_limit: bool = False,
    ) -> None:
        """`value` of `max_value` steps are done; `preview_image` is a PIL image.

        Raises:
            RunCancelled: the run was asked to stop.
        """
        _ExecutionSync().set_progress(value, max_value, node_id, preview_image, ignore_size_limit)


class ComfyAPI:
    """What an async node may ask of the engine."""

    def __init__(self) -> None:
        self.execution = _Execution()


class ComfyAPISync:
    """What a node may ask of the engine."""

    def __init__(self) -> None:
        self.execution = _ExecutionSync()


#: Pixels of the longest side of a preview.
_PREVIEW_SIZE = 512
