"""Uploads arrive whole, under a harmless name, within limits, or not at all."""

import asyncio
from io import BytesIO
from pathlib import Path

import pytest
from aiohttp import FormData
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from graphengine.engine import Engine
from tests.server.asking import Answer, Server, running


def form(data: bytes = b"content", filename: str = "a.png", **fields: str) -> FormData:
    form = FormData(quote_fields=False)
    for name, value in fields.items():
        form.add_field(name, value)
    form.add_field("image", data, filename=filename, content_type="image/png")
    return form


def upload(server: Server, data: bytes = b"content", /, filename: str = "a.png", **fields: str) -> Answer:
    return server.post("/upload/image", data=form(data, filename, **fields))


def below(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_picture_goes_into_the_input_folder(server: Server, tmp_path: Path) -> None:
    answer = upload(server)
    assert (answer.status, answer.json) == (200, {"name": "a.png", "subfolder": "", "type": "input"})
    assert below(tmp_path / "input") == {"a.png": b"content"}


def test_type_and_subfolder_say_where_else(server: Server, tmp_path: Path) -> None:
    answer = upload(server, type="temp", subfolder="x/y/")
    assert answer.json == {"name": "a.png", "subfolder": "x/y", "type": "temp"}
    assert below(tmp_path / "temp") == {"x/y/a.png": b"content"}


def test_the_same_content_is_used_again_and_other_content_gets_a_number(server: Server, tmp_path: Path) -> None:
    names = [upload(server, data).json["name"] for data in (b"one", b"one", b"two", b"six", b"two")]
    assert names == ["a.png", "a.png", "a (1).png", "a (2).png", "a (1).png"]
    assert below(tmp_path / "input") == {"a.png": b"one", "a (1).png": b"two", "a (2).png": b"six"}


@pytest.mark.parametrize("flag", ["true", "1", "True"])
def test_overwrite_replaces(flag: str, server: Server, tmp_path: Path) -> None:
    upload(server, b"old")
    assert upload(server, b"new", overwrite=flag).json["name"] == "a.png"
    assert below(tmp_path / "input") == {"a.png": b"new"}


def test_awkward_characters_of_a_name_are_replaced(server: Server, tmp_path: Path) -> None:
    assert upload(server, filename=".hidden: a?.png").json["name"] == "_hidden_ a_.png"


@pytest.mark.parametrize(
    ("filename", "fields"),
    [
        ("../a.png", {}),
        ("..", {}),
        ("/tmp/a.png", {}),
        ("sub/a.png", {}),
        ("C:\\a.png", {}),
        ("\\\\server\\share\\a.png", {}),
        ("nul.png", {}),
        ("a" * 300 + ".png", {}),
        ("a.png", {"subfolder": "../x"}),
        ("a.png", {"subfolder": "/x"}),
        ("a.png", {"subfolder": "link"}),
        ("a.png", {"subfolder": "x\ny"}),
        ("a.png", {"subfolder": "x\0y"}),
        ("a.png", {"type": "models"}),
        ("a.png", {"type": "input/../.."}),
        ("a.png", {"subfolder": "x" * 5000}),
    ],
)
def test_a_name_that_leads_elsewhere_is_refused_and_nothing_is_written(
    filename: str, fields: dict[str, str], server: Server, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "input" / "link").symlink_to(tmp_path / "elsewhere")
    before = below(tmp_path)
    assert upload(server, b"content", filename, **fields).status == 400
    assert below(tmp_path) == before


def test_a_file_in_place_of_a_folder_is_left_alone(server: Server, tmp_path: Path) -> None:
    upload(server, b"one", "x")
    assert upload(server, b"two", subfolder="x").status == 400
    (tmp_path / "input" / "folder.png").mkdir()
    assert upload(server, b"two", "folder.png", overwrite="true").status == 400
    assert below(tmp_path / "input") == {"x": b"one"}


BROKEN = {
    "no form": {"data": b"{}", "headers": {"Content-Type": "application/json"}},
    "no boundary": {"data": b"--x", "headers": {"Content-Type": "multipart/form-data"}},
    "empty": {"data": b"", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
    "other boundary": {
        "data": b"--y\r\n\r\n--y--",
        "headers": {"Content-Type": "multipart/form-data; boundary=x"},
    },
    "cut off": {
        "data": b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\nabc',
        "headers": {"Content-Type": "multipart/form-data; boundary=x"},
    },
    "broken header": {
        "data": b"--x\r\nno header\r\n\r\nabc\r\n--x--\r\n",
        "headers": {"Content-Type": "multipart/form-data; boundary=x"},
    },
    "nested": {
        "data": b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n\r\na\r\n--y--\r\n--x--\r\n",
        "headers": {"Content-Type": "multipart/form-data; boundary=x"},
    },
    "long boundary": {"data": b"", "headers": {"Content-Type": "multipart/form-data; boundary=" + "x" * 100}},
    "text that is no UTF-8": {
        "data": b'--x\r\nContent-Disposition: form-data; name="type"\r\n\r\n\xff\r\n--x--\r\n',
        "headers": {"Content-Type": "multipart/form-data; boundary=x"},
    },
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_form_is_refused_and_nothing_is_written(case: str, server: Server, tmp_path: Path) -> None:
    answer = server.post("/upload/image", **BROKEN[case])
    assert (answer.status, below(tmp_path / "input")) == (400, {}), answer.body


def test_a_form_without_a_file_or_with_two_is_refused(server: Server, tmp_path: Path) -> None:
    two = form()
    two.add_field("image", b"x", filename="b.png")
    many = FormData({f"field{number}": "x" for number in range(20)})
    for data in (FormData({"image": "text"}), FormData({"other": "x"}), two, many):
        assert server.post("/upload/image", data=data).status == 400
    assert below(tmp_path / "input") == {}


def test_a_body_over_the_limit_is_refused_and_nothing_is_written(engine: Engine, tmp_path: Path) -> None:
    with running(engine, tmp_path, max_upload_bytes=100_000) as server:
        assert upload(server, bytes(99_000)).status == 200
        assert upload(server, bytes(200_000), "b.png").status == 413
    assert set(below(tmp_path / "input")) == {"a.png"}


def png(size: tuple[int, int], colour: tuple[int, int, int, int], **texts: str) -> bytes:
    info, data = PngInfo(), BytesIO()
    for name, text in texts.items():
        info.add_text(name, text)
    Image.new("RGBA", size, colour).save(data, "PNG", pnginfo=info)
    return data.getvalue()


def mask(server: Server, reference: str, size: tuple[int, int] = (4, 4)) -> Answer:
    data = png(size, (0, 0, 0, 77))
    return server.post("/upload/mask", data=form(data, "masked.webp", original_ref=reference))


def test_the_mask_becomes_the_transparency_of_a_copy(server: Server, tmp_path: Path) -> None:
    upload(server, png((4, 4), (9, 8, 7, 255), prompt='{"1": {}}'), "original.png")
    answer = mask(server, '{"filename": "original.png", "type": "input", "subfolder": ""}')
    assert answer.json == {"name": "masked.png", "subfolder": "", "type": "input"}
    with Image.open(tmp_path / "input" / "masked.png") as image:
        assert image.getpixel((0, 0)) == (9, 8, 7, 77)
        assert image.info["prompt"] == '{"1": {}}'
    with Image.open(tmp_path / "input" / "original.png") as image:
        assert image.getpixel((0, 0)) == (9, 8, 7, 255)


@pytest.mark.parametrize(
    ("reference", "status"),
    [
        ("", 400),
        ("[]", 400),
        ('{"type": "input"}', 400),
        ('{"filename": 1}', 400),
        ('{"filename": "original.png", "type": 1}', 400),
        ('{"filename": "../original.png", "type": "input"}', 400),
        ('{"filename": "original.png", "type": "input", "subfolder": ".."}', 403),
        ('{"filename": "none.png", "type": "input"}', 404),
    ],
)
def test_a_mask_needs_a_picture_that_is_there(reference: str, status: int, server: Server, tmp_path: Path) -> None:
    upload(server, png((4, 4), (9, 8, 7, 255)), "original.png")
    assert mask(server, reference).status == status
    assert set(below(tmp_path / "input")) == {"original.png"}


def test_a_mask_of_another_size_or_that_is_no_picture_is_refused(server: Server, tmp_path: Path) -> None:
    upload(server, png((4, 4), (9, 8, 7, 255)), "original.png")
    reference = '{"filename": "original.png", "type": "input"}'
    assert "4 x 5" in mask(server, reference, (4, 5)).message
    assert server.post("/upload/mask", data=form(b"x", original_ref=reference)).status == 400
    assert set(below(tmp_path / "input")) == {"original.png"}


PIECES = st.sampled_from(
    [b"--x", b"--", b"\r\n", b"\n", b'Content-Disposition: form-data; name="image"; filename="a.png"', b":",
     b'Content-Disposition: form-data; name="type"', b"Content-Type: multipart/mixed; boundary=y", b"--y",
     b"input", b"Content-Length: 5", b"Content-Transfer-Encoding: base64", b"Content-Encoding: gzip", b"\0",
     b"\xff", b"abc"]
)  # fmt: skip


def test_whatever_the_form_the_server_does_not_fail(server: Server, tmp_path: Path) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}

    @given(st.lists(PIECES, max_size=14).map(b"".join))
    @settings(max_examples=150, deadline=None, derandomize=True, database=None)
    def send(body: bytes) -> None:
        assert server.post("/upload/image", data=body, headers=headers).status in (200, 400)
        assert set(below(tmp_path / "input")) <= {"a.png", *(f"a ({number}).png" for number in range(1, 150))}

    send()


def test_uploads_of_one_name_at_the_same_time_are_all_kept(server: Server, tmp_path: Path) -> None:
    async def send_all() -> set[str]:
        contents = [b"%d" % (number % 10) for number in range(30)]
        answers = await asyncio.gather(
            *(server.client.post("/upload/image", data=form(each)) for each in contents)
        )
        return {(await answer.json())["name"] for answer in answers}

    names = server.runner.run(send_all())
    kept = below(tmp_path / "input")
    assert names <= set(kept)
    assert {kept[name] for name in names} == {b"%d" % number for number in range(10)}


def test_a_client_that_leaves_in_the_middle_leaves_nothing(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def leave(address: str) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", server.client.port)
        head = "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\nContent-Type: {}\r\n\r\n"
        writer.write(head.format(address, "multipart/form-data; boundary=x").encode())
        writer.write(b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\nabc')
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    for address in ("/upload/image", "/userdata/a.png", "/settings/a"):
        server.runner.run(leave(address))
        assert server.get("/features").status == 200
    assert below(tmp_path) == {}
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
