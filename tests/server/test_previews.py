"""Previews: encoded in the form that was asked for, and no more of them than can be looked at."""

import asyncio
import io
import json
import logging
from typing import cast

import pytest
from aiohttp import web
from PIL import Image

from graphengine.execution.events import NodePreview
from graphengine.node.api import Preview
from graphengine.server import previews
from graphengine.server.hub import SocketHub
from graphengine.server.messages import PromptRun
from graphengine.server.previews import Previews, encode
from graphengine.workflow.models import NodeId
from tests.server.test_hub import Aborted, Socket, sent


def picture(preview: Preview) -> Image.Image:
    data = encode(preview)
    assert data is not None
    return Image.open(io.BytesIO(data))


def test_a_picture_is_made_smaller_and_keeps_its_shape() -> None:
    made = picture(Preview(Image.new("RGB", (200, 100)), "png", 50))
    assert (made.format, made.size) == ("PNG", (50, 25))


@pytest.mark.parametrize("mode", ["RGBA", "L", "P", "1"])
def test_a_picture_of_any_kind_becomes_a_jpeg(mode: str) -> None:
    made = picture(Preview(Image.new(mode, (8, 8)), "jpeg"))
    assert (made.format, made.mode) == ("JPEG", "RGB")


def test_the_picture_of_the_node_stays_as_it_is() -> None:
    own = Image.new("RGB", (200, 100))
    encode(Preview(own, "png", 50))
    assert own.size == (200, 100)


def test_what_is_no_picture_is_logged_and_not_sent(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert encode(Preview("no picture")) is None
    assert "a preview cannot be shown" in caplog.text


def preview(node: str, colour: str) -> NodePreview:
    return NodePreview(NodeId(node), Preview(Image.new("RGB", (1, 1), colour), "png"))


def test_a_picture_may_be_made_only_when_it_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    assert encode(Preview(lambda: Image.new("RGB", (2, 2)))) is not None

    def broken() -> Image.Image:
        raise RuntimeError("no memory")

    with caplog.at_level(logging.WARNING):
        assert encode(Preview(broken)) is None
    assert "a preview cannot be shown: no memory" in caplog.text


def test_of_pictures_that_come_at_once_the_first_and_the_newest_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previews, "PAUSE", 0)

    async def run() -> list[str]:
        hub = SocketHub()
        client = hub.add("me", cast(web.WebSocketResponse, Socket()), Aborted())
        client.wants_metadata = True
        shown = Previews(hub)
        prompt = PromptRun("p1", {})
        frames: list[str | bytes] = []
        shown.show(prompt, preview("1", "red"), "me")
        while not client.waiting:
            await asyncio.sleep(0)
        frames += await sent(client)
        for node in "2345":
            shown.show(prompt, preview(node, "blue"), "me")
        while not client.waiting:
            await asyncio.sleep(0)
        frames = await sent(client)
        return [
            json.loads(frame[8 : 8 + frame[7] + 256 * frame[6]])["node_id"]
            for frame in frames
            if isinstance(frame, bytes)
        ]

    assert asyncio.run(run()) == ["1", "5"]


def test_nothing_is_encoded_for_a_client_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previews, "encode", lambda _: 1 / 0)

    async def run() -> None:
        Previews(SocketHub()).show(PromptRun("p1", {}), preview("1", "red"), "me")
        await asyncio.sleep(0)

    asyncio.run(run())
