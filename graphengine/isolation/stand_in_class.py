"""The class that stands for a node class of an isolated pack: it has the methods, and each calls the worker."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from graphengine.cache.encoding import why_not_storable
from graphengine.cache.store import Outputs
from graphengine.isolation.calling import cannot_cross
from graphengine.isolation.channel import Message, NotStorable
from graphengine.isolation.process import WorkerProcess
from graphengine.isolation.sent_prompt import taken_out
from graphengine.node.api import NodeContext, Preview, current_context
from graphengine.node.definition import NodeDefinition

#: A message of a node for whoever watches: type, data, client.
Send = Callable[[str | int, Any, str | None], None]


# Any throughout: arguments and answers of an author's functions.
@dataclass(frozen=True, slots=True)
class RemoteClass:
    """A node class in a worker."""

    worker: WorkerProcess
    definition: NodeDefinition
    send: Send

    def call(self, method: str, on: str, arguments: Mapping[str, Any]) -> Any:
        """What a method answers; `on` is "class", "object", or "filtered" for those arguments that it names.

        Raises:
            RunCancelled: the run was cancelled.
            GraphEngineError: an argument cannot be sent, or the worker failed.
            Exception: what the method raised.
        """
        context = current_context.get() or NodeContext()
        plain, special = taken_out(arguments)
        head = {
            "kind": "call",
            "class_type": self.definition.class_type,
            "method": method,
            "on": on,
            "special": special,
            "outputs": [output.type for output in self.definition.outputs],
            "node_id": context.node_id,
            "prompt_id": context.prompt_id,
            "list_index": context.list_index,
            "previews": context.previews,
        }

        def hear(message: Message) -> None:
            self._hear(message, context)

        try:
            answer = self.worker.ask(head, plain, on_message=hear, is_cancelled=context.is_cancelled)
        except NotStorable as error:
            raise self._refused(plain) from error
        return answer.value

    def _hear(self, message: Message, context: NodeContext) -> None:
        head = message.head
        match message.kind:
            case "progress":
                context.on_progress(int(head["value"]), int(head["total"]))
            case "preview":
                size = head.get("max_size")
                largest = size if isinstance(size, int) else None
                context.on_preview(
                    Preview(message.value, "png" if head.get("format") == "png" else "jpeg", largest)
                )
            case "device":
                self.worker.reply({"kind": "device", "device": context.device})
            case "send":
                event = head.get("event")
                client = head.get("client")
                self.send(
                    event if isinstance(event, int) else str(event),
                    message.value,
                    None if client is None else str(client),
                )

    def _refused(self, arguments: Mapping[str, Any]) -> Exception:
        """Which argument cannot be sent."""
        for name, value in arguments.items():
            reason = why_not_storable(Outputs(((value,),)))
            if reason is not None:
                spec = self.definition.inputs.get(name)
                kind = f" ({spec.type})" if spec is not None else ""
                return cannot_cross(f"input {name!r}{kind}", reason)
        return cannot_cross("an input", "an object of its own")


def stand_in_class(remote: RemoteClass) -> type[Any]:
    """A class with the methods of a remote one, as the engine calls them."""
    definition = remote.definition

    def run(self: object, **arguments: Any) -> Any:
        return remote.call(definition.function, "object", arguments)

    def check_lazy_status(self: object, **arguments: Any) -> Any:
        return remote.call("check_lazy_status", "filtered", arguments)

    def is_changed(**arguments: Any) -> Any:
        return remote.call("IS_CHANGED", "class", arguments)

    def validate_inputs(**arguments: Any) -> Any:
        return remote.call("VALIDATE_INPUTS", "class", arguments)

    members: dict[str, Any] = {definition.function: run}
    if definition.has_lazy_check:
        members["check_lazy_status"] = check_lazy_status
    if definition.has_fingerprint:
        members["IS_CHANGED"] = staticmethod(is_changed)
    if definition.checked_by_node:
        members["VALIDATE_INPUTS"] = staticmethod(validate_inputs)
    return type(definition.class_type, (), members)


__all__ = ["RemoteClass", "Send", "stand_in_class"]
