"""Checks of what a node class declares. Nothing is called but `INPUT_TYPES`."""

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from graphengine.execution.purity_values import compare
from graphengine.node.definition import NodeDefinition
from graphengine.node.files import Files
from graphengine.node.inputs import InputSpec

Told = Iterator[tuple[str, str]]
"""Codes of checks with what was found."""

_SECTIONS = ("required", "optional", "hidden")
_NUMBERS = ("INT", "FLOAT")
# bool is an int to Python, and no number to a user.
_DEFAULTS: Mapping[str, tuple[type, ...]] = {
    "INT": (int,),
    "FLOAT": (int, float),
    "STRING": (str,),
    "BOOLEAN": (bool,),
}


# Any throughout: a node class is its author's.
def check_sections(node_class: type[Any]) -> Told:
    """Whether `INPUT_TYPES` answers in ComfyUI's form, and the same twice."""
    first = _asked(node_class)
    if isinstance(first, str):
        yield "input_types", first
        return
    second = _asked(node_class)
    differences = compare(first, second).differences
    if differences:
        yield "input_types_stable", f"INPUT_TYPES answers something else the second time: {differences[0]}"
    for section, entries in first.items():
        if section not in _SECTIONS:
            yield "input_types", f"INPUT_TYPES has a section {section!r}; there are {', '.join(_SECTIONS)}"
        elif not isinstance(entries, Mapping):
            yield "input_types", f"the section {section!r} of INPUT_TYPES is no dict"
        elif section != "hidden":
            for name, entry in entries.items():
                yield from (("input_types", wrong) for wrong in _wrong_entry(name, entry))
    sections = [first.get(name) for name in ("required", "optional")]
    names = [set(section) for section in sections if isinstance(section, Mapping)]
    if len(names) == 2 and (both := names[0] & names[1]):
        yield "input_types", f"the input {sorted(both)[0]!r} is both required and optional"


def _asked(node_class: type[Any]) -> Any:
    """What INPUT_TYPES answers, or what is wrong with it as a text."""
    asked = getattr(node_class, "INPUT_TYPES", None)
    if not callable(asked):
        return "the class has no INPUT_TYPES"
    try:
        answer = asked()
    except Exception as error:  # noqa: BLE001 (a node may raise anything)
        return f"INPUT_TYPES raises {type(error).__name__}: {error}; it must be a classmethod"
    return (
        answer if isinstance(answer, Mapping) else f"INPUT_TYPES gives {type(answer).__name__} in place of a dict"
    )


def _wrong_entry(name: Any, entry: Any) -> Iterator[str]:
    if not isinstance(name, str):
        yield f"the input {name!r} has a name that is no text"
    elif not isinstance(entry, tuple | list):
        yield f"the input {name!r} is {entry!r}; write a tuple: ({entry!r},)"
    elif len(entry) not in (1, 2):
        yield f"the input {name!r} has {len(entry)} parts; there are a type and options"
    elif len(entry) == 2 and not isinstance(entry[1], Mapping | None):
        yield f"the options of input {name!r} are {type(entry[1]).__name__} in place of a dict"
    elif isinstance(entry[0], str) and not entry[0]:
        yield f"the input {name!r} has the empty text as its type"


def check_inputs(definition: NodeDefinition) -> Told:
    """Whether the options of inputs agree with their type and with each other."""
    for spec in definition.inputs.values():
        if spec.type in _DEFAULTS:
            yield from _wrong_default(spec)
        if spec.choices is not None and not isinstance(spec.choices, Files) and not spec.is_dynamic:
            yield from _wrong_choices(spec, spec.choices)
    if definition.has_lazy and not definition.has_lazy_check:
        yield "lazy_status", "it has lazy inputs and no check_lazy_status, so it is never given them"
    if definition.has_lazy_check and not definition.has_lazy:
        yield "lazy_status", "it has check_lazy_status and no input with {'lazy': True}, so it is never asked"


def _wrong_default(spec: InputSpec) -> Told:
    options = spec.options
    kinds = _DEFAULTS[spec.type]
    least, most = options.get("min"), options.get("max")
    for key in ("default", "min", "max") if spec.type in _NUMBERS else ("default",):
        value = options.get(key)
        if value is not None and (not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)):
            yield "input_types", f"{key} of input {spec.name!r} is {value!r}, which is no {spec.type}"
            return
    if spec.type not in _NUMBERS:
        return
    if least is not None and most is not None and least > most:
        yield "input_types", f"input {spec.name!r} has min {least} above max {most}"
    step = options.get("step")
    if step is not None and (not isinstance(step, int | float) or step <= 0):
        yield "input_types", f"input {spec.name!r} has the step {step!r}"
    default = options.get("default")
    if default is None:
        return
    if (least is not None and default < least) or (most is not None and default > most):
        yield "default_in_range", f"the default {default} of input {spec.name!r} is outside of {least} to {most}"


def _wrong_choices(spec: InputSpec, choices: tuple[object, ...]) -> Told:
    if not choices and spec.type == "COMBO" and not spec.options.get("remote"):
        yield "input_types", f"the input {spec.name!r} has no choices"
    repeated = [choice for index, choice in enumerate(choices) if choice in choices[:index]]
    if repeated:
        yield "input_types", f"the choice {repeated[0]!r} of input {spec.name!r} is there twice"
    default = spec.options.get("default")
    if default is None or not choices:
        return
    wanted = default if isinstance(default, list) and spec.takes_many else [default]
    for value in wanted:
        if value not in choices:
            shown = ", ".join(repr(choice) for choice in choices[:5])
            yield "default_in_choices", f"the default {value!r} of input {spec.name!r} is none of {shown}"


def check_outputs(node_class: type[Any], definition: NodeDefinition | None) -> Told:
    """Whether the attributes that describe outputs agree."""
    types = getattr(node_class, "RETURN_TYPES", ())
    if isinstance(types, str):
        yield "return_types", f"RETURN_TYPES is the text {types!r}; a tuple of one needs a comma: ({types!r},)"
        return
    if not isinstance(types, tuple | list):
        yield "return_types", f"RETURN_TYPES is {type(types).__name__} in place of a tuple"
        return
    for kind in types:
        if not isinstance(kind, str | list | tuple) or not len(kind):
            yield "return_types", f"RETURN_TYPES holds {kind!r}, which is no type"
    for name in ("RETURN_NAMES", "OUTPUT_IS_LIST"):
        given = getattr(node_class, name, None)
        if given is None or (isinstance(given, tuple | list) and not given):
            continue
        if isinstance(given, str) or not isinstance(given, tuple | list):
            yield "return_types", f"{name} is {given!r} in place of a tuple"
        elif len(given) != len(types):
            yield "return_types", f"{name} has {len(given)} entries, RETURN_TYPES has {len(types)}"
    if not len(types) and not (definition is not None and definition.is_output):
        yield "return_types", "it has no outputs and is no output node, so it never runs: set OUTPUT_NODE = True"


def check_signatures(node_class: type[Any], definition: NodeDefinition) -> Told:
    """Whether methods take what the class declares."""
    # A class with a schema is called through a method that takes anything; its author wrote `execute`.
    has_schema = hasattr(node_class, "define_schema")
    name = "execute" if has_schema else definition.function
    method = getattr(node_class, name, None)
    if not callable(method):
        yield "signature", f"FUNCTION names {name!r}, which the class does not have"
        return
    inputs = [spec for spec in definition.inputs.values() if "." not in spec.name]
    parameters = _parameters(node_class, name)
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    hidden = [] if has_schema else list(definition.hidden)
    for declared in (*(spec.name for spec in inputs), *hidden):
        if declared not in parameters and not takes_any:
            yield "signature", f"{name}() does not take the input {declared!r}"
    for spec in inputs:
        parameter = parameters.get(spec.name)
        if parameter is not None and not spec.required and parameter.default is inspect.Parameter.empty:
            yield "signature", f"the input {spec.name!r} is optional, and {name}() has no default for it"
    known = {spec.name for spec in inputs} | set(hidden)
    for parameter in parameters.values():
        if _is_needed(parameter) and parameter.name not in known and not definition.takes_any_input:
            yield "signature", f"{name}() needs {parameter.name!r}, which INPUT_TYPES does not declare"


def _is_needed(parameter: inspect.Parameter) -> bool:
    various = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return parameter.default is inspect.Parameter.empty and parameter.kind not in various


def _parameters(node_class: type[Any], name: str) -> Mapping[str, inspect.Parameter]:
    """The parameters of a method without `self`."""
    parameters = dict(inspect.signature(getattr(node_class, name)).parameters)
    written = inspect.getattr_static(node_class, name)
    if inspect.isfunction(written) and parameters:
        del parameters[next(iter(parameters))]
    return parameters


def declared_findings(node_class: type[Any], definition: NodeDefinition | None) -> Iterable[tuple[str, str]]:
    """All that is wrong with what a class declares; without a definition, with what it can be read of."""
    yield from check_sections(node_class)
    yield from check_outputs(node_class, definition)
    if definition is not None:
        yield from check_inputs(definition)
        yield from check_signatures(node_class, definition)
