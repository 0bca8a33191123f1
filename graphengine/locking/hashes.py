"""The hashes of the files that packages may come from, as an index tells them. Downloads no package."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.utils import canonicalize_name

from graphengine.errors import InstallRefused
from graphengine.locking.schema import LockedPackage
from graphengine.packs.installing.environment import Environment
from graphengine.packs.installing.resolving import Indexes, Pin, choose_installer

#: What pip and uv say of a package or version that an index does not have; the name is in one of the groups.
_NOT_FOUND = re.compile(
    r"(?:No matching distribution found for|there is no version of) ([\w.-]+)|([\w.-]+) was not found in",
    re.IGNORECASE,
)
_TRIES = 8


@dataclass(frozen=True, slots=True)
class Hashed:
    """Packages with the hashes that are known now. `unknown` are those without, `why` is the reason."""

    packages: Mapping[str, LockedPackage]
    unknown: tuple[str, ...] = ()
    why: str | None = None


@dataclass
class _Asking:
    """Asks an index, and again without what it does not know."""

    environment: Environment
    indexes: Indexes
    why: str | None = None
    told: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def ask(self, pins: list[Pin]) -> None:
        with TemporaryDirectory(prefix="graphengine-lock-") as folder:
            for _ in range(_TRIES):
                if not pins:
                    return
                try:
                    found = choose_installer(self.environment, self.indexes).digests(pins, Path(folder))
                except InstallRefused as error:
                    self.why = error.message
                    named = {
                        canonicalize_name(found[1] or found[2]) for found in _NOT_FOUND.finditer(error.message)
                    }
                    left = [pin for pin in pins if pin.name not in named]
                    if len(left) == len(pins):
                        return
                    pins = left
                    continue
                self.told = {pin.name: pin.sha256 for pin in found}
                return


def with_hashes(
    packages: Mapping[str, LockedPackage], environment: Environment, indexes: Indexes | None = None
) -> Hashed:
    """The packages with hashes from the index, asked through uv or pip for those that have none yet.

    What was installed in place has none. An index that cannot be reached, or does not know a version, leaves
    packages without; these are still known by what they installed.
    """
    asking = _Asking(environment, indexes or Indexes())
    missing = [name for name, package in packages.items() if not package.sha256 and package.installed is not None]
    asking.ask([Pin(name, packages[name].version) for name in missing])
    found = {
        name: package.model_copy(update={"sha256": sorted(asking.told[name])})
        if asking.told.get(name)
        else package
        for name, package in packages.items()
    }
    unknown = tuple(name for name in missing if not found[name].sha256)
    return Hashed(found, unknown, asking.why if unknown else None)
