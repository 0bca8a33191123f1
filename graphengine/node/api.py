"""What node authors import: the context of a call, and symbolic file inputs.

A node is a class in ComfyUI's form (`INPUT_TYPES`, `RETURN_TYPES`, `FUNCTION`, …). Two things are ours, both
are optional: an input may be declared as `Files("checkpoints")` instead of a list of names, and a node that lists

    "hidden": {"context": "GRAPHENGINE_CONTEXT"}

receives a `NodeContext`, through which it finds files, the device to compute on, reports progress and learns that
the run was cancelled. docs/node-api.md shows complete nodes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from graphengine.errors import FileRefused, GraphEngineError, ModelError, RunCancelled
from graphengine.node.definition import Files
from graphengine.node.folders import Folders

__all__ = [
    "CONTEXT",
    "FileRefused",
    "Files",
    "Folders",
    "GraphEngineError",
    "ModelError",
    "NodeContext",
    "RunCancelled",
]

#: The hidden input type that stands for the `NodeContext`.
CONTEXT = "GRAPHENGINE_CONTEXT"


def _never() -> bool:
    return False


def _silent(value: int, total: int) -> None:
    """Progress that nobody listens to."""


@dataclass(frozen=True, slots=True)
class NodeContext:
    """What a node may know of the run it is called in.

    `device` is a torch device string ("cpu", "cuda:0"). The defaults make a context that tests can use as it is.
    """

    node_id: str = ""
    folders: Folders = field(default_factory=Folders)
    device: str = "cpu"
    on_progress: Callable[[int, int], None] = _silent
    is_cancelled: Callable[[], bool] = _never

    def progress(self, value: int, total: int) -> None:
        """Report that `value` of `total` steps are done.

        Raises:
            RunCancelled: the run was asked to stop.
        """
        self.check_cancelled()
        self.on_progress(value, total)

    def check_cancelled(self) -> None:
        """Stop here when the run was asked to.

        Raises:
            RunCancelled: the run was asked to stop.
        """
        if self.is_cancelled():
            raise RunCancelled
