"""How models compute: the options of commands that run them."""

from dataclasses import dataclass
from typing import Annotated

import typer

from graphengine.cli.console import complain
from graphengine.cli.option_groups import OptionGroup
from graphengine.execution.approximations import approximations
from graphengine.settings import Settings

FastOption = Annotated[
    bool,
    typer.Option("--fast", help="Compute quicker and less exactly. What that means here is listed first."),
]
ModelMemoryOption = Annotated[
    str | None,
    typer.Option(
        "--model-memory",
        metavar="SIZE",
        help="Memory that loaded models may take on a device: 6GB, 500MiB. Those used longest ago are unloaded. "
        "Default: nine tenths of a GPU's memory, three quarters of the computer's.",
    ),
]


@dataclass(frozen=True, slots=True)
class ComputeOptions(OptionGroup):
    """How quickly, and in how much memory."""

    fast: FastOption = False
    model_memory: ModelMemoryOption = None

    def tell(self, settings: Settings) -> None:
        """Write to stderr what `--fast` turns on."""
        if self.fast:
            for line in approximations(settings.device):
                complain(f"fast: {line}")
