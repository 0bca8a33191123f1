"""Options that are fields of a dataclass."""

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from graphengine.cli.option_groups import OptionGroup, with_option_groups


@dataclass(frozen=True, slots=True)
class Size(OptionGroup):
    width: Annotated[int, typer.Option("--width", help="In pixels.", min=1)] = 64
    tall: Annotated[bool, typer.Option("--tall")] = False


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer(rich_markup_mode=None)

    @made.command()
    @with_option_groups
    def paint(name: str, *, size: Size, loud: Annotated[bool, typer.Option("--loud")] = False) -> None:
        """Paint something."""
        typer.echo(f"{name} {size} {loud}")

    return made


def test_fields_become_options_and_come_as_the_dataclass(app: typer.Typer) -> None:
    assert CliRunner().invoke(app, ["fox"]).output == "fox Size(width=64, tall=False) False\n"
    given = CliRunner().invoke(app, ["fox", "--width", "3", "--tall", "--loud"]).output
    assert given == "fox Size(width=3, tall=True) True\n"


def test_options_keep_their_help_their_limits_and_their_place(app: typer.Typer) -> None:
    shown = CliRunner().invoke(app, ["--help"]).output
    assert "Paint something." in shown
    assert shown.index("--width") < shown.index("--tall") < shown.index("--loud")
    assert "In pixels." in shown
    assert CliRunner().invoke(app, ["fox", "--width", "0"]).exit_code == 2
