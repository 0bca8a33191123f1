"""Importing modules in another process: what worked before must work after."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from packaging.utils import canonicalize_name

from graphengine.packs.installing.environment import Environment, top_modules
from graphengine.packs.installing.processes import run_program

#: Writes a line when it begins a module and one when it is done, so that a crash is known by its module.
_IMPORT = """
import importlib, json, os, sys
out = open(sys.argv[1], "a", encoding="utf-8")
for name in sys.argv[2:]:
    out.write(json.dumps([name, None]) + "\\n"); out.flush()
    try:
        importlib.import_module(name)
        told = ""
    except BaseException as error:
        told = f"{type(error).__name__}: {error}"[:500]
    out.write(json.dumps([name, told]) + "\\n"); out.flush()
out.close()
os._exit(0)
"""
OUR_MODULES = ("graphengine", "graphengine.engine", "graphengine_nodes", "graphengine_comfy")


def failing_imports(
    environment: Environment, modules: Sequence[str], folder: Path, overlay: Path | None = None
) -> dict[str, str]:
    """Those of the modules that cannot be imported, with the reason; `overlay` is a folder that is searched first.

    `folder` is an existing folder for what the other process tells.
    """
    told: dict[str, str] = {}
    left = list(modules)
    while left:
        report = folder / f"imports-{os.urandom(4).hex()}.txt"
        report.touch()
        path = os.pathsep.join([*([str(overlay)] if overlay else []), os.environ.get("PYTHONPATH", "")])
        ended = run_program(
            [environment.python, "-P", "-c", _IMPORT, report, *left],
            folder=folder,
            environ={"PYTHONPATH": path.strip(os.pathsep), "PYTHONDONTWRITEBYTECODE": "1"},
            timeout=900,
        )
        found = _read(report)
        told.update({name: reason for name, reason in found.items() if reason is not None})
        crashed = next((name for name, reason in found.items() if reason is None), None)
        if crashed is None:
            break
        told[crashed] = f"Python ended with code {ended.code} while it was imported"
        left = left[left.index(crashed) + 1 :]
    return {name: reason for name, reason in told.items() if reason}


def _read(report: Path) -> dict[str, str | None]:
    """The reason by module, "" for one that was imported, None for one that never ended."""
    lines = report.read_text(encoding="utf-8", errors="replace").splitlines()
    return dict(json.loads(line) for line in lines if line.endswith("]"))


def modules_to_check(environment: Environment, changed: Iterable[str], protected: Iterable[str]) -> list[str]:
    """The modules of changed and protected packages, and of all that require a changed one, ours first."""
    names: set[str] = {canonicalize_name(name) for name in changed}
    requiring = _requiring(environment)
    waiting = list(names)
    while waiting:
        for other in requiring.get(waiting.pop(), ()):
            if other not in names:
                names.add(other)
                waiting.append(other)
    found = dict.fromkeys(OUR_MODULES)
    for name in sorted(names | {canonicalize_name(name) for name in protected}):
        if name in environment.installed:
            found.update(dict.fromkeys(top_modules(environment.installed[name])[:20]))
    return list(found)


def _requiring(environment: Environment) -> Mapping[str, set[str]]:
    """The packages that require each package."""
    found: dict[str, set[str]] = {}
    for name, distribution in environment.installed.items():
        for requirement in environment.requirements_of(distribution):
            found.setdefault(canonicalize_name(requirement.name), set()).add(name)
    return found
