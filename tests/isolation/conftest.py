"""A project with one isolated pack, whose nodes do what nodes must not."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from graphengine.engine import Engine
from graphengine.execution.events import Event
from graphengine.isolation.environments import PackEnvironment, environment_of
from graphengine.isolation.making import make_environment
from graphengine.packs import index, stand_ins
from graphengine.packs.discover import custom_packs
from graphengine.settings import Settings, load_settings
from graphengine.workflow.models import NodeId

PACK = '''
import ctypes, os, sys, time
from pathlib import Path
import comfy.utils
from .helper import FACTOR

if os.access(Path(__file__).parent, os.W_OK):
    Path(__file__).with_name("imported").write_text(str(os.getpid()))


class Node:
    RETURN_TYPES, FUNCTION = ("INT",), "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 1})}}


class Pid(Node):
    def run(self, value):
        return (os.getpid(),)


class Double(Node):
    def run(self, value):
        return (FACTOR * value,)


class Counter(Node):
    def __init__(self):
        self.count = 0

    @classmethod
    def IS_CHANGED(cls, value):
        return time.time()

    def run(self, value):
        self.count += 1
        return (self.count,)


class Segfault(Node):
    def run(self, value):
        ctypes.string_at(0)


class Hang(Node):
    def run(self, value):
        Path(__file__).with_name("hangs").write_text(str(os.getpid()))
        while True:
            time.sleep(1)


class HoldsLock(Node):
    """C code that hangs and lets no other thread run."""

    def run(self, value):
        Path(__file__).with_name("hangs").write_text(str(os.getpid()))
        ctypes.PyDLL(None).sleep(1000)


class Exit(Node):
    def run(self, value):
        os._exit(7)


class SystemExits(Node):
    def run(self, value):
        sys.exit(7)


class Eat(Node):
    def run(self, value):
        return (len(bytearray(value * 10**6)),)


class Raise(Node):
    def run(self, value):
        raise LookupError(f"nothing for {value}")


class Progress(Node):
    def run(self, value):
        bar = comfy.utils.ProgressBar(value)
        for _ in range(value):
            bar.update(1)
        return (value,)


class Patient(Node):
    """Runs until it is told to stop."""

    def run(self, value):
        bar = comfy.utils.ProgressBar(10**9)
        while True:
            bar.update(1)
            time.sleep(0.001)


class Checked(Node):
    @classmethod
    def VALIDATE_INPUTS(cls, value):
        return value < 10 or f"{value} is too much"

    def run(self, value):
        return (value,)


class Lazy(Node):
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"first": ("BOOLEAN", {}), "a": ("INT", {"lazy": True}), "b": ("INT", {"lazy": True})}}

    def check_lazy_status(self, first, a, b):
        return ["a"] if first else ["b"]

    def run(self, first, a, b):
        return (a if first else b,)


class Lists(Node):
    INPUT_IS_LIST, OUTPUT_IS_LIST = True, (True,)

    def run(self, value):
        return ([value[0], value[0] + 1],)


class Hidden(Node):
    RETURN_TYPES = ("STRING",)

    @classmethod
    def INPUT_TYPES(cls):
        hidden = {"id": "UNIQUE_ID", "graph": "DYNPROMPT", "prompt": "PROMPT", "context": "GRAPHENGINE_CONTEXT"}
        return {"required": {"value": ("INT", {})}, "hidden": hidden}

    def run(self, value, id, graph, prompt, context):
        kind = graph.get_node(id)["class_type"]
        return (f"{id} {kind} {sorted(prompt)} {context.node_id} {context.device}",)


class MakesModel(Node):
    RETURN_TYPES = ("INT", "MODEL")

    def run(self, value):
        return (value, object())


class Writes(Node):
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"path": ("STRING", {})}}

    def run(self, path):
        Path(path).write_text("written")
        return (1,)


class Connects(Node):
    def run(self, value):
        import socket
        with socket.create_connection(("127.0.0.1", value), timeout=2):
            return (1,)


class Async(Node):
    async def run(self, value):
        import asyncio
        await asyncio.sleep(0)
        return (value + 1,)


class Prints(Node):
    def run(self, value):
        print("a line of the node")
        return (value,)


class Version(Node):
    RETURN_TYPES = ("STRING",)

    def run(self, value):
        import isolated_thing
        return (isolated_thing.VERSION,)


NODE_CLASS_MAPPINGS = {kind.__name__: kind for kind in Node.__subclasses__()}
'''


@dataclass
class Isolated:
    """A project folder with the pack "trial"; each engine of it starts its own worker."""

    root: Path
    events: list[Event] = field(default_factory=list)

    @property
    def pack(self) -> Path:
        return self.root / "custom_nodes" / "trial"

    def write(self, *options: str) -> None:
        """Write the pack and the project file with these options."""
        self.pack.mkdir(parents=True, exist_ok=True)
        (self.pack / "__init__.py").write_text(PACK)
        (self.pack / "helper.py").write_text("FACTOR = 2\n")
        (self.root / "graphengine.toml").write_text("\n".join(["[packs.trial]", "isolate = true", *options, ""]))

    def settings(self) -> Settings:
        environ = {"GRAPHENGINE_CACHE": str(self.root / "cache")}
        settings = load_settings(base_dir=self.root, device="cpu", no_cache=False, environ=environ)
        return settings.trusting(["trial"])

    def make(self, *options: str) -> PackEnvironment:
        """Make the environment."""
        settings = self.settings()
        (pack,) = custom_packs(settings.custom_nodes)
        environment = environment_of(pack, settings.environments)
        make_environment(environment, options)
        return environment

    def engine(self) -> Engine:
        return Engine.from_settings(self.settings())

    def imported_in(self) -> int:
        """The process that imported the pack last."""
        return int((self.pack / "imported").read_text())


def document(class_type: str, **inputs: object) -> dict[str, tuple[str, dict[str, object]]]:
    """One node of the pack, and one that shows what it gives."""
    return {"1": (class_type, inputs), "2": ("PreviewAny", {"source": ["1", 0]})}


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def workers_of(root: Path) -> list[int]:
    """The processes that run the interpreter of an environment of a project."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
        except OSError:  # it ended meanwhile
            continue
        if os.fsencode(root / "cache" / "environments") in command:
            found.append(int(folder.name))
    return found


NODE = NodeId("2")


@pytest.fixture(autouse=True)
def _forget_stand_ins() -> None:
    """A worker reads the stand-ins as they are now; what this process remembers of them may be older."""
    stand_ins.edited_stand_ins.cache_clear()
    index._form.cache_clear()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Isolated]:
    isolated = Isolated(tmp_path)
    isolated.write()
    isolated.make()
    yield isolated
    assert workers_of(tmp_path) == []
