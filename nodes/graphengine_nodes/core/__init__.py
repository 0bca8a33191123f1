"""Values typed into a workflow, texts, numbers, choices, and showing any value."""

from . import choice_nodes, logic_nodes, number_nodes, regex_nodes, saving_nodes
from .preview_nodes import PreviewAny
from .primitive_nodes import (
    PrimitiveBoolean,
    PrimitiveFloat,
    PrimitiveInt,
    PrimitiveString,
    PrimitiveStringMultiline,
)
from .text_nodes import (
    CaseConverter,
    StringCompare,
    StringConcatenate,
    StringContains,
    StringLength,
    StringReplace,
    StringSubstring,
    StringTrim,
)

__all__ = ["GRAPHENGINE_DECLARES", "GRAPHENGINE_PACKAGES", "NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]

#: What holds for nodes that do not say otherwise: they read no files but those that `Files` inputs name.
GRAPHENGINE_DECLARES: dict[str, object] = {"CACHEABLE": True, "PURE": True, "READS_FILES": ()}

#: What the results of the nodes depend on.
GRAPHENGINE_PACKAGES: tuple[str, ...] = ()

NODE_CLASS_MAPPINGS: dict[str, type] = {
    "PrimitiveString": PrimitiveString,
    "PrimitiveStringMultiline": PrimitiveStringMultiline,
    "PrimitiveInt": PrimitiveInt,
    "PrimitiveFloat": PrimitiveFloat,
    "PrimitiveBoolean": PrimitiveBoolean,
    "StringConcatenate": StringConcatenate,
    "StringSubstring": StringSubstring,
    "StringLength": StringLength,
    "CaseConverter": CaseConverter,
    "StringTrim": StringTrim,
    "StringReplace": StringReplace,
    "StringContains": StringContains,
    "StringCompare": StringCompare,
    "PreviewAny": PreviewAny,
    **regex_nodes.NODE_CLASS_MAPPINGS,
    **logic_nodes.NODE_CLASS_MAPPINGS,
    **number_nodes.NODE_CLASS_MAPPINGS,
    **choice_nodes.NODE_CLASS_MAPPINGS,
    **saving_nodes.NODE_CLASS_MAPPINGS,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "PrimitiveString": "String",
    "PrimitiveStringMultiline": "String (Multiline)",
    "PrimitiveInt": "Int",
    "PrimitiveFloat": "Float",
    "PrimitiveBoolean": "Boolean",
    "StringConcatenate": "Concatenate",
    "StringSubstring": "Substring",
    "StringLength": "Length",
    "CaseConverter": "Case Converter",
    "StringTrim": "Trim",
    "StringReplace": "Replace",
    "StringContains": "Contains",
    "StringCompare": "Compare",
    "PreviewAny": "Preview Any",
    **regex_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **logic_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **number_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **choice_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **saving_nodes.NODE_DISPLAY_NAME_MAPPINGS,
}
