"""Pictures of a node's work so far: encoded off the event loop, at most ten a second, the newest only."""

import asyncio
import io
import logging
from typing import TYPE_CHECKING

from graphengine.errors import GraphEngineError
from graphengine.execution.events import NodePreview
from graphengine.node.api import Preview
from graphengine.server.frames import Picture
from graphengine.server.hub import SocketHub
from graphengine.server.messages import PromptRun

if TYPE_CHECKING:
    from PIL.Image import Image

logger = logging.getLogger(__name__)

#: Seconds between two pictures.
PAUSE = 0.1
_QUALITY = 85


class Previews:
    """Sends previews. Of those that come while one is encoded or was just sent, only the newest is taken."""

    def __init__(self, hub: SocketHub) -> None:
        self._hub = hub
        self._newest: tuple[NodePreview, dict[str, object], str | None] | None = None
        self._task: asyncio.Task[None] | None = None

    def show(self, run: PromptRun, event: NodePreview, client_id: str | None) -> None:
        """Send the picture soon to the client, or to everybody (None); nothing happens when nobody is there."""
        if not self._hub.wants(client_id):
            return
        seen = run.nodes.get(event.node_id, {})
        metadata: dict[str, object] = {
            "node_id": event.node_id,
            "prompt_id": run.prompt_id,
            "display_node_id": seen.get("display_node_id", event.node_id),
            "parent_node_id": seen.get("parent_node_id"),
            "real_node_id": seen.get("real_node_id", event.node_id),
        }
        self._newest = event, metadata, client_id
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._send_newest())

    def forget(self) -> None:
        """Send nothing more: the prompt has ended."""
        self._newest = None

    async def _send_newest(self) -> None:
        while self._newest is not None:
            (event, metadata, client_id), self._newest = self._newest, None
            image = await asyncio.to_thread(encode, event.preview)
            if image is not None:
                self._hub.send(Picture(image, event.preview.format, metadata), client_id)
            await asyncio.sleep(PAUSE)


def encode(preview: Preview) -> bytes | None:
    """The picture as JPEG or PNG, None when it is no picture that can be encoded."""
    file = io.BytesIO()
    try:
        # PIL is imported only where pictures are made.
        image: Image = preview.image() if callable(preview.image) else preview.image  # type: ignore[assignment]
        if preview.max_size is not None:
            image = image.copy()
            image.thumbnail((preview.max_size, preview.max_size))
        if preview.format == "jpeg":
            image.convert("RGB").save(file, "JPEG", quality=_QUALITY)
        else:
            image.save(file, "PNG", compress_level=1)
    except (OSError, ValueError, AttributeError, TypeError, RuntimeError, GraphEngineError) as error:
        logger.warning("a preview cannot be shown: %s", error)
        return None
    return file.getvalue()
