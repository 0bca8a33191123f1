"""Reads a node class in ComfyUI's form (`INPUT_TYPES`, `RETURN_TYPES`, …) into a frozen `NodeDefinition`."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from graphengine.errors import PackError
from graphengine.node.definition import Files, InputSpec, NodeDefinition, OutputSpec

# Any throughout: a node class is its author's, and only reading it tells what is there.


def define(
    class_type: str,
    node_class: type[Any],
    *,
    display_name: str | None = None,
    module: str = "",
    version: str = "",
    load: Callable[[], type[Any]] | None = None,
) -> NodeDefinition:
    """The definition that a node class states.

    `load` gives the class when it is called; by default it is the class at hand.

    Raises:
        PackError: an attribute is missing or not of the expected form.
    """
    try:
        return _define(class_type, node_class, display_name, module, version, load)
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
    if not callable(getattr(node_class, function, None)):
        raise PackError(f"node class {class_type!r} has no method {function!r}, which FUNCTION names")
    return NodeDefinition(
        class_type=class_type,
        inputs={spec.name: spec for spec in _inputs(input_types)},
        outputs=tuple(_outputs(node_class)),
        hidden={name: str(_first(kind)) for name, kind in input_types.get("hidden", {}).items()},
        display_name=display_name or class_type,
        category=str(getattr(node_class, "CATEGORY", "")),
        description=str(getattr(node_class, "DESCRIPTION", "") or ""),
        module=module,
        version=version,
        function=function,
        is_output=bool(getattr(node_class, "OUTPUT_NODE", False)),
        input_is_list=bool(getattr(node_class, "INPUT_IS_LIST", False)),
        not_idempotent=bool(getattr(node_class, "NOT_IDEMPOTENT", False)),
        has_fingerprint=hasattr(node_class, "IS_CHANGED"),
        checked_by_node=_checked_by_node(node_class),
        deprecated=bool(getattr(node_class, "DEPRECATED", False)),
        experimental=bool(getattr(node_class, "EXPERIMENTAL", False)),
        load=load or (lambda: node_class),
    )


def _inputs(input_types: Mapping[str, Any]) -> Iterator[InputSpec]:
    for section in ("required", "optional"):
        for name, declared in (input_types.get(section) or {}).items():
            yield read_input(name, declared, required=section == "required")


def read_input(name: str, declared: Any, *, required: bool) -> InputSpec:
    """One entry of `INPUT_TYPES`: `("INT", {"min": 0})`, `(["a", "b"],)`, `("COMBO", {"options": […]})`."""
    parts = declared if isinstance(declared, tuple | list) else (declared,)
    kind = parts[0]
    options = dict(parts[1]) if len(parts) > 1 and parts[1] else {}
    match kind:
        case Files():
            return InputSpec(name, "COMBO", required, kind, options)
        case list() | tuple() | range():
            return InputSpec(name, "COMBO", required, tuple(kind), options)
        case str() if str(kind) == "COMBO" and "options" in options:
            return InputSpec(name, "COMBO", required, tuple(options["options"]), options)
        case str():
            # A str subclass may compare in its own way ("any" types do); the definition keeps the plain text.
            return InputSpec(name, str.__str__(kind), required, None, options)
        case _:
            raise PackError(f"input {name!r} has the type {kind!r}, which is neither a name nor a list of choices")


def _outputs(node_class: type[Any]) -> Iterator[OutputSpec]:
    types = getattr(node_class, "RETURN_TYPES", None) or ()
    names = getattr(node_class, "RETURN_NAMES", None) or ()
    lists = getattr(node_class, "OUTPUT_IS_LIST", None) or ()
    tooltips = getattr(node_class, "OUTPUT_TOOLTIPS", None) or ()
    if isinstance(types, str):
        raise PackError(f"RETURN_TYPES is the text {types!r}", hint="a tuple of one needs a comma: (…,)")
    for index, kind in enumerate(types):
        type_ = str.__str__(kind) if isinstance(kind, str) else "COMBO"
        yield OutputSpec(
            name=str(names[index]) if index < len(names) else type_,
            type=type_,
            is_list=bool(lists[index]) if index < len(lists) else False,
            tooltip=tooltips[index] if index < len(tooltips) else None,
        )


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
