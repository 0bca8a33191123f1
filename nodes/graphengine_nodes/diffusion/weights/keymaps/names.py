"""What the maps of all networks share: names that carry no weight, and tables of beginnings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

#: Names that some files carry beside the weights: computed tables, training state, marks, parts that no
#: network here uses.
_UNUSED = re.compile(
    r"(^|\.)position_ids$|^loss\.|^model_ema\.|^(text_projection(\.weight)?|logit_scale|attn_mask)$|^vae_scale$|^(v_pred|ztsnr)$"
)


def used(names: Iterable[str]) -> list[str]:
    """The names without those that carry no weight of the module."""
    return [name for name in names if not _UNUSED.search(name)]


def renamed(rest: str, table: Mapping[str, str]) -> str:
    """The name with a beginning that the table knows, up to a dot, replaced."""
    for old, new in table.items():
        if rest.startswith(old + "."):
            return new + rest.removeprefix(old)
    return rest
