"""Interrupts, and the device to compute on."""

import logging
import sys
from typing import TYPE_CHECKING, Any

from graphengine.node.api import RunCancelled, current_context

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

#: What a run that is asked to stop raises: nodes may catch it and raise it.
InterruptProcessingException = RunCancelled


def throw_exception_if_processing_interrupted() -> None:
    """Stop here when the run was asked to.

    Raises:
        InterruptProcessingException: the run was asked to stop.
    """
    context = current_context.get()
    if context is not None:
        context.check_cancelled()


def processing_interrupted() -> bool:
    """Whether the run of the node that is being called was asked to stop."""
    context = current_context.get()
    return context is not None and context.is_cancelled()


def interrupt_current_processing(value: bool = True) -> None:
    """End the run of the node that is being called, here and now. False, to take an interrupt back, does nothing.

    Raises:
        InterruptProcessingException: a node is being called.
    """
    if not value:
        return
    if current_context.get() is None:
        logger.warning("a node pack interrupts the run from outside of a node call, which has no effect")
        return
    raise InterruptProcessingException("a node ended the run")


def get_torch_device() -> "torch.device":
    """The device that the node being called should compute on; elsewhere the best there is."""
    import torch  # packs of plain Python import this module too

    context = current_context.get()
    if context is not None:
        return torch.device(context.device)
    return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")


def intermediate_device() -> "torch.device":
    """Where values that go from node to node are kept: the CPU."""
    import torch  # packs of plain Python import this module too

    return torch.device("cpu")


def soft_empty_cache(force: bool = False) -> None:
    """Give memory that torch keeps for later back to the device."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


# Any: the interface of a module's names.
def __getattr__(name: str) -> Any:
    """`OOM_EXCEPTION`, what torch raises when the device has no memory left; asking for it imports torch."""
    if name == "OOM_EXCEPTION":
        import torch  # packs of plain Python import this module too

        return torch.OutOfMemoryError
    raise AttributeError(f"module 'comfy.model_management' has no attribute {name!r}: graphengine has none yet")
