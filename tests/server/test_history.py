"""What /history and /api/jobs tell of prompts that have ended."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.server.serving import Client, Json, adding, engine_in, queue_prompt, serving, until_idle

IDS = ["p0", "p1", "p2", "p3"]


def after_four_prompts(place: Path, scenario: Callable[[Client], Coroutine[Any, Any, None]]) -> None:
    """Run the scenario on a server whose history has p0 to p3; p2 failed."""

    async def run() -> None:
        async with serving(engine_in(place), place) as client:
            socket = await client.ws_connect("/ws?clientId=me")
            for index, name in enumerate(IDS):
                prompt = adding(1, index)
                if name == "p2":
                    prompt["0"] = {"class_type": "Fail", "inputs": {"message": "broken"}}
                extra = {"extra_pnginfo": {"workflow": {"id": f"w{index % 2}"}}}
                await queue_prompt(client, prompt, prompt_id=name, client_id="me", extra_data=extra)
                await until_idle(socket)
            await scenario(client)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", IDS),
        ("?max_items=2", ["p2", "p3"]),
        ("?max_items=2&offset=-1", ["p2", "p3"]),
        ("?max_items=2&offset=1", ["p1", "p2"]),
        ("?offset=3", ["p3"]),
        ("?max_items=0", []),
        ("?max_items=-1", IDS),
        ("?max_items=100&offset=100", []),
    ],
)
def test_entries_come_in_the_order_in_which_prompts_ended(tmp_path: Path, query: str, ids: list[str]) -> None:
    async def scenario(client: Client) -> None:
        assert list(await (await client.get(f"/history{query}")).json()) == ids

    after_four_prompts(tmp_path, scenario)


def test_a_long_history_comes_in_parts_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphengine.server.history._AT_ONCE", 1)

    async def scenario(client: Client) -> None:
        history = await (await client.get("/history")).json()
        assert list(history) == IDS
        assert history["p3"]["outputs"] == {"out": {"value": [4]}}

    after_four_prompts(tmp_path, scenario)


@pytest.mark.parametrize("query", ["max_items=many", "offset=1.5", "max_items=99999999999", "offset=²"])
def test_a_page_that_is_no_number_is_refused(tmp_path: Path, query: str) -> None:
    async def run() -> None:
        async with serving(engine_in(tmp_path), tmp_path) as client:
            assert (await client.get(f"/history?{query}")).status == 400

    asyncio.run(run())


def test_an_entry_tells_what_was_asked_what_was_shown_and_how_it_ended(tmp_path: Path) -> None:
    async def scenario(client: Client) -> None:
        answer = await (await client.get("/history/p1")).json()
        assert list(answer) == ["p1"]
        entry: Json = answer["p1"]
        number, prompt_id, document, extra, outputs = entry["prompt"]
        assert (number, prompt_id, document, outputs) == (1, "p1", adding(1, 1), ["out"])
        assert extra == {"extra_pnginfo": {"workflow": {"id": "w1"}}, "client_id": "me"}
        assert entry["outputs"] == {"out": {"value": [2]}}
        assert entry["meta"] == {
            "out": {"node_id": "out", "display_node": "out", "parent_node": None, "real_node_id": "out"}
        }
        assert entry["status"]["completed"] is True
        names, data = zip(*entry["status"]["messages"], strict=True)
        assert names == ("execution_start", "execution_cached", "execution_success")
        assert all(each["timestamp"] > 1_700_000_000_000 for each in data)
        assert await (await client.get("/history/unknown")).json() == {}

    after_four_prompts(tmp_path, scenario)


@pytest.mark.parametrize(("body", "left"), [({"delete": ["p1", "x"]}, ["p0", "p2", "p3"]), ({"clear": True}, [])])
def test_entries_are_deleted(tmp_path: Path, body: Json, left: list[str]) -> None:
    async def scenario(client: Client) -> None:
        assert (await client.post("/history", json=body)).status == 200
        assert list(await (await client.get("/history")).json()) == left

    after_four_prompts(tmp_path, scenario)


@pytest.mark.parametrize(
    ("query", "ids", "total"),
    [
        ("", ["p3", "p2", "p1", "p0"], 4),
        ("?sort_order=asc", ["p0", "p1", "p2", "p3"], 4),
        ("?status=failed", ["p2"], 1),
        ("?status=completed,failed&sort_order=asc&limit=2&offset=1", ["p1", "p2"], 4),
        ("?status=pending", [], 0),
        ("?workflow_id=w1&sort_order=asc", ["p1", "p3"], 2),
    ],
)
def test_jobs_are_filtered_sorted_and_paged(tmp_path: Path, query: str, ids: list[str], total: int) -> None:
    async def scenario(client: Client) -> None:
        answer = await (await client.get(f"/api/jobs{query}")).json()
        assert [job["id"] for job in answer["jobs"]] == ids
        assert answer["pagination"]["total"] == total

    after_four_prompts(tmp_path, scenario)


@pytest.mark.parametrize("query", ["status=done", "sort_by=name", "sort_order=up", "limit=0", "offset=-1"])
def test_a_list_of_jobs_that_cannot_be_made_is_refused(tmp_path: Path, query: str) -> None:
    async def run() -> None:
        async with serving(engine_in(tmp_path), tmp_path) as client:
            assert (await client.get(f"/api/jobs?{query}")).status == 400

    asyncio.run(run())


def test_a_job_tells_its_times_its_error_and_its_outputs(tmp_path: Path) -> None:
    async def scenario(client: Client) -> None:
        failed = await (await client.get("/api/jobs/p2")).json()
        assert failed["status"] == "failed"
        assert failed["execution_error"]["exception_type"] == "RuntimeError"
        done = await (await client.get("/api/jobs/p3")).json()
        assert done["outputs"] == {"out": {"value": [4]}}
        assert done["workflow"]["prompt"] == adding(1, 3)
        assert done["create_time"] <= done["execution_start_time"] <= done["execution_end_time"]
        assert (await client.get("/api/jobs/unknown")).status == 404

    after_four_prompts(tmp_path, scenario)


def test_jobs_that_run_or_wait_are_listed(tmp_path: Path) -> None:
    endless = {
        "1": {"class_type": "Endless", "inputs": {"start": 1}},
        "2": {"class_type": "Out", "inputs": {"value": ["1", 0]}},
    }

    async def run() -> None:
        async with serving(engine_in(tmp_path), tmp_path) as client:
            socket = await client.ws_connect("/ws?clientId=me")
            await queue_prompt(client, endless, prompt_id="first", client_id="me")
            while (await socket.receive_json(timeout=20))["type"] != "progress":
                pass
            await queue_prompt(client, adding(1, 2), prompt_id="second")
            jobs = (await (await client.get("/api/jobs?sort_order=asc")).json())["jobs"]
            assert [(job["id"], job["status"]) for job in jobs] == [
                ("first", "in_progress"),
                ("second", "pending"),
            ]
            assert jobs[0]["execution_start_time"] >= jobs[0]["create_time"]
            one = await (await client.get("/api/jobs/second")).json()
            assert (one["status"], one["outputs"]) == ("pending", {})

    asyncio.run(run())
