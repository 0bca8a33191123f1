"""The form of `/object_info`, for its JSON Schema. Reading takes more forms than this; see `object_info`."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

# Any: authors put whatever they like beside a type.
InputEntry = Annotated[
    list[Any],
    Field(
        min_length=1,
        max_length=2,
        description="[type, options]: a socket type or the list of choices; options are default, min, max, step, "
        "multiline, tooltip and what else the author wrote.",
    ),
]
Inputs = dict[str, InputEntry]


class NodeInputs(BaseModel):
    """Inputs by name, in the order in which the editor shows them; `hidden` ones are filled in by the engine."""

    model_config = ConfigDict(extra="allow")

    required: Inputs = Field(default_factory=dict)
    optional: Inputs = Field(default_factory=dict)
    hidden: dict[str, Any] = Field(default_factory=dict)


class NodeDescription(BaseModel):
    """One node type: what it takes and gives."""

    model_config = ConfigDict(extra="allow")

    input: NodeInputs
    input_order: dict[str, list[str]] = Field(
        default_factory=dict, description="The names of inputs in their order; survives tools that sort keys."
    )
    output: list[str | list[Any]] = Field(description="Socket types of the outputs; a list stands for a combo.")
    output_name: list[str] | None = Field(default=None, description="Labels of the outputs; default: their types.")
    output_is_list: list[bool] | None = Field(default=None, description="Which outputs give many items at once.")
    output_tooltips: list[str | None] | None = None
    name: str | None = None
    display_name: str | None = None
    description: str | None = None
    python_module: str | None = None
    category: str | None = None
    output_node: bool = Field(default=False, description="Whether the node shows or saves something.")
    deprecated: bool = False
    experimental: bool = False


#: Node descriptions by class type.
OBJECT_INFO: TypeAdapter[dict[str, NodeDescription]] = TypeAdapter(dict[str, NodeDescription])
