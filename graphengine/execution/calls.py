"""Makes the call of a step: its inputs, its hidden inputs, its context."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from graphengine.errors import GraphEngineError
from graphengine.execution.answers import Items
from graphengine.execution.call import NodeCall
from graphengine.execution.environment import is_on_torch
from graphengine.execution.events import Event, NodePreview, NodeProgress
from graphengine.execution.hidden import HiddenValues
from graphengine.execution.numerics import AS_IMPORTED, Numerics
from graphengine.execution.steps import Step
from graphengine.node.api import NodeContext, Preview, PreviewMethod
from graphengine.node.dynamic import live_inputs, nested_inputs
from graphengine.node.folders import Folders
from graphengine.node.memory import DeviceMemory
from graphengine.workflow.models import Link, NodeId


@dataclass(frozen=True, slots=True)
class CallMaker:
    """What all calls of a run have in common."""

    folders: Folders
    hidden: HiddenValues
    choose_device: Callable[[], str]
    is_cancelled: Callable[[], bool]
    emit: Callable[[Event], None]
    numerics: Numerics = AS_IMPORTED
    previews: PreviewMethod = "auto"
    memory: DeviceMemory = field(default_factory=DeviceMemory)

    def make(self, step: Step, items: Callable[[Link], Items]) -> NodeCall:
        """The call; `items` gives what a link holds.

        Raises:
            GraphEngineError: only the description of the node is known.
        """
        definition = step.definition
        if definition.load is None:
            raise GraphEngineError(
                "only its description is known, no code that runs it",
                hint="install the node pack that defines it into custom_nodes",
            )
        context = self._context(step.node_id)
        return NodeCall(
            node_id=step.node_id,
            class_type=definition.class_type,
            load=definition.load,
            function=definition.function,
            output_is_list=tuple(output.is_list for output in definition.outputs),
            inputs=self._inputs(step, items),
            hidden=self.hidden.of(context, definition) if definition.hidden else {},
            input_is_list=definition.input_is_list,
            is_async=definition.is_async,
            absent=frozenset(step.lazy),
            linked=frozenset(_linked(step)) if step.lazy else frozenset(),
            context=context,
            restructure=partial(nested_inputs, definition) if definition.has_dynamic else None,
            numerics=self.numerics if is_on_torch(definition) else None,
        )

    def _inputs(self, step: Step, items: Callable[[Link], Items]) -> dict[str, Items]:
        declared = live_inputs(step.definition, step.node.inputs)
        inputs: dict[str, Items] = {}
        for name, value in step.node.inputs.items():
            if type(value) is not Link:
                inputs[name] = (value,)
            elif name in step.lazy:
                continue
            elif (spec := declared.get(name)) is not None and spec.raw_link:
                inputs[name] = ([value.source, value.output],)
            else:
                inputs[name] = items(value)
        return inputs

    def _context(self, node_id: NodeId) -> NodeContext:
        def report(value: int, total: int) -> None:
            self.emit(NodeProgress(node_id, value, total))

        def show(preview: Preview) -> None:
            self.emit(NodePreview(node_id, preview))

        return NodeContext(
            node_id,
            self.folders,
            self.choose_device,
            report,
            self.is_cancelled,
            show,
            self.hidden.extra.prompt_id,
            0,
            previews=self.previews,
            memory=self.memory,
            fast=self.numerics.fast,
        )


def _linked(step: Step) -> Iterable[str]:
    return (name for name, value in step.node.inputs.items() if type(value) is Link)
