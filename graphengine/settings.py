"""What a user may set; read once, at the edge."""

from dataclasses import dataclass, field
from pathlib import Path

from graphengine.node.folders import Folders


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one engine.

    `cache` is the folder of the disk store, None keeps outputs in memory only. `device` is a torch device string,
    None chooses the best one when the first node needs it.
    """

    folders: Folders = field(default_factory=Folders)
    custom_nodes: tuple[Path, ...] = ()
    cache: Path | None = None
    device: str | None = None
