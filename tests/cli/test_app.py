"""The command line as a whole: help, version, exit codes, and exceptions that nobody expected."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from graphengine.cli import main
from tests.cli.conftest import CommandLine

COMMANDS = [
    ["run"],
    ["validate"],
    ["convert"],
    ["nodes", "list"],
    ["nodes", "show"],
    ["models", "list"],
    ["schema"],
    ["doctor"],
]


@pytest.mark.parametrize("command", [[], ["nodes"], ["models"], *COMMANDS], ids=" ".join)
def test_every_help_has_examples_of_its_command(graphengine: CommandLine, command: list[str]) -> None:
    done = graphengine(*command, "--help")
    assert done.code == 0
    _, examples = done.out.split("Examples:\n")
    assert all(line.strip().startswith(" ".join(["graphengine", *command])) for line in examples.splitlines())


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_takes_debug(graphengine: CommandLine, command: list[str]) -> None:
    assert "--debug" in graphengine(*command, "--help").out


def test_the_version_is_shown(graphengine: CommandLine) -> None:
    assert graphengine("--version").out == "graphengine 0.1.0\n"


@pytest.mark.parametrize(
    "argv",
    [[], ["fly"], ["run"], ["run", "a.json", "--sed", "1"], ["run", "a.json", "--seed", "-1"], ["schema", "xml"]],
    ids=" ".join,
)
def test_wrong_usage_is_code_2(graphengine: CommandLine, argv: list[str]) -> None:
    done = graphengine(*argv) if argv else graphengine("nodes")
    assert done.code == 2
    assert "Usage: graphengine" in done.out + done.err
    assert "Traceback" not in done.err


def _raise(error: BaseException) -> None:
    raise error


def test_an_unexpected_exception_is_one_line(graphengine: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphengine.cli.schema.schemas", lambda: _raise(ZeroDivisionError("by zero")))
    done = graphengine("schema")
    assert done.code == 1
    assert done.err == (
        "error: unexpected ZeroDivisionError: by zero\n"
        "  hint: run again with --debug for the traceback, and report it\n"
    )


def test_debug_shows_the_traceback(graphengine: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphengine.cli.schema.schemas", lambda: _raise(ZeroDivisionError("by zero")))
    done = graphengine("schema", "--debug")
    assert done.code == 1
    assert done.err.startswith("Traceback (most recent call last)")
    assert done.err.endswith("error: unexpected ZeroDivisionError: by zero\n")


def test_an_error_of_the_system_names_its_file(graphengine: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    error = PermissionError(13, "Permission denied", "/root/x")
    monkeypatch.setattr("graphengine.cli.schema.schemas", lambda: _raise(error))
    assert graphengine("schema").err == "error: /root/x: Permission denied\n"


def test_ctrl_c_is_code_1(graphengine: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphengine.cli.schema.schemas", lambda: _raise(KeyboardInterrupt()))
    done = graphengine("schema")
    assert done.code == 1
    assert "Traceback" not in done.err


def test_settings_that_cannot_be_used_are_wrong_usage(graphengine: CommandLine) -> None:
    done = graphengine("models", "list", "--base-dir", "nowhere")
    assert done.code == 2
    assert "error: the base folder 'nowhere' does not exist" in done.err


def test_a_reader_that_closes_early_gets_no_traceback(place: Path) -> None:
    command = [sys.executable, "-m", "graphengine.cli", "schema"]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, env=environ, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == ""


def test_main_reads_the_process_arguments(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["graphengine", "--version"])
    assert main() == 0
    assert capsys.readouterr().out.startswith("graphengine ")
