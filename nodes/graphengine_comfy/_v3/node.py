"""The class that schema-based nodes derive from.

An author writes class methods only: `define_schema`, `execute`, and if needed `validate_inputs`,
`fingerprint_inputs` and `check_lazy_status`. The engine sees the face of a class-based node: `INPUT_TYPES`,
`RETURN_TYPES`, `FUNCTION`, …. What an author does not write is not there: a node without `validate_inputs` has no
`VALIDATE_INPUTS`.

Every call is made on a subclass of its own, so that `cls.hidden` belongs to that call alone, in whatever thread it
or the threads that it starts run. Attributes of that subclass cannot be set: they would be lost after the call.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import cache, wraps
from typing import Any, ClassVar

from graphengine_comfy._v3.inputs import Output
from graphengine_comfy._v3.results import engine_form
from graphengine_comfy._v3.schema import HiddenValues, Schema

# Any throughout: values, and what authors return, are theirs.


class _FromSchema:
    """An attribute of a node class that its schema decides."""

    def __init__(self, read: Callable[[Schema], Any]) -> None:
        self.read = read

    def __get__(self, instance: object, owner: "type[ComfyNode]") -> Any:
        if not _overrides(owner, "define_schema"):
            raise AttributeError(f"{owner.__name__} has no define_schema()")
        return self.read(_schema(owner))


class _Function:
    """The name of the method that the engine calls, by whether `execute` is async."""

    def __get__(self, instance: object, owner: "type[ComfyNode]") -> str:
        return "EXECUTE_NORMALIZED_ASYNC" if inspect.iscoroutinefunction(owner.execute) else "EXECUTE_NORMALIZED"


class _Face:
    """A method of the engine's face that is there only when the author wrote the method behind it."""

    def __init__(self, method: str) -> None:
        self.method = method

    def __get__(self, instance: object, owner: "type[ComfyNode]") -> Callable[..., Any]:
        if not _overrides(owner, self.method):
            raise AttributeError(f"{owner.__name__} has no {self.method}()")
        return _on_a_copy(owner, getattr(owner, self.method), self.method)


class _LazyCheck:
    """An author's `check_lazy_status`: the engine gets it as a face, a call gets it as it was written."""

    def __init__(self, written: Any) -> None:
        self.written = written

    def __get__(self, instance: object, owner: "type[ComfyNode]") -> Callable[..., Any]:
        bound: Callable[..., Any] = self.written.__get__(instance, owner)
        return bound if _is_copy(owner) else _on_a_copy(owner, bound, "check_lazy_status")


class _AskForAll:
    """What `super().check_lazy_status()` gives; a class that does not override it does not have it."""

    def __get__(self, instance: object, owner: "type[ComfyNode]") -> Callable[..., list[str]]:
        if not _overrides(owner, "check_lazy_status"):
            raise AttributeError(f"{owner.__name__} has no check_lazy_status()")
        return lambda **inputs: [name for name, value in inputs.items() if value is None]


class ComfyNode:
    """A node that states itself by a schema."""

    #: The hidden values of the call at hand.
    hidden: ClassVar[HiddenValues] = HiddenValues()

    CATEGORY = _FromSchema(lambda schema: schema.category)
    DESCRIPTION = _FromSchema(lambda schema: schema.description)
    DEPRECATED = _FromSchema(lambda schema: schema.is_deprecated)
    EXPERIMENTAL = _FromSchema(lambda schema: schema.is_experimental)
    API_NODE = _FromSchema(lambda schema: schema.is_api_node)
    OUTPUT_NODE = _FromSchema(lambda schema: schema.is_output_node)
    INPUT_IS_LIST = _FromSchema(lambda schema: schema.is_input_list)
    NOT_IDEMPOTENT = _FromSchema(lambda schema: schema.not_idempotent)
    RETURN_TYPES = _FromSchema(lambda schema: tuple(output.get_io_type() for output in schema.outputs))
    RETURN_NAMES = _FromSchema(lambda schema: tuple(_name(output) for output in schema.outputs))
    OUTPUT_IS_LIST = _FromSchema(lambda schema: tuple(output.is_output_list for output in schema.outputs))
    OUTPUT_TOOLTIPS = _FromSchema(lambda schema: tuple(output.tooltip for output in schema.outputs))
    FUNCTION = _Function()
    VALIDATE_INPUTS = _Face("validate_inputs")
    IS_CHANGED = _Face("fingerprint_inputs")
    check_lazy_status: ClassVar[Any] = _AskForAll()

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        written = cls.__dict__.get("check_lazy_status")
        if written is not None and not isinstance(written, _LazyCheck):
            cls.check_lazy_status = _LazyCheck(written)

    @classmethod
    def define_schema(cls) -> Schema:
        """What the node is; every node overrides it."""
        raise NotImplementedError(f"{cls.__name__} has no define_schema()")

    @classmethod
    def execute(cls, *args: Any, **kwargs: Any) -> Any:
        """The work of the node, may be async; every node overrides it."""
        raise NotImplementedError(f"{cls.__name__} has no execute()")

    @classmethod
    def validate_inputs(cls, *args: Any, **kwargs: Any) -> bool | str:
        """True, or what is wrong with the inputs; asked only if overridden."""
        return True

    @classmethod
    def fingerprint_inputs(cls, *args: Any, **kwargs: Any) -> Any:
        """A value that differs when the node must run again; asked only if overridden."""
        raise NotImplementedError(f"{cls.__name__} has no fingerprint_inputs()")

    @classmethod
    def GET_SCHEMA(cls) -> Schema:
        """The schema, asked anew, complete and checked.

        Raises:
            ValueError: two inputs or outputs have the same id.
        """
        author = _author(cls)
        schema = author.define_schema()
        schema.finalize()
        schema.validate()
        author._schema = schema  # type: ignore[attr-defined]  # read by `_schema`
        return schema

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, Any]]:
        """The inputs by section, asked anew: choices may be files that come and go."""
        return cls.GET_SCHEMA().input_types()

    @classmethod
    def EXECUTE_NORMALIZED(cls, **kwargs: Any) -> Any:
        """What `execute` returns, in the engine's form."""
        hidden, inputs = _parted(cls, kwargs)
        return engine_form(_copy(cls, hidden).execute(**inputs), _schema(cls))

    @classmethod
    async def EXECUTE_NORMALIZED_ASYNC(cls, **kwargs: Any) -> Any:
        """What an async `execute` returns, in the engine's form."""
        hidden, inputs = _parted(cls, kwargs)
        return engine_form(await _copy(cls, hidden).execute(**inputs), _schema(cls))


def _name(output: Output) -> str:
    return output.display_name or output.get_io_type()


def _schema(owner: type[ComfyNode]) -> Schema:
    """The schema as it was last asked; one that a parent class left is not taken."""
    schema: Schema | None = _author(owner).__dict__.get("_schema")
    return owner.GET_SCHEMA() if schema is None else schema


def _overrides(owner: type[ComfyNode], method: str) -> bool:
    before = owner.__mro__[: owner.__mro__.index(ComfyNode)]
    return any(method in base.__dict__ for base in before)


def _on_a_copy(owner: type[ComfyNode], written: Callable[..., Any], method: str) -> Callable[..., Any]:
    """The author's method with the hidden values taken out of its arguments, called on a copy of the class.

    It shows the signature of the author's method, by which the engine chooses what to pass.
    """
    if inspect.iscoroutinefunction(written):

        @wraps(written)
        async def call_async(**kwargs: Any) -> Any:
            hidden, inputs = _parted(owner, kwargs)
            return await getattr(_copy(owner, hidden), method)(**inputs)

        return call_async

    @wraps(written)
    def call(**kwargs: Any) -> Any:
        hidden, inputs = _parted(owner, kwargs)
        return getattr(_copy(owner, hidden), method)(**inputs)

    return call


def _parted(owner: type[ComfyNode], kwargs: Mapping[str, Any]) -> tuple[HiddenValues, dict[str, Any]]:
    """The hidden values of a call, and its inputs."""
    schema = _schema(owner)
    names = schema.hidden_names()
    hidden = {names[name].name: _single(value, schema) for name, value in kwargs.items() if name in names}
    return HiddenValues(hidden), {name: value for name, value in kwargs.items() if name not in names}


def _single(value: Any, schema: Schema) -> Any:
    """A hidden value, out of the list that nodes are given who take whole lists."""
    return value[0] if schema.is_input_list and isinstance(value, list) and len(value) == 1 else value


def _author(owner: type[ComfyNode]) -> type[ComfyNode]:
    """The class as its author wrote it."""
    author: type[ComfyNode] = owner.__mro__[1] if _is_copy(owner) else owner
    return author


def _is_copy(owner: type[ComfyNode]) -> bool:
    return "_is_copy" in owner.__dict__


def _copy(owner: type[ComfyNode], hidden: HiddenValues) -> type[ComfyNode]:
    """A subclass for one call, whose attributes cannot be set."""
    author = _author(owner)
    names = {"__module__": author.__module__, "__qualname__": author.__qualname__, "hidden": hidden}
    locking = _locking(type(author))  # type: ignore[arg-type]  # a class is hashable; mypy looks at its instances
    made: type[ComfyNode] = locking(author.__name__, (author,), names)
    type.__setattr__(made, "_is_copy", True)
    return made


@cache
def _locking(metaclass: type[type]) -> type[type]:
    """The metaclass of copies: that of the author's class, and attributes cannot be set."""

    def refuse(cls: type, name: str, value: object) -> None:
        if "_is_copy" in cls.__dict__:
            raise AttributeError(
                f"{cls.__name__}.{name} cannot be set during a call: the class is a copy for this call alone"
            )
        type.__setattr__(cls, name, value)

    return type(f"Locking{metaclass.__name__}", (metaclass,), {"__setattr__": refuse})
