"""One use of `graphengine watch`: all who hear of what happens, and the keys that it answers to."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING

from graphengine.cli.console import complain, say
from graphengine.cli.event_lines import json_lines
from graphengine.cli.watch_events import WatchEvents
from graphengine.cli.watch_keys import Keys
from graphengine.cli.watch_lines import After, WatchLines
from graphengine.cli.watch_tests import PackTests, TestResult
from graphengine.cli.watch_words import LastWords, explaining_lines
from graphengine.errors import Problem, SettingsError
from graphengine.execution.hooks import silent
from graphengine.node.folders import Folders
from graphengine.watch.audience import Audience, Everyone, Unconcerned
from graphengine.watch.board import Board

if TYPE_CHECKING:
    from graphengine.watch.page import WatchPage

#: What the keys do, for the last line of a terminal.
KEYS = "r run all again   e explain   o open the picture   q quit"


@dataclass(frozen=True, slots=True)
class How:
    """What the user wants to see: `events` is where events are written, `after` what is done after a good run.

    `test_seconds` is how long tests of a changed pack may take, None for no tests. `port` is where the page is
    served, 0 anywhere, None for no page.
    """

    events: str | None = None
    after: After | None = None
    test_seconds: float | None = None
    port: int | None = None


@dataclass(slots=True)
class Answers:
    """Answers to keys, and tells what tests showed, whenever the loop asks whether to go on."""

    keys: Keys
    board: Board
    tell: Callable[[str], None]
    is_interrupted: Callable[[], bool]
    tests: PackTests | None = None
    open: Callable[[Path], str] = field(default_factory=lambda: open_file)
    _thread: int = field(default_factory=threading.get_ident, init=False)
    _quits: bool = field(default=False, init=False)
    _repeats: bool = field(default=False, init=False)

    def stop(self) -> bool:
        """Whether the watch is to end."""
        if threading.get_ident() == self._thread:  # nodes that are coroutines ask from another
            for key in self.keys.pressed():
                self._press(key)
            if self.tests is not None:
                self.tests.poll()
        return self._quits or self.is_interrupted()

    def again(self) -> bool:
        """Whether all is to run once more."""
        asked, self._repeats = self._repeats, False
        return asked

    def _press(self, key: str) -> None:
        match key:
            case "q":
                self._quits = True
            case "r":
                self._repeats = True
            case "e":
                for flow in self.board.look().flows:
                    for line in explaining_lines(flow):
                        self.tell(line)
            case "o":
                self._open()
            case _:
                pass

    def _open(self) -> None:
        sight = self.board.look()
        flows = sorted(sight.flows, key=lambda flow: flow.file != sight.current)
        last = next((flow.files[-1] for flow in flows if flow.files), None)
        self.tell("there is no picture yet" if last is None else self.open(last))


def open_file(path: Path) -> str:
    """Open a file in the program that the user has for it, and say so; no shell is involved."""
    if sys.platform == "win32":
        os.startfile(path)
        return f"opened {path}"
    program = which("open" if sys.platform == "darwin" else "xdg-open")
    if program is None:
        import webbrowser  # 0.03 s, and rarely needed

        return f"opened {path}" if webbrowser.open(path.as_uri()) else f"nothing opens {path}"
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        [program, str(path)], stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True
    )
    threading.Thread(target=process.wait, daemon=True).start()  # so that nothing of it stays behind
    return f"opened {path}"


class PackListener(Unconcerned):
    """An audience that has changed packs tested. `packs` gives the folders or files of packs by name."""

    def __init__(self, tests: PackTests, packs: Callable[[], Mapping[str, Path]]) -> None:
        self._tests, self._packs = tests, packs

    def reloaded(self, packs: Collection[str], problems: Sequence[Problem]) -> None:
        """The code of these packs changed, and is tested whether it could be loaded or not."""
        there = {name: path for name, path in self._packs().items() if name in packs and path.exists()}
        if there:
            self._tests.start(there)


@contextmanager
def session(
    files: Sequence[Path],
    folders: Folders,
    how: How,
    keys: Keys,
    is_interrupted: Callable[[], bool],
    packs: Callable[[], Mapping[str, Path]],
) -> Iterator[tuple[Audience, Answers]]:
    """Who hears of a watch of these files, and what answers for it. `packs` are the packs there are, by name.

    Raises:
        SettingsError: events cannot be written, or the page cannot be served.
    """
    with ExitStack() as stack:
        words = LastWords()
        board = Board(files, folders, words)
        events = None
        if how.events is not None:
            events = WatchEvents(stack.enter_context(json_lines(how.events)), words)
        page = stack.enter_context(_page(board, how.port)) if how.port is not None else None
        lines, tell = stack.enter_context(_lines(board, folders, words, how, keys))
        audience: list[Audience] = [board, lines, *([events] if events is not None else [])]
        tests = None
        if how.test_seconds is not None:
            tests = PackTests(_telling(tell, board, events), how.test_seconds)
            stack.callback(tests.close)
            audience.append(PackListener(tests, packs))
        tell(f"watching {', '.join(file.name for file in files)}; {_ending(keys)}")
        if page is not None:
            tell(f"page: {page.address}")
        yield Everyone(*audience), Answers(keys, board, tell, is_interrupted, tests)


def _page(board: Board, port: int) -> "WatchPage":
    """The page, to which only programs and pages of this machine get access, as to the server.

    Raises:
        SettingsError: aiohttp is not installed.
    """
    try:
        from graphengine.server.safety import middlewares  # with aiohttp (0.2 s), of the extra `server`
        from graphengine.server.state import ServerSettings
        from graphengine.watch.page import HOST, WatchPage
    except ModuleNotFoundError as error:
        if error.name != "aiohttp":
            raise
        raise SettingsError(
            "--serve needs aiohttp, which is not installed", hint="pip install 'graphengine-comfy[server]'"
        ) from None
    return WatchPage(board, middlewares(ServerSettings(user=Path(), host=HOST, port=port)), port)


def _ending(keys: Keys) -> str:
    return "Ctrl-C ends it" if keys.read is None else KEYS.replace("   ", ", ")


@contextmanager
def _lines(
    board: Board, folders: Folders, words: LastWords, how: How, keys: Keys
) -> Iterator[tuple[WatchLines, Callable[[str], None]]]:
    """Who writes lines, and what writes one more: with a view of the nodes below them on a terminal."""
    write = complain if how.events == "-" else say
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield WatchLines(folders, write=write, after=how.after, describe=words), complain
        return
    from graphengine.cli.watch_pictures import picture_code
    from graphengine.cli.watch_terminal import picture_protocol, picture_room
    from graphengine.cli.watch_view import TerminalView  # with rich (0.1 s), which only a terminal needs

    screen = sys.stderr.fileno()
    protocol = picture_protocol(keys.descriptor, screen, os.environ)

    def encode(path: Path, columns: int, rows: int) -> str | None:
        return picture_code(path, protocol, picture_room(screen, columns, rows)) if protocol is not None else None

    shares = sys.stdout.isatty()
    shown = KEYS if keys.read is not None else ""
    with TerminalView(board, sys.stderr, keys=shown, encode=encode, takes_stdout=shares) as view:

        def after(file: Path, made: Sequence[Path]) -> None:
            if made:
                view.show(made[-1])
            if how.after is not None:
                with view.paused():
                    how.after(file, made)

        written = view.tell if shares or write is complain else write
        yield (
            WatchLines(
                folders, write=written, tell=view.tell, after=after, progress=lambda: silent, describe=words
            ),
            view.tell,
        )


def _telling(
    tell: Callable[[str], None], board: Board, events: WatchEvents | None
) -> Callable[[TestResult], None]:
    """Tells what tests of a pack showed to all who want to know."""

    def told(result: TestResult) -> None:
        for number, line in enumerate(result.lines):
            tell(f"  {line}" if number else line)
        board.note("\n".join(result.lines))
        if events is not None:
            events.tested(result.pack, result.good, result.lines)

    return told
