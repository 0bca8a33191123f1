"""What installing would add and change, and what that would break."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from graphengine.errors import InstallRefused
from graphengine.packs.installing.environment import Environment
from graphengine.packs.installing.guards import FAMILIES, Guarded, is_unwelcome, left_out, refuse_known_bad
from graphengine.packs.installing.needs import Needs, is_met
from graphengine.packs.installing.resolving import Pin


@dataclass(frozen=True, slots=True)
class Change:
    """A package that would be another one afterwards; `before` or `after` is None where it is not there."""

    kind: Literal["added", "changed", "removed"]
    name: str
    before: str | None
    after: str | None


def changes_of(pins: Iterable[Pin], environment: Environment) -> list[Change]:
    """What these versions are to what is installed, by name."""
    found = []
    for pin in sorted(pins, key=lambda pin: pin.name):
        before = environment.version(pin.name)
        if before is None:
            found.append(Change("added", pin.name, None, pin.version))
        elif before != pin.version or pin.url is not None:
            found.append(Change("changed", pin.name, before, pin.version))
    return found


def without_unwelcome(
    pins: Sequence[Pin], environment: Environment, welcome: Iterable[str], name: str
) -> tuple[tuple[Pin, ...], list[str]]:
    """The pins that may come in, and notes on the others, which only other requirements ask for."""
    kept, notes = [], []
    for pin in pins:
        family = next((family for family in FAMILIES if pin.name in family), ())
        present = next((other for other in family if other != pin.name and environment.version(other)), None)
        if is_unwelcome(pin.name, environment, frozenset(welcome)):
            notes.append(left_out(pin.name, f"{name}, through another requirement"))
        elif present is not None:
            notes.append(f"{name}: {present} stands for {pin.name}: both install the same modules")
        else:
            kept.append(pin)
    return tuple(kept), notes


def check_changes(
    name: str, pins: Sequence[Pin], environment: Environment, guarded: Guarded, others: Mapping[str, Needs]
) -> None:
    """Check that nothing protected changes, no release is bad, and what fitted together still does.

    `others` are what the other packs require, by name.

    Raises:
        InstallRefused: something would break; all reasons are told.
    """
    for pin in pins:
        refuse_known_bad(pin.name, pin.version, name)
    reasons = [
        f"{change.name} {change.before} would become {change.after}, and is protected"
        for change in changes_of(pins, environment)
        if change.name in guarded.protected and change.kind == "changed"
    ]
    after = {pin.name: pin.version for pin in pins}
    reasons += _broken(after, environment)
    for pack, needs in others.items():
        for need in needs.wanted:
            if need.name in after and _breaks(need.requirement, after, environment):
                reasons.append(f"pack {pack!r} requires {need.requirement}, it would become {after[need.name]}")
    reasons += _not_replaceable(after, environment)
    if reasons:
        raise InstallRefused(
            f"the requirements of {name!r} are not installed:\n" + "\n".join(f"  {reason}" for reason in reasons),
            hint=f"graphengine nodes isolate {name} gives it packages of its own; another version of the pack may "
            "fit; --allow-change NAME lets one change",
        )


def _broken(after: Mapping[str, str], environment: Environment) -> Iterator[str]:
    """Requirements of installed packages that are met and would not be any more."""
    for name, distribution in environment.installed.items():
        if name in after:
            continue
        for requirement in environment.requirements_of(distribution):
            changed = after.get(canonicalize_name(requirement.name))
            if changed is not None and _breaks(requirement, after, environment):
                yield f"{name} {distribution.version} requires {requirement}, it would become {changed}"


def _breaks(requirement: Requirement, after: Mapping[str, str], environment: Environment) -> bool:
    version = after[canonicalize_name(requirement.name)]
    return is_met(requirement, environment) and not requirement.specifier.contains(version, prereleases=True)


def _not_replaceable(after: Mapping[str, str], environment: Environment) -> Iterator[str]:
    for name in after:
        installed = environment.installed.get(name)
        if installed is not None and installed.files is None:
            yield f"{name} {installed.version} was not installed by pip or uv and cannot be put back: it stays"
