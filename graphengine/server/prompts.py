"""`/prompt`: take a prompt, check it, queue it, or say what is wrong in the words that clients know."""

import logging
import re
import sqlite3
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from graphengine.engine import Engine
from graphengine.errors import GraphEngineError
from graphengine.graph.validate import lost_targets, output_nodes, runnable_targets
from graphengine.server.endpoint import OBJECT, TEXT, Content, Endpoint, list_of, object_of, routes
from graphengine.server.endpoint import json as json_body
from graphengine.server.hub import LONGEST_ID, is_client_id
from graphengine.server.prompt_document import ReadPrompt, RequestRefused, read_prompt
from graphengine.server.queue import QueueRefused
from graphengine.server.queue_items import SECRETS, ItemParts, QueueItem, make_item
from graphengine.server.state import CHECKS, ENGINE, QUEUE
from graphengine.server.wire_errors import WireErrors, error_answer
from graphengine.workflow.json_input import MAX_BYTES, parse_json
from graphengine.workflow.models import NodeId

logger = logging.getLogger(__name__)

_MOST = 2**53  # greatest number that JSON and SQLite keep exactly
_PROMPT_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)


# Any: JSON of a client; what is read is checked as it is read.
@dataclass(frozen=True, slots=True)
class PromptRequest:
    """What a client asks for. `number` is None when the server is to choose; `targets` None means all outputs."""

    prompt: Any
    prompt_id: str
    number: float | None
    front: bool
    targets: tuple[str, ...] | None
    extra_data: dict[str, Any]
    secrets: dict[str, str]


async def get_prompt(request: web.Request) -> web.Response:
    """How many prompts run or wait."""
    return web.json_response({"exec_info": {"queue_remaining": request.app[QUEUE].remaining}})


async def post_prompt(request: web.Request) -> web.Response:
    """Check a prompt and queue it.

    When some of its outputs are sound, these run, and `node_errors` says what is wrong with the others.
    """
    queue, engine = request.app[QUEUE], request.app[ENGINE]
    arrival = queue.next_number()
    try:
        queue.refuse_if_full()
        data = await _body(request)
        item, node_errors = await request.app[CHECKS].call(lambda: prepare(engine, data, arrival))
        await queue.put(item)
    except RequestRefused as refused:
        return web.json_response(error_answer(refused.type, refused.message, refused.details), status=400)
    except PromptInvalid as invalid:
        return web.json_response(invalid.answer, status=400)
    except QueueRefused as full:
        status = 429 if full.type == "queue_full" else 400
        return web.json_response(error_answer(full.type, full.message, full.hint or ""), status=status)
    except sqlite3.Error as error:
        logger.exception("a prompt could not be written down")
        return web.json_response(error_answer("not_written", "The prompt cannot be kept", str(error)), status=507)
    return web.json_response({"prompt_id": item.prompt_id, "number": item.number, "node_errors": node_errors})


class PromptInvalid(Exception):
    """No output of the prompt can run; `answer` is the body that says why."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(answer["error"]["message"])
        self.answer = answer


async def _body(request: web.Request) -> bytes:
    data = bytearray()
    async for chunk in request.content.iter_any():
        data += chunk
        if len(data) > MAX_BYTES:
            raise web.HTTPRequestEntityTooLarge(MAX_BYTES, len(data))
    return bytes(data)


def prepare(engine: Engine, data: bytes, arrival: int) -> tuple[QueueItem, dict[str, Any]]:
    """The item to queue for the request in a body, and what is wrong with the outputs that are left out.

    Raises:
        RequestRefused: the request is not in the protocol's form.
        PromptInvalid: no output can run.
    """
    asked, parts, node_errors = check(engine, data)
    number = arrival if asked.number is None else asked.number
    number = -number if asked.front else number
    created = time.time_ns() // 1_000_000
    return make_item(asked.prompt_id, number, arrival, created, parts, asked.secrets), node_errors


def check(engine: Engine, data: bytes) -> tuple[PromptRequest, ItemParts, dict[str, Any]]:
    """The request in a body, the item that it makes, and what is wrong with the outputs that are left out.

    Raises:
        RequestRefused: the request is not in the protocol's form.
        PromptInvalid: no output can run.
    """
    asked = read_request(data)
    read = read_prompt(asked.prompt, engine.registry)
    targets = output_nodes(read.workflow, engine.registry)
    if asked.targets is not None:
        targets = [node_id for node_id in targets if node_id in asked.targets]
    if not targets:
        raise RequestRefused("prompt_no_outputs", "Prompt has no outputs")
    outputs, node_errors = _checked(engine, asked, read, targets)
    return asked, ItemParts(read.document, asked.extra_data, outputs), node_errors


def _checked(
    engine: Engine, asked: PromptRequest, read: ReadPrompt, targets: list[NodeId]
) -> tuple[tuple[NodeId, ...], dict[str, Any]]:
    """The outputs that can run, and the errors of the others."""
    written_badly = {problem.node_id for problem in read.problems}
    found = engine.check(read.workflow, targets)
    problems = [*read.problems, *(problem for problem in found if problem.node_id not in written_badly)]
    outputs = runnable_targets(read.workflow, targets, problems)
    if outputs and len(outputs) < len(targets):  # nodes were not asked about their inputs, since others are wrong
        problems += engine.check(read.workflow, outputs)
        outputs = runnable_targets(read.workflow, targets, problems)
    lost = lost_targets(read.workflow, targets, problems)
    errors = WireErrors(asked.prompt, read.workflow, engine.registry, engine.folders, frozenset(targets))
    node_errors = errors.node_errors(problems, lost, with_cycles=bool(outputs))
    if not outputs:
        details = errors.details(problems, node_errors)
        message = "Prompt outputs failed validation"
        raise PromptInvalid(error_answer("prompt_outputs_failed_validation", message, details, node_errors))
    return outputs, node_errors


def read_request(data: bytes) -> PromptRequest:
    """The request in a body, whatever Content-Type it was sent with.

    Raises:
        RequestRefused: the body is no JSON object, or one of its members has the wrong form.
    """
    try:
        body = parse_json(data).value
    except GraphEngineError as error:
        raise RequestRefused("invalid_json", "The request is no JSON that can be read", error.message) from error
    if not isinstance(body, dict):
        raise RequestRefused("invalid_json", "The request must be a JSON object", f"it is {type(body).__name__}")
    if "prompt" not in body:
        raise RequestRefused("no_prompt", "No prompt provided", "No prompt provided")
    extra_data, secrets = _extra_data(body)
    prompt_id = body.get("prompt_id")
    return PromptRequest(
        prompt=body["prompt"],
        prompt_id=uuid.uuid4().hex if prompt_id in (None, "") else _prompt_id(prompt_id),
        number=_number(body.get("number")),
        front=bool(body.get("front")),
        targets=_targets(body.get("partial_execution_targets")),
        extra_data=extra_data,
        secrets=secrets,
    )


def _extra_data(body: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The client's extra data with its id, and apart from it what must not be kept."""
    extra = body.get("extra_data")
    if extra is not None and not isinstance(extra, dict):
        raise _wrong("extra_data", "an object", extra)
    kept = dict(extra or {})
    secrets = {name: str(kept.pop(name)) for name in SECRETS if name in kept}
    client_id = body.get("client_id", kept.get("client_id"))
    if client_id not in (None, ""):
        kept["client_id"] = _client_id(client_id)
    return kept, secrets


def _client_id(value: Any) -> str:
    if not isinstance(value, str) or not is_client_id(value):
        raise _wrong("client_id", f"a text of 1 to {LONGEST_ID} printable characters", value)
    return value


def _prompt_id(value: Any) -> str:
    if not isinstance(value, str) or not _PROMPT_ID.fullmatch(value):
        raise _wrong("prompt_id", "a text of 1 to 128 letters, digits and . : _ -", value)
    return value


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_MOST <= value <= _MOST:
        raise _wrong("number", "a number between -2**53 and 2**53", value)
    return value


def _targets(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(each, str | int) for each in value):
        raise _wrong("partial_execution_targets", "a list of node ids", value)
    return tuple(str(each) for each in value)


def _wrong(member: str, wanted: str, value: object) -> RequestRefused:
    shown = repr(value)
    shown = shown if len(shown) <= 80 else f"{shown[:77]}…"
    return RequestRefused("invalid_request", f"{member} must be {wanted}", f"it is {shown}")


_REQUEST = object_of(
    {"prompt": OBJECT},
    {
        "client_id": TEXT,
        "prompt_id": TEXT,
        "number": {"type": "number"},
        "front": {"type": "boolean"},
        "extra_data": OBJECT,
        "partial_execution_targets": list_of(TEXT),
    },
)
_REFUSED = json_body(object_of({"error": OBJECT, "node_errors": OBJECT}))

ENDPOINTS = (
    Endpoint("GET", "/prompt", get_prompt, {200: json_body(object_of({"exec_info": OBJECT}))}),
    Endpoint(
        "POST",
        "/prompt",
        post_prompt,
        {
            200: json_body(object_of({"prompt_id": TEXT, "number": {"type": "number"}, "node_errors": OBJECT})),
            400: _REFUSED,
            429: _REFUSED,
        },
        body=Content(_REQUEST),
    ),
)
ROUTES = routes(ENDPOINTS)
