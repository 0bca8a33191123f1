"""The options of a cache that machines share."""

from dataclasses import dataclass
from typing import Annotated

import typer

from graphengine.cli.option_groups import OptionGroup


@dataclass(frozen=True, slots=True)
class RemoteOptions(OptionGroup):
    """Where results are shared, and whether to add to them."""

    remote_cache: Annotated[
        str | None,
        typer.Option(
            "--remote-cache",
            metavar="URL",
            help="Share results with other machines: a folder, s3://bucket/prefix, gs://… or az://…; '' shares "
            "nothing. Default: $GRAPHENGINE_REMOTE_CACHE. With $GRAPHENGINE_REMOTE_KEY results are signed.",
        ),
    ] = None
    remote_readonly: Annotated[
        bool, typer.Option("--remote-readonly", help="Take results from the shared cache, and add none.")
    ] = False
