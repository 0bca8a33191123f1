"""Stand-ins for the modules that ComfyUI packs import: each module here stands in for the one of the same name.

`graphengine.packs.stand_ins` puts them in place when the first custom pack is loaded. They are written from what
packs use and from ComfyUI's documented interfaces; modules with an underscore are our own.
"""

from graphengine_comfy._placeholders import find_last
from graphengine_comfy._surroundings import connect

__all__ = ["connect"]

find_last()
