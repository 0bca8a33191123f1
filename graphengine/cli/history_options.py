"""Whether runs get into the project's history, and what of them outputs carry."""

from dataclasses import dataclass, replace
from typing import Annotated

import typer

from graphengine.cli.option_groups import OptionGroup
from graphengine.settings import Settings

NoRecordOption = Annotated[
    bool,
    typer.Option(
        "--no-record", help="Do not write this run into the project's history, .graphengine/; see graphengine log."
    ),
]
StripMetadataOption = Annotated[
    bool,
    typer.Option(
        "--strip-metadata", help="Save pictures and other outputs without the workflow and the id of the run."
    ),
]


@dataclass(frozen=True, slots=True)
class HistoryOptions(OptionGroup):
    """What is kept of a run beside its outputs, and in them."""

    no_record: NoRecordOption = False
    strip_metadata: StripMetadataOption = False

    def applied(self, settings: Settings) -> Settings:
        """The settings that keep as much."""
        history = None if self.no_record else settings.history
        return replace(settings, history=history, strip_metadata=self.strip_metadata)
