"""Installing what a pack requires: planned, tried beside the environment, and only then done.

1. The resolver tells what would change; nothing that is protected or fits together now may break.
2. The packages go into a folder in the stage, and all that may be affected is imported with that folder in front.
   Whatever fails up to here leaves the environment untouched.
3. The files that will change are saved, the packages installed, and the same is imported once more. What fails
   here is put back from the saved files.
"""

import filecmp
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from graphengine.errors import InstallRefused
from graphengine.packs.installing.archives import Limits
from graphengine.packs.installing.changes import Change, changes_of, check_changes, without_unwelcome
from graphengine.packs.installing.environment import Environment, top_modules
from graphengine.packs.installing.guards import Guarded, guard
from graphengine.packs.installing.importing import failing_imports, modules_to_check
from graphengine.packs.installing.ledger import InstalledRequirement
from graphengine.packs.installing.needs import Need, Needs, is_met, missing_needs
from graphengine.packs.installing.resolving import Indexes, Installer, Pin, ToolName, choose_installer
from graphengine.packs.installing.saving import save_files
from graphengine.packs.installing.staging import Stage


@dataclass(frozen=True, slots=True)
class Wishes:
    """How the user wants packs and requirements installed. `allow_change` and `with_` are names of packages."""

    indexes: Indexes = field(default_factory=Indexes)
    tool: ToolName = "auto"
    with_: frozenset[str] = frozenset()
    allow_change: frozenset[str] = frozenset()
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class RequirementPlan:
    """What installing the requirements of a pack would do. `missing` are those that are not met now."""

    pack: str
    missing: tuple[Need, ...]
    changes: tuple[Change, ...]
    notes: tuple[str, ...]
    pins: tuple[Pin, ...]
    guarded: Guarded
    tool: str


def plan_requirements(
    name: str,
    needs: Needs,
    environment: Environment,
    wishes: Wishes,
    others: Mapping[str, Needs],
    stage: Stage,
) -> RequirementPlan:
    """What installing these requirements would change; nothing is installed. `others` is what other packs require.

    Raises:
        InstallRefused: there is no way, or it would change or break what must stay.
    """
    guarded = guard(needs, environment, with_=wishes.with_, allow_change=wishes.allow_change)
    installer = choose_installer(environment, wishes.indexes, wishes.tool)
    missing = tuple(missing_needs(Needs(guarded.wanted), environment))
    if not missing:
        return RequirementPlan(name, (), (), guarded.notes, (), guarded, installer.name)
    _refuse_building(missing, wishes.indexes)
    try:
        pins = installer.resolve(
            [str(need.requirement) for need in guarded.wanted], guarded.constraints, stage.folder
        )
    except InstallRefused as error:
        raise _named(error, name, guarded, environment) from error
    welcome = wishes.with_ | wishes.allow_change
    kept, notes = without_unwelcome(pins, environment, welcome, name)
    check_changes(name, kept, environment, guarded, others)
    changes = tuple(changes_of(kept, environment))
    return RequirementPlan(name, missing, changes, (*guarded.notes, *notes), kept, guarded, installer.name)


def install_requirements(
    plan: RequirementPlan, environment: Environment, wishes: Wishes, stage: Stage
) -> tuple[tuple[InstalledRequirement, ...], list[str]]:
    """Install what was planned; what is installed now, and warnings about new modules that cannot be imported.

    Raises:
        InstallRefused: something that worked would break, or installing failed. The caller undoes the stage.
    """
    if not plan.pins:
        return (), []
    installer = choose_installer(environment, wishes.indexes, wishes.tool)
    pins = installer.collect(plan.pins, stage.folder)
    overlay = stage.folder / "overlay"
    installer.install(pins, stage.folder, overlay)
    names = [pin.name for pin in pins]
    _refuse_overwriting(plan.pack, names, environment, overlay)
    sound = _check_beside(plan, names, environment, stage.folder, overlay)
    warned = _install_for_good(plan, installer, pins, environment, stage, overlay, sound)
    recorded = (InstalledRequirement(name=p.name, version=p.version, sha256=p.sha256) for p in pins)
    return tuple(sorted(recorded, key=lambda requirement: requirement.name)), warned


def _check_beside(
    plan: RequirementPlan, names: list[str], environment: Environment, folder: Path, overlay: Path
) -> frozenset[str]:
    """The modules that can be imported with the new packages in front.

    Raises:
        InstallRefused: one that can be imported without them cannot with them.
    """
    modules = modules_to_check(environment, names, plan.guarded.protected)
    failing = failing_imports(environment, modules, folder, overlay)
    before = failing_imports(environment, list(failing), folder) if failing else {}
    _refuse_broken(plan.pack, {name: why for name, why in failing.items() if name not in before})
    return frozenset(modules).difference(failing)


def _install_for_good(
    plan: RequirementPlan,
    installer: Installer,
    pins: tuple[Pin, ...],
    environment: Environment,
    stage: Stage,
    overlay: Path,
    sound: frozenset[str],
) -> list[str]:
    replaced = [environment.installed[pin.name] for pin in pins if pin.name in environment.installed]
    stage.note_files(save_files(environment, replaced, overlay, stage.folder / "saved"))
    installer.install(pins, stage.folder)
    after = environment.again()
    modules = modules_to_check(after, [pin.name for pin in pins], plan.guarded.protected)
    failing = failing_imports(after, list(dict.fromkeys([*sorted(sound), *modules])), stage.folder)
    _refuse_broken(plan.pack, {name: why for name, why in failing.items() if name in sound})
    added = [pin.name for pin in pins if environment.version(pin.name) is None and pin.name in after.installed]
    new = {module for name in added for module in top_modules(after.installed[name])}
    return [f"{name} was installed and cannot be imported: {why}" for name, why in failing.items() if name in new]


def _refuse_broken(pack: str, broken: Mapping[str, str]) -> None:
    if broken:
        lines = "\n".join(f"  {name}: {why}" for name, why in list(broken.items())[:10])
        raise InstallRefused(
            f"the requirements of {pack!r} break what can be imported now:\n{lines}",
            hint=f"nothing was changed; graphengine nodes isolate {pack} gives it packages of its own",
        )


def _refuse_building(missing: Iterable[Need], indexes: Indexes) -> None:
    """Requirements with an address that is no wheel would be built, which runs their code."""
    for need in missing:
        url = need.requirement.url
        if url is not None and not url.partition("#")[0].endswith(".whl") and need.name not in indexes.allow_build:
            raise InstallRefused(
                f"{need.place}: {need.requirement} would be built from source, which runs its code",
                hint=f"if you trust it, add --allow-build {need.name}",
            )


def _refuse_overwriting(pack: str, names: list[str], environment: Environment, overlay: Path) -> None:
    """Two packages that install one file: the later breaks the earlier, and removing one breaks both."""
    written = {Path(here, file).relative_to(overlay) for here, _, files in os.walk(overlay) for file in files}
    present = {
        library / path: path
        for library in environment.libraries
        for path in written
        if (library / path).is_file() and not filecmp.cmp(library / path, overlay / path, shallow=False)
    }
    if not present:
        return
    for name, distribution in environment.installed.items():
        if name in names:
            continue
        for file in distribution.files or ():
            path = Path(os.path.abspath(str(distribution.locate_file(file))))
            if path in present:
                raise InstallRefused(
                    f"the requirements of {pack!r} would overwrite {present[path]} of {name}",
                    hint=f"two packages that install the same files break each other: uninstall {name} "
                    f"if it is not needed, or: graphengine nodes isolate {pack}",
                )


def _named(error: InstallRefused, pack: str, guarded: Guarded, environment: Environment) -> InstallRefused:
    """The resolver's refusal with the pack, the lines of its files and the protected packages that are in it."""
    text = error.message.lower()
    # whole words: "torch" stands in "torchvision" as well
    words = set(text.replace("==", " ").replace("<", " ").replace(">", " ").replace(",", " ").split())
    named = sorted(name for name in guarded.protected if name in words and environment.version(name) is not None)
    places = [need for need in guarded.wanted if need.name in named and not is_met(need.requirement, environment)]
    lines = [f"{need.place}: asks for {need.requirement}" for need in places]
    lines += [f"{name} {environment.version(name)} is installed and protected" for name in named]
    message = "\n".join([f"the requirements of {pack!r} are not installed: {error.message}", *lines])
    hint = error.hint
    if places:
        hint = (
            f"graphengine nodes isolate {pack} gives it packages of its own; another version of the pack may fit; "
            + " ".join(f"--allow-change {name}" for name in sorted({need.name for need in places}))
            + " lets it change"
        )
    return InstallRefused(message, hint=hint)
