"""What a lock says of Python packages: those that graphengine and the packs in use need, with all they need."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from typing import Literal

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import NormalizedName, canonicalize_name

from graphengine.errors import Problem
from graphengine.locking.schema import LockedPackage
from graphengine.packs.requirements import OURS, package_version

_MOST = 2000
_SHA256 = re.compile(r"^[0-9a-f]{64}$")


def needed_packages(named: Iterable[str]) -> dict[str, Distribution]:
    """The installed packages that these and ours need, and all that those need, by canonical name.

    What is not installed is left out, and so are extras that no requirement asks for.
    """
    found: dict[str, Distribution] = {}
    asked: set[tuple[str, str]] = set()
    waiting = [(canonicalize_name(name), "") for name in (OURS, *named)]
    while waiting and len(found) < _MOST:
        name, extra = waiting.pop()
        if (name, extra) in asked:
            continue
        asked.add((name, extra))
        try:
            present = found.get(name) or distribution(name)
        except (PackageNotFoundError, ValueError):
            continue
        found[name] = present
        waiting += _required_by(present, extra)
    return found


def _required_by(present: Distribution, extra: str) -> Iterator[tuple[NormalizedName, str]]:
    for line in present.requires or ():
        try:
            requirement = Requirement(line)
        except InvalidRequirement:  # whoever installed it has coped with it
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            name = canonicalize_name(requirement.name)
            yield from ((name, each) for each in ("", *requirement.extras))


def locked_packages(named: Iterable[str], also: Iterable[str] = ()) -> dict[str, LockedPackage]:
    """The packages that these need as they are installed, with hashes as far as the installation tells them.

    `also` are looked at whether they are needed or not.
    """
    return _locked({**_present(also), **needed_packages(named)})


def these_packages(names: Iterable[str]) -> dict[str, LockedPackage]:
    """These packages as they are installed, without what they need; those that are not there are left out."""
    return _locked(_present(names))


def _present(names: Iterable[str]) -> dict[str, Distribution]:
    found: dict[str, Distribution] = {}
    for name in names:
        with suppress(PackageNotFoundError, ValueError):
            found[canonicalize_name(name)] = distribution(name)
    return found


def _locked(present: Mapping[str, Distribution]) -> dict[str, LockedPackage]:
    return {
        name: LockedPackage(
            version=package_version(name), sha256=_told_at_install(found), installed=_installed(found)
        )
        for name, found in sorted(present.items())
    }


def _told_at_install(found: Distribution) -> list[str]:
    """The hash of the file that a package was installed from, where its address was given."""
    digest = _direct(found).get("archive_info", {}).get("hashes", {}).get("sha256", "")
    return [digest] if isinstance(digest, str) and _SHA256.match(digest) else []


def _direct(found: Distribution) -> dict[str, dict[str, dict[str, str]]]:
    try:
        told = json.loads(found.read_text("direct_url.json") or "{}")
    except (ValueError, RecursionError):  # damaged: as if it was not there
        return {}
    return {key: value for key, value in told.items() if isinstance(value, dict)} if isinstance(told, dict) else {}


def _installed(found: Distribution) -> str | None:
    """A hash of what the wheel put there: the hashes of its record, without what installers add or rewrite."""
    if _direct(found).get("dir_info", {}).get("editable"):
        return None
    lines = []
    for line in (found.read_text("RECORD") or "").splitlines():
        path, _, rest = line.rpartition(",sha256=")
        if path and not path.startswith(("..", '"..')) and ".dist-info/" not in path and not path.endswith(".pyc"):
            lines.append(f"{path}\n{rest.partition(',')[0]}\n")
    return sha256("".join(sorted(lines)).encode()).hexdigest() if lines else None


def package_differences(
    locked: Mapping[str, LockedPackage], now: Mapping[str, LockedPackage], *, same_platform: bool
) -> list[Problem]:
    """How packages differ from what is locked.

    On another platform other builds of a version are right, and some packages are needed on one platform alone:
    one that is missing, or is not in the lock, is a warning there.
    """
    found = []
    for name in sorted(locked.keys() | now.keys()):
        before, after = locked.get(name), now.get(name)
        told = None
        hint = "graphengine restore installs what is missing; to take in what is there: graphengine lock"
        if before is None and after is not None:
            told = f"package {name} {after.version} is needed and not in the lock"
            hint = "take it in: graphengine lock"
        elif before is not None and after is None:
            told = f"package {name} is not installed, locked is {before.version}"
        elif before is not None and after is not None:
            told = _difference(name, before, after, same_platform=same_platform)
            hint = f"pip install {name}=={before.version}, or take it in: graphengine lock"
        if told is not None:
            only_here = not same_platform and (before is None or after is None)
            severity: Literal["error", "warning"] = "warning" if only_here else "error"
            found.append(Problem("locked_package", told, hint=hint, severity=severity))
    return found


def _difference(name: str, before: LockedPackage, after: LockedPackage, *, same_platform: bool) -> str | None:
    if before.version != after.version:
        return f"package {name} is {after.version}, locked is {before.version}"
    both = before.installed is not None and after.installed is not None
    if same_platform and both and before.installed != after.installed:
        return f"package {name} {after.version} is another build than the lock says: its files differ"
    return None
