"""Options of the commands that install packs or what they require, and what they tell before they do."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphengine.cli.console import complain, plural, say, table
from graphengine.cli.option_groups import OptionGroup
from graphengine.errors import SettingsError
from graphengine.settings import Settings

if TYPE_CHECKING:
    from graphengine.packs.installing.install import Installed, PackInstaller, Proposal

_TOOLS = ("auto", "pip", "uv")
_SHOWN = 12


@dataclass(frozen=True, slots=True)
class InstallingOptions(OptionGroup):
    """Where packages come from, what may change, and how much is asked."""

    find_links: Annotated[
        list[str] | None,
        typer.Option("--find-links", metavar="DIR", help="A folder of wheels, or a page of links. Repeatable."),
    ] = None
    no_index: Annotated[bool, typer.Option("--no-index", help="Ask no index: wheels of --find-links only.")] = (
        False
    )
    index_url: Annotated[
        str | None,
        typer.Option(
            "--index-url", metavar="URL", help="Index of packages. Default: $PIP_INDEX_URL, or pip's own."
        ),
    ] = None
    allow_change: Annotated[
        list[str] | None,
        typer.Option("--allow-change", metavar="NAME", help="Let this protected package change. Repeatable."),
    ] = None
    allow_build: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-build",
            metavar="NAME",
            help="Build this package from source, which runs its code. Without it, wheels only. Repeatable.",
        ),
    ] = None
    with_: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="NAME",
            help="Install torchvision or torchaudio where a pack asks for it: it must fit your torch. Repeatable.",
        ),
    ] = None
    tool: Annotated[
        str, typer.Option("--tool", metavar="TOOL", help="auto, pip or uv; auto is uv where it is.")
    ] = "auto"
    python: Annotated[
        Path | None,
        typer.Option(
            "--python", metavar="FILE", help="Python of the environment. Default: the one that runs this."
        ),
    ] = None
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be installed.")] = False
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before anything is installed.")] = False

    def installer(self, custom_nodes: Path, *, run_scripts: bool = False, quiet: bool = False) -> "PackInstaller":
        """An installer for the folder and the environment.

        Raises:
            SettingsError: there is no such tool.
            InstallRefused: the Python of the environment does not work.
        """
        from graphengine.packs.installing.archives import Limits
        from graphengine.packs.installing.environment import open_environment
        from graphengine.packs.installing.install import PackInstaller
        from graphengine.packs.installing.requiring import Wishes
        from graphengine.packs.installing.resolving import Indexes

        if self.tool not in _TOOLS:
            raise SettingsError(f"there is no tool {self.tool!r}", hint="use auto, pip or uv")
        indexes = Indexes(
            find_links=tuple(self.find_links or ()),
            no_index=self.no_index,
            index_url=self.index_url,
            allow_build=frozenset(self.allow_build or ()),
        )
        wishes = Wishes(
            indexes,
            "pip" if self.tool == "pip" else "uv" if self.tool == "uv" else "auto",
            frozenset(self.with_ or ()),
            frozenset(self.allow_change or ()),
            Limits(),
        )
        return PackInstaller(
            custom_nodes, open_environment(self.python), wishes, self._consent(quiet), run_scripts
        )

    def _consent(self, quiet: bool) -> "Consent":
        return Consent(dry_run=self.dry_run, yes=self.yes, write=complain if quiet else say)


@dataclass(frozen=True, slots=True)
class Consent:
    """Shows what would be installed and, on a terminal, asks. `write` takes each line."""

    dry_run: bool
    yes: bool
    write: "Writer"

    def __call__(self, proposal: "Proposal") -> bool:
        """Whether to go on."""
        for line in proposal_lines(proposal):
            self.write(line)
        if self.dry_run:
            return False
        agreed = self._agreed(proposal)
        if agreed and proposal.plan.changes:
            complain("trying the packages beside the environment, then installing them")
        return agreed

    def _agreed(self, proposal: "Proposal") -> bool:
        if self.yes or (not proposal.plan.changes and proposal.script is None):
            return True
        if sys.stdin.isatty():
            return typer.confirm("go on?", err=True)
        if proposal.script is not None:
            complain("the script is not run without --yes, as nobody can be asked")
            return False
        return True


if TYPE_CHECKING:
    from collections.abc import Callable

    Writer = Callable[[str], None]


def proposal_lines(proposal: "Proposal") -> Iterator[str]:
    """What would be installed, as text: nodes, a table of packages, notes, and the script that would run."""
    contents, plan = proposal.contents, proposal.plan
    if contents is not None:
        commit = f" at {proposal.commit[:12]}" if proposal.commit else ""
        nodes = ", ".join(contents.nodes[:_SHOWN]) + (" …" if len(contents.nodes) > _SHOWN else "")
        counted = plural(len(contents.nodes), "node type") if contents.nodes else "nodes named when it is imported"
        yield f"{proposal.name}{commit}: {counted}{': ' + nodes if nodes else ''}"
    for node, packs in proposal.collisions.items():
        others = " and ".join(map(repr, packs))
        yield f"warning: node type {node!r} is in {others} too; first = true in graphengine.toml chooses"
    yield from (f"note: {note}" for note in plan.notes)
    if plan.changes:
        yield f"{plural(len(plan.missing), 'requirement')} of {proposal.name} missing; {plan.tool} would install"
        yield from table(
            (f"  {c.kind}", c.name, c.before or "", "->" if c.before else "", c.after or "") for c in plan.changes
        )
    elif contents is None:
        yield f"{proposal.name}: nothing is missing"
    if proposal.script is not None:
        yield f"{proposal.name}/install.py, which would be run:"
        yield from (f"  | {line}" for line in proposal.script.splitlines())


def chosen_folder(settings: Settings, base_dir: Path | None) -> Path:
    """Where packs are installed: the first folder of the settings, or `custom_nodes` of the base folder."""
    return settings.custom_nodes[0] if settings.custom_nodes else (base_dir or Path.cwd()) / "custom_nodes"


def installed_json(installed: "Installed") -> dict[str, object]:
    """What was installed, for `--json`."""
    record, plan = installed.record, installed.proposal.plan
    return {
        "name": installed.name,
        "commit": installed.proposal.commit,
        "version": record.version if record else None,
        "content": record.content if record else None,
        "nodes": list(installed.proposal.contents.nodes) if installed.proposal.contents else None,
        "changes": [{"kind": c.kind, "name": c.name, "before": c.before, "after": c.after} for c in plan.changes],
        "requirements": [requirement.model_dump(mode="json") for requirement in installed.requirements],
        "notes": list(plan.notes),
        "warnings": list(installed.warnings),
    }


def installed_lines(installed: "Installed", custom_nodes: Path) -> Iterator[str]:
    """What was installed, as text."""
    yield from (f"warning: {warning}" for warning in installed.warnings)
    packages = plural(len(installed.requirements), "package")
    if installed.record is None:
        yield f"{installed.name}: {packages} installed"
        return
    yield f"installed {installed.name} into {custom_nodes} with {packages}"
    yield f"  its code runs once this project trusts it: graphengine nodes trust {installed.name}"


def refusals_json(refused: Sequence[tuple[str, "Exception"]]) -> list[dict[str, object]]:
    """What was not installed, for `--json`."""
    return [
        {"asked": asked, "error": str(error), "hint": getattr(error, "hint", None)} for asked, error in refused
    ]
