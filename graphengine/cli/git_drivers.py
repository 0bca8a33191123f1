"""`graphengine git`: drivers for git, so that `git diff` and `git merge` understand workflows."""

import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from graphengine.cli.console import complain, say
from graphengine.cli.fmt import read_bytes
from graphengine.cli.options import DebugOption, examples
from graphengine.cli.rewriting import rewrite
from graphengine.errors import GraphEngineError, SettingsError
from graphengine.workflow.outline import outline_of

SETUP_EXAMPLES = examples("graphengine git setup", "graphengine git setup --pattern 'flows/*.json'")
REMOVE_EXAMPLES = examples("graphengine git remove")
TEXTCONV_EXAMPLES = examples("graphengine git textconv flow.json")

_BEGIN, _END = "# graphengine: begin", "# graphengine: end"
_ATTRIBUTES = "merge=graphengine diff=graphengine"
_TEXTCONV = (
    "import sys; from graphengine.workflow.outline import write_outline as w; w(sys.argv[1], sys.stdout.buffer)"
)
#: What the driver ends with for conflicts: Python itself ends with 1 when it cannot begin.
_CONFLICTS = 3
_MERGE = (
    "import sys; from graphengine.cli import main; "
    f"sys.exit((0, {_CONFLICTS}, 4)[main(['merge', '--driver', *sys.argv[1:]])])"
)
_SECTIONS = ("diff.graphengine", "merge.graphengine")


def setup_command(
    patterns: Annotated[
        list[str] | None,
        typer.Option(
            "--pattern", metavar="GLOB", help="Files that may be workflows. Repeatable. Default: *.json."
        ),
    ] = None,
    debug: DebugOption = False,
) -> None:
    """Make git of this repository compare and merge workflows by what they say.

    Lines between two marks are written to .gitattributes, which may be committed; the drivers themselves go to
    the configuration of this clone. Other JSON files are compared and merged as text, as before.
    """
    chosen = patterns or ["*.json"]
    for pattern in chosen:
        if not pattern or any(each.isspace() for each in pattern) or pattern.startswith(("#", "!", '"')):
            raise SettingsError(f"--pattern {pattern!r}: no pattern of .gitattributes", hint="write *.json")
    file = _attributes()
    lines = [_BEGIN, *(f"{pattern} {_ATTRIBUTES}" for pattern in chosen), _END]
    rewrite(file, "\n".join([*_others(file), *lines]) + "\n")
    settings = {
        "diff.graphengine.textconv": _textconv(),
        "diff.graphengine.cachetextconv": "false",
        "merge.graphengine.name": "workflows, node by node",
        "merge.graphengine.driver": _merge_driver(),
    }
    for name, value in settings.items():
        _git("config", "--local", name, value)
    say(f"{file}: {', '.join(chosen)}")


def _merge_driver() -> str:
    """The command that git runs for each file that both sides changed.

    When it cannot be run at all, or is killed, git merges the lines itself, as without a driver: a driver that
    merely fails would leave one side's file, and git would call it a conflict without marks.
    """
    program = shlex.join([sys.executable, "-c", _MERGE])
    as_text = "git merge-file -L ours -L base -L theirs %A %O %B || exit 1"
    return f"{program} --path %P %O %A %B; case $? in 0) ;; {_CONFLICTS}) exit 1;; *) {as_text};; esac"


def _textconv() -> str:
    """The command that gives a file as lines; git appends the file. A file is shown as it is when that fails."""
    # without the command line: git starts a process for each version of each file
    convert = shlex.join([sys.executable, "-c", _TEXTCONV])
    return f'f() {{ {convert} "$1" 2>/dev/null || cat "$1"; }}; f'


def remove_command(debug: DebugOption = False) -> None:
    """Take out what `graphengine git setup` wrote."""
    file = _attributes()
    left = list(_others(file))
    if left:
        rewrite(file, "\n".join(left) + "\n")
    else:
        file.unlink(missing_ok=True)
    for section in _SECTIONS:
        _git("config", "--local", "--remove-section", section, may_fail=True)
    say(f"{file}: removed")


def textconv_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Any file.")], debug: DebugOption = False
) -> None:
    """Write a workflow as lines of text, one for each node and input; any other file as it is."""
    data = read_bytes(file)
    lines = outline_of(data)
    if lines is not None:
        say("\n".join(lines))
        return
    sys.stdout.buffer.write(data)
    sys.stdout.flush()


def _attributes() -> Path:
    """The .gitattributes at the top of the repository.

    Raises:
        SettingsError: there is no repository here.
    """
    top = _git("rev-parse", "--show-toplevel", may_fail=True).strip()
    if not top:
        raise SettingsError("this folder is in no git repository", hint="run git init first")
    return Path(top) / ".gitattributes"


def _others(file: Path) -> Iterator[str]:
    """The lines of a file that are not ours."""
    inside = False
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
        inside = inside or line == _BEGIN
        if not inside:
            yield line
        inside = inside and line != _END


def _git(*args: str, may_fail: bool = False) -> str:
    try:
        done = subprocess.run(["git", *args], capture_output=True, check=False, encoding="utf-8")
    except OSError as error:
        raise GraphEngineError(f"git cannot be run: {error.strerror}", hint="install git") from error
    if done.returncode and not may_fail:
        complain(done.stderr.strip())
        raise GraphEngineError(f"git {args[0]} failed with {done.returncode}", hint="see what git says above")
    return done.stdout if not done.returncode else ""


COMMANDS: list[tuple[str, Callable[..., None], str]] = [
    ("setup", setup_command, SETUP_EXAMPLES),
    ("remove", remove_command, REMOVE_EXAMPLES),
    ("textconv", textconv_command, TEXTCONV_EXAMPLES),
]
