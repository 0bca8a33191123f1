"""The cancel buttons of the editor take prompts out of the queue, or stop them."""

import asyncio
from pathlib import Path

import pytest

from tests.server.serving import Json, adding, engine_in, queue_prompt, serving, until_idle

ENDLESS: Json = {
    "1": {"class_type": "Endless", "inputs": {"start": 1}},
    "2": {"class_type": "Out", "inputs": {"value": ["1", 0]}},
}


@pytest.mark.parametrize(
    ("path", "body", "cancelled", "left"),
    [
        ("/api/jobs/cancel", {"job_ids": ["b", "unknown"]}, ["b"], ["a", "c"]),
        ("/api/jobs/cancel", {"job_ids": []}, [], ["a", "b", "c"]),
        ("/api/jobs/cancel", {}, [], ["a", "b", "c"]),
        ("/api/jobs/c/cancel", None, ["c"], ["a", "b"]),
        ("/api/jobs/unknown/cancel", None, [], ["a", "b", "c"]),
    ],
)
def test_waiting_prompts_are_taken_out(
    path: str, body: Json | None, cancelled: list[str], left: list[str], tmp_path: Path
) -> None:
    async def run() -> None:
        async with serving(engine_in(tmp_path), tmp_path) as client:
            await queue_prompt(client, ENDLESS, prompt_id="endless")
            for name in "abc":
                await queue_prompt(client, adding(1, 2), prompt_id=name)
            answer = await client.post(path, json=body)
            assert (answer.status, await answer.json()) == (200, {"cancelled": cancelled})
            queue = await (await client.get("/queue")).json()
            waiting = [item[1] for item in queue["queue_running"] + queue["queue_pending"]]
            assert sorted(waiting) == sorted(["endless", *left])

    asyncio.run(run())


@pytest.mark.parametrize(
    ("path", "body"), [("/jobs/cancel", {"job_ids": ["endless", "other"]}), ("/jobs/endless/cancel", None)]
)
def test_the_prompt_that_runs_is_stopped(path: str, body: Json | None, tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(engine_in(tmp_path), tmp_path) as client:
            socket = await client.ws_connect("/ws?clientId=me")
            await queue_prompt(client, ENDLESS, client_id="me", prompt_id="endless")
            while (await socket.receive_json(timeout=20))["type"] != "progress":
                pass
            answer = await client.post(path, json=body)
            assert await answer.json() == {"cancelled": ["endless"]}
            assert "execution_interrupted" in [message["type"] for message in await until_idle(socket)]

    asyncio.run(run())


@pytest.mark.parametrize("body", [{"job_ids": "a"}, {"job_ids": [1]}, ["a"]])
def test_ids_that_are_no_texts_are_refused(body: object, tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(engine_in(tmp_path), tmp_path) as client:
            assert (await client.post("/jobs/cancel", json=body)).status == 400

    asyncio.run(run())
