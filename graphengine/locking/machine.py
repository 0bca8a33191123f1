"""What a lock says of what computes: versions, device and settings."""

import platform
import sys

from graphengine.engine import Engine
from graphengine.errors import Problem
from graphengine.execution.devices import device_class
from graphengine.locking.schema import Lock, LockedEngine
from graphengine.packs.requirements import OURS, package_version

_ADVICE = {
    "graphengine": "install that version: pip install graphengine-comfy=={}",
    "python": "make an environment of Python {}",
    "torch": "install that version: pip install torch=={}",
    "device": "choose it with --device {}",
}


def locked_engine(engine: Engine) -> LockedEngine:
    """What computes here. Where accelerators may be and no run has asked torch for them yet, torch is asked."""
    ours, torch = package_version(OURS), package_version("torch")
    return LockedEngine(
        graphengine="checkout" if ours == "absent" else ours,
        python=platform.python_version(),
        torch=None if torch == "absent" else torch,
        device=device_class(engine.device, engine.memo),
        platform=f"{sys.platform}-{platform.machine().lower() or 'unknown'}",
    )


def engine_differences(lock: Lock, now: LockedEngine, numerics: dict[str, str]) -> list[Problem]:
    """How what computes differs from what is locked; another platform alone is a warning."""
    found = []
    for name, before in lock.engine:
        after = getattr(now, name)
        if before == after:
            continue
        told = f"{name} is {after or 'not there'}, locked is {before or 'none'}"
        if name == "platform":
            hint = "results may differ in their last bits between platforms"
            found.append(Problem("locked_environment", told, hint=hint, severity="warning"))
            continue
        hint = f"{_ADVICE[name].format(before)}, or take it in: graphengine lock"
        found.append(Problem("locked_environment", told, hint=hint))
    for name in sorted(lock.numerics.keys() | numerics.keys()):
        before, after = lock.numerics.get(name), numerics.get(name)
        if before != after:
            told = f"the setting {name} is {after or 'not set'}, locked is {before or 'not set'}"
            hint = "see docs/exactness.md for what sets it, or take it in: graphengine lock"
            found.append(Problem("locked_environment", told, hint=hint))
    return found
