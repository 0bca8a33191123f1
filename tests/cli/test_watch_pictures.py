"""Pictures for terminals: what was encoded is decoded again and compared."""

import base64
import os
import pty
import re
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from graphengine.cli.watch_pictures import Protocol, iterm_code, kitty_code, picture_code, sixel_code
from graphengine.cli.watch_terminal import asked_protocol, known_protocol, picture_protocol, picture_room


def picture(width: int = 20, height: int = 13) -> Image.Image:
    """Four colours, whose parts in percent are whole numbers, in blocks."""
    made = Image.new("RGB", (width, height), (255, 0, 51))
    made.paste((0, 255, 102), (0, 0, width // 2, height // 2))
    made.paste((0, 0, 255), (width // 2, height // 3, width, height))
    made.paste((255, 255, 255), (1, 1, 3, 9))
    return made


def decoded_sixels(code: str) -> Image.Image:
    """What a terminal draws of sixels, by the rules of the VT340."""
    head = re.match(r'\x1bP0;1;0q"1;1;(\d+);(\d+)', code)
    assert head
    assert code.endswith("\x1b\\")
    drawn = np.zeros((int(head[2]) + 6, int(head[1]), 3), np.uint8)
    colours: dict[int, tuple[int, ...]] = {}
    x = y = colour = 0
    for define, choose, count, letter, move in re.findall(
        r"#(\d+;2;\d+;\d+;\d+)|#(\d+)|(?:!(\d+))?([?-~])|([$-])", code[head.end() : -2]
    ):
        if define:
            number, _, *percents = map(int, define.split(";"))
            colours[number] = tuple(round(each * 255 / 100) for each in percents)
        elif choose:
            colour = int(choose)
        elif letter:
            for _ in range(int(count or 1)):
                for row in range(6):
                    if (ord(letter) - 63) >> row & 1:
                        drawn[y + row, x] = colours[colour]
                x += 1
        else:
            x, y = 0, y + 6 * (move == "-")
    return Image.fromarray(drawn[: int(head[2])])


@given(st.integers(1, 40), st.integers(1, 40))
def test_sixels_draw_the_picture(width: int, height: int) -> None:
    made = picture(width, height)
    assert decoded_sixels(sixel_code(made)).tobytes() == made.tobytes()


def test_sixels_of_many_colours_are_close(tmp_path: Path) -> None:
    x, y = np.meshgrid(np.linspace(0, 255, 60), np.linspace(0, 255, 50))
    made = Image.fromarray(np.stack([x, y, 255 - x], axis=2).astype(np.uint8))
    drawn = np.asarray(decoded_sixels(sixel_code(made)), float)
    assert np.abs(drawn - np.asarray(made, float)).mean() < 12


def png_of(content: bytes) -> Image.Image:
    return Image.open(BytesIO(content)).convert("RGB")


def test_kitty_takes_a_png_in_chunks() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (60, 60, 3), np.uint8)
    made = BytesIO()
    Image.fromarray(noise).save(made, "PNG")
    chunks = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", kitty_code(made.getvalue()))
    assert [head for head, _ in chunks] == ["a=T,f=100,q=2,m=1", "m=1", "m=1", "m=0"]
    assert all(len(text) <= 4096 for _, text in chunks)
    assert base64.b64decode("".join(text for _, text in chunks)) == made.getvalue()


def test_iterm_is_told_the_size_and_given_the_file() -> None:
    found = re.fullmatch(r"\x1b\]1337;File=inline=1;size=3:(.*)\x07", iterm_code(b"png"))
    assert found
    assert base64.b64decode(found[1]) == b"png"


@pytest.mark.parametrize("protocol", [Protocol.KITTY, Protocol.ITERM])
def test_a_picture_is_made_to_fit(tmp_path: Path, protocol: Protocol) -> None:
    file = tmp_path / "a.png"
    picture(400, 100).save(file)
    code = picture_code(file, protocol, (80, 80))
    assert code is not None
    content = re.findall(r"[;:]([A-Za-z0-9+/=]{20,})[\x1b\x07]", code)
    assert png_of(base64.b64decode("".join(content))).size == (80, 20)


def test_what_is_no_picture_has_no_code(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    assert picture_code(tmp_path / "a.png", Protocol.SIXEL, (80, 80)) is None
    assert picture_code(tmp_path / "not there.png", Protocol.SIXEL, (80, 80)) is None
    picture(40, 40).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:60])
    assert picture_code(tmp_path / "cut.png", Protocol.SIXEL, (80, 80)) is None


@pytest.mark.parametrize(
    ("environ", "protocol"),
    [
        ({"TERM": "xterm-kitty"}, Protocol.KITTY),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, Protocol.ITERM),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, Protocol.ITERM),
        ({"TERM": "tmux-256color", "TERM_PROGRAM": "iTerm.app"}, None),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/a"}, None),
        ({}, None),
    ],
)
def test_the_environment_tells_of_some_terminals(environ: dict[str, str], protocol: Protocol | None) -> None:
    assert known_protocol(environ) is protocol


@pytest.mark.parametrize(
    ("answers", "protocol"),
    [
        ([b"\x1b_Gi=31;OK\x1b\\", b"\x1b[?62;c"], Protocol.KITTY),
        ([b"\x1b[?64;1;2;", b"4;9c"], Protocol.SIXEL),
        ([b"\x1b[?1;2c"], None),
        ([b"\x1b[?4c"], None),  # a VT132, no sixels
        ([b"keys"], None),
        ([], None),
    ],
)
def test_a_terminal_is_asked(answers: list[bytes], protocol: Protocol | None) -> None:
    left = iter(answers)
    asked: list[bytes] = []
    assert asked_protocol(asked.append, lambda seconds: next(left, b"")) is protocol
    assert asked[0].endswith(b"\x1b[c")


def test_a_terminal_that_never_stops_to_send_is_not_waited_for() -> None:
    ticks = iter(range(1000))
    assert asked_protocol(len, lambda seconds: b"x", lambda: next(ticks) / 10) is None


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal: that of the user, and that of the program."""
    outside, inside = pty.openpty()
    yield outside, inside
    os.close(outside)
    os.close(inside)


def test_a_real_terminal_answers(terminal: tuple[int, int]) -> None:
    outside, inside = terminal
    import tty

    tty.setraw(inside)

    def answer() -> None:
        os.read(outside, 1024)
        os.write(outside, b"\x1b[?62;4c")

    there = threading.Thread(target=answer)
    there.start()
    assert picture_protocol(inside, inside, {"TERM": "xterm"}) is Protocol.SIXEL
    there.join()


def test_the_room_for_a_picture_is_told_in_pixels(terminal: tuple[int, int]) -> None:
    import fcntl
    import struct
    import termios

    assert picture_room(terminal[1], 10, 4) == (80, 64)
    fcntl.ioctl(terminal[1], termios.TIOCSWINSZ, struct.pack("HHHH", 50, 100, 1000, 1000))
    assert picture_room(terminal[1], 10, 4) == (100, 80)
