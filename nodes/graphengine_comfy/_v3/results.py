"""What a node gives back, and the form in which the engine takes it."""

from collections.abc import Mapping
from typing import Any, Self

from graphengine.node.api import ExecutionBlocker, GraphEngineError
from graphengine_comfy._v3.schema import Schema


# Any throughout: values are the author's.
class NodeOutput:
    """The values of the outputs in order; what to show, nodes to expand into, or a message that blocks.

    `ui` is a mapping or an object with `as_dict()`, such as those of `comfy_api.latest.ui`.
    """

    def __init__(
        self,
        *args: Any,
        ui: Any = None,
        expand: Mapping[str, Any] | None = None,
        block_execution: str | None = None,
    ) -> None:
        self.args = args
        self.ui = ui
        self.expand = expand
        self.block_execution = block_execution

    @property
    def result(self) -> tuple[Any, ...] | None:
        """The values of the outputs, or None without any."""
        return self.args or None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The output that a class-based node states as `{"result": …, "ui": …, "expand": …}`."""
        result = data.get("result")
        if isinstance(result, ExecutionBlocker):
            return cls(ui=data.get("ui"), expand=data.get("expand"), block_execution=result.message or "")
        return cls(*(result or ()), ui=data.get("ui"), expand=data.get("expand"))

    def __getitem__(self, index: int) -> Any:
        return self.args[index]


def engine_form(returned: object, schema: Schema) -> Any:
    """What `execute` returned as what a class-based node returns: a tuple, None, a blocker or a dict.

    Raises:
        GraphEngineError: it is none of the forms a node may return, has too few values, or expands although the
            schema does not say so.
    """
    match returned:
        case NodeOutput():
            output = returned
        case None:
            output = NodeOutput()
        case tuple():
            output = NodeOutput(*returned)
        case dict():
            output = NodeOutput.from_dict(returned)
        case ExecutionBlocker():
            output = NodeOutput(block_execution=returned.message or "")
        case _:
            raise GraphEngineError(
                f"execute() returned {type(returned).__name__}, which is no node result",
                hint="a node returns io.NodeOutput(…) with one value per output",
            )
    return _checked(output, schema)


def _checked(output: NodeOutput, schema: Schema) -> Any:
    if output.expand is not None and not schema.enable_expand:
        raise GraphEngineError(
            f"node type {schema.node_id!r} expands into other nodes, which its schema does not allow",
            hint="its author must set enable_expand=True in io.Schema",
        )
    result = _result(output, schema)
    shown = output.ui.as_dict() if hasattr(output.ui, "as_dict") else output.ui
    if shown is None and output.expand is None:
        return result
    parts = {"ui": shown, "expand": output.expand, "result": result}
    return {name: value for name, value in parts.items() if value is not None}


def _result(output: NodeOutput, schema: Schema) -> Any:
    if output.block_execution is not None:
        return (ExecutionBlocker(output.block_execution or None),) * len(schema.outputs)
    if not output.args:
        return None if schema.outputs else ()
    if len(output.args) < len(schema.outputs):
        raise GraphEngineError(
            f"execute() gave {len(output.args)} values, the schema of {schema.node_id!r} declares "
            f"{len(schema.outputs)} outputs",
            hint="a node gives one value per output",
        )
    return output.args
