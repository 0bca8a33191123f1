"""Stand-ins for the modules that ComfyUI packs import: each module here stands in for the one of the same name.

`graphengine.packs.stand_ins` puts them in place when the first custom pack is loaded. They are written from what
packs use and from ComfyUI's documented interfaces; modules with an underscore are our own.
"""

import sys
from typing import Any

from graphengine_comfy._absent_packages import find_absent_last, forget_absent
from graphengine_comfy._placeholders import find_last
from graphengine_comfy._surroundings import connect
from graphengine_comfy._torchvision_repair import repair_first

__all__ = ["connect", "loaded", "routes"]

find_last()
find_absent_last()
repair_first()


def routes() -> list[Any]:
    """The paths that packs want to answer; none unless a pack imported `server`. Any: see `server.Route`."""
    server = sys.modules.get(f"{__name__}.server")
    return [] if server is None else list(server.PromptServer.instance.routes)


#: Called when a pack is loaded.
loaded = forget_absent
