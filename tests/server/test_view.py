"""`/view` gives files of three folders, as they are or encoded anew, and nothing a browser would run."""

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from graphengine.server import pictures
from tests.server.asking import Answer, Server


def picture(
    path: Path,
    mode: str = "RGBA",
    size: tuple[int, int] = (4, 3),
) -> bytes:
    """Write a picture of one colour; gives its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGBA", size, (200, 100, 50, 128)).convert(mode).save(path)
    return path.read_bytes()


def decoded(answer: Answer) -> Image.Image:
    assert answer.status == 200, answer.body
    return Image.open(BytesIO(answer.body))


def test_a_file_of_the_output_folder_is_given_as_it_is(server: Server, tmp_path: Path) -> None:
    data = picture(tmp_path / "output" / "sub" / "a.png")
    answer = server.get("/view", params={"filename": "a.png", "subfolder": "sub"})
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, data, "image/png")
    assert answer.headers["Content-Disposition"] == 'inline; filename="a.png"'
    assert server.get("/api/view", params={"filename": "sub/a.png"}).body == data


def test_type_and_annotation_choose_the_folder(server: Server, tmp_path: Path) -> None:
    for kind in ("input", "output", "temp"):
        (tmp_path / kind / "a.txt").write_text(kind)
    assert server.get("/view?filename=a.txt").body == b"output"
    assert server.get("/view?filename=a.txt&type=temp").body == b"temp"
    assert server.get("/view", params={"filename": "a.txt [input]", "type": "temp"}).body == b"input"


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"filename": "../a.txt"}, 400),
        ({"filename": "/etc/passwd"}, 400),
        ({"filename": "a\nb.txt"}, 400),
        ({"filename": "a.txt", "type": "secrets"}, 400),
        ({"filename": "a.txt", "subfolder": "../input"}, 403),
        ({"filename": "a.txt", "subfolder": "/etc"}, 403),
        ({"filename": "out/passwd"}, 403),
        ({"filename": "nothing.txt"}, 404),
        ({"filename": ""}, 404),
        ({"subfolder": "sub"}, 404),
        ({"filename": "sub"}, 404),
    ],
)
def test_what_is_no_file_of_the_folder_is_refused(
    params: dict[str, str], status: int, server: Server, tmp_path: Path
) -> None:
    (tmp_path / "output" / "sub").mkdir()
    (tmp_path / "output" / "out").symlink_to("/etc")
    answer = server.get("/view", params=params)
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/json; charset=utf-8")


@pytest.mark.parametrize("ending", ["html", "svg", "js", "css", "xml", "xhtml", "pdf", "HTM", "unknown", "mjs"])
def test_what_a_browser_could_run_is_a_download(ending: str, server: Server, tmp_path: Path) -> None:
    (tmp_path / "output" / f"a.{ending}").write_text("<script>alert(1)</script>")
    headers = server.get(f"/view?filename=a.{ending}").headers
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"] == f'attachment; filename="a.{ending}"'
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].startswith("sandbox")


def test_part_of_a_video_is_given_on_request(server: Server, tmp_path: Path) -> None:
    (tmp_path / "output" / "a.mp4").write_bytes(bytes(range(100)))
    answer = server.get("/view?filename=a.mp4", headers={"Range": "bytes=10-19"})
    assert (answer.status, answer.body) == (206, bytes(range(10, 20)))
    assert answer.headers["Content-Range"] == "bytes 10-19/100"
    assert server.get("/view?filename=a.mp4", headers={"Range": "bytes=200-"}).status == 416


def test_head_tells_the_size_without_the_file(server: Server, tmp_path: Path) -> None:
    (tmp_path / "output" / "a.mp4").write_bytes(bytes(100))
    answer = server.ask("HEAD", "/view?filename=a.mp4")
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"", "100")


def test_a_name_beyond_ascii_is_told_in_both_forms(server: Server, tmp_path: Path) -> None:
    (tmp_path / "output" / 'ä"b.png').write_bytes(b"")
    answer = server.get("/view", params={"filename": 'ä"b.png'})
    assert answer.headers["Content-Disposition"] == "inline; filename=\"__b.png\"; filename*=UTF-8''%C3%A4%22b.png"


@pytest.mark.parametrize(
    ("preview", "channel", "kind", "mode"),
    [
        ("webp;90", "", "WEBP", "RGBA"),
        ("webp;90", "rgb", "WEBP", "RGB"),
        ("jpeg;50", "rgb", "JPEG", "RGB"),
        ("jpeg", "", "JPEG", "RGB"),
        ("jpeg;50", "rgba", "WEBP", "RGBA"),
        ("tiff;x", "", "WEBP", "RGBA"),
        ("webp;1e9", "", "WEBP", "RGBA"),
    ],
)
def test_a_preview_has_the_format_that_can_hold_it(
    preview: str, channel: str, kind: str, mode: str, server: Server, tmp_path: Path
) -> None:
    picture(tmp_path / "output" / "a.png")
    params = {"filename": "a.png", "preview": preview, **({"channel": channel} if channel else {})}
    image = decoded(server.get("/view", params=params))
    assert (image.format, image.mode, image.size) == (kind, mode, (4, 3))


def test_a_channel_is_a_png_of_that_channel(server: Server, tmp_path: Path) -> None:
    data = picture(tmp_path / "output" / "a.png")
    colours = decoded(server.get("/view?filename=a.png&channel=rgb"))
    assert (colours.mode, colours.getpixel((0, 0))) == ("RGB", (200, 100, 50))
    alone = decoded(server.get("/view?filename=a.png&channel=a"))
    assert (alone.mode, alone.getpixel((0, 0))) == ("RGBA", (0, 0, 0, 128))
    assert server.get("/view?filename=a.png&channel=rgba").body == data


def test_a_picture_without_transparency_is_opaque(server: Server, tmp_path: Path) -> None:
    picture(tmp_path / "output" / "a.jpg", "RGB")
    assert decoded(server.get("/view?filename=a.jpg&channel=a")).getpixel((0, 0)) == (0, 0, 0, 255)


def test_a_file_that_is_no_picture_has_no_preview(server: Server, tmp_path: Path) -> None:
    (tmp_path / "output" / "a.png").write_bytes(b"no picture")
    data = picture(tmp_path / "output" / "b.png", size=(64, 64))
    (tmp_path / "output" / "b.png").write_bytes(data[:60])
    for name in ("a.png", "b.png"):
        assert server.get(f"/view?filename={name}&preview=webp").status == 400


def test_a_huge_picture_is_not_decoded(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_PIXELS", 11)
    data = picture(tmp_path / "output" / "a.png")
    refused = server.get("/view?filename=a.png&preview=webp")
    assert (refused.status, "4 x 3 pixels" in refused.message) == (400, True)
    assert server.get("/view?filename=a.png").body == data


def test_a_picture_of_sixteen_bits_keeps_its_shades(server: Server, tmp_path: Path) -> None:
    Image.frombytes("I;16", (2, 1), (128 * 256).to_bytes(2, "little") + (255 * 256).to_bytes(2, "little")).save(
        tmp_path / "output" / "a.png"
    )
    colours = decoded(server.get("/view?filename=a.png&channel=rgb"))
    assert [colours.getpixel((x, 0)) for x in (0, 1)] == [(128, 128, 128), (255, 255, 255)]
    assert decoded(server.get("/view?filename=a.png&preview=webp")).size == (2, 1)
