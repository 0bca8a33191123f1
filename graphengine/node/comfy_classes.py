"""Reads a node class in ComfyUI's form (`INPUT_TYPES`, `RETURN_TYPES`, …) into a frozen `NodeDefinition`."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any

from graphengine.errors import PackError
from graphengine.node.declared import read_declared
from graphengine.node.definition import InputSpec, NodeDefinition, OutputSpec
from graphengine.node.inputs import read_input
from graphengine.node.types import DEVICE_TYPES, SocketType, compares_itself, plain_text, type_members

# Any throughout: a node class is its author's, and only reading it tells what is there.

#: No node has such an input; a section that claims to hold it claims to hold every name.
_UNDECLARED = "an input that no node declares"
_NOTHING: Mapping[str, Any] = MappingProxyType({})


def define(
    class_type: str,
    node_class: type[Any],
    *,
    display_name: str | None = None,
    module: str = "",
    version: str = "",
    load: Callable[[], type[Any]] | None = None,
    defaults: Mapping[str, Any] = _NOTHING,
) -> NodeDefinition:
    """The definition that a node class states.

    `load` gives the class when it is called; by default it is the class at hand. `defaults` are what its pack
    declares for all classes.

    Raises:
        PackError: an attribute is missing or not of the expected form.
    """
    try:
        definition = _define(class_type, node_class, display_name, module, version, load)
        declared = read_declared(class_type, node_class, defaults)
        return replace(definition, **{f.name: getattr(declared, f.name) for f in fields(declared)})
    except PackError:
        raise
    except Exception as error:
        raise PackError(
            f"node class {class_type!r} cannot be read: {type(error).__name__}: {error}",
            hint="its INPUT_TYPES or RETURN_TYPES is not in ComfyUI's form",
        ) from error


def _define(
    class_type: str,
    node_class: type[Any],
    display_name: str | None,
    module: str,
    version: str,
    load: Callable[[], type[Any]] | None,
) -> NodeDefinition:
    input_types = node_class.INPUT_TYPES()
    function = node_class.FUNCTION
    method = getattr(node_class, function, None)
    if not callable(method):
        raise PackError(f"node class {class_type!r} has no method {function!r}, which FUNCTION names")
    inputs = {spec.name: spec for spec in _inputs(input_types)}
    outputs = tuple(_outputs(node_class))
    return NodeDefinition(
        class_type=class_type,
        inputs=inputs,
        outputs=outputs,
        hidden={name: str(_first(kind)) for name, kind in input_types.get("hidden", {}).items()},
        display_name=display_name or class_type,
        category=str(getattr(node_class, "CATEGORY", "")),
        description=str(getattr(node_class, "DESCRIPTION", "") or ""),
        module=module,
        given_version=version,
        function=function,
        is_output=bool(getattr(node_class, "OUTPUT_NODE", False)),
        input_is_list=bool(getattr(node_class, "INPUT_IS_LIST", False)),
        not_idempotent=bool(getattr(node_class, "NOT_IDEMPOTENT", False)),
        has_fingerprint=hasattr(node_class, "IS_CHANGED"),
        has_lazy_check=hasattr(node_class, "check_lazy_status"),
        checked_by_node=_checked_by_node(node_class),
        resources=_resources(node_class, inputs.values(), outputs),
        is_async=inspect.iscoroutinefunction(method),
        takes_any_input=any(_UNDECLARED in section for section in _sections(input_types).values()),
        further_output=_further_output(node_class),
        deprecated=bool(getattr(node_class, "DEPRECATED", False)),
        experimental=bool(getattr(node_class, "EXPERIMENTAL", False)),
        load=load or (lambda: node_class),
    )


def _sections(input_types: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    declared = {name: input_types.get(name) for name in ("required", "optional")}
    return {name: section for name, section in declared.items() if section is not None}


def _inputs(input_types: Mapping[str, Any]) -> Iterator[InputSpec]:
    for section, declared in _sections(input_types).items():
        for name, entry in declared.items():
            yield read_input(name, entry, required=section == "required")


def _outputs(node_class: type[Any]) -> Iterator[OutputSpec]:
    types = _return_types(node_class)
    names = getattr(node_class, "RETURN_NAMES", None) or ()
    lists = getattr(node_class, "OUTPUT_IS_LIST", None) or ()
    tooltips = getattr(node_class, "OUTPUT_TOOLTIPS", None) or ()
    for index in range(len(types)):
        kind = types[index]  # by number: a tuple of the author's may answer otherwise than it iterates
        type_ = _output_type(kind)
        yield OutputSpec(
            name=str(names[index]) if index < len(names) else type_,
            type=type_,
            is_list=bool(lists[index]) if index < len(lists) else False,
            tooltip=tooltips[index] if index < len(tooltips) else None,
            own_type=_own_type(kind),
        )


def _return_types(node_class: type[Any]) -> Sequence[Any]:
    types = getattr(node_class, "RETURN_TYPES", None) or ()
    if isinstance(types, str):
        raise PackError(f"RETURN_TYPES is the text {types!r}", hint="a tuple of one needs a comma: (…,)")
    return types if isinstance(types, Sequence) else tuple(types)


def _further_output(node_class: type[Any]) -> OutputSpec | None:
    """What outputs beyond the declared ones are: `RETURN_TYPES` may be a tuple that answers any number."""
    types = _return_types(node_class)
    try:
        kind = types[len(types)]
    except IndexError:
        return None
    return OutputSpec(_output_type(kind), _output_type(kind), own_type=_own_type(kind))


def _output_type(kind: Any) -> SocketType:
    return plain_text(kind) if isinstance(kind, str) else "COMBO"


def _own_type(kind: Any) -> str | None:
    return kind if isinstance(kind, str) and compares_itself(kind) else None


def _resources(
    node_class: type[Any], inputs: Iterable[InputSpec], outputs: Iterable[OutputSpec]
) -> frozenset[str]:
    """What `RESOURCES` lists, else the device for nodes that take or give a model or what works with one."""
    declared = getattr(node_class, "RESOURCES", None)
    if isinstance(declared, str):
        raise PackError(f"RESOURCES is the text {declared!r}", hint="a tuple of one needs a comma: (…,)")
    if declared is not None:
        return frozenset(str(name) for name in declared)
    types = [*(spec.type for spec in inputs), *(output.type for output in outputs)]
    uses_device = any(not type_members(type_).isdisjoint(DEVICE_TYPES) for type_ in types)
    return frozenset({"device"} if uses_device else ())


def _checked_by_node(node_class: type[Any]) -> frozenset[str]:
    """Inputs that the class checks itself in `VALIDATE_INPUTS`; "*" when it takes `**kwargs`."""
    check = getattr(node_class, "VALIDATE_INPUTS", None)
    if check is None:
        return frozenset()
    parameters = inspect.signature(check).parameters.values()
    names = {p.name for p in parameters if p.kind is not inspect.Parameter.VAR_KEYWORD}
    takes_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)
    return frozenset(names | {"*"} if takes_all else names)


def _first(kind: Any) -> Any:
    return kind[0] if isinstance(kind, tuple | list) else kind
