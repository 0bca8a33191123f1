"""What changed in node types since workflows were saved: a table, a rule a line, facts only.

A rule is added when the new form is known to give the result of the old one; the reason, and what may differ,
stands beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue


@dataclass(frozen=True, slots=True)
class Replacement:
    """A node type that has another name now.

    `inputs` gives the new name of each input that was renamed, None for one that is gone. `widgets` are the
    widgets in the order of the old editor, by their old names, and `order` those of today, by their new names:
    with both, the bare list of a saved node's values is sorted anew.
    """

    old: str
    new: str
    why: str
    inputs: Mapping[str, str | None] = field(default_factory=dict)
    widgets: tuple[str, ...] = ()
    order: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Addition:
    """An input that is required now and did not exist before, with the value that does what the node did then.

    Only API documents need it: the editor fills in its widgets when it reads its own.
    """

    class_type: str
    input_name: str
    value: JsonValue
    why: str


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules; each node type has at most one replacement."""

    replacements: tuple[Replacement, ...] = ()
    additions: tuple[Addition, ...] = ()


_TILES = "the sizes of tiles became inputs, with these as what they were"
_STYLE = "the strength of the style became an input; 1.0, multiplied, changes nothing"

RULES = Rules(
    replacements=(
        Replacement(
            "CheckpointLoader",
            "CheckpointLoaderSimple",
            "deprecated: the configuration is read out of the checkpoint; "
            "where the old one skipped layers of CLIP, add CLIPSetLastLayer",
            inputs={"config_name": None},
            widgets=("config_name", "ckpt_name"),
            order=("ckpt_name",),
        ),
        Replacement(
            "ConditioningAverage ", "ConditioningAverage", "its first versions ended in a space by mistake"
        ),
        Replacement(
            "SDV_img2vid_Conditioning",
            "SVD_img2vid_Conditioning",
            "its first versions had two letters in the wrong order",
        ),
        Replacement(
            "T2IAdapterLoader",
            "ControlNetLoader",
            "adapters are loaded by the loader of control nets",
            inputs={"t2i_adapter_name": "control_net_name"},
        ),
    ),
    additions=(
        Addition("CLIPVisionEncode", "crop", "center", "cropping became a choice; before, the centre was taken"),
        Addition(
            "DualCFGGuider", "style", "regular", "nested guidance was added; before, there was the regular one"
        ),
        Addition("LTXVImgToVideo", "strength", 1.0, "the strength of the picture became an input; it was full"),
        Addition("StyleModelApply", "strength", 1.0, _STYLE),
        Addition("StyleModelApply", "strength_type", "multiply", _STYLE),
        Addition("VAEDecodeTiled", "tile_size", 512, _TILES),
        Addition("VAEDecodeTiled", "overlap", 64, _TILES),
        Addition("VAEDecodeTiled", "temporal_size", 64, "only video has a time to cut; pictures do not change"),
        Addition("VAEDecodeTiled", "temporal_overlap", 8, "only video has a time to cut; pictures do not change"),
        Addition("VAEEncodeForInpaint", "grow_mask_by", 6, "the growth of the mask became an input; it was 6"),
    ),
)
