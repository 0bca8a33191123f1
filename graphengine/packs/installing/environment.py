"""The Python environment that requirements go into: where it keeps packages, and which it has."""

import importlib
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from graphengine.errors import InstallRefused
from graphengine.packs.installing.processes import run_program

_ASK = """
import json, os, platform, sys, sysconfig
i = sys.implementation
v = i.version
full = "{}.{}.{}".format(v.major, v.minor, v.micro)
if v.releaselevel != "final":
    full += v.releaselevel[0] + str(v.serial)
print(json.dumps({
    "path": [os.path.abspath(p) for p in sys.path if p],
    "libraries": [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")],
    "scripts": sysconfig.get_path("scripts"), "prefix": sys.prefix,
    "markers": {
        "implementation_name": i.name, "implementation_version": full, "os_name": os.name,
        "platform_machine": platform.machine(), "platform_release": platform.release(),
        "platform_system": platform.system(), "platform_version": platform.version(),
        "python_full_version": platform.python_version(),
        "platform_python_implementation": platform.python_implementation(),
        "python_version": ".".join(platform.python_version_tuple()[:2]), "sys_platform": sys.platform, "extra": "",
    },
}))
"""


@dataclass(frozen=True)
class Environment:
    """An environment by its interpreter. `search` is its `sys.path`, `libraries` are where packages go."""

    python: Path
    search: tuple[Path, ...]
    libraries: tuple[Path, ...]
    scripts: Path
    prefix: Path
    markers: Mapping[str, str]

    @cached_property
    def installed(self) -> Mapping[str, Distribution]:
        """The installed distributions by canonical name; where there are two, the one that Python finds first."""
        found: dict[str, Distribution] = {}
        importlib.invalidate_caches()
        for distribution in distributions(path=[str(path) for path in self.search]):
            name = distribution.metadata["Name"]
            if name:
                found.setdefault(canonicalize_name(name), distribution)
        return found

    def version(self, name: str) -> str | None:
        """The installed version of a package, or None."""
        found = self.installed.get(canonicalize_name(name))
        return None if found is None else found.version

    def again(self) -> "Environment":
        """The same environment with what is installed by now."""
        return Environment(self.python, self.search, self.libraries, self.scripts, self.prefix, self.markers)

    def applies(self, requirement: Requirement, extras: frozenset[str] = frozenset()) -> bool:
        """Whether a requirement counts here, by its marker."""
        marker = requirement.marker
        if marker is None:
            return True
        return any(marker.evaluate({**self.markers, "extra": extra}) for extra in (*extras, ""))

    def requirements_of(self, distribution: Distribution) -> list[Requirement]:
        """What an installed distribution requires here, without its extras; unreadable lines are passed over."""
        return [
            found for line in distribution.requires or () if (found := self.read(line)) and self.applies(found)
        ]

    @staticmethod
    def read(line: str) -> Requirement | None:
        """A line of metadata as a requirement, or None when it is none."""
        try:
            return Requirement(line)
        except InvalidRequirement:
            return None


def open_environment(python: Path | None = None) -> Environment:
    """The environment of an interpreter, by default the one that runs this.

    Raises:
        InstallRefused: it cannot be started.
    """
    chosen = Path(sys.executable) if python is None else python
    done = run_program([chosen, "-c", _ASK], folder=Path("/") if sys.platform != "win32" else None, timeout=60)
    if done.code:
        raise InstallRefused(f"{chosen} is no working Python:\n{done.reason()}", hint="check --python")
    told = json.loads(done.output.strip().splitlines()[-1])
    return Environment(
        python=chosen,
        search=tuple(map(Path, told["path"])),
        libraries=tuple(dict.fromkeys(map(Path, told["libraries"]))),
        scripts=Path(told["scripts"]),
        prefix=Path(told["prefix"]),
        markers=told["markers"],
    )


def top_modules(distribution: Distribution) -> tuple[str, ...]:
    """The names that a distribution can be imported by, private ones left out."""
    files = distribution.files or ()
    listed = (distribution.read_text("top_level.txt") or "").split()
    found = listed or [
        re.split(r"\.", file.parts[0])[0]
        for file in files
        if (len(file.parts) > 1 and file.name == "__init__.py" and len(file.parts) == 2)
        or (len(file.parts) == 1 and file.suffix in (".py", ".so", ".pyd"))
    ]
    return tuple(sorted({name for name in found if name.isidentifier() and not name.startswith("_")}))
