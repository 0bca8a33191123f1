"""A prompt in the queue, and what is kept of it in the history. Both hold their JSON ready to be sent."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphengine.server.frames import to_json

#: What clients pass for nodes that call paid services; never written, logged or shown.
SECRETS = ("auth_token_comfy_org", "api_key_comfy_org")


@dataclass(frozen=True, slots=True)
class QueueItem:
    """One prompt. `number` orders the queue (lower is sooner), `arrival` those of one number.

    `text` is the item as the protocol shows it, a JSON array `[number, id, prompt, extra_data, [output ids]]`;
    `created` is in milliseconds since 1970, `workflow_id` the id that the editor gave its document. `secrets` live
    only in memory: a prompt that a restart brings back has none.
    """

    prompt_id: str
    number: float
    arrival: int
    created: int
    workflow_id: str | None
    text: str
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def place(self) -> tuple[float, int]:
        """Where in the queue it stands."""
        return self.number, self.arrival

    def parts(self) -> "ItemParts":
        """The document and what goes with it, read from the text."""
        _, _, document, extra_data, outputs = json.loads(self.text)
        return ItemParts(document, extra_data, tuple(outputs))


# Any: JSON of a client.
@dataclass(frozen=True, slots=True)
class ItemParts:
    """The API document with converted literals, the client's extra data, and the output nodes to run."""

    document: dict[str, Any]
    extra_data: dict[str, Any]
    outputs: tuple[str, ...]

    @property
    def client_id(self) -> str | None:
        """Who gets the messages."""
        client = self.extra_data.get("client_id")
        return client if isinstance(client, str) else None

    @property
    def extra_pnginfo(self) -> dict[str, Any] | None:
        """What saved pictures carry beside the prompt."""
        info = self.extra_data.get("extra_pnginfo")
        return info if isinstance(info, dict) else None

    @property
    def editor_document(self) -> dict[str, Any] | None:
        """The editor's document behind the prompt."""
        document = (self.extra_pnginfo or {}).get("workflow")
        return document if isinstance(document, dict) else None

    @property
    def workflow_id(self) -> str | None:
        """The id that the editor gave its document."""
        name = (self.editor_document or {}).get("id")
        return name if isinstance(name, str) else None


def make_item(
    prompt_id: str, number: float, arrival: int, created: int, parts: ItemParts, secrets: Mapping[str, str]
) -> QueueItem:
    """The item of a checked prompt."""
    text = to_json([number, prompt_id, parts.document, parts.extra_data, list(parts.outputs)])
    return QueueItem(prompt_id, number, arrival, created, parts.workflow_id, text, secrets)


@dataclass(frozen=True, slots=True)
class FinishedPrompt:
    """A prompt that has ended, for the history. Times are in milliseconds since 1970.

    `status` is "completed", "failed" or "cancelled"; `entry` its history entry as JSON, `job` what /api/jobs says.
    """

    prompt_id: str
    status: str
    number: float
    workflow_id: str | None
    created: int
    started: int
    ended: int
    entry: str
    job: str


def history_entry(
    item: QueueItem,
    shown: Mapping[str, Any],
    meta: Mapping[str, Any],
    messages: Sequence[tuple[str, Any]],
    *,
    success: bool,
) -> str:
    """The entry of `/history`, as JSON."""
    rest = {
        "outputs": shown,
        "meta": meta,
        "status": {
            "status_str": "success" if success else "error",
            "completed": success,
            "messages": [list(message) for message in messages],
        },
    }
    return f'{{"prompt":{item.text},{to_json(rest)[1:]}'
