"""Bringing packages that a lock names: the files that it has hashes of, tried before they are installed."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from packaging.utils import canonicalize_name

from graphengine.errors import InstallRefused, Problem
from graphengine.locking.schema import LOCK_FILE, Lock
from graphengine.packs.installing.changes import changes_of, check_changes
from graphengine.packs.installing.environment import Environment
from graphengine.packs.installing.guards import Guarded, protected_names
from graphengine.packs.installing.install import other_needs
from graphengine.packs.installing.requiring import RequirementPlan, Wishes, install_requirements
from graphengine.packs.installing.resolving import Pin
from graphengine.packs.installing.staging import open_stage
from graphengine.packs.requirements import OURS


def plan_packages(
    lock: Lock, environment: Environment, allow_change: Collection[str] = ()
) -> tuple[list[Pin], list[Problem]]:
    """What to install, and why some is not. Another version stays, unless it is among `allow_change`."""
    allowed = {canonicalize_name(name) for name in allow_change}
    pins: list[Pin] = []
    problems: list[Problem] = []
    for name, locked in lock.packages.items():
        present = environment.version(name)
        if present == locked.version:
            continue
        told, hint = None, f"install it yourself: pip install {name}=={locked.version}"
        if name == OURS:
            told = "which does this, cannot replace itself"
        elif present is not None and name not in allowed:
            told = f"{present} is installed and is not overwritten"
            hint = f"--allow-change {name} lets it change; a fresh environment needs no such thing"
        elif not locked.sha256:
            told = "the lock has no hash of a file of it"
        else:
            pins.append(Pin(name, locked.version, sha256=tuple(locked.sha256)))
        if told is not None:
            problems.append(Problem("not_restorable", f"package {name} {locked.version}: {told}", hint=hint))
    return pins, problems


def bring_packages(
    pins: list[Pin], custom_nodes: Path, environment: Environment, wishes: Wishes
) -> tuple[Problem | None, list[str]]:
    """Install packages as one step: why it was undone, else None; and warnings.

    pip brings the files, which must have one of the locked hashes; they are tried beside the environment first.
    """
    by_pip = replace(wishes, tool="pip")
    protected = protected_names() - {canonicalize_name(name) for name in wishes.allow_change}
    guarded = Guarded((), (), protected=protected)
    try:
        with open_stage(custom_nodes) as stage:
            check_changes(LOCK_FILE, pins, environment, guarded, other_needs(custom_nodes, "", environment))
            changes = tuple(changes_of(pins, environment))
            plan = RequirementPlan(LOCK_FILE, (), changes, (), tuple(pins), guarded, "pip")
            _, warned = install_requirements(plan, environment, by_pip, stage)
    except InstallRefused as error:
        return Problem("not_restorable", f"packages: {error.message}", hint=error.hint), []
    return None, warned
