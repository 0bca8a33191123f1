#!/usr/bin/env python3
"""Many clients at once on a real `graphengine serve`, and the same with a `kill -9` in the middle.

    python benchmarks/server_load.py [--clients 20] [--prompts 50] [--sockets 5]

Each client queues small prompts one after the other, while sockets connect, read a little and drop. Then all of
it again with new prompts: when a third of them has ended the server is killed and started anew on the same folder,
and clients whose request got no answer ask again. Afterwards every prompt must be in the history once, completed,
and each client's prompts in the order in which it queued them. Loopback only; folders are temporary.
"""

import argparse
import asyncio
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

#: The pack that the server loads: one node that writes its number to a file and shows it.
PACK = """
class WriteNumber:
    RETURN_TYPES = ("INT",)
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"number": ("INT", {"max": 10**9})}}

    def run(self, number):
        with open(FILE, "a") as file:
            file.write(f"{number}\\n")
        return {"ui": {"number": [number]}, "result": (number,)}


NODE_CLASS_MAPPINGS = {"WriteNumber": WriteNumber}
"""
_ADDRESS = re.compile(rb"http://127\.0\.0\.1:(\d+)")


@dataclass(slots=True)
class Server:
    """A server process on a folder; it may be started again after it was killed."""

    folder: Path
    port: int = 0
    process: asyncio.subprocess.Process | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> None:
        """Start, and return when it answers."""
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "graphengine.cli", "serve", "--base-dir", str(self.folder)),
            *("--trust", "load_test"),
            *("--cache", str(self.folder / "cache"), "--port", str(self.port), "--cpu"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert self.process.stdout is not None
        found = _ADDRESS.search(await self.process.stdout.readline())
        assert found, "the server did not start"
        self.port = int(found[1])
        self.ready.set()

    async def end(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end; the exit code."""
        assert self.process is not None
        self.ready.clear()
        self.process.send_signal(number)
        return await self.process.wait()

    def url(self, path: str) -> str:
        """The address of a route."""
        return f"http://127.0.0.1:{self.port}{path}"


def prompt(number: int) -> dict[str, Any]:
    """A prompt of one node, different from all others."""
    return {"1": {"class_type": "WriteNumber", "inputs": {"number": number}}}


async def queue_all(server: Server, session: aiohttp.ClientSession, ids: Sequence[str], first: int) -> None:
    """Queue one client's prompts in order; a request without an answer is repeated when the server is back."""
    for index, prompt_id in enumerate(ids):
        body = {"prompt": prompt(first + index), "prompt_id": prompt_id}
        while not await _is_queued(server, session, body):
            await server.ready.wait()


async def _is_queued(server: Server, session: aiohttp.ClientSession, body: dict[str, Any]) -> bool:
    try:
        async with session.get(server.url(f"/history/{body['prompt_id']}")) as answer:
            if await answer.json():  # it was taken before the server was killed, and has run since
                return True
        async with session.post(server.url("/prompt"), json=body) as answer:
            error = (await answer.json()).get("error") or {}
            assert answer.status == 200 or error.get("type") == "duplicate_prompt_id", error
            return True
    except aiohttp.ClientError:
        return False


async def come_and_go(server: Server, session: aiohttp.ClientSession, name: str) -> int:
    """Connect, read three messages and drop, for ever; how often is told when it is cancelled."""
    count = 0
    try:
        while True:
            await server.ready.wait()
            try:
                async with session.ws_connect(server.url(f"/ws?clientId={name}")) as socket:
                    for _ in range(3):
                        await socket.receive(timeout=1)
                count += 1
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(0.01)
    except asyncio.CancelledError:
        return count


async def until_left(server: Server, session: aiohttp.ClientSession, most: int, at_least: int = 0) -> None:
    """Wait until no more than `most` prompts are left and `at_least` have ended."""
    async with session.ws_connect(server.url("/ws")) as socket:
        while True:
            message = await socket.receive_json()
            if message["type"] != "status":
                continue
            left = message["data"]["status"]["exec_info"]["queue_remaining"]
            if left <= most and await _ended(server, session) >= at_least:
                return


async def _ended(server: Server, session: aiohttp.ClientSession) -> int:
    async with session.get(server.url("/api/jobs?status=completed&limit=1")) as answer:
        total: int = (await answer.json())["pagination"]["total"]
        return total


async def check(server: Server, session: aiohttp.ClientSession, clients: Sequence[Sequence[str]]) -> None:
    """Every prompt ended once, well, and in its client's order."""
    async with session.get(server.url("/history")) as answer:
        history = await answer.json()
    assert len(history) == sum(map(len, clients)), f"{len(history)} entries"
    assert all(entry["status"]["completed"] for entry in history.values())
    places = {prompt_id: place for place, prompt_id in enumerate(history)}
    for ids in clients:
        assert [places[each] for each in ids] == sorted(places[each] for each in ids), "out of order"


async def load(server: Server, options: argparse.Namespace, name: str, first: int, kill_after: int | None) -> None:
    """One round: clients queue while sockets come and go; with `kill_after` the server is killed on the way."""
    clients = [[f"{name}-{c}-{n}" for n in range(options.prompts)] for c in range(options.clients)]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        async with session.post(server.url("/history"), json={"clear": True}):
            pass
        begun = time.perf_counter()
        sockets = [
            asyncio.create_task(come_and_go(server, session, f"s{number}")) for number in range(options.sockets)
        ]
        queuing = [
            asyncio.create_task(queue_all(server, session, ids, first + index * options.prompts))
            for index, ids in enumerate(clients)
        ]
        if kill_after is not None:
            await until_left(server, session, sys.maxsize, kill_after)
            await server.end(signal.SIGKILL)
            await server.start()
        await asyncio.gather(*queuing)
        queued = time.perf_counter() - begun
        await until_left(server, session, 0)
        seconds = time.perf_counter() - begun
        for task in sockets:
            task.cancel()
        dropped = sum(await asyncio.gather(*sockets))
        await check(server, session, clients)
    count = len(clients) * options.prompts
    calls = (server.folder / "calls.txt").read_text().splitlines()
    mine = [int(each) for each in calls if first <= int(each) < first + count]
    assert set(mine) == set(range(first, first + count))
    print(
        f"{name}: {count} prompts of {len(clients)} clients in {seconds:.1f} s (queued after {queued:.1f} s), "
        f"{dropped} sockets dropped, {len(mine)} calls; none lost, none doubled, order kept"
    )


async def run(options: argparse.Namespace) -> None:
    """Both rounds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pack = folder / "custom_nodes" / "load_test"
        pack.mkdir(parents=True)
        (pack / "__init__.py").write_text(f"FILE = {str(folder / 'calls.txt')!r}\n{PACK}")
        server = Server(folder)
        await server.start()
        count = options.clients * options.prompts
        await load(server, options, "steady", 0, None)
        await load(server, options, "killed", count, count // 3)
        code = await server.end(signal.SIGINT)
        assert code == 0, f"exit code {code}"


def main() -> None:
    """Run the load test and print what happened; any fault is an AssertionError."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--prompts", type=int, default=50)
    parser.add_argument("--sockets", type=int, default=5)
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
