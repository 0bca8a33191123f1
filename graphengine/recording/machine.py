"""What a run was computed on."""

import os
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from graphengine.provenance.history.past_run import Machine


def this_machine(environment: Mapping[str, str]) -> Machine:
    """This machine; `environment` are the parts of it that stand in keys of the run. Imports no torch."""
    return Machine(
        graphengine=installed_version("graphengine-comfy") or "unknown",
        python=platform.python_version(),
        platform=f"{sys.platform}-{platform.machine()}",
        device=environment.get("device", "unknown"),
        torch=environment.get("package:torch") or installed_version("torch"),
        cores=os.cpu_count(),
        memory=_memory(),
    )


def installed_version(distribution: str) -> str | None:
    """The version of an installed distribution."""
    try:
        return version(distribution)
    except PackageNotFoundError:  # a bare checkout, or not installed
        return None


def _memory() -> int | None:
    """Bytes of memory that the machine has, where the system tells."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no such call
        return None
