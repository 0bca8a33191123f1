"""`graphengine nodes new`: a pack to start from."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from graphengine.cli.console import say
from graphengine.cli.options import DebugOption, examples

EXAMPLES = examples("graphengine nodes new my-nodes", "graphengine nodes new custom_nodes/my-nodes --style typed")


class PackStyle(StrEnum):
    """How the nodes of a new pack state themselves."""

    V1 = "v1"
    TYPED = "typed"


def command(
    pack: Annotated[Path, typer.Argument(metavar="NAME", help="The name of the pack, or the path of its folder.")],
    style: Annotated[
        PackStyle, typer.Option("--style", help="v1: INPUT_TYPES and RETURN_TYPES; typed: a schema.")
    ] = PackStyle.V1,
    debug: DebugOption = False,
) -> None:
    """Write a new pack that passes all checks: nodes, tests, pyproject.toml, a CI workflow and a README."""
    from graphengine.testing.scaffold import write_pack  # no other command needs it

    folder = pack.absolute()
    for file in write_pack(folder, "v1" if style is PackStyle.V1 else "typed"):
        say(str(pack / file.relative_to(folder)))
    say(f"try it: cd {pack} && pytest")
