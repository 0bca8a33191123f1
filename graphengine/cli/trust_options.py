"""Options that say which packs of custom_nodes may be imported."""

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


@dataclass(frozen=True, slots=True)
class TrustOptions(OptionGroup):
    """Which packs may be imported beside those that the project lists."""

    trust: TrustOption = None
    trust_changed: TrustChangedOption = False

    def applied(self, settings: Settings) -> Settings:
        """The settings with these packs trusted."""
        return settings.trusting(self.trust or (), changed=self.trust_changed)
