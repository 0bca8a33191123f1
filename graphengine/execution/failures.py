"""What is said of a node that raised."""

import reprlib
import traceback
from collections.abc import Mapping

from pydantic import JsonValue

from graphengine.errors import GraphEngineError, NodeExecutionError
from graphengine.execution.call import NodeCall
from graphengine.execution.events import NodeFailed
from graphengine.execution.open_documents import OpenDocuments
from graphengine.execution.steps import Step
from graphengine.node.definition import Files, NodeDefinition
from graphengine.node.secrets import HIDDEN, secret_inputs
from graphengine.workflow.models import NodeId, WorkflowNode

_OUT_OF_MEMORY = frozenset({"MemoryError", "OutOfMemoryError"})
_MEMORY_HINT = "use smaller pictures, fewer at once, a smaller model, or another --device"
_SHOWN_ITEMS = 20
_SHOWN_LETTERS = 1000


class _Short(reprlib.Repr):
    """Texts of inputs that fit into a message, whatever their size."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 1000
        self.maxlong = 100


_SHORT = _Short()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory, of the machine or of its accelerator, is used up."""
    return any(kind.__name__ in _OUT_OF_MEMORY for kind in type(error).__mro__)


def failure(error: Exception, step: Step, real: WorkflowNode, documents: OpenDocuments) -> NodeExecutionError:
    """The error of a run whose step raised, without secrets.

    `real` is the node of the document that it is booked on, `documents` are those of the run's workflow.
    """
    node_id = step.expanded.real if step.expanded is not None else step.node_id
    text = _message(describe_briefly(error, documents), error, step.definition, step.node)
    if step.expanded is not None:
        text = f"in {step.node_id} ({step.node.class_type}), which it expands to: {text}"
    hint = error.hint if isinstance(error, GraphEngineError) else None
    if hint is None and is_out_of_memory(error):
        hint = _MEMORY_HINT
    return NodeExecutionError(node_id, real.class_type, text, hint=hint, origin=real.origin)


def describe_briefly(error: Exception, documents: OpenDocuments | None = None) -> str:
    """What was raised, in a line; without secrets of a run's workflow when its documents are given."""
    text = error.message if isinstance(error, GraphEngineError) else f"{type(error).__name__}: {error}"
    return text if documents is None else documents.text(text)


def failed_event(
    failed: NodeExecutionError, error: Exception, step: Step, call: NodeCall | None, documents: OpenDocuments
) -> NodeFailed:
    """The event that tells of the failure, without secrets."""
    lines = (*traceback.format_tb(error.__traceback__), *getattr(error, "traceback_lines", ()))
    return NodeFailed(
        node_id=NodeId(failed.node_id),
        class_type=failed.class_type,
        message=failed.message,
        hint=failed.hint,
        origin=failed.origin,
        expanded=step.expanded,
        exception_type=_type_name(error),
        exception_message=documents.text(str(error)),
        traceback=tuple(map(documents.text, lines)),
        inputs={} if call is None else _shown(call.inputs, step, documents),
    )


def _type_name(error: Exception) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _shown(
    inputs: Mapping[str, tuple[object, ...]], step: Step, documents: OpenDocuments
) -> Mapping[str, tuple[JsonValue, ...]]:
    hidden = {*documents.hidden.get(step.node_id, ()), *secret_inputs(step.definition.inputs)}
    return {
        name: tuple(HIDDEN if name in hidden else _open(item, documents) for item in items[:_SHOWN_ITEMS])
        for name, items in inputs.items()
    }


def _open(item: object, documents: OpenDocuments) -> JsonValue:
    plain = _plain(item)
    return documents.text(plain) if isinstance(plain, str) else plain


def _plain(item: object) -> JsonValue:
    if item is None or isinstance(item, bool | int | float):
        return item
    if isinstance(item, str):
        return item if len(item) <= _SHOWN_LETTERS else f"{item[:_SHOWN_LETTERS]}…"
    try:
        return _SHORT.repr(item)
    except Exception as error:  # noqa: BLE001 (the __repr__ of a node author's object may raise anything)
        return f"<{type(item).__name__} without a text: {type(error).__name__}>"


def _message(text: str, error: Exception, definition: NodeDefinition, node: WorkflowNode) -> str:
    """What went wrong, with the file input named when the node has one: most often it is the file."""
    named = [spec.name for spec in definition.inputs.values() if isinstance(spec.choices, Files)]
    if isinstance(error, GraphEngineError) and len(named) == 1 and named[0] in node.inputs:
        return f"input {named[0]!r}: {text}"
    return text
