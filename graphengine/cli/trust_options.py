"""Options that say which packs of custom_nodes may be imported, and how."""

from dataclasses import dataclass
from typing import Annotated

import typer

from graphengine.cli.option_groups import OptionGroup
from graphengine.settings import Settings

TrustOption = Annotated[
    list[str] | None,
    typer.Option(
        "--trust",
        metavar="PACK",
        help="Let this pack of custom_nodes run its code this time, as it is now. Repeatable. Default: the packs "
        "that graphengine.toml lists, see graphengine nodes trust.",
    ),
]
TrustChangedOption = Annotated[
    bool,
    typer.Option("--trust-changed", help="Let listed packs run although their code has changed since then."),
]
PrestartupOption = Annotated[
    list[str] | None,
    typer.Option(
        "--prestartup",
        metavar="PACK",
        help="Run the prestartup_script.py of this pack before it is imported. Repeatable.",
    ),
]
ImportTimeoutOption = Annotated[
    float | None,
    typer.Option(
        "--import-timeout", metavar="SECONDS", min=0.1, help="Longest time for importing a pack. Default: 300."
    ),
]


@dataclass(frozen=True, slots=True)
class TrustOptions(OptionGroup):
    """Which packs may be imported beside those that the project lists, and how."""

    trust: TrustOption = None
    trust_changed: TrustChangedOption = False
    prestartup: PrestartupOption = None
    import_timeout: ImportTimeoutOption = None

    def applied(self, settings: Settings) -> Settings:
        """The settings with these packs trusted, and imported in that way."""
        trusting = settings.trusting(self.trust or (), changed=self.trust_changed)
        return trusting.importing_with(self.prestartup or (), self.import_timeout)
