#!/usr/bin/env python3
"""Whether the cache can be trusted: random changes, and an oracle that computes everything anew.

    python benchmarks/mutations.py [--mutations 1000] [--seed 1]

Random graphs of nodes of a custom pack are run on one cache folder, each time by a new engine that imports the
pack anew, as a new process would. Between two runs one thing changes: a literal, a link, the code of a node (in
meaning, or only in a comment), the code of a module that nodes import, a module that none imports, the bytes of
the model, the bytes of the input file (also to others that mean the same), the name of the model, or the device.

Stale: a run that shows another value than the oracle. Needless: a node that was called although it had been called
before with this code, these values of its inputs, these files and this device. Both must be 0.
"""

import argparse
import importlib
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from graphengine.engine import Engine
from graphengine.errors import ValidationFailed
from graphengine.node.folders import Folders
from graphengine.packs.project import TrustPolicy
from graphengine.settings import Settings
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode

PACK = """
from pathlib import Path
from .sums import Sum
from .models import LoadModel, Patch, Sample
from .files import ReadNumber
from .shows import Show
NODE_CLASS_MAPPINGS = {c.__name__: c for c in (Sum, LoadModel, Patch, Sample, ReadNumber, Show)}
"""
HELPER = "# {comment}\ndef scaled(value):\n    return value * {factor}\n"
NOBODY = "# {comment}\n"
SUMS = """# {comment}
class Sum:
    RETURN_TYPES = ("INT",)
    FUNCTION = "run"
    @classmethod
    def INPUT_TYPES(cls):
        return {{"required": {{"a": ("INT", {{}}), "b": ("INT", {{}})}}}}
    def run(self, a, b):
        return ((a + b + {offset}) % 50,)
"""
MODELS = """# {comment}
import folder_paths
from .helper import scaled
class Model:
    def __init__(self, weight):
        self.weight = weight
class LoadModel:
    RETURN_TYPES = ("MODEL",)
    FUNCTION = "run"
    @classmethod
    def INPUT_TYPES(cls):
        return {{"required": {{"ckpt_name": (folder_paths.get_filename_list("checkpoints"),)}}}}
    def run(self, ckpt_name):
        with open(folder_paths.get_full_path("checkpoints", ckpt_name)) as file:
            return (Model(int(file.read())),)
class Patch:
    RETURN_TYPES = ("MODEL",)
    FUNCTION = "run"
    @classmethod
    def INPUT_TYPES(cls):
        return {{"required": {{"model": ("MODEL",), "by": ("INT", {{}})}}}}
    def run(self, model, by):
        return (Model(model.weight + by),)
class Sample:
    RETURN_TYPES = ("INT",)
    FUNCTION = "run"
    @classmethod
    def INPUT_TYPES(cls):
        return {{"required": {{"model": ("MODEL",), "value": ("INT", {{}})}}}}
    def run(self, model, value):
        return (scaled(model.weight + value) % 50,)
"""
FILES = """# {comment}
import folder_paths
from graphengine.node.api import Files
class ReadNumber:
    RETURN_TYPES = ("INT",)
    FUNCTION = "run"
    @classmethod
    def INPUT_TYPES(cls):
        return {{"required": {{"name": (Files("input"),)}}}}
    def run(self, name):
        with open(folder_paths.get_annotated_filepath(name)) as file:
            return (int(file.read().strip()),)
"""
SHOWS = """# {comment}
class Show:
    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True
    @classmethod
    def INPUT_TYPES(cls):
        return {{"required": {{"value": ("INT", {{"forceInput": True}})}}}}
    def run(self, value):
        return {{"ui": {{"value": [value]}}}}
"""
MODULES = {
    "helper": HELPER, "nobody": NOBODY, "sums": SUMS, "models": MODELS, "files": FILES, "shows": SHOWS,
}  # fmt: skip
#: The modules that compute each class.
CODE = {
    "Sum": ("sums",), "LoadModel": ("models", "helper"), "Patch": ("models", "helper"),
    "Sample": ("models", "helper"), "ReadNumber": ("files",), "Show": ("shows",),
}  # fmt: skip
OBJECTS = ("LoadModel", "Patch")

Nodes = dict[str, tuple[str, dict[str, Any]]]


@dataclass
class World:
    """All that a result depends on."""

    root: Path
    nodes: Nodes
    numbers: dict[str, int] = field(default_factory=lambda: {"factor": 2, "offset": 0})
    comments: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MODULES, 0))
    model: str = "3"
    model_name: str = "m.safetensors"
    file: str = "5"
    device: str = "cpu"

    def write(self) -> None:
        """Write pack and files."""
        pack = self.root / "custom_nodes" / "changing"
        for folder in (pack, self.root / "models" / "checkpoints", self.root / "input"):
            folder.mkdir(parents=True, exist_ok=True)
        _write(pack / "__init__.py", PACK)
        for name, text in MODULES.items():
            _write(pack / f"{name}.py", text.format(comment=self.comments[name], **self.numbers))
        for old in (self.root / "models" / "checkpoints").iterdir():
            if old.name != self.model_name:
                old.unlink()
        _write(self.root / "models" / "checkpoints" / self.model_name, self.model)
        _write(self.root / "input" / "number.txt", self.file)

    def code(self, kind: str) -> tuple[str, ...]:
        """The texts that compute a class."""
        return tuple(MODULES[name].format(comment=self.comments[name], **self.numbers) for name in CODE[kind])

    def value(self, source: str) -> Any:
        """The oracle: what a node gives."""
        kind, inputs = self.nodes[source]
        given = {
            name: self.value(value[0]) if isinstance(value, list) else value for name, value in inputs.items()
        }
        match kind:
            case "Sum":
                return (given["a"] + given["b"] + self.numbers["offset"]) % 50
            case "LoadModel":
                return int(self.model)
            case "Patch":
                return given["model"] + given["by"]
            case "Sample":
                return (given["model"] + given["value"]) * self.numbers["factor"] % 50
            case "ReadNumber":
                return int(self.file)
            case _:
                return given["value"]

    def call(self, node_id: str) -> tuple[Any, ...]:
        """What a node is called with: code, values (of models how they are made), files, device."""
        kind, inputs = self.nodes[node_id]
        values = []
        for name, value in sorted(inputs.items()):
            if isinstance(value, list):
                made = self.nodes[value[0]][0] in OBJECTS
                values.append((name, "link", self.call(value[0]) if made else self.value(value[0])))
            elif name != "ckpt_name":
                values.append((name, "literal", value))
        file = {"LoadModel": self.model, "ReadNumber": self.file}.get(kind, "")
        return kind, self.code(kind), tuple(values), file, self.device

    def run(self) -> tuple[Any, set[str]]:
        """Run with a new engine; what is shown, and the nodes that were called."""
        self.write()
        for name in [name for name in sys.modules if name.startswith("graphengine_pack_changing")]:
            del sys.modules[name]
        importlib.invalidate_caches()
        folders = Folders(
            input=(self.root / "input",),
            output=self.root / "output",
            temp=self.root / "temp",
            models={"checkpoints": (self.root / "models" / "checkpoints",)},
        )
        cache, packs = self.root / "cache", (self.root / "custom_nodes",)
        settings = Settings(
            folders=folders,
            custom_nodes=packs,
            cache=cache,
            packs=cache / "packs",
            device=self.device,
            trust=TrustPolicy(everything=True),
        )
        workflow = Workflow(
            {
                NodeId(node_id): WorkflowNode(
                    kind, {k: Link(NodeId(v[0]), v[1]) if isinstance(v, list) else v for k, v in inputs.items()}
                )
                for node_id, (kind, inputs) in self.nodes.items()
            }
        )
        with Engine.from_settings(settings) as engine:
            try:
                result = engine.run(workflow)
            except ValidationFailed as failed:
                sys.exit("\n".join(str(problem) for problem in failed.problems))
        return result.ui[NodeId("out")]["value"], set(result.executed)


def _write(path: Path, text: str) -> None:
    """Write a file when it differs, as an editor does."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def random_nodes(rng: random.Random) -> Nodes:
    """A graph of three to eight nodes between a file, a model and an output."""
    nodes: Nodes = {
        "f": ("ReadNumber", {"name": "number.txt"}),
        "m": ("LoadModel", {"ckpt_name": "m.safetensors"}),
    }
    sources = ["f"]
    for n in range(rng.randint(2, 5)):
        number = lambda: [rng.choice(sources), 0] if rng.random() < 0.6 else rng.randrange(5)  # noqa: E731
        if rng.random() < 0.5:
            nodes[f"p{n}"] = ("Patch", {"model": ["m", 0], "by": number()})
            nodes[f"s{n}"] = ("Sample", {"model": [f"p{n}", 0], "value": [rng.choice(sources), 0]})
        else:
            nodes[f"s{n}"] = ("Sum", {"a": [sources[-1], 0], "b": number()})
        sources.append(f"s{n}")
    nodes["out"] = ("Show", {"value": [sources[-1], 0]})
    return nodes


def literal(world: World, rng: random.Random) -> World:
    """Another number in a place."""
    places = [(i, n) for i, (_, inputs) in world.nodes.items() for n, v in inputs.items() if isinstance(v, int)]
    if not places:
        return world
    node_id, name = rng.choice(places)
    kind, inputs = world.nodes[node_id]
    return replace(world, nodes={**world.nodes, node_id: (kind, {**inputs, name: rng.randrange(5)})})


def link(world: World, rng: random.Random) -> World:
    """A place linked to the file."""
    places = [(i, n) for i, (k, inputs) in world.nodes.items() for n in inputs if n in ("a", "b", "by", "value")]
    node_id, name = rng.choice(places)
    kind, inputs = world.nodes[node_id]
    return replace(world, nodes={**world.nodes, node_id: (kind, {**inputs, name: ["f", 0]})})


def _comment(*names: str) -> Callable[[World, random.Random], World]:
    def change(world: World, rng: random.Random) -> World:
        return replace(world, comments={**world.comments, rng.choice(names): rng.randrange(10**6)})

    return change


def _number(name: str) -> Callable[[World, random.Random], World]:
    def change(world: World, rng: random.Random) -> World:
        return replace(world, numbers={**world.numbers, name: rng.randrange(1, 5)})

    return change


def model_name(world: World, rng: random.Random) -> World:
    """The model under another name."""
    name = f"m{rng.randrange(4)}.safetensors"
    return replace(world, model_name=name, nodes={**world.nodes, "m": ("LoadModel", {"ckpt_name": name})})


MUTATIONS: dict[str, Callable[[World, random.Random], World]] = {
    "literal": literal,
    "link": link,
    "code of a node": _number("offset"),
    "comment in the code of a node": _comment("sums", "models", "files", "shows"),
    "code of a module that nodes import": _number("factor"),
    "comment in a module that nodes import": _comment("helper"),
    "module that no node imports": _comment("nobody"),
    "bytes of the model": lambda world, rng: replace(world, model=str(rng.randrange(1, 5))),
    "name of the model": model_name,
    "bytes of the input file": lambda world, rng: replace(world, file=str(rng.randrange(5))),
    "bytes of the input file that mean the same": lambda world, rng: replace(
        world, file=world.file.strip() + " " * rng.randrange(5)
    ),
    "device": lambda world, rng: replace(world, device=rng.choice(["cpu", "cuda", "mps"])),
}


def main() -> None:
    """Print how often each change was made, and what it led to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    sys.dont_write_bytecode = True  # its files tell a change by whole seconds, and here it comes sooner
    rng = random.Random(args.seed)
    made: Counter[str] = Counter()
    called: Counter[str] = Counter()
    stale, needless, nodes = [], [], 0
    while made.total() < args.mutations:
        with tempfile.TemporaryDirectory() as folder:
            world = World(Path(folder), random_nodes(rng))
            seen: set[tuple[Any, ...]] = set()
            for what in ["start", *rng.choices(list(MUTATIONS), k=20)]:
                if what != "start":
                    world = MUTATIONS[what](world, rng)
                    made[what] += 1
                shown, executed = world.run()
                if shown != [world.value("out")]:
                    stale.append((what, shown, world.value("out")))
                for node_id in executed:
                    call = world.call(node_id)
                    is_object = world.nodes[node_id][0] in OBJECTS  # a model is made anew in every process
                    if call in seen and not is_object:
                        needless.append((what, node_id))
                    seen.add(call)
                if what != "start":
                    called[what] += len(executed)
                    nodes += len(world.nodes)
    print(f"{'change':<46}{'made':>6}{'nodes called':>14}")
    for what in MUTATIONS:
        print(f"{what:<46}{made[what]:>6}{called[what]:>14}")
    print(f"{made.total()} changes, {called.total()} of {nodes} nodes called")
    print(f"stale: {len(stale)} {stale[:3] or ''}")
    print(f"needless: {len(needless)} {Counter(what for what, _ in needless) or ''}")
    sys.exit(bool(stale or needless))


if __name__ == "__main__":
    main()
