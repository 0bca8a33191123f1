"""What no pack may change, bring in silently, or bring in at all."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, requires
from importlib.resources import files
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from graphengine.errors import InstallRefused
from graphengine.packs.installing.environment import Environment
from graphengine.packs.installing.needs import Need, Needs
from graphengine.packs.requirements import OURS

#: Packages that every pack shares; what graphengine itself requires is added to them.
ALWAYS_PROTECTED = frozenset(
    {
        "torch",
        "torchvision",
        "torchaudio",
        "numpy",
        "pillow",
        "safetensors",
        "pydantic",
        "transformers",
        "diffusers",
    }
)
#: Packages that must fit the build of torch (CPU, CUDA, ROCm), which only the user knows.
NEVER_SILENT = frozenset({"torch", "torchvision", "torchaudio"})
#: Packages that install the same modules: one of them stands for all. The first is the one that is installed.
FAMILIES = (
    ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python"),
    ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino"),
)
_OUR_EXTRAS = frozenset({"server", "media", "compress", "remote", "ui"})


@dataclass(frozen=True, slots=True)
class Guarded:
    """What is asked of the resolver: requirements, constraints, and what was left out and why."""

    wanted: tuple[Need, ...]
    constraints: tuple[str, ...]
    notes: tuple[str, ...] = ()
    protected: frozenset[str] = field(default=frozenset())


def protected_names() -> frozenset[str]:
    """Canonical names of the packages that must stay as they are: those all packs share, and ours."""
    try:
        lines = requires(OURS) or []
    except PackageNotFoundError:  # run from a bare checkout
        lines = []
    ours = [Requirement(line) for line in lines]
    return ALWAYS_PROTECTED | {
        canonicalize_name(found.name)
        for found in ours
        if found.marker is None or any(found.marker.evaluate({"extra": extra}) for extra in (*_OUR_EXTRAS, ""))
    } | {canonicalize_name(OURS)}  # fmt: skip


def guard(
    needs: Needs, environment: Environment, *, with_: Iterable[str] = (), allow_change: Iterable[str] = ()
) -> Guarded:
    """What to ask the resolver for so that nothing protected changes. `with_` may come in though it is not there.

    Raises:
        InstallRefused: a package is known to be bad.
    """
    allowed = {canonicalize_name(name) for name in allow_change}
    welcome = {canonicalize_name(name) for name in with_} | allowed
    protected = protected_names() - allowed
    notes = list(needs.notes)
    wanted: list[Need] = []
    for need in needs.wanted:
        refuse_known_bad(need.name, _pinned(need.requirement), need.place)
        chosen = _of_family(need, environment, notes)
        if chosen is not None and is_unwelcome(chosen.name, environment, welcome):
            notes.append(left_out(chosen.name, need.place))
        elif chosen is not None:
            wanted.append(chosen)
    constraints = [
        f"{name}=={distribution.version}"
        for name, distribution in sorted(environment.installed.items())
        if name in protected
    ]
    return Guarded(tuple(wanted), (*constraints, *_not_the_bad()), tuple(notes), protected)


def is_unwelcome(name: str, environment: Environment, welcome: Iterable[str]) -> bool:
    """Whether a package would come in although only the user can tell which build of it fits."""
    return name in NEVER_SILENT and name not in welcome and environment.version(name) is None


def left_out(name: str, place: str) -> str:
    """Tells that a package is not installed, and how it would be."""
    return f"{place}: {name} is left out: it must fit your build of torch; install it, or add --with {name}"


def refuse_known_bad(name: str, version: str | None, place: str) -> None:
    """Check a package against the list of bad releases.

    Raises:
        InstallRefused: all its releases are bad, or this one is.
    """
    for entry in _known_bad()["packages"]:
        if entry["name"] == name and (not entry["versions"] or version in entry["versions"]):
            release = f"{name} {version}" if entry["versions"] else name
            raise InstallRefused(
                f"{place}: {release} is known to be malicious: {entry['reason']} ({entry['source']})",
                hint="do not install this pack, or ask its author for another version",
            )


def keep_from_bad(needs: Needs) -> list[str]:
    """Constraints that keep a resolver from choosing a bad release, for an environment where nothing is protected.

    Raises:
        InstallRefused: the requirements name a package that is known to be bad.
    """
    for need in needs.wanted:
        refuse_known_bad(need.name, _pinned(need.requirement), need.place)
    return _not_the_bad()


def refuse_known_bad_pack(name: str, place: str) -> None:
    """Check a pack against the list of bad packs.

    Raises:
        InstallRefused: it is on the list.
    """
    for entry in _known_bad()["packs"]:
        named = name.lower() == entry["name"].lower()
        if named or f"{entry['owner']}/{entry['name']}".lower() in place.lower():
            raise InstallRefused(
                f"the pack {entry['name']!r} is known to be malicious: {entry['reason']} ({entry['source']})",
                hint="do not install it; if it ran here before, change your passwords",
            )


# Any: a data file of ours.
@cache
def _known_bad() -> Mapping[str, Any]:
    text = (files("graphengine.packs.installing") / "known_bad.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def _not_the_bad() -> list[str]:
    """Constraints that keep the resolver from choosing a bad release."""
    return [
        entry["name"] + ",".join(f"!={version}" for version in entry["versions"])
        for entry in _known_bad()["packages"]
        if entry["versions"]
    ]


def _pinned(requirement: Requirement) -> str | None:
    return next((found.version for found in requirement.specifier if found.operator in ("==", "===")), None)


def _of_family(need: Need, environment: Environment, notes: list[str]) -> Need | None:
    """The requirement for that member of its family that is there, or that is the one to install."""
    family = next((family for family in FAMILIES if need.name in family), None)
    if family is None:
        return need
    present = next((name for name in family if environment.version(name) is not None), None)
    if present == need.name:
        return need
    if present is not None:
        notes.append(f"{need.place}: {present} stands for {need.name}: both install the same modules")
        return None
    contrib = "contrib" in need.name
    chosen = "opencv-contrib-python-headless" if contrib else family[0]
    if chosen == need.name:
        return need
    notes.append(f"{need.place}: {chosen} is installed for {need.name}: both install the same modules")
    return Need(Requirement(f"{chosen}{need.requirement.specifier}"), need.place)
