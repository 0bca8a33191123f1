"""What `doctor` knows of a machine, as plain values; probing fills them in, diagnosis judges them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PackageFacts:
    """An installed package: its version, the tags of its wheel, and what an import says.

    `error` is the last line of a failed import, `output` all that an import wrote to stderr. A package that is not
    installed has no version.
    """

    version: str | None = None
    tags: tuple[str, ...] = ()
    needs_torch: str | None = None
    error: str | None = None
    output: str = ""


@dataclass(frozen=True, slots=True)
class TorchFacts:
    """How torch was built and what it can compute on; `cuda` is the CUDA version of its build."""

    cuda: str | None = None
    hip: str | None = None
    cuda_works: bool = False
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DriverFacts:
    """The NVIDIA driver: its version, the newest CUDA it runs, and the names of its GPUs."""

    version: str | None = None
    cuda: Version | None = None
    gpus: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FolderFacts:
    """A folder: whether it is there, whether it (or the nearest one above it) can be written, free bytes."""

    name: str
    path: str
    exists: bool
    writable: bool
    free: int | None
    is_written: bool = True


@dataclass(frozen=True, slots=True)
class PackFacts:
    """A node pack: how many node types it gives, or why it cannot be loaded. None: it is loaded only by a run.

    `is_trusted` says whether a run may load it, `is_isolated` whether in a process of its own; `unkept` are limits
    of that process that this machine cannot keep.
    """

    name: str
    nodes: int | None = None
    error: str | None = None
    is_trusted: bool = True
    is_isolated: bool = False
    unkept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """A machine as `doctor` sees it."""

    python: Version
    platform: str
    system: str = "Linux"
    packages: Mapping[str, PackageFacts] = field(default_factory=dict)
    torch: TorchFacts | None = None
    driver: DriverFacts | None = None
    folders: tuple[FolderFacts, ...] = ()
    cache_bytes: int | None = None
    packs: tuple[PackFacts, ...] = ()
