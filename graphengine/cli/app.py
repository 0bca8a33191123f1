"""The `graphengine` command: its subcommands, exit codes, and what happens to exceptions.

Exit codes: 0 fine, 1 problems found or run failed, 2 wrong usage. Usage is wrong when the command line says what
cannot be: no such option, node, input or folder. What the system or a file refuses (no permission, a full disk,
broken YAML) is a failure.
"""

import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Annotated, Any

import typer

from graphengine.cli.console import complain, report, say
from graphengine.cli.options import DebugOption, examples
from graphengine.cli.version import installed_version
from graphengine.errors import GraphEngineError, SettingsError
from graphengine.workflow.collector import collector_paused

#: Each command in the order of the help → what it is for where it is a group of commands, else None. The module of
#: a command has its name, with `command` and `EXAMPLES`; that of a group has `COMMANDS`.
_COMMANDS: Mapping[str, str | None] = {
    "run": None,
    "watch": None,
    "plan": None,
    "explain": None,
    "log": None,
    "show": None,
    "compare": None,
    "serve": None,
    "validate": None,
    "test": None,
    "convert": None,
    "draw": None,
    "diff": None,
    "fmt": None,
    "merge": None,
    "resolve": None,
    "lineage": None,
    "replay": None,
    "verify": None,
    "bisect": None,
    "git": "Drivers that make git understand workflows.",
    "lock": None,
    "restore": None,
    "nodes": "Node types that can run, and the packs that bring them.",
    "cache": "Results kept between runs.",
    "models": "Model files.",
    "schema": None,
    "doctor": None,
}
_MODULES: Mapping[str, str] = {"git": "git_drivers", "nodes": "nodes_group"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's) and give the exit code; nothing is raised."""
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _invoke(args)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output has closed, as `head` does
        _discard_stdout()
        return 1
    except Exception as error:  # noqa: BLE001 - the outermost place: every error becomes a message and an exit code
        return _explain(error, debug="--debug" in args)
    return code


def _invoke(args: list[str]) -> int:
    # Only the command that is asked for is imported: all of them together take as long as a cached run.
    asked = args[0] if args and args[0] in _COMMANDS else None
    if asked == "serve":
        args = _module("serve").with_values(args)
    with collector_paused():
        command = typer.main.get_command(build_app(asked))
    try:
        command.main(args=args, prog_name="graphengine")
    except SystemExit as exit_:
        return exit_.code if exit_.code in (0, 2) else 1
    return 0


def _explain(error: Exception, *, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    if isinstance(error, GraphEngineError):
        report(error)
        # a setting error with a cause comes from the system or a file; without one, from the command line
        return 2 if isinstance(error, SettingsError) and error.__cause__ is None else 1
    if isinstance(error, OSError) and error.strerror:
        complain(f"error: {error.filename}: {error.strerror}" if error.filename else f"error: {error.strerror}")
    else:
        complain(f"error: unexpected {type(error).__name__}: {error}")
        if not debug:
            complain("  hint: run again with --debug for the traceback, and report it")
    return 1


def _discard_stdout() -> None:
    """Keep the interpreter from failing once more when it flushes stdout at exit."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)


def build_app(only: str | None = None) -> typer.Typer:
    """The command line as a typer application, or the part of it that one command or group needs.

    Help is plain text, which spares the import of rich.
    """
    app = typer.Typer(
        name="graphengine",
        help="Run saved ComfyUI workflows without ComfyUI.",
        epilog=examples(
            "graphengine run workflows/img2img.json",
            'graphengine run picture.png --set KSampler.steps=30 --set 6.text="a red fox"',
            "graphengine validate workflows/*.json",
            "graphengine doctor",
        ),
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.callback()(_root)
    for name, purpose in _COMMANDS.items():
        if only is not None and name != only:
            continue
        module = _module(name)
        if purpose is None:
            app.command(name, epilog=module.EXAMPLES)(module.command)
        else:
            _group(app, name, purpose, module.COMMANDS)
    return app


# Any: a command's module.
def _module(name: str) -> Any:
    return import_module(f"graphengine.cli.{_MODULES.get(name, name)}")


def _group(
    app: typer.Typer, name: str, help: str, commands: Sequence[tuple[str, Callable[..., None], str]]
) -> None:
    group = typer.Typer(help=help, no_args_is_help=True, rich_markup_mode=None, epilog=commands[0][2])
    for command, function, epilog in commands:
        group.command(command, epilog=epilog)(function)
    app.add_typer(group, name=name)


def _show_version(value: bool) -> None:
    if not value:
        return
    number = installed_version()
    say(f"graphengine {number}" if number else "graphengine (not installed: run from a checkout)")
    raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: DebugOption = False,
) -> None:
    """Run saved ComfyUI workflows without ComfyUI."""
