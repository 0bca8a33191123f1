"""What node authors import: the context of a call, and symbolic file inputs.

A node is a class in ComfyUI's form (`INPUT_TYPES`, `RETURN_TYPES`, `FUNCTION`, …). Two things are ours, both
are optional: an input may be declared as `Files("checkpoints")` instead of a list of names, and a node that lists

    "hidden": {"context": "GRAPHENGINE_CONTEXT"}

receives a `NodeContext`, through which it finds files, the device to compute on, reports progress and learns that
the run was cancelled. docs/node-api.md shows complete nodes.
"""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal

from graphengine.errors import FileRefused, GraphEngineError, ModelError, RunCancelled
from graphengine.node.definition import Files
from graphengine.node.folders import Folders
from graphengine.node.memory import DeviceMemory

__all__ = [
    "CONTEXT",
    "ExecutionBlocker",
    "FileRefused",
    "Files",
    "Folders",
    "GraphEngineError",
    "ModelError",
    "NodeContext",
    "Preview",
    "PreviewMethod",
    "RunCancelled",
    "current_context",
]

#: The hidden input type that stands for the `NodeContext`.
CONTEXT = "GRAPHENGINE_CONTEXT"


@dataclass(frozen=True, slots=True)
class ExecutionBlocker:
    """Given as an output, it keeps the nodes that read it from being called.

    It is handed on as their output, so that whole branches are left out. With a message, the first node that
    reads it tells the user.
    """

    message: str | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """A picture that a node shows while it works.

    `image` is a PIL image, or a function without arguments that makes one; it is called and encoded as `format`
    only when somebody wants to see it, in another thread, no side longer than `max_size` pixels.
    """

    image: object
    format: Literal["jpeg", "png"] = "jpeg"
    max_size: int | None = None


PreviewMethod = Literal["auto", "latent2rgb", "taesd", "none"]
"""How samplers show their steps: by mixing the channels of latents, by a tiny decoder, or not at all."""


def _never() -> bool:
    return False


def _silent(value: int, total: int) -> None:
    """Progress that nobody listens to."""


def _unseen(preview: Preview) -> None:
    """A preview that nobody looks at."""


def _cpu() -> str:
    return "cpu"


@dataclass(frozen=True, slots=True)
class NodeContext:
    """What a node may know of the run it is called in.

    The defaults make a context that tests can use as it is. `prompt_id` names the run, `list_index` counts the
    calls of a node that is given lists. `memory` knows which models are loaded. `fast` asks to compute
    quicker and less exactly. `previews` is how samplers show
    their steps.
    """

    node_id: str = ""
    folders: Folders = field(default_factory=Folders)
    choose_device: Callable[[], str] = _cpu
    on_progress: Callable[[int, int], None] = _silent
    is_cancelled: Callable[[], bool] = _never
    on_preview: Callable[[Preview], None] = _unseen
    prompt_id: str = ""
    list_index: int | None = None
    memory: DeviceMemory = field(default_factory=DeviceMemory)
    fast: bool = False
    previews: PreviewMethod = "auto"

    @property
    def device(self) -> str:
        """The torch device string to compute on ("cpu", "cuda:0")."""
        return self.choose_device()

    def progress(self, value: int, total: int) -> None:
        """Report that `value` of `total` steps are done.

        Raises:
            RunCancelled: the run was asked to stop.
        """
        self.check_cancelled()
        self.on_progress(value, total)

    def preview(self, preview: Preview) -> None:
        """Show a picture of the work so far."""
        self.on_preview(preview)

    def check_cancelled(self) -> None:
        """Stop here when the run was asked to.

        Raises:
            RunCancelled: the run was asked to stop.
        """
        if self.is_cancelled():
            raise RunCancelled


#: The context of the node that is being called in this thread or task, for code that is not handed it.
current_context: ContextVar[NodeContext | None] = ContextVar("current_context", default=None)
