"""What a node takes and gives, as its author states it."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from graphengine_comfy._v3.dynamic import sections
from graphengine_comfy._v3.inputs import Input, Output


class Hidden(StrEnum):
    """Values that a node may ask for and no user can set."""

    unique_id = "UNIQUE_ID"
    prompt = "PROMPT"
    extra_pnginfo = "EXTRA_PNGINFO"
    dynprompt = "DYNPROMPT"
    auth_token_comfy_org = "AUTH_TOKEN_COMFY_ORG"
    api_key_comfy_org = "API_KEY_COMFY_ORG"


class HiddenValues:
    """The hidden values of one call: `hidden.unique_id`, …; None for what the schema does not ask for."""

    def __init__(self, values: dict[str, Any] | None = None) -> None:
        self._values = values or {}

    # Any: a prompt and extra data are open-ended JSON.
    def __getattr__(self, name: str) -> Any:
        """The value, or None.

        Raises:
            AttributeError: there is no hidden value of that name.
        """
        if name not in Hidden.__members__:
            raise AttributeError(f"there is no hidden value {name!r}; there are {', '.join(Hidden.__members__)}")
        return self._values.get(name)


# Any: the badge and what newer editors add are passed by.
@dataclass
class Schema:
    """A node: its name, its inputs and outputs, and how it is to be treated.

    The rarer fields that only an editor reads are accepted and have no effect.
    """

    node_id: str
    display_name: str | None = None
    category: str = "sd"
    inputs: list[Input] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    hidden: list[Hidden] = field(default_factory=list)
    description: str = ""
    is_input_list: bool = False
    is_output_node: bool = False
    is_deprecated: bool = False
    is_experimental: bool = False
    is_api_node: bool = False
    not_idempotent: bool = False
    enable_expand: bool = False
    search_aliases: list[str] | None = None
    price_badge: Any = None
    is_dev_only: bool = False
    accept_all_inputs: bool = False
    essentials_category: str | None = None
    has_intermediate_output: bool = False

    def finalize(self) -> None:
        """Add the hidden values that output and API nodes are given unasked, and ids to outputs without one."""
        wanted = list(self.hidden)
        if self.is_output_node:
            wanted += [Hidden.prompt, Hidden.extra_pnginfo]
        if self.is_api_node:
            wanted += [Hidden.auth_token_comfy_org, Hidden.api_key_comfy_org]
        self.hidden = list(dict.fromkeys(wanted))
        for index, output in enumerate(self.outputs):
            if output.id is None:
                output.id = f"_{index}_{output.get_io_type()}_"

    def validate(self) -> None:
        """Check that no two inputs and no two outputs have the same id.

        Raises:
            ValueError: two have.
        """
        for kind, ids in (("inputs", [i.id for i in self.inputs]), ("outputs", [o.id for o in self.outputs])):
            doubled = [name for name, count in Counter(ids).items() if count > 1]
            if doubled:
                raise ValueError(f"node {self.node_id!r} has {kind} with the same id: {doubled}")

    def hidden_names(self) -> dict[str, Hidden]:
        """The hidden values by the name they are passed under, which must not be that of an input."""
        taken = {spec.id for spec in self.inputs}
        return {(f"hidden.{kind.name}" if kind.name in taken else kind.name): kind for kind in self.hidden}

    def input_types(self) -> dict[str, dict[str, Any]]:
        """The inputs in the form of `INPUT_TYPES`."""
        hidden = {name: (kind.value,) for name, kind in self.hidden_names().items()}
        return sections(self.inputs) | ({"hidden": hidden} if hidden else {})
