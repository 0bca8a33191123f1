"""What a node type takes and gives, read once into frozen values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from graphengine.node.types import WIDGET_TYPES, SocketType


@dataclass(frozen=True, slots=True)
class Files:
    """A combo whose choices are the files of a folder kind: "checkpoints", "vae", "input", …

    It stays symbolic in a definition, so that one definition serves every folder setting; the names are looked
    up when a workflow is checked, and the content of the named file becomes part of the cache key. `suffixes`
    ((".latent",) for instance) limits what is listed.
    """

    kind: str
    suffixes: tuple[str, ...] = ()


@dataclass(frozen=True)
class InputSpec:
    """One input of a node type.

    `type` is the socket type ("INT", "MODEL", "IMAGE,MASK", "*"; "COMBO" for a list of choices), `choices` the
    allowed values of a combo, `options` what the author wrote beside the type (default, min, max, tooltip, …).
    """

    name: str
    type: SocketType
    required: bool = True
    choices: tuple[object, ...] | Files | None = None
    # Any: authors put whatever they like beside the type.
    options: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def is_widget(self) -> bool:
        """Whether the editor shows a widget for it, so that its value stands in `widgets_values`."""
        return self.type in WIDGET_TYPES and not self.options.get("forceInput")

    @cached_property
    def has_control(self) -> bool:
        """Whether the editor keeps an extra "control after generate" value behind the widget."""
        if self.type not in ("INT", "COMBO"):
            return False
        if "control_after_generate" in self.options:
            return bool(self.options["control_after_generate"])
        return self.type == "INT" and self.name in ("seed", "noise_seed")

    @property
    def is_lazy(self) -> bool:
        """Whether the node decides at run time if it needs this input."""
        return bool(self.options.get("lazy"))


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """One output of a node type; `is_list` outputs give many items at once."""

    name: str
    type: SocketType
    is_list: bool = False
    tooltip: str | None = None


@dataclass(frozen=True)
class NodeDefinition:
    """A node type. `load` gives the class that implements it, or is None when only the description is known.

    `version` stands for the code: it changes when the source of the pack changes. `has_fingerprint` says
    that the class has `IS_CHANGED`, `checked_by_node` names the inputs its `VALIDATE_INPUTS` checks ("*" all).
    `resources` are what a call needs for itself when nodes run side by side ("device"), `is_async` says that the
    method is a coroutine.
    """

    class_type: str
    inputs: Mapping[str, InputSpec]
    outputs: tuple[OutputSpec, ...]
    hidden: Mapping[str, str] = field(default_factory=dict)
    display_name: str = ""
    category: str = ""
    description: str = ""
    module: str = ""
    version: str = ""
    function: str = ""
    is_output: bool = False
    input_is_list: bool = False
    not_idempotent: bool = False
    has_fingerprint: bool = False
    checked_by_node: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()
    is_async: bool = False
    deprecated: bool = False
    experimental: bool = False
    # Any: the class is an author's; only `execution.call` uses it.
    load: Callable[[], type[Any]] | None = field(default=None, repr=False, compare=False)

    @cached_property
    def has_lazy(self) -> bool:
        """Whether any input is computed only when the node asks for it."""
        return any(spec.is_lazy for spec in self.inputs.values())
