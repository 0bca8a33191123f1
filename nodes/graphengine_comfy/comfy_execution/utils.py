"""Which node is being called."""

from typing import NamedTuple

from graphengine.node.api import current_context


class ExecutionContext(NamedTuple):
    """The run, the node, and which item of its lists; `list_index` is None for a call with whole lists."""

    prompt_id: str
    node_id: str
    list_index: int | None


def get_executing_context() -> ExecutionContext | None:
    """The node call that this code is part of, or None outside of one."""
    context = current_context.get()
    return None if context is None else ExecutionContext(context.prompt_id, context.node_id, context.list_index)
