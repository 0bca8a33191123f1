"""A graph of 30 nodes with a 4 MB tensor each, run cold, from this machine's cache, and from a shared bucket.

    python benchmarks/remote_cache.py [--nodes 30] [--megabytes 4] [--keys 2000] [--repeat 3] [--latency-ms 0]

Then how long it takes to look for many keys at once, as for a large graph.

The bucket is moto's, in a process of its own on this machine; `--latency-ms` is added to every request. Wall
clock, best of `--repeat` rounds, and the requests of one round. Needs the extra `buckets`.
"""

import argparse
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import Request, urlopen

from graphengine.cache.remote import RemoteStore
from graphengine.cache.remote_place import RemoteLimits, remote_place
from graphengine.cache.store import Outputs
from graphengine.engine import Engine
from graphengine.settings import load_settings
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode

PACK = """
import torch

class Step:
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"seed": ("INT",), "floats": ("INT",)}, "optional": {"latent": ("LATENT",)}}

    def run(self, seed, floats, latent=None):
        noise = torch.rand(floats, generator=torch.Generator().manual_seed(seed))
        return ({"samples": noise if latent is None else noise + latent["samples"]},)

class Total:
    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"latent": ("LATENT",), "label": ("STRING",)}}

    def run(self, latent, label):
        return {"ui": {"text": [f"{label}: {latent['samples'].sum():.3f}"]}}

NODE_CLASS_MAPPINGS = {"Step": Step, "Total": Total}
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=30)
    parser.add_argument("--megabytes", type=float, default=4)
    parser.add_argument("--keys", type=int, default=2000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--latency-ms", type=float, default=0)
    arguments = parser.parse_args()
    with serve_bucket(arguments.latency_ms / 1000) as bucket, TemporaryDirectory() as folder:
        urlopen(Request(f"{bucket.address}/team", method="PUT")).close()
        print(f"{arguments.nodes} nodes of {arguments.megabytes:g} MB, {arguments.latency_ms:g} ms a request")
        run_graphs(bucket, Path(folder), arguments.nodes, int(arguments.megabytes * 1e6 / 4), arguments.repeat)
        print(f"{arguments.keys} keys")
        look_up(bucket, [sha256(f"{number}".encode()).hexdigest() for number in range(arguments.keys)])


def run_graphs(bucket: "MotoBucket", folder: Path, nodes: int, floats: int, repeat: int) -> None:
    """Run the graph on machines that share a bucket."""
    graph, other_end = chain(nodes, floats, "total"), chain(nodes, floats, "sum")
    rounds: dict[str, list[tuple[float, float, int]]] = {}
    for number in range(repeat):
        place = folder / str(number)
        alone, url = {"GRAPHENGINE_REMOTE_CACHE": ""}, {"GRAPHENGINE_REMOTE_CACHE": f"s3://team/{number}"}
        steps: list[tuple[str, str, Workflow, dict[str, str]]] = [
            ("cold, not shared", "alone", graph, alone),
            ("warm from disk, not shared", "alone", graph, alone),
            ("cold, shared", "ours", graph, url),
            ("warm from disk, shared", "ours", graph, url),
            ("warm from the bucket", "theirs", graph, url),
            ("the last node is another one", "third", other_end, url),
            ("every tensor fetched", "fourth", graph, {**url, "fetch": "1"}),
        ]
        for name, cache, workflow, environ in steps:
            bucket.requests()
            seconds = run(place / cache, workflow, environ)
            rounds.setdefault(name, []).append((*seconds, bucket.requests()))
    for name, measured in rounds.items():
        ran, closed, _ = min(measured)
        print(f"{name:30} {ran:7.3f} s   + {closed:6.3f} s to close   {measured[0][2]:4} requests")


def look_up(bucket: "MotoBucket", keys: list[str]) -> None:
    """Look for the keys of a large graph: before anybody has run it, afterwards, and for another graph."""

    def ask(name: str, keys: list[str], put: bool = False) -> None:
        bucket.requests()
        with RemoteStore(remote_place("s3://team/keys"), RemoteLimits(close_s=600)) as store:
            begin = time.perf_counter()
            found = len(store.peek_many(keys))
            seconds = time.perf_counter() - begin
            print(f"{name:30} {seconds:7.3f} s   {found:6} found   {bucket.requests():6} requests")
            for number, key in enumerate(keys if put else ()):
                store.put(key, Outputs(((number,),)))

    others = [sha256(key.encode()).hexdigest() for key in keys]
    ask("nobody has run the graph", keys, put=True)
    ask("somebody has", keys)
    ask("a tenth is the same", keys[: len(keys) // 10] + others[len(keys) // 10 :])


def chain(nodes: int, floats: int, label: str) -> Workflow:
    """Nodes in a row, and an output at the end."""
    made: dict[NodeId, WorkflowNode] = {}
    for number in range(nodes):
        inputs: dict[str, Any] = {"seed": number, "floats": floats}
        if number:
            inputs["latent"] = Link(NodeId(str(number - 1)), 0)
        made[NodeId(str(number))] = WorkflowNode("Step", inputs)
    last: dict[str, Any] = {"latent": Link(NodeId(str(nodes - 1)), 0), "label": label}
    made[NodeId("end")] = WorkflowNode("Total", last)
    return Workflow(made)


def run(folder: Path, workflow: Workflow, environ: dict[str, str]) -> tuple[float, float]:
    """Seconds of a run with this folder, and of what is left to do at the end."""
    pack = folder / "custom_nodes" / "steps.py"
    pack.parent.mkdir(parents=True, exist_ok=True)
    pack.write_text(PACK)
    environ = {"GRAPHENGINE_CACHE": str(folder / "cache"), **environ}
    engine = Engine.from_settings(
        load_settings(base_dir=folder, device="cpu", environ=environ).trusting(["steps"])
    )
    engine.load_all_packs()
    begin = time.perf_counter()
    result = engine.run(workflow)
    if "fetch" in environ:
        for node_id in workflow.nodes:
            if result.outputs(node_id) is None:
                raise SystemExit(f"the outputs of node {node_id} are nowhere")
    ran = time.perf_counter()
    engine.close()
    return ran - begin, time.perf_counter() - ran


class MotoBucket:
    """A moto server in another process."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.address: str = connection.recv()

    def requests(self) -> int:
        """How many requests there were since the last time this was asked."""
        self._connection.send("count")
        return int(self._connection.recv())


@contextmanager
def serve_bucket(latency_s: float) -> Iterator[MotoBucket]:
    """A server, named in the environment as users name theirs."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, latency_s), daemon=True)
    process.start()
    bucket = MotoBucket(ours)
    os.environ |= {
        "AWS_ENDPOINT_URL": bucket.address,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_REGION": "us-east-1",
    }
    try:
        yield bucket
    finally:
        process.terminate()
        process.join()


def serve(connection: Connection, latency_s: float) -> None:
    """Serve a bucket; tell the address, then the number of requests whenever asked."""
    import logging

    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = DomainDispatcherApplication(create_backend_app)
    asked: list[str] = []

    def counted(environ: Any, start_response: Any) -> Any:
        asked.append(environ["PATH_INFO"])
        time.sleep(latency_s)
        return app(environ, start_response)

    server = make_server("127.0.0.1", 0, counted, threaded=True)
    connection.send(f"http://127.0.0.1:{server.port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while connection.recv() == "count":
        connection.send(len(asked))
        asked.clear()


if __name__ == "__main__":
    main()
