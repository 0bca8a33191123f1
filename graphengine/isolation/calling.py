"""Calls a node author's functions in a worker, and brings what they answer into a form that can be sent."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from graphengine.cache.encoding import why_not_storable
from graphengine.cache.store import Outputs
from graphengine.errors import GraphEngineError


# Any throughout: functions and values are their authors'.
def answer_of(method: Callable[..., Any], arguments: Mapping[str, Any], *, filtered: bool) -> Any:
    """What a method answers; a coroutine is run to its end. With `filtered` it gets only what it has names for."""
    return _plain(_finished(method(**(_known(method, arguments) if filtered else arguments))))


def asked(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """What a function of the class answers to those arguments that it has names for."""
    return _plain(_finished(function(**_known(function, arguments))))


def storable_error(value: object, head: Mapping[str, Any]) -> GraphEngineError:
    """What to tell of an answer that cannot be sent: which output holds what."""
    result = value.get("result") if isinstance(value, dict) else value
    types = head.get("outputs", [])
    for number, item in enumerate(result if isinstance(result, tuple | list) else ()):
        reason = why_not_storable(Outputs(((item,),)))
        if reason is not None:
            kind = f" ({types[number]})" if number < len(types) else ""
            return cannot_cross(f"output {number}{kind}", reason)
    return cannot_cross("its answer", why_not_storable(Outputs(((value,),))) or "an object of its own")


def cannot_cross(what: str, reason: str) -> GraphEngineError:
    """The error of a value that cannot go from one process to another."""
    held = reason.removeprefix("slot 0 holds ")
    return GraphEngineError(
        f"{what} holds {held}, which cannot leave its process",
        hint="models and objects stay where they were made: run this pack without isolation, or only those of its "
        "nodes that take and give pictures, latents, conditioning, numbers and texts",
    )


def _known(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        return arguments
    names = {parameter.name for parameter in parameters}
    return {name: value for name, value in arguments.items() if name in names}


def _finished(answer: Any) -> Any:
    if not inspect.isawaitable(answer):
        return answer
    import asyncio  # a twentieth of a second to import, which few nodes need

    async def waited() -> Any:
        return await answer

    return asyncio.run(waited())


def _plain(answer: Any) -> Any:
    """The answer with its own containers as plain ones: an author may return a subclass of list or dict."""
    if isinstance(answer, dict):
        return {str(name): _plain_sequence(part) for name, part in answer.items()}
    return _plain_sequence(answer)


def _plain_sequence(value: Any) -> Any:
    if isinstance(value, tuple) and type(value) is not tuple:
        return tuple(value)
    if isinstance(value, list) and type(value) is not list:
        return list(value)
    return dict(value) if isinstance(value, dict) and type(value) is not dict else value
