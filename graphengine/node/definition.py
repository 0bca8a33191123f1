"""What a node type takes and gives, read once into frozen values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any

from graphengine.node.files import Files
from graphengine.node.inputs import InputSpec
from graphengine.node.types import DEVICE_TYPES, SocketType, type_members

__all__ = ["Files", "InputSpec", "NodeDefinition", "OutputSpec"]


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """One output of a node type; `is_list` outputs give many items at once.

    `own_type` is the type as the author's object when that compares in its own way.
    """

    name: str
    type: SocketType
    is_list: bool = False
    tooltip: str | None = None
    own_type: str | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class NodeDefinition:
    """A node type. `load` gives the class that implements it, or is None when only the description is known.

    `has_fingerprint` says that the class has `IS_CHANGED`, `checked_by_node` names the inputs its
    `VALIDATE_INPUTS` checks ("*" all), `has_lazy_check` says that it has `check_lazy_status`. `resources` are what
    a call needs for itself when nodes run side by side ("device"), `is_async` says that the method is a coroutine.
    `takes_any_input` says that literals under undeclared names reach the node too, `further_output` what every
    output beyond `outputs` is when there is no end of them. `code` has the digests of the files that the code is
    in, by path, `packages` the versions of the packages it is built on, by name; `given_version` stands for the
    code where no files are known.

    `cacheable`, `pure` and `reads_files` are what the class declares of its results (see `declared`), or what is
    assumed of a class that does not (`is_declared`).
    """

    class_type: str
    inputs: Mapping[str, InputSpec]
    outputs: tuple[OutputSpec, ...]
    hidden: Mapping[str, str] = field(default_factory=dict)
    display_name: str = ""
    category: str = ""
    description: str = ""
    module: str = ""
    given_version: str = ""
    function: str = ""
    is_output: bool = False
    input_is_list: bool = False
    not_idempotent: bool = False
    has_fingerprint: bool = False
    has_lazy_check: bool = False
    checked_by_node: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()
    is_async: bool = False
    takes_any_input: bool = False
    further_output: OutputSpec | None = None
    code: Mapping[str, str] = field(default_factory=dict, repr=False)
    packages: Mapping[str, str] = field(default_factory=dict, repr=False)
    cacheable: bool = True
    pure: bool = True
    reads_files: tuple[str, ...] = ()
    is_declared: bool = False
    deprecated: bool = False
    experimental: bool = False
    # Any: the class is an author's; only `execution.call` uses it.
    load: Callable[[], type[Any]] | None = field(default=None, repr=False, compare=False)

    def output(self, index: int) -> OutputSpec | None:
        """What an output number stands for, None when there is no such output."""
        if index < 0:
            return None
        return self.outputs[index] if index < len(self.outputs) else self.further_output

    @cached_property
    def version(self) -> str:
        """What stands for the code: it changes when one of the files in `code` does."""
        if self.given_version or not self.code:
            return self.given_version
        parts = (f"{len(path)}:{path}{len(digest)}:{digest}" for path, digest in sorted(self.code.items()))
        return sha256("".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]

    @cached_property
    def is_recipe(self) -> bool:
        """Whether its outputs are objects, such as models: how they are made is their value, and is not stored."""
        objects = all(output.type in DEVICE_TYPES for output in self.outputs)
        return objects and bool(self.outputs) and not self.is_output and not self.has_lazy

    @cached_property
    def has_files(self) -> bool:
        """Whether some of its inputs name files."""
        return self.has_dynamic or any(isinstance(spec.choices, Files) for spec in self.inputs.values())

    @cached_property
    def takes_clip(self) -> bool:
        """Whether it takes a CLIP, which reads the embeddings that a text names."""
        return any("CLIP" in type_members(spec.type) for spec in self.inputs.values())

    @cached_property
    def has_raw_links(self) -> bool:
        """Whether some of its inputs are given the link itself."""
        return self.has_dynamic or any(spec.raw_link for spec in self.inputs.values())

    @cached_property
    def has_dynamic(self) -> bool:
        """Whether some of its inputs bring others along."""
        return any(spec.is_dynamic for spec in self.inputs.values())

    @cached_property
    def has_lazy(self) -> bool:
        """Whether some of its inputs, or of those they bring along, are lazy."""
        waiting = list(self.inputs.values())
        while waiting:
            spec = waiting.pop()
            if spec.is_lazy:
                return True
            if spec.is_dynamic:
                waiting.extend(inner for group in spec.inner.values() for inner in group)
        return False
