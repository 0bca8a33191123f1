"""Installing packs and syncing their requirements, each as one step that happens or does not."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from graphengine.errors import InstallRefused
from graphengine.packs.discover import custom_packs
from graphengine.packs.installing.contents import PackContents, check_contents, read_contents
from graphengine.packs.installing.environment import Environment
from graphengine.packs.installing.fetching import fetch
from graphengine.packs.installing.guards import protected_names, refuse_known_bad_pack
from graphengine.packs.installing.ledger import InstalledPack, InstalledRequirement, Ledger
from graphengine.packs.installing.needs import Needs, read_needs
from graphengine.packs.installing.processes import run_program
from graphengine.packs.installing.requiring import (
    RequirementPlan,
    Wishes,
    install_requirements,
    plan_requirements,
)
from graphengine.packs.installing.sources import Source
from graphengine.packs.installing.staging import Stage, open_stage
from graphengine.packs.source import SourceReader

INSTALL_SCRIPT = "install.py"


@dataclass(frozen=True, slots=True)
class Proposal:
    """What would be installed: a pack (None when only requirements are) and what that changes of packages.

    `script` is the text of its install.py, None when it has none or it is not to be run. `collisions` are node
    types that other packs have as well, with their names.
    """

    name: str
    plan: RequirementPlan
    contents: PackContents | None = None
    commit: str | None = None
    script: str | None = None
    collisions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Installed:
    """What was installed. `warnings` is what the user should know."""

    name: str
    proposal: Proposal
    requirements: tuple[InstalledRequirement, ...]
    warnings: tuple[str, ...] = ()
    record: InstalledPack | None = None


#: Asked before anything changes; False leaves everything as it is.
Consent = Callable[[Proposal], bool]


@dataclass(frozen=True)
class PackInstaller:
    """Installs into one `custom_nodes` folder and one environment.

    With `run_scripts` the install.py of a pack is run, after `consent` has seen its text.
    """

    custom_nodes: Path
    environment: Environment
    wishes: Wishes
    consent: Consent
    run_scripts: bool = False

    def install(self, source: Source, *, replace: bool = False) -> Installed | None:
        """Install a pack and what it requires; None when there was no consent.

        Raises:
            InstallRefused: it cannot be installed, or something would break; nothing is changed then.
        """
        name = source.name
        refuse_known_bad_pack(name, source.place)
        self._require_free(name, replace=replace)
        with open_stage(self.custom_nodes) as stage:
            commit = fetch(source, stage.new, self.wishes.limits)
            contents = check_contents(name, stage.new, source.asked)
            needs = read_needs(name, stage.new, self.environment)
            plan = self._plan(name, needs, stage)
            script = self._script(stage.new)
            proposal = Proposal(name, plan, contents, commit, script, self._collisions(name, contents))
            if not self.consent(proposal):
                return None
            requirements, warned = install_requirements(plan, self.environment, self.wishes, stage)
            stage.swap_in(name)
            place = self.custom_nodes / name
            if script is not None:
                self._run_script(name, place, stage)
            record = _record(source, commit, contents, place, requirements)
            Ledger(self.custom_nodes).write(record)
            if script is None and (place / INSTALL_SCRIPT).is_file():
                warned.append(
                    f"{name} has an install.py, which was not run: --run-install-script shows and runs it"
                )
            return Installed(name, proposal, requirements, (*contents.warnings, *warned), record)

    def sync(self, name: str) -> Installed | None:
        """Install what a pack that lies in the folder requires; None when there was no consent.

        Raises:
            InstallRefused: there is no such pack, or something would break; nothing is changed then.
        """
        path = self._path(name)
        with open_stage(self.custom_nodes) as stage:
            plan = self._plan(name, read_needs(name, path, self.environment), stage)
            proposal = Proposal(name, plan)
            if not self.consent(proposal):
                return None
            requirements, warned = install_requirements(plan, self.environment, self.wishes, stage)
            self._note_requirements(name, requirements)
            return Installed(name, proposal, requirements, tuple(warned))

    def _plan(self, name: str, needs: Needs, stage: Stage) -> RequirementPlan:
        others = other_needs(self.custom_nodes, name, self.environment)
        return plan_requirements(name, needs, self.environment, self.wishes, others, stage)

    def _require_free(self, name: str, *, replace: bool) -> None:
        for taken in (name, f"{name}.disabled", f"{name}.py"):
            if (self.custom_nodes / taken).exists() and not (replace and taken == name):
                raise InstallRefused(
                    f"{self.custom_nodes / taken} is there already",
                    hint=f"graphengine nodes update {name} brings another version; --name NAME installs beside it",
                )

    def _path(self, name: str) -> Path:
        found = next((pack.path for pack in custom_packs([self.custom_nodes]) if pack.name == name), None)
        if found is None:
            raise InstallRefused(
                f"there is no pack {name!r} in {self.custom_nodes}", hint="graphengine nodes list --packs"
            )
        return found

    def _script(self, folder: Path) -> str | None:
        script = folder / INSTALL_SCRIPT
        if not self.run_scripts or not script.is_file():
            return None
        return script.read_text(encoding="utf-8", errors="replace")

    def _run_script(self, name: str, place: Path, stage: Stage) -> None:
        """Run install.py. If it calls pip or uv, what is protected is a constraint."""
        constraints = stage.folder / "protected.txt"
        lines = [
            f"{package}=={distribution.version}"
            for package, distribution in self.environment.again().installed.items()
            if package in protected_names()
        ]
        constraints.write_text("\n".join(lines) + "\n", encoding="utf-8")
        ended = run_program(
            [self.environment.python, INSTALL_SCRIPT],
            folder=place,
            environ={"PIP_CONSTRAINT": str(constraints), "UV_CONSTRAINT": str(constraints)},
        )
        if ended.code:
            raise InstallRefused(
                f"the install.py of {name!r} failed:\n{ended.reason()}",
                hint="the pack was taken out again; what the script did elsewhere stays",
            )

    def _collisions(self, name: str, contents: PackContents) -> dict[str, tuple[str, ...]]:
        """Node types of this pack that other packs name as well."""
        found: dict[str, tuple[str, ...]] = {}
        for pack in custom_packs([self.custom_nodes]):
            if pack.name != name and pack.path is not None:
                for node in set(read_contents(pack.name, pack.path).nodes).intersection(contents.nodes):
                    found[node] = (*found.get(node, ()), pack.name)
        return dict(sorted(found.items()))

    def _note_requirements(self, name: str, requirements: Iterable[InstalledRequirement]) -> None:
        """Add what was installed to the record of a pack that has one."""
        ledger = Ledger(self.custom_nodes)
        record = ledger.read(name)
        new = {requirement.name: requirement for requirement in requirements}
        if record is not None and new:
            merged = {known.name: known for known in record.requirements} | new
            ledger.write(record.model_copy(update={"requirements": tuple(merged[key] for key in sorted(merged))}))


def other_needs(custom_nodes: Path, name: str, environment: Environment) -> dict[str, Needs]:
    """What the other packs in the folder require, by name; those that cannot be read are left out."""
    found: dict[str, Needs] = {}
    for pack in custom_packs([custom_nodes]):
        if pack.name != name and pack.path is not None:
            try:
                found[pack.name] = read_needs(pack.name, pack.path, environment)
            except InstallRefused:  # told when that pack is synced
                continue
    return found


def content_of(path: Path) -> str:
    """The hash of the code of a pack (16 hex digits)."""
    return SourceReader().read(path).version


def _record(
    source: Source,
    commit: str | None,
    contents: PackContents,
    place: Path,
    requirements: tuple[InstalledRequirement, ...],
) -> InstalledPack:
    return InstalledPack(
        name=source.name,
        source=source.place,
        kind=source.kind,
        asked=source.asked,
        ref=source.ref,
        commit=commit,
        version=contents.version,
        licence=contents.licence,
        content=content_of(place),
        installed=datetime.now(UTC).replace(microsecond=0),
        requirements=requirements,
    )
