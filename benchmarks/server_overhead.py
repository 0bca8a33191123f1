#!/usr/bin/env python3
"""What a prompt costs over HTTP with one WebSocket client: bytes sent and CPU time per node.

    python benchmarks/server_overhead.py [--sizes 1000 10000]

A chain of nodes that add two integers is queued on a server in a process of its own (loopback, queue on disk,
outputs in memory), cold and then cached. Counted are the bytes that the socket got, and the CPU time of the server
from the request to the last message; for comparison, that of the same run without a server.
"""

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from graphengine.cache.store import MemoryStore
from graphengine.engine import Engine
from graphengine.execution.executor import LocalExecutor
from graphengine.node.comfy_classes import define
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.server.app import make_app
from graphengine.server.state import ServerSettings
from graphengine.workflow.formats import read_document, to_workflow

SIZES = (1_000, 10_000)


class IntegerAdd:
    """The sum of two whole numbers."""

    RETURN_TYPES = ("INT",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, tuple[object, ...]]]:
        """Two numbers."""
        return {"required": {"a": ("INT", {}), "b": ("INT", {})}}

    def run(self, a: int, b: int) -> tuple[int]:
        """Add."""
        return (a + b,)


class Show(IntegerAdd):
    """The same, and what it gives is shown."""

    OUTPUT_NODE = True

    def run(self, a: int, b: int) -> Any:
        """Add and show."""
        return {"ui": {"value": [a + b]}, "result": (a + b,)}


def chain(size: int) -> dict[str, Any]:
    """A prompt of `size` nodes, each reading the one before."""
    nodes = {
        str(n): {"class_type": "IntegerAdd", "inputs": {"a": [str(n - 1), 0] if n else 0, "b": n}}
        for n in range(size)
    }
    nodes[str(size - 1)]["class_type"] = "Show"
    return nodes


def engine_with_store() -> Engine:
    """An engine with the two nodes that keeps outputs in memory."""
    registry = NodeRegistry(define(c.__name__, c, version="1") for c in (IntegerAdd, Show))
    return Engine(registry, MemoryStore(), Folders(), LocalExecutor(), "cpu")


def cpu_without_server(size: int) -> float:
    """CPU seconds of reading, checking and running the chain in this process."""
    engine, data = engine_with_store(), json.dumps(chain(size)).encode()
    begun = time.process_time()
    engine.run(to_workflow(read_document(data), engine.registry).workflow)
    return time.process_time() - begun


async def serve() -> None:
    """Serve on a free port, which is written to stdout, until stdin closes; then write the peak memory in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        settings = ServerSettings(user=Path(folder), database=Path(folder) / "queue.sqlite")
        app = make_app(engine_with_store(), settings)
        app.router.add_get("/cpu", cpu)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await runner.cleanup()


async def cpu(request: web.Request) -> web.Response:
    """CPU seconds of the server's process so far, and its peak memory in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return web.json_response({"cpu": time.process_time(), "peak": peak})


async def measure(port: int, size: int) -> list[dict[str, float]]:
    """The figures of a cold and of a cached run."""
    rows = []
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        for _ in ("cold", "cached"):
            async with session.ws_connect("/ws?clientId=bench", max_msg_size=0) as socket:
                await socket.receive()
                before = await (await session.get("/cpu")).json()
                begun = time.perf_counter()
                answer = await session.post("/prompt", json={"prompt": chain(size), "client_id": "bench"})
                assert answer.status == 200, await answer.text()
                received, messages = await until_idle(socket)
                wall = time.perf_counter() - begun
                after = await (await session.get("/cpu")).json()
            rows.append(
                {
                    "bytes": received / size,
                    "messages": messages,
                    "cpu": (after["cpu"] - before["cpu"]) / size * 1e6,
                    "wall": wall,
                    "peak": after["peak"],
                }
            )
    return rows


async def until_idle(socket: aiohttp.ClientWebSocketResponse) -> tuple[int, int]:
    """Bytes and number of the messages up to the end of the prompt."""
    received = messages = 0
    while True:
        text = await socket.receive_str()
        received += len(text.encode())
        messages += 1
        if text.startswith('{"type":"executing","data":{"node":null'):
            return received, messages


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        asyncio.run(serve())
        return
    print(
        f"{'nodes':>7} {'run':<7} {'bytes/node':>10} {'messages':>9} {'µs CPU/node':>11} {'wall s':>7} {'MiB':>6}"
    )
    for size in args.sizes:
        print(f"{size:>7} {'library':<7} {'':>10} {'':>9} {cpu_without_server(size) / size * 1e6:>11.1f}")
        with subprocess.Popen(
            [sys.executable, __file__, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as server:
            assert server.stdin is not None
            assert server.stdout is not None
            port = int(server.stdout.readline())
            for name, row in zip(("cold", "cached"), asyncio.run(measure(port, size)), strict=True):
                figures = f"{row['bytes']:>10.0f} {row['messages']:>9} {row['cpu']:>11.1f} {row['wall']:>7.2f}"
                print(f"{size:>7} {name:<7} {figures} {row['peak']:>6.0f}")
            server.stdin.close()


if __name__ == "__main__":
    main()
